from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.intervals import Span
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.shares import SpeakerSpans, separate_speakers
from beam_curator.separation.speaker_turns import SpeakerTurn
from beam_curator.sets.counting import microseconds
from tests.separation.meetings import MEETINGS, N_CELLS, RULES, cells_of, separated, talk_cells

DURATION = N_CELLS / 10
CELL_US = 50_000

thorough = settings(max_examples=400, deadline=None)


def others(talk: dict[str, set[int]], speaker: str) -> set[int]:
    return set().union(*(cells for name, cells in talk.items() if name != speaker))


@thorough
@given(MEETINGS, RULES)
def test_no_track_holds_what_another_says_alone(turns: list[SpeakerTurn], rules: SeparationRules) -> None:
    talk = talk_cells(turns)
    for speaker, found in separated(turns, rules, DURATION).items():
        assert not cells_of(found.spans) & (others(talk, speaker) - talk[speaker])


@thorough
@given(MEETINGS, RULES)
def test_tracks_do_not_overlap_unless_all_keep_overlaps(turns: list[SpeakerTurn], rules: SeparationRules) -> None:
    tracks = [cells_of(found.spans) for found in separate_speakers(turns, rules, DURATION)]
    if rules.exclude_overlaps or rules.overlap_policy == "latest":
        assert not any(a & b for a, b in combinations(tracks, 2))


@thorough
@given(MEETINGS, RULES)
def test_no_overlap_is_on_a_track_where_they_are_excluded(turns: list[SpeakerTurn], rules: SeparationRules) -> None:
    talk = talk_cells(turns)
    if rules.exclude_overlaps:
        for speaker, found in separated(turns, rules, DURATION).items():
            assert not cells_of(found.spans) & others(talk, speaker)


@thorough
@given(MEETINGS, RULES)
def test_time_is_conserved(turns: list[SpeakerTurn], rules: SeparationRules) -> None:
    talk = talk_cells(turns)
    found = separated(turns, rules, DURATION)
    assert found.keys() == talk.keys()
    for speaker, each in found.items():
        time, on_track = each.time, cells_of(each.spans)
        assert time.spoken_us == time.kept_us + time.overlapped_us + time.buffer_us + time.too_short_us
        assert time.spans_us == sum(microseconds(end) - microseconds(start) for start, end in each.spans)
        assert time.spoken_us == len(talk[speaker]) * CELL_US
        assert time.kept_us == len(talk[speaker] & on_track) * CELL_US
        assert time.gaps_us + time.padding_us == len(on_track - talk[speaker]) * CELL_US
        if rules.exclude_overlaps:
            assert time.overlapped_us == len(talk[speaker] & others(talk, speaker)) * CELL_US


@thorough
@given(MEETINGS, RULES)
def test_spans_are_in_order_inside_of_the_recording_and_long_enough(
    turns: list[SpeakerTurn], rules: SeparationRules
) -> None:
    for found in separate_speakers(turns, rules, DURATION):
        assert (found.reason is None) == bool(found.spans)
        assert all(0 <= start < end <= DURATION for start, end in found.spans)
        assert all(end < start for (_, end), (start, _) in pairwise(found.spans))
        assert all(
            microseconds(end) - microseconds(start) >= rules.min_duration * 1e6 - 1 for start, end in found.spans
        )


@thorough
@given(MEETINGS, RULES, st.randoms())
def test_the_order_of_turns_does_not_matter(turns: list[SpeakerTurn], rules: SeparationRules, random: object) -> None:
    shuffled = sorted(turns, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert separate_speakers(shuffled, rules, DURATION) == separate_speakers(turns, rules, DURATION)


@thorough
@given(MEETINGS, RULES)
def test_turns_may_be_cut_in_two_or_be_there_twice(turns: list[SpeakerTurn], rules: SeparationRules) -> None:
    cut = [
        SpeakerTurn(start=start, end=end, speaker=turn.speaker)
        for turn in turns
        for start, end in ((turn.start, (turn.start + turn.end) / 2), ((turn.start + turn.end) / 2, turn.end))
    ]
    assert separate_speakers(cut + turns[::2], rules, DURATION) == separate_speakers(turns, rules, DURATION)


@thorough
@given(MEETINGS, RULES, st.permutations(range(4)))
def test_names_do_not_matter(turns: list[SpeakerTurn], rules: SeparationRules, order: list[int]) -> None:
    if rules.overlap_policy == "latest" and len({turn.start for turn in turns}) < len(turns):
        return  # of two that begin at once the names decide
    names = {f"speaker_{old}": f"speaker_{new}" for old, new in enumerate(order)}
    renamed = [SpeakerTurn(start=turn.start, end=turn.end, speaker=names[turn.speaker]) for turn in turns]

    def facts(found: SpeakerSpans) -> object:
        return found.spans, found.time, found.reason

    before, after = separated(turns, rules, DURATION), separated(renamed, rules, DURATION)
    assert {names[name]: facts(found) for name, found in before.items()} == {
        name: facts(found) for name, found in after.items()
    }


def literal(turns: list[SpeakerTurn], rules: SeparationRules) -> dict[str, list[Span]]:
    """Separate by looking at each twentieth of a second alone: without padding, and where overlaps have no "latest"."""
    talk = talk_cells(turns)
    anybody = set().union(*talk.values())
    found = {}
    for speaker, own in talk.items():
        left = own - others(talk, speaker) if rules.exclude_overlaps else own
        pieces = [piece for run in runs(left) for piece in runs(shrunk(run, own, rules))]
        joined: list[list[int]] = []
        for piece in pieces:
            between = range(joined[-1][-1] + 1, piece[0]) if joined else range(0)
            if joined and len(between) / 20 <= rules.gap_threshold and not anybody & set(between):
                joined[-1] = list(range(joined[-1][0], piece[-1] + 1))
            else:
                joined.append(piece)
        found[speaker] = [
            (piece[0] / 20, (piece[-1] + 1) / 20) for piece in joined if len(piece) / 20 >= rules.min_duration
        ]
    return found


def shrunk(run: list[int], own: set[int], rules: SeparationRules) -> set[int]:
    buffer = round(rules.buffer_time * 20) if rules.shrinks else 0
    return {
        cell
        for cell in run
        if not (run[0] - 1 in own and cell - run[0] < buffer) and not (run[-1] + 1 in own and run[-1] - cell < buffer)
    }


def runs(cells: set[int]) -> list[list[int]]:
    """Return runs of cells that follow one another."""
    found: list[list[int]] = []
    for cell in sorted(cells):
        if found and found[-1][-1] == cell - 1:
            found[-1].append(cell)
        else:
            found.append([cell])
    return found


@thorough
@given(MEETINGS, RULES)
def test_the_same_as_the_rules_taken_literally(turns: list[SpeakerTurn], rules: SeparationRules) -> None:
    if rules.pads or (rules.overlap_policy == "latest" and not rules.exclude_overlaps):
        return
    found = separated(turns, rules, DURATION)
    assert {speaker: list(each.spans) for speaker, each in found.items()} == literal(turns, rules)
