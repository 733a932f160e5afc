"""Probabilities of speech do not depend on how the samples are handed over."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from beam_curator.diarization.models import Floats
from beam_curator.models.model_files import ModelFileError, ModelNotFoundError
from beam_curator.models.resolving import packaged_folder
from beam_curator.models.silero import SpeechDetector, SpeechListening, find_silero, load_silero
from tests.models.real_models import need_model

EXAMPLES = Path(__file__).parents[2] / "examples"


class Session:
    """A graph by hand: the answer of a frame is its first sample of context, its last sample and the frames before."""

    def __init__(self) -> None:
        self.n_frames: list[int] = []

    def run(self, outputs: tuple[str, ...], given: dict[str, Any]) -> list[Any]:
        assert outputs == ("speech_probs", "hn", "cn")
        frames, before = given["input"], given["h"]
        assert frames.shape[1:] == (576,)
        self.n_frames.append(len(frames))
        numbers = before[0, 0, 0] + np.arange(len(frames), dtype=np.float32)
        made = frames[:, 0] * 1e-6 + frames[:, -1] + 1000 * numbers
        return [made.astype(np.float32), before + len(frames), given["c"]]


def test_frames_hear_the_end_of_the_frame_before_and_the_state() -> None:
    samples = np.arange(1, 1025 + 30, dtype=np.float32)
    # the last 30 samples are filled up with zeros; the contexts begin with 0, 512 - 63 and 1024 - 63
    expected = np.float32([512, 1024 + 449e-6 + 1000, 961e-6 + 2000])
    assert np.array_equal(SpeechDetector(Session()).hear([samples]).probabilities, expected)


@pytest.mark.parametrize("cuts", [[], [1], [512], [65536], [7, 7, 65535, 65537, 150_000]])
def test_cutting_changes_nothing(cuts: list[int]) -> None:
    samples = np.random.default_rng(0).standard_normal(160_001).astype(np.float32)
    session = Session()
    found = SpeechDetector(session).hear(np.split(samples, cuts)).probabilities
    assert session.n_frames == [128, 128, 57]
    assert np.array_equal(found, SpeechDetector(Session()).hear([samples]).probabilities)


def test_pieces_pass_as_they_are_and_are_heard_each_time() -> None:
    pieces = [np.ones(700, np.float32), np.full(30, 2, np.float32)]
    listening = SpeechListening(SpeechDetector(Session()))
    begun = listening.passed_on(pieces)
    assert next(begun) is pieces[0] and not listening.is_done
    with pytest.raises(ValueError, match="no recording was heard to its end"):
        _ = listening.speech
    assert all(passed is piece for passed, piece in zip(listening.passed_on(pieces), pieces, strict=True))
    expected = SpeechDetector(Session()).hear([np.concatenate(pieces)])
    assert listening.is_done and listening.speech.n_samples == expected.n_samples == 730
    assert np.array_equal(listening.speech.probabilities, expected.probabilities)


def test_a_folder_of_another_model_is_no_detector(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        find_silero(str(tmp_path / "none"))
    with pytest.raises(ModelFileError, match="is not silero-vad as this version makes it: beam-curator models install"):
        find_silero(packaged_folder("demo"))


def test_no_samples_have_no_frames() -> None:
    for pieces in ([], [np.empty(0, np.float32)]):
        assert SpeechDetector(Session()).hear(pieces).probabilities.shape == (0,)


def frame_by_frame(detector: SpeechDetector, samples: Floats) -> Floats:
    padded = np.pad(samples, (64, -len(samples) % 512))
    state = {"h": np.zeros((1, 1, 128), np.float32), "c": np.zeros((1, 1, 128), np.float32)}
    made = []
    for start in range(0, len(padded) - 64, 512):
        some, *after = detector._session.run(None, {"input": padded[None, start : start + 576], **state})
        state = dict(zip(state, after, strict=True))
        made.append(some)
    return np.concatenate(made)


def test_the_published_graph_in_blocks_and_frame_by_frame() -> None:
    detector = load_silero(need_model("silero-vad"))
    talk, _ = soundfile.read(EXAMPLES / "round_table.opus", frames=16000 * 15 + 100, dtype="float32")
    found, n_samples = detector.hear([talk])
    assert n_samples == len(talk)
    # bit for bit as the loop of silero-vad, a frame at a time
    assert np.array_equal(found, frame_by_frame(detector, talk))
    assert len(found) == 469
    assert 0.6 < np.mean(found > 0.5) < 0.95
    assert found[:5].max() < 0.1
