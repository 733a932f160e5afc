"""Final turns of a stream are those of the whole, however it is cut, and given out as soon as the rule says."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.diarization.live_turns import LiveTurns, NewTurns
from beam_curator.diarization.models import Floats
from beam_curator.diarization.turn_rules import TURN_PRESETS, TurnRules
from beam_curator.diarization.turns import Turn, turn_order, turns_from_probabilities

FRAME = 0.08


def column(*values: float) -> Floats:
    return np.array(values, dtype=np.float32)[:, np.newaxis]


def test_a_turn_is_told_when_it_begins_and_given_when_it_is_final() -> None:
    # shorter than 0.1 s does not count, and pauses below 0.2 s are filled
    turns = LiveTurns(TurnRules(min_duration_on=0.1, min_duration_off=0.2), n_speakers=1)
    # one frame of 0.08 s is not long enough
    assert turns.add(column(0.9)).begun == ()
    told = turns.add(column(0.9))
    assert (told.begun, told.final) == ((Turn(start=0.0, end=0.16, speaker=0),), ())
    # 0.16 s of pause may still be filled, 0.24 s may not
    assert turns.add(column(0.1, 0.1)).final == ()
    assert turns.add(column(0.1)).final == (Turn(start=0.0, end=0.16, speaker=0),)
    # the second turn is told anew, and ends a tick before the stream does
    assert turns.add(column(0.9, 0.9)).begun == (Turn(start=0.4, end=0.56, speaker=0),)
    assert turns.decided_until == 0.56
    assert turns.finish() == NewTurns(final=(Turn(start=0.4, end=0.55, speaker=0),))


def test_a_turn_ends_with_the_stream() -> None:
    turns = LiveTurns(TurnRules(pad_offset=0.5), n_speakers=1)
    assert turns.add(column(0.9, 0.9, 0.1)).final == ()
    assert turns.finish(duration=0.2345).final == (Turn(start=0.0, end=0.234, speaker=0),)


def test_a_speaker_who_never_stops_takes_no_memory() -> None:
    turns = LiveTurns(TURN_PRESETS["v2-dihard3"], n_speakers=2)
    turns.add(np.full((1, 2), 0.9, np.float32))
    size = len(json.dumps(turns.to_dict()))
    for _ in range(100):
        # between the crossed thresholds speech starts and ends at each tick
        turns.add(np.full((125, 2), 0.9, np.float32))
    assert len(json.dumps(turns.to_dict())) < size + 40
    assert turns.finish().final == tuple(Turn(start=0.0, end=1000.07, speaker=speaker) for speaker in (0, 1))


ODD_RULES = st.builds(
    TurnRules,
    onset=st.sampled_from([0.3, 0.5, 0.7]),
    offset=st.sampled_from([0.3, 0.5, 0.7]),
    pad_onset=st.sampled_from([-0.09, 0.0, 0.1]),
    pad_offset=st.sampled_from([-0.1, 0.0, 0.07]),
    min_duration_on=st.sampled_from([0.0, 0.2]),
    min_duration_off=st.sampled_from([0.0, 0.08, 0.3]),
)


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[TurnRules, Floats, list[int], float | None]:
    """Rules, probabilities of two speakers, places to cut them, and perhaps the length of the recording."""
    rules = draw(st.one_of(st.sampled_from(list(TURN_PRESETS.values())), ODD_RULES))
    values = [0.0, 0.4, 0.5, 0.6, 0.7, 1.0, rules.onset, rules.offset]
    runs = draw(st.lists(st.tuples(st.sampled_from(values), st.sampled_from(values), st.integers(1, 9)), max_size=25))
    frames = [pair[:2] for pair in runs for _ in range(pair[2])]
    cuts = draw(st.lists(st.integers(0, len(frames)), max_size=12))
    missing = draw(st.sampled_from([None, 0.0, 0.003, 0.07]))
    duration = None if missing is None else max(0.0, len(frames) * FRAME - missing)
    return rules, np.array(frames, np.float32).reshape(-1, 2), sorted([0, *cuts, len(frames)]), duration


@given(cut_streams())
def test_final_turns_are_those_of_the_whole(stream: tuple[TurnRules, Floats, list[int], float | None]) -> None:
    rules, frames, cuts, duration = stream
    turns = LiveTurns(rules, n_speakers=2)
    found: list[Turn] = []
    told: list[Turn] = []
    for start, stop in itertools.pairwise(cuts):
        kept = json.loads(json.dumps(turns.to_dict()))
        turns = LiveTurns(rules, n_speakers=2)
        turns.restore(kept)
        new = turns.add(frames[start:stop])
        found += new.final
        told += new.begun
    left = turns.finish(duration)
    found += left.final
    told += left.begun
    expected = turns_from_probabilities(frames, rules, duration=duration)
    assert sorted(found, key=turn_order) == expected
    # each turn is told once, before it is given or with it
    starts = [(turn.speaker, turn.start) for turn in told]
    assert len(set(starts)) == len(starts)
    if rules in TURN_PRESETS.values() and duration != max(0.0, len(frames) * FRAME - 0.07):
        assert set(starts) == {(turn.speaker, turn.start) for turn in expected}


@pytest.mark.parametrize("name", TURN_PRESETS)
def test_a_turn_is_final_when_the_rule_says(name: str) -> None:
    rules = TURN_PRESETS[name]
    enough = rules.pad_onset + rules.pad_offset + rules.min_duration_on + rules.min_duration_off + FRAME
    random = np.random.default_rng(3)
    # runs of 1-12 frames, loud or quiet
    loud = np.repeat(random.random(400) < 0.5, random.integers(1, 13, 400))
    frames = np.where(loud, 0.97, 0.02).astype(np.float32)[:, np.newaxis]
    turns = LiveTurns(rules, n_speakers=1)
    given_out = 0
    for place in range(len(frames)):
        for turn in turns.add(frames[place : place + 1]).final:
            given_out += 1
            assert turns.decided_until <= turn.end + enough + FRAME + 1e-6
    assert given_out >= len(turns_from_probabilities(frames, rules)) - 2 > 20


def test_values_of_another_stream_are_refused() -> None:
    kept = LiveTurns(TurnRules(), n_speakers=3).to_dict()
    with pytest.raises(ValueError, match="shorter"):
        LiveTurns(replace(TurnRules(), onset=0.6), n_speakers=4).restore(kept)
