"""The published weights, as they are installed: they hear a talk of three synthetic voices."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from beam_curator.diarization.cascade import CascadeStream
from beam_curator.diarization.clustering import ClusterRules
from beam_curator.diarization.filter_banks import filter_banks
from beam_curator.diarization.models import Floats
from beam_curator.diarization.rttm import RttmTurn, parse_rttm
from beam_curator.diarization.speaker_tracks import TRACK_STEP, speaker_tracks
from beam_curator.model_records import KNOWN_MODELS
from beam_curator.models.campplus import load_campplus
from beam_curator.models.segmentation import FIRST_CENTRE, FRAME_SAMPLES, WINDOW_SAMPLES, load_segmentation
from beam_curator.models.wheels import check_made
from tests.models.real_models import need_model

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def talk() -> Floats:
    samples, sample_rate = soundfile.read(EXAMPLES / "round_table.opus", dtype="float32")
    assert (samples.ndim, sample_rate) == (1, 16000)
    return samples


@pytest.fixture(scope="module")
def turns() -> list[RttmTurn]:
    return list(parse_rttm((EXAMPLES / "round_table.rttm").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", [name for name, model in KNOWN_MODELS.items() if model.wheel is not None])
def test_files_are_as_they_were_written(name: str) -> None:
    check_made(need_model(name), KNOWN_MODELS[name].family)


def test_nobody_speaks_in_silence() -> None:
    silence = np.zeros((1, WINDOW_SAMPLES), np.float32)
    assert np.exp(load_segmentation(need_model("cascade")).log_probabilities(silence))[..., 0].min() > 0.95


@pytest.mark.parametrize("sound", ["silence", "noise", "tone"])
def test_the_cascade_finds_nobody_where_nobody_talks(sound: str) -> None:
    time = np.arange(12 * 16000) / 16000
    sounds = {
        "silence": 0 * time,
        "noise": np.random.default_rng(0).normal(0, 0.05, len(time)),
        "tone": 0.2 * np.sin(2 * np.pi * 440 * time),
    }
    folder = need_model("cascade")
    stream = CascadeStream(load_segmentation(folder), load_campplus(folder))
    stream.push(np.float32(sounds[sound]))
    assert speaker_tracks(stream.finish(), stream.n_samples, ClusterRules()).shape == (600, 0)


def test_the_cascade_hears_when_somebody_speaks(talk: Floats, turns: list[RttmTurn]) -> None:
    folder, some = need_model("cascade"), talk[: 30 * 16000]
    stream = CascadeStream(load_segmentation(folder), load_campplus(folder))
    stream.push(some)
    tracks = speaker_tracks(stream.finish(), len(some), ClusterRules())
    times = (np.arange(len(tracks)) + 0.5) * TRACK_STEP
    speech = np.any([(times >= turn.start) & (times < turn.end) for turn in turns], axis=0)
    # measured: 0.898, as the turns of synthetic voices leave out pauses that the cascade bridges
    assert np.mean((tracks.max(axis=1) > 0.3) == speech) > 0.85


def test_segmentation_hears_when_somebody_speaks(talk: Floats, turns: list[RttmTurn]) -> None:
    starts = range(0, len(talk) - WINDOW_SAMPLES, 10 * 60 * FRAME_SAMPLES)
    heard = load_segmentation(need_model("cascade")).log_probabilities_at(talk, starts)
    right = []
    for start, nobody in zip(starts, np.exp(heard[..., 0]), strict=True):
        times = (start + FIRST_CENTRE + FRAME_SAMPLES * np.arange(len(nobody))) / 16000
        speech = np.any([(times >= turn.start) & (times < turn.end) for turn in turns], axis=0)
        right.append((nobody < 0.5) == speech)
    # measured: 0.957, with windows every second
    assert np.mean(right) > 0.93


def test_voices_of_one_speaker_are_nearer_than_others(talk: Floats, turns: list[RttmTurn]) -> None:
    model = load_campplus(need_model("cascade"))
    long = [turn for turn in turns if turn.end - turn.start > 3][:12]
    pieces = [talk[int(16000 * turn.start) : int(16000 * turn.end)] for turn in long]
    embeddings = np.stack([model.embed(filter_banks(piece, centred=True)) for piece in pieces])
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    speakers = np.array([turn.speaker for turn in long])
    same, pairs = speakers[:, None] == speakers, ~np.eye(len(long), dtype=bool)
    likeness = embeddings @ embeddings.T
    # measured over all turns of 1.5 s and more: 0.80 and 0.33
    assert likeness[same & pairs].mean() > 0.7
    assert likeness[~same].mean() < 0.45
