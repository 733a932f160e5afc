"""Options of one family of models, given for another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beam_curator.diarization.diarize_rules import ModelOptions, StreamingOptions
from beam_curator.diarization.speaker_counts import SpeakerCounts
from beam_curator.diarization.turn_rules import TURN_PRESETS, TurnRules
from beam_curator.model_records import KNOWN_MODELS
from beam_curator.models.model_checks import (
    check_links,
    check_walk,
    is_cascade,
    turn_preset_of,
    turns_or_own,
    with_own_links,
)
from beam_curator.models.model_files import ModelNotFoundError
from beam_curator.transforms import Diarize
from tests.models.real_models import need_model

CASCADE, DEMO = ModelOptions(model_name="cascade"), ModelOptions(model_name="demo")
WALK = StreamingOptions().parameters()


def test_each_model_has_thresholds_of_its_own() -> None:
    assert turn_preset_of(CASCADE) == "cascade"
    assert turns_or_own(None, CASCADE) == TURN_PRESETS["cascade"] == TurnRules(onset=0.3, offset=0.1)
    assert turns_or_own(None, DEMO) == TurnRules()
    assert turns_or_own(TurnRules(onset=0.7), CASCADE) == TurnRules(onset=0.7)


@pytest.mark.parametrize(
    ("config", "expected"), [('{"format": 1, "family": "cascade"}', True), ('{"format": 2}', False), (None, False)]
)
def test_a_folder_is_a_cascade_by_its_config(tmp_path: Path, config: str | None, expected: bool) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    if config is not None:
        (folder / "config.json").write_text(config)
    for name in ("segmentation", "segmentation_filters", "embedding_frames", "embedding_head", "encode", "pre_encode"):
        (folder / f"{name}.onnx").touch()
    (folder / "mel_filters.npy").touch()
    assert is_cascade(ModelOptions(model_path=str(folder))) is expected


def test_options_that_fit() -> None:
    check_walk(CASCADE, WALK, SpeakerCounts(num_speakers=3))
    check_walk(DEMO, StreamingOptions(latency="low").parameters(), SpeakerCounts())
    check_walk(DEMO, WALK, SpeakerCounts(link_pieces=60, max_speakers=6))


def test_pieces_are_linked_by_campplus_where_it_is_installed(tmp_path: Path) -> None:
    need_model("cascade")
    asked, elsewhere = SpeakerCounts(link_pieces=60), ModelOptions(model_name="demo", cache_dir=str(tmp_path))
    assert [with_own_links(asked, model).link_by for model in (DEMO, elsewhere)] == ["campplus", "frames"]
    assert with_own_links(SpeakerCounts(), DEMO) == SpeakerCounts()
    by_campplus = SpeakerCounts(link_pieces=60, link_by="campplus")
    check_links(by_campplus, DEMO)
    with pytest.raises(ModelNotFoundError, match="beam-curator models install cascade"):
        check_links(by_campplus, elsewhere)


def test_configs_say_how_pieces_are_linked() -> None:
    def speakers(**options: Any) -> Any:
        return Diarize(["a.wav"], "out", speakers=SpeakerCounts(**options), model=DEMO).config().get("speakers")

    assert speakers() is None
    linked = speakers(link_pieces=60, link_by="campplus")
    assert (linked["link_pieces"], linked["link_sha256"]) == (60.0, KNOWN_MODELS["campplus"].sha256)
    assert "link_sha256" not in speakers(link_pieces=60, link_by="frames")


@pytest.mark.parametrize(
    ("model", "streaming", "counts", "message"),
    [
        (CASCADE, StreamingOptions(latency="low"), SpeakerCounts(), "latency and .* are not for cascade, .* leave"),
        (CASCADE, StreamingOptions(chunk_len=100), SpeakerCounts(), "are not for cascade, which hears windows of 10 s"),
        (DEMO, StreamingOptions(), SpeakerCounts(max_speakers=3), "max_speakers is for --model-name cascade, and demo"),
        (CASCADE, StreamingOptions(), SpeakerCounts(link_pieces=60), "link_pieces is for models with slots for speak"),
        (
            ModelOptions(model_name="nvidia/Nemotron-3-Diarization"),
            StreamingOptions(),
            SpeakerCounts(link_pieces=60, link_by="frames"),
            "link_by frames needs those of the encoder, which nvidia/Nemotron-3-Diarization does not give",
        ),
        (
            ModelOptions(model_name="cascade", device="cuda"),
            StreamingOptions(),
            SpeakerCounts(),
            "device cuda is asked for, and cascade runs on CPUs alone: leave --device and --gpu out",
        ),
    ],
)
def test_options_that_do_not(
    model: ModelOptions, streaming: StreamingOptions, counts: SpeakerCounts, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_walk(model, streaming.parameters(), counts)
