"""Speech is found while a model hears a recording, and turns lie in it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from beam_curator.audio import encode_audio
from beam_curator.diarization.clipping import ClippingMeter
from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions, ModelOptions
from beam_curator.diarization.models import Floats
from beam_curator.failures import EntryError, FailureCode
from beam_curator.models.silero import SpeechDetector
from beam_curator.models.sources import RecordingSource, WaveformSource
from beam_curator.transforms.diarization.sortformer_handler import SortformerModelHandler
from beam_curator.transforms.diarization.speech_handler import SileroModelHandler, SpeechHandler, with_speech
from beam_curator.vad.speech_rules import SpeechRules
from beam_curator.vad.speech_spans import Speech
from tests.fakes_models import BandHandler, sound_of, write_sound
from tests.manifests import manifest_of
from tests.models.real_models import need_model
from tests.transforms.clips.clip_sets import write_rows
from tests.transforms.diarization.turn_sets import diarize_here, entries_in

SPLIT = DiarizeRules(channels="split")
RULES = SpeechRules(min_speech=0, min_silence=0, padding=0)


class LoudFrames:
    """A graph by hand, which takes each frame that is loud for speech."""

    def run(self, outputs: tuple[str, ...], given: dict[str, Any]) -> list[Any]:
        loud = np.abs(given["input"][:, 64:]).max(axis=1) > 0.01
        return [loud.astype(np.float32), given["h"], given["c"]]


def load_loud() -> SpeechDetector:
    return SpeechDetector(LoudFrames())


class Deaf(BandHandler):
    """A handler that never reads a recording."""

    def run_inference(self, batch: Sequence[Any], model: Any, inference_args: Any = None) -> Any:
        return super().run_inference([WaveformSource(np.zeros(16000, np.float32)) for _ in batch], model)


def source(path: Path, seconds: float, **changes: Any) -> RecordingSource:
    return RecordingSource(name=str(path), first=0, stop=round(16000 * seconds), sample_rate=16000, **changes)


def speech_in(handler: SpeechHandler, *sources: RecordingSource) -> list[Any]:
    model = handler.load_model()
    results = handler.run_inference(sources, model)
    assert [result.example for result in results] == list(sources)
    return [
        result.inference if isinstance(result.inference, EntryError) else result.inference.speech for result in results
    ]


@pytest.mark.parametrize("listener", [BandHandler, Deaf])
def test_each_result_has_the_speech_of_its_recording(tmp_path: Path, listener: type[BandHandler]) -> None:
    one = source(write_sound(tmp_path / "one.wav", 2.0, [(0.512, 1.024, 0)]), 2.0)
    other = source(write_sound(tmp_path / "other.wav", 1.0, []), 1.0)
    gone = source(tmp_path / "gone.wav", 1.0)
    handler = pickle.loads(pickle.dumps(SpeechHandler(listener(), load_loud, RULES, batch_size=3)))
    found, nothing, failure = speech_in(handler, one, other, gone)
    assert (found, nothing) == (((0.512, 1.024),), ())
    assert failure.code == FailureCode.NOT_FOUND


@dataclass(frozen=True, kw_only=True)
class Counted(RecordingSource):
    """A recording that notes when it is decoded."""

    notes: list[str]

    def pieces(self, clipping: ClippingMeter | None = None) -> Iterator[Floats]:
        self.notes.append("begins")
        yield from RecordingSource.pieces(self, clipping)
        self.notes.append("ends")


def test_each_recording_is_decoded_once(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "one.wav", 2.0, [(0.5, 1.0, 0)])
    one = Counted(name=str(path), first=0, stop=32000, sample_rate=16000, notes=[])
    speech_in(SpeechHandler(BandHandler(), load_loud, RULES), one)
    assert one.notes == ["begins", "ends"]


def test_only_silero_needs_it() -> None:
    inner, inference = BandHandler(), InferenceOptions()
    for vad in ("energy", "none"):
        assert with_speech(inner, DiarizeRules(vad=vad), ModelOptions(), inference) is inner
    assert isinstance(with_speech(inner, DiarizeRules(vad="silero"), ModelOptions(), inference), SpeechHandler)


def test_each_channel_has_its_own_speech(tmp_path: Path) -> None:
    # frames of the model are 80 ms, those of the detector 32 ms: 0.48 to 1.04 s and 2.048 to 3.072 s of the other kind
    talks = sound_of(4.0, [(0.512, 1.024, 0)]), sound_of(4.0, [(2.08, 3.04, 1)])
    (tmp_path / "call.wav").write_bytes(encode_audio(np.hstack(talks), 16000, "wav"))
    handler = cast(Any, SpeechHandler(BandHandler(), load_loud, RULES))
    (entry,) = entries_in(out := diarize_here([tmp_path / "call.wav"], tmp_path / "out", handler, rules=SPLIT))
    found = [(turn["start"], turn["end"], turn["channel"]) for turn in entry["segments"]]
    assert found == [(0.512, 1.024, 0), (2.08, 3.04, 1)]
    assert (entry["non_speech_seconds"], manifest_of(out)["counts"]["diarize.non_speech_us"]) == (0.048, 48_000)


def test_turns_of_a_piece_are_in_the_time_of_the_recording(tmp_path: Path) -> None:
    write_sound(tmp_path / "one.wav", 4.0, [(1.512, 2.024, 0)])
    manifest = write_rows(tmp_path / "m.jsonl", [{"audio_filepath": "one.wav", "offset": 1.0, "duration": 2.0}])
    handler = cast(Any, SpeechHandler(BandHandler(), load_loud, RULES))
    for vad, span in (("energy", (1.512, 2.024)), ("none", (1.48, 2.04))):
        (entry,) = entries_in(diarize_here([manifest], tmp_path / vad, handler, rules=DiarizeRules(vad=vad)))
        assert [(turn["start"], turn["end"]) for turn in entry["segments"]] == [span]


def test_speech_by_itself() -> None:
    handler = SileroModelHandler()
    quiet, broken = np.zeros(1000, np.float32), np.zeros((3, 2), np.float32)
    found = [result.inference for result in handler.run_inference([quiet, broken], load_loud())]
    assert isinstance(found[0], Speech) and found[0].probabilities.tolist() == [0, 0]
    assert isinstance(found[1], EntryError) and found[1].code == FailureCode.BAD_TYPE
    assert handler.share_model_across_processes() is False


def test_nobody_is_heard_in_the_hum_of_the_mains(tmp_path: Path) -> None:
    folder = need_model("silero-vad")
    times = np.arange(8 * 16000) / 16000
    hum = 0.2 * np.sin(2 * np.pi * 50 * times) + 0.05 * np.sin(2 * np.pi * 150 * times)
    path = tmp_path / "hum.wav"
    path.write_bytes(encode_audio(hum.astype(np.float32)[:, np.newaxis], 16000, "wav"))
    heard = {}
    for vad in ("energy", "silero"):
        rules = DiarizeRules(vad=vad, vad_path=folder if vad == "silero" else "")
        (entry,) = entries_in(diarize_here([path], tmp_path / vad, rules=rules, handler=SortformerModelHandler()))
        heard[vad] = sum(segment["end"] - segment["start"] for segment in entry["segments"])
        assert ("non_speech_seconds" in entry) == (vad == "silero")
    assert heard["energy"] > 4 and heard["silero"] == 0
