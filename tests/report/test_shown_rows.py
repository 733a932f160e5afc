from __future__ import annotations

from typing import Any

import pytest

from beam_curator.report.shown_rows import Clip, Value, Window, shown_row, speech_of, values_of
from beam_curator.windows.line_windows import windows_of_line
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.rendering import Layout
from beam_curator.windows.window_rules import WindowRules


def test_a_clip_is_shown_with_the_filters_that_it_failed() -> None:
    row = {"original_file": "a.wav", "original_start_ms": 1500, "original_end_ms": 4000, "extracted_path": "c/x.flac",
           "speaker_id": "ana", "duration": 2.5, "snr_db": 9.5, "filtered_by": ["snr", "band"]}  # fmt: skip
    shown = shown_row(row)
    assert shown.clips == [Clip(1.5, 4.0, "ana", "c/x.flac", "snr, band")]
    assert shown.scores == {"snr_db": 9.5}
    assert [*values_of(row, shown)] == [Value("clips", "duration", 2.5, 2.5), Value("clips", "snr_db", 9.5, 2.5)]


def test_a_rejected_clip_is_lost_by_its_reason_and_no_value_of_the_set() -> None:
    row = {"original_start_ms": 0, "original_end_ms": 900, "reason": "snr", "scores": {"snr_db": 3.0}, "threshold": 15}
    shown = shown_row(row)
    assert shown.clips == [Clip(0.0, 0.9, "", "", "snr")]
    assert shown.lost == {"rejected by snr": 1}
    assert [*values_of(row, shown)] == []


def test_a_track_is_shown_as_the_turns_of_its_speaker() -> None:
    row = {"speaker_id": "bo", "diar_segments": [[0.5, 2.0], [3.0, 4.0]], "duration": 2.5, "track_duration": 9.0,
           "separation": {"spoken": 3.0, "kept": 2.5, "overlapped": 0.4, "buffer": 0.0, "too_short": 0.1}}  # fmt: skip
    shown = shown_row(row)
    assert shown.turns == [(0.5, 2.0, "bo"), (3.0, 4.0, "bo")]
    assert (shown.duration, shown.lost) == (9.0, {"overlapped s": 0.4, "too_short s": 0.1})


TALK = (
    b'{"audio_filepath":"a.wav","audio_sample_rate":16000,"segments":['
    b'{"start":0.0,"end":5.0,"speaker":"a","metrics":{"bandwidth":8000}},'
    b'{"start":5.0,"end":10.0,"speaker":"b","metrics":{"bandwidth":9000}},'
    b'{"start":10.0,"end":15.0,"speaker":"a","metrics":{"bandwidth":8000}}]}'
)


@pytest.mark.parametrize("layout", ["full", "spans"])
def test_windows_are_kept_or_dropped_as_their_row_says(layout: Layout) -> None:
    from beam_curator.entries.entry import Entry
    from beam_curator.entries.json_lines import parse_object
    from beam_curator.windows.line_windows import choose_in_row
    from beam_curator.windows.rendering import render_row
    from beam_curator.windows.training_windows import plan_entry

    rules, overlap = WindowRules(target_window_duration=10.0), OverlapRules(target_duration=10.0)
    entry = Entry.from_json(TALK)
    plan = plan_entry(entry, rules)
    fields = parse_object(render_row(entry, plan, choose_in_row(plan, overlap), rules, layout))
    if layout == "full":
        assert fields == parse_object(windows_of_line(TALK, rules, overlap))
    shown = shown_row(fields)
    # equally long windows that share half: the earlier one stays, and the last start has too little behind it
    assert shown.windows == [Window(0.0, 10.0, 2, True), Window(5.0, 15.0, 2, False)]
    assert shown.lost == {"lost_win": 1, "overlap": 1}
    values = [(value.key, value.value) for value in values_of(fields, shown) if value.of == "windows"]
    assert values == [("duration", 10.0), ("speakers", 2)] * 2


@pytest.mark.parametrize(
    "row",
    [{}, {"segments": "none"}, {"segments": [1]}, {"segments": [{"start": "x"}]}, {"duration": None, "snr_db": "high"}],
)
def test_a_row_without_turns_shows_none(row: dict[str, Any]) -> None:
    shown = shown_row(row)
    assert (shown.turns, shown.windows, shown.clips, [*values_of(row, shown)]) == ([], [], [], [])


def test_turns_of_one_speaker_that_overlap_are_no_crosstalk() -> None:
    assert speech_of([(0.0, 4.0, "a"), (2.0, 6.0, "a"), (5.0, 7.0, "b")]) == (7.0, 1.0)
    assert speech_of([]) == (0.0, 0.0)
