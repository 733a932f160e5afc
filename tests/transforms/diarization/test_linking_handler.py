"""Recordings heard in pieces: labels hold over all of them, and there may be more speakers than slots."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions, ModelOptions
from beam_curator.diarization.models import Floats
from beam_curator.diarization.probabilities import HeardPieces
from beam_curator.diarization.speaker_counts import MOST_SPEAKERS, SpeakerCounts
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import speakers_of, turns_from_probabilities
from beam_curator.failures import EntryError, FailureCode
from beam_curator.models.sources import RecordingSource
from beam_curator.transforms.diarization.linking_handler import LinkingHandler, with_links
from beam_curator.transforms.diarization.sortformer_handler import SortformerModelHandler
from tests.fakes_models import POISON, BandHandler, Speech, sound_of, write_sound
from tests.models.real_models import need_model
from tests.transforms.diarization.turn_sets import diarize_here, entries_in

HELD_OUT = Path(__file__).parents[2] / "data" / "held_out" / "audio"
# four people, three of them in the first ten seconds
TALK: list[Speech] = [(0.8, 4.0, 2), (4.8, 8.0, 0), (8.8, 12.0, 3), (16.0, 20.0, 2), (24.0, 28.0, 1), (28.8, 32.0, 0)]


def linking(**counts: Any) -> LinkingHandler:
    inner = BandHandler(keeps_frames=True)
    return LinkingHandler(inner, SpeakerCounts(link_by="frames", **counts), None)


def heard(handler: LinkingHandler, *sounds: Floats) -> list[Any]:
    model = handler.load_model()
    return [result.inference for result in handler.run_inference(sounds, model)]


def turns_in(found: Any) -> list[tuple[float, float, int]]:
    turns = turns_from_probabilities(found.frames, TurnRules(min_duration_off=0.2), found.frame_step)
    return [(turn.start, turn.end, turn.speaker) for turn in turns]


def test_people_keep_their_numbers_over_all_pieces() -> None:
    # four pieces of 9.04 s: the turn of tone 3 lies in two of them; people are numbered by pieces, then by slots
    (found,) = heard(pickle.loads(pickle.dumps(linking(link_pieces=12))), sound_of(36.0, TALK)[:, 0])
    numbers = {0: 0, 2: 1, 3: 2, 1: 3}
    assert turns_in(found) == [(start, end, numbers[tone]) for start, end, tone in TALK]
    assert (found.n_speakers, found.pieces, found.encoder_frames) == (MOST_SPEAKERS, HeardPieces(4, 12.0), None)


def test_short_recordings_are_heard_whole() -> None:
    short, long = sound_of(12.0, TALK)[:, 0], sound_of(12.1, TALK)[:, 0]
    whole, pieces = heard(linking(link_pieces=12), short, long)
    assert (whole.pieces, whole.n_speakers, pieces.pieces) == (None, 4, HeardPieces(4, 6.08))


def test_as_many_as_are_asked_for() -> None:
    (found,) = heard(linking(link_pieces=12, num_speakers=3), sound_of(36.0, TALK)[:, 0])
    assert len({speaker for _, _, speaker in turns_in(found)}) == 3


def test_a_recording_fails_alone(tmp_path: Path) -> None:
    bad = sound_of(36.0, [*TALK, (20.8, 22.4, POISON)])[:, 0]
    gone = RecordingSource(name=str(tmp_path / "gone.wav"), first=0, stop=16000 * 36, sample_rate=16000)
    model_error, fine, not_found = heard(linking(link_pieces=12), bad, sound_of(36.0, TALK)[:, 0], gone)
    assert (model_error.code, not_found.code) == (FailureCode.MODEL_ERROR, FailureCode.NOT_FOUND)
    assert not isinstance(fine, EntryError)
    silent = np.zeros(16000 * 30, np.float32)
    assert heard(linking(link_pieces=12), silent)[0].frames.shape == (375, 0)


@pytest.mark.parametrize(("link_pieces", "saturated"), [(12, False), (36, True), (20, False)])
def test_saturated_is_a_piece(tmp_path: Path, link_pieces: float, saturated: bool) -> None:
    path = write_sound(tmp_path / "talk.wav", 36.0, TALK)
    handler: Any = linking(link_pieces=link_pieces)
    rules = DiarizeRules(vad="energy")
    (entry,) = entries_in(diarize_here([path], tmp_path / "out", handler, rules=rules))
    assert (entry["num_speakers"], entry["speakers_saturated"]) == (4, saturated)


def talks(*numbers: str) -> Floats:
    """Return conversations of synthetic voices, one after the other."""
    return np.concatenate([soundfile.read(HELD_OUT / f"talk-{number}.opus", dtype="float32")[0] for number in numbers])


@pytest.mark.parametrize("link_by", ["frames", "campplus"])
def test_more_people_than_the_model_has_slots(link_by: str) -> None:
    if link_by == "campplus":
        need_model("cascade")
    counts = SpeakerCounts(link_pieces=20, link_by=link_by)
    inference = InferenceOptions(threads=1)
    inner = SortformerModelHandler(inference=inference, keeps_frames=link_by == "frames")
    handler: Any = with_links(inner, counts, ModelOptions(model_name="demo"), inference)
    (found,) = heard(handler, talks("003-of-4", "007-of-4", "003-of-4"))
    turns = turns_from_probabilities(found.frames, TurnRules(), found.frame_step)
    assert len(speakers_of(turns)) > 4
    # the first and the last 20 s are the same
    first, last = ({turn.speaker for turn in turns if 20 * at < turn.start < 20 * at + 19} for at in (0, 2))
    assert len(first & last) >= len(first) - 1
