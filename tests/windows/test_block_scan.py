from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.entries.entry import Entry
from beam_curator.windows.block_scan import SegmentArrays, first_barred, first_crossing
from tests.talks import ABSENT, RULES, entry, segment, word

TIMES = st.floats(-10, 40)
SPANS = st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=8)
LABELS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "no-speaker", None]), min_size=1, max_size=10)


def labelled(labels: list[str | None]) -> Entry:
    return entry(*(segment(float(k), k + 1.0, label) for k, label in enumerate(labels)))


def test_segments_of_all_entries_lie_behind_one_another() -> None:
    first = entry(segment(0.0, 2.0, "a"), segment(2.0, 2.5, None, 7999), segment(2.5, 4.0, "b", words=[]))
    second = entry(segment(1.0, 2.0, "b", ABSENT, words=[word(2.0)]))
    arrays = SegmentArrays.of([first, second], RULES)
    assert (arrays.offsets, arrays.n_columns) == ([0, 3, 4], 2)
    assert arrays.starts.tolist() == [0.0, 2.0, 2.5, 1.0]
    assert arrays.durations.tolist() == [2.0, 0.5, 1.5, 1.0]
    assert arrays.last.tolist() == [3, 3, 3, 4]
    assert arrays.narrow.tolist() == [False, True, False, True]
    assert arrays.n_words.tolist() == [0, 0, 0, 1]
    assert arrays.speakers.tolist() == [0, -1, 1, 0]


def test_the_first_segment_that_ends_too_late_is_found_for_each_start() -> None:
    # ends 6, 12, 12.5, 25; the limit is 12 s after each start
    times = [(0.0, 6.0), (6.0, 12.0), (12.0, 12.5), (12.5, 25.0)]
    crossing, unsure = first_crossing(SegmentArrays.of([entry(*(segment(*pair) for pair in times))], RULES), RULES)
    assert crossing.tolist() == [2, 3, 3, 3]
    assert not unsure.any()


def test_a_search_is_not_valid_behind_a_segment_that_ends_too_late() -> None:
    nested = entry(segment(0.0, 14.0), segment(1.0, 2.0), segment(2.5, 3.0))
    crossing, unsure = first_crossing(SegmentArrays.of([nested, nested], RULES), RULES)
    assert unsure.tolist() == [False, True, False] * 2  # 14 is beyond 1 + 12, not beyond 2.5 + 12
    assert crossing[[0, 2, 3, 5]].tolist() == [0, 3, 3, 6]


@settings(max_examples=150, deadline=None)
@given(st.lists(SPANS, min_size=1, max_size=3))
def test_where_it_is_valid_the_search_gives_the_first_that_ends_too_late(rows: list[list[tuple[float, float]]]) -> None:
    block = [entry(*(segment(*pair) for pair in spans)) for spans in rows]
    crossing, unsure = first_crossing(SegmentArrays.of(block, RULES), RULES)
    position = 0
    for spans in rows:
        begin, end = position, position + len(spans)
        for i, (start, _) in enumerate(spans):
            late = [begin + j for j in range(i, len(spans)) if spans[j][1] - start > RULES.max_duration]
            assert unsure[position] or crossing[position] == (late[0] if late else end)
            position += 1


@settings(max_examples=150, deadline=None)
@given(st.lists(LABELS, min_size=1, max_size=3))
def test_the_first_segment_that_breaks_the_speaker_rule_is_found(rows: list[list[str | None]]) -> None:
    block = [labelled(labels) for labels in rows]
    barred = first_barred(block, SegmentArrays.of(block, RULES), RULES)
    expected, begin = [], 0
    for labels in rows:
        for i in range(len(labels)):
            runs = (j for j in range(i, len(labels)) if too_many(labels[i : j + 1]))
            expected.append(begin + next(runs, len(labels)))
        begin += len(labels)
    assert barred.tolist() == expected


def too_many(labels: list[str | None]) -> bool:
    return "no-speaker" in labels or len({label for label in labels if label}) > RULES.max_speakers


@pytest.mark.parametrize("name", ["starts", "ends", "durations", "last", "narrow", "n_words", "speakers"])
def test_columns_are_as_long_as_there_are_segments(name: str) -> None:
    arrays = SegmentArrays.of([labelled(["a", None]), labelled(["b"])], RULES)
    kind = {"narrow": np.bool_, "n_words": np.int64, "last": np.int64, "speakers": np.int64}.get(name, np.float64)
    assert getattr(arrays, name).shape == (3,)
    assert getattr(arrays, name).dtype == kind
