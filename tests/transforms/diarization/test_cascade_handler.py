from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions
from beam_curator.diarization.models import Floats
from beam_curator.diarization.probabilities import ModelIdentity, Probabilities
from beam_curator.diarization.speaker_counts import MOST_SPEAKERS, SpeakerCounts
from beam_curator.diarization.turn_rules import TURN_PRESETS
from beam_curator.diarization.turns import is_saturated, turns_from_probabilities
from beam_curator.failures import EntryError, FailureCode
from beam_curator.models.cascade_listening import CascadeModel
from beam_curator.models.model_files import ModelNotFoundError
from beam_curator.transforms.diarization.cascade_handler import CascadeModelHandler
from tests.fakes_cascade import BankEmbedding, ToneSegmentation, talk

OPTIONS = ModelOptions(model_path="somewhere/cascade")
CALL = ((0.5, 4.0, 1), (4.5, 9.0, 0), (9.5, 12.0, 1))


class Breaks:
    """A recording whose end cannot be read."""

    seconds = 12.0

    def pieces(self) -> Iterator[Floats]:
        yield talk(6.0, (0.5, 5, 0))
        raise OSError("the disk is gone")


def model() -> CascadeModel:
    return CascadeModel(cast(Any, ToneSegmentation()), cast(Any, BankEmbedding()), ModelIdentity("tones"))


def heard(*items: Any, **counts: int) -> list[Any]:
    handler = CascadeModelHandler(OPTIONS, counts=SpeakerCounts(**counts))
    return [result.inference for result in handler.run_inference(items, model())]


def turns_in(found: Probabilities) -> list[tuple[float, float, str]]:
    turns = turns_from_probabilities(found.frames, TURN_PRESETS["cascade"], found.frame_step, 12.5)
    return [(round(turn.start, 1), round(turn.end, 1), turn.label) for turn in turns]


def test_tracks_become_turns_with_the_thresholds_of_the_cascade() -> None:
    (found,) = heard(talk(12.5, *CALL))
    assert (found.frame_step, found.model, found.encoder_frames) == (0.02, ModelIdentity("tones"), None)
    assert turns_in(found) == [(0.5, 4.0, "speaker_0"), (4.5, 9.0, "speaker_1"), (9.5, 12.0, "speaker_0")]


def test_there_may_always_be_more_speakers() -> None:
    (found,) = heard(talk(12.5, *CALL))
    assert (found.frames.shape[1], found.n_speakers) == (2, MOST_SPEAKERS)
    turns = turns_from_probabilities(found.frames, TURN_PRESETS["cascade"], found.frame_step)
    assert not is_saturated(turns, found.n_speakers)


def test_a_batch_changes_nothing() -> None:
    recordings = [talk(12.5, *CALL), talk(3.0, (1, 2, 2)), np.zeros(16000, np.float32), talk(30.0, (2, 28, 3))]
    together = heard(*recordings)
    for recording, found in zip(recordings, together, strict=True):
        (alone,) = heard(recording)
        assert alone.frames.tobytes() == found.frames.tobytes()
        assert alone.frames.shape == found.frames.shape


def test_a_recording_fails_alone() -> None:
    first, broken, short, last = heard(
        talk(12.5, *CALL), Breaks(), np.zeros((4, 2), np.float32), talk(2.0, (0.5, 2, 0))
    )
    assert isinstance(first, Probabilities) and isinstance(last, Probabilities)
    assert isinstance(broken, EntryError) and isinstance(short, EntryError)
    assert (broken.code, short.code) == (FailureCode.NOT_READABLE, FailureCode.BAD_TYPE)


def test_as_many_speakers_as_are_asked_for() -> None:
    (found,) = heard(talk(12.5, *CALL), num_speakers=1)
    assert {label for _, _, label in turns_in(found)} == {"speaker_0"}


def test_a_recording_that_takes_too_long_is_given_up() -> None:
    handler = CascadeModelHandler(OPTIONS, inference=InferenceOptions(timeout=1e-6))
    (result,) = handler.run_inference([talk(12.5, *CALL)], model())
    assert result.inference.code == FailureCode.TIMEOUT


def test_a_handler_can_be_sent_to_workers() -> None:
    handler = CascadeModelHandler(OPTIONS)
    handler.run_inference([talk(2.0, (0.5, 2, 0))], model())
    assert pickle.loads(pickle.dumps(handler)).get_metrics_namespace() == "BeamCuratorCascade"


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="cascade"):
        CascadeModelHandler(ModelOptions(model_path=str(tmp_path / "cascade"))).load_model()
