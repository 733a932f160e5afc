from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from beam_curator.failures import EntryError
from beam_curator.windows.training_windows import (
    NOT_CUT,
    build_training_windows,
    plan_entry,
    without,
)
from beam_curator.windows.window_rules import WindowRules
from tests.literal import literal_windows
from tests.talks import ABSENT, RULES, as_json, entries, entry, segment, spans, talk, window_rules, word

Built = dict[str, Any]

# limits are 8 and 12 s, 2-3 speakers; each case: segments, times of the windows, what is not 0 in the statistics
CASES: dict[str, tuple[list[Built], list[Any], dict[str, float]]] = {
    "span of exactly the shortest": (
        [segment(0.0, 4.0, "a"), segment(4.0, 8.0, "b")],
        [[(0.0, 4.0), (4.0, 8.0)]],
        {"lost_win": 1, "dur_lost_win": 4.0},
    ),
    "span of exactly the longest": (
        [segment(0.0, 6.0, "a"), segment(6.0, 12.0, "b")],
        [[(0.0, 6.0), (6.0, 12.0)]],
        {"lost_win": 1, "dur_lost_win": 6.0},
    ),
    "span a little too short": (
        [segment(0.0, 4.0, "a"), segment(4.0, 7.999999, "b")],
        [],
        {"lost_win": 2, "dur_lost_win": 7.999999},
    ),
    "crossing segment without words, late": (
        [segment(0.0, 9.0, "a"), segment(9.0, 14.0, "b")],
        [[(0.0, 9.0), (9.0, 9.0)]],
        {"lost_win": 1, "dur_lost_win": 5.0, "truncation_events": 1},
    ),
    "crossing segment without words, early": (
        [segment(0.0, 4.0, "a"), segment(4.0, 14.0, "b")],
        [],
        {"lost_win": 2, "dur_lost_win": 14.0, "truncation_events": 1},
    ),
    "words up to exactly the cut are kept": (
        [segment(0.0, 6.0, "a"), segment(6.0, 14.0, "b", words=[word(9.0), word(12.0), word(12.5)])],
        [[(0.0, 6.0), (6.0, 12.0)]],
        {"lost_win": 1, "dur_lost_win": 8.0, "truncation_events": 1},
    ),
    "the last kept word in list order is the end": (
        [segment(0.0, 6.0, "a"), segment(6.0, 14.0, "b", words=[word(11.9), word(13.0), word(9.5)])],
        [[(0.0, 6.0), (6.0, 9.5)]],
        {"lost_win": 1, "dur_lost_win": 8.0, "truncation_events": 1},
    ),
    "next segment starts exactly at the cut": (
        [segment(0.0, 6.0, "a"), segment(6.0, 11.0, "b"), segment(12.0, 13.0, "a")],
        [[(0.0, 6.0), (6.0, 11.0)]],
        {"lost_win": 2, "dur_lost_win": 6.0},
    ),
    "truncation off": (
        [segment(0.0, 6.0, "a"), segment(6.0, 9.0, "b"), segment(9.0, 14.0, "a", words=[word(11.0)])],
        [[(0.0, 6.0), (6.0, 9.0)], [(6.0, 9.0), (9.0, 14.0)]],
        {"lost_win": 1, "dur_lost_win": 5.0},
    ),
    "no-speaker in the middle": (
        [segment(0.0, 4.0, "a"), segment(4.0, 9.0, "b"), segment(9.0, 10.0, "no-speaker"), segment(10.0, 19.0, "a")],
        [[(0.0, 4.0), (4.0, 9.0)]],
        {"lost_win": 3, "dur_lost_win": 15.0, "lost_no_spkr": 2, "dur_lost_no_spkr": 6.0},
    ),
    "no-speaker at the start": (
        [segment(0.0, 9.0, "no-speaker"), segment(9.0, 12.0, "a")],
        [],
        {"lost_win": 2, "dur_lost_win": 12.0, "lost_no_spkr": 1, "dur_lost_no_spkr": 9.0},
    ),
    "label absent": (
        [segment(0.0, 5.0, "a"), segment(5.0, 9.0, ABSENT)],
        [],
        {"lost_spk": 1, "dur_lost_spk": 5.0, "lost_win": 1, "dur_lost_win": 4.0}
        | {"lost_no_spkr": 1, "dur_lost_no_spkr": 4.0},
    ),
    "label null": (
        [segment(0.0, 5.0, "a"), segment(5.0, 9.0, None)],
        [],
        {"lost_spk": 1, "dur_lost_spk": 5.0, "lost_win": 1, "dur_lost_win": 4.0},
    ),
    "label empty": (
        [segment(0.0, 5.0, "a"), segment(5.0, 9.0, "")],
        [],
        {"lost_spk": 1, "dur_lost_spk": 5.0, "lost_win": 1, "dur_lost_win": 4.0},
    ),
    "bandwidth absent": (
        [segment(0.0, 9.0, "a"), segment(9.0, 19.0, "b", ABSENT)],
        [],
        {"lost_bw": 1, "dur_lost_bw": 10.0, "lost_win": 1, "dur_lost_win": 9.0}
        | {"lost_next_seg_bm": 1, "dur_lost_next_seg_bm": 9.0},
    ),
    "bandwidth just below the limit": (
        [segment(0.0, 4.0, "a", 7999.9), segment(4.0, 8.0, "b"), segment(8.0, 12.0, "a")],
        [[(4.0, 8.0), (8.0, 12.0)]],
        {"lost_bw": 1, "dur_lost_bw": 4.0, "lost_win": 1, "dur_lost_win": 4.0},
    ),
    "unsorted segments": (
        [segment(10.0, 14.0, "a"), segment(0.0, 4.0, "b")],
        [],
        {"lost_win": 2, "dur_lost_win": 8.0},
    ),
    "nested segment": (
        [segment(0.0, 10.0, "a"), segment(1.0, 9.0, "b")],
        [[(0.0, 10.0), (1.0, 9.0)]],
        {"lost_win": 1, "dur_lost_win": 8.0},
    ),
    "segment without length": (
        [segment(0.0, 9.0, "a"), segment(9.0, 9.0, "b")],
        [[(0.0, 9.0), (9.0, 9.0)]],
        {"lost_win": 1},
    ),
    "one speaker too many": (
        [segment(3.0 * k, 3.0 * k + 3.0, label) for k, label in enumerate("abcd")],
        [[(0.0, 3.0), (3.0, 6.0), (6.0, 9.0)], [(3.0, 6.0), (6.0, 9.0), (9.0, 12.0)]],
        {"lost_win": 2, "dur_lost_win": 6.0},
    ),
    "one speaker too many in the segment to cut": (
        [segment(3.0 * k, 3.0 * k + 3.0, label) for k, label in enumerate("abc")] + [segment(9.0, 20.0, "d")],
        [[(0.0, 3.0), (3.0, 6.0), (6.0, 9.0)]],  # from 3.0 and 6.0 the part [9, 9] is added, but ends too early
        {"lost_win": 3, "dur_lost_win": 17.0, "truncation_events": 3},
    ),
    "one segment": ([segment(0.0, 9.0, "a")], [], {"lost_win": 1, "dur_lost_win": 9.0}),
}
CASE_RULES = {"truncation off": replace(RULES, truncation=False)}
NOTHING = {
    "lost_bw": 0,
    "dur_lost_bw": 0.0,
    "lost_sr": 0,
    "dur_lost_sr": 0.0,
    "lost_spk": 0,
    "dur_lost_spk": 0.0,
    "lost_win": 0,
    "dur_lost_win": 0.0,
    "lost_no_spkr": 0,
    "dur_lost_no_spkr": 0.0,
    "lost_next_seg_bm": 0,
    "dur_lost_next_seg_bm": 0.0,
}


@pytest.mark.parametrize("name", CASES)
def test_an_entry_gives_these_windows_and_losses(name: str) -> None:
    segments, windows, changes = CASES[name]
    built = build_training_windows(talk(*segments), CASE_RULES.get(name, RULES))
    assert spans(built["windows"]) == windows
    found = {key: built["stats"][key] for key in NOTHING} | {"truncation_events": built["truncation_events"]}
    assert found == NOTHING | {"truncation_events": 0} | changes


def test_an_entry_without_segments_keeps_its_other_fields() -> None:
    built = build_training_windows(talk(id="x", swift_audio_filepath="s://a", words=[]), RULES)
    expected = {
        "audio_filepath": "a.wav",
        "audio_sample_rate": 16000,
        "id": "x",
        "swift_audio_filepath": "s://a",
        "windows": [],
        "stats": {"total_segments": 0, "total_dur": 0, "swift_path": "s://a", "audio_sample_rate": 16000}
        | NOTHING
        | {"lost_win_full_data": []},
        "truncation_events": 0,
    }
    assert as_json(built) == as_json(expected)


@pytest.mark.parametrize(
    ("segments", "lost"),
    [
        ([], {"total_segments": 0, "total_dur": 0, "lost_sr": 0, "dur_lost_sr": 0}),
        (
            [segment(0, 4, "a", None), segment(4.0, 8.5, "b")],
            {"total_segments": 2, "total_dur": 8.5, "lost_sr": 2, "dur_lost_sr": 8.5},
        ),
    ],
    ids=["no segments", "two segments"],
)
def test_an_entry_of_low_sample_rate_keeps_only_four_keys(segments: list[Built], lost: dict[str, float]) -> None:
    for item in segments:
        item["metrics"] = {}
    built = build_training_windows(talk(*segments, audio_sample_rate=15999, id="x"), RULES)
    stats = {"total_segments": 0, "total_dur": 0, "swift_path": "", "audio_sample_rate": 15999} | NOTHING
    expected = {
        "audio_filepath": "a.wav",
        "windows": [],
        "stats": stats | lost | {"lost_win_full_data": []},
        "truncation_events": 0,
    }
    assert as_json(built) == as_json(expected)


def test_a_sample_rate_of_exactly_the_limit_is_enough() -> None:
    pair = segment(0.0, 5.0, "a"), segment(5.0, 10.0, "b")
    assert len(build_training_windows(talk(*pair, audio_sample_rate=16000), RULES)["windows"]) == 1
    assert len(build_training_windows(talk(*pair, audio_sample_rate=16000.5), RULES)["windows"]) == 1


@pytest.mark.parametrize(
    ("dropped", "counts"),
    [
        (("metrics",), {"lost_win": 2, "lost_spk": 0}),
        (("speaker",), {"lost_win": 1, "lost_spk": 1}),
        (("words", "text"), {"lost_win": 1, "lost_spk": 0}),
    ],
)
def test_dropped_keys_that_the_rules_read_cost_the_windows(dropped: tuple[str, ...], counts: dict[str, int]) -> None:
    fields = talk(segment(0.0, 5.0, "a", text="t"), segment(5.0, 10.0, "b", text="t"))
    built = build_training_windows(fields, replace(RULES, drop_fields=dropped))
    assert {key: built["stats"][key] for key in counts} == counts
    assert len(built["windows"]) == 2 - sum(counts.values())


def test_dropped_metrics_cost_nothing_where_any_bandwidth_will_do() -> None:
    fields = talk(segment(0.0, 5.0, "a"), segment(5.0, 10.0, "b"))
    built = build_training_windows(fields, replace(RULES, drop_fields=("metrics",), min_bandwidth=0))
    assert [list(item) for item in built["windows"][0]["segments"]] == [["start", "end", "speaker"]] * 2


@pytest.mark.parametrize("name", ["start", "end"])
def test_times_cannot_be_dropped(name: str) -> None:
    with pytest.raises(ValueError, match=f"drop_fields {name} would leave windows without times: keep them"):
        WindowRules(drop_fields=("words", name))


def test_a_window_holds_copies_without_the_dropped_keys_and_the_longest_speakers_first() -> None:
    lengths = {"a": 2, "b": 1.5, "c": 1, "d": 3.0, "e": 0.5, "f": 2.5}
    segments: list[Built] = []
    clock: float = 0
    for label, length in lengths.items():
        segments.append(segment(clock, clock + length, label, words=[word(clock)]))
        clock += length
    built = build_training_windows(talk(*segments), replace(RULES, max_speakers=6))
    assert as_json(built["windows"][0]) == as_json(
        {
            "segments": [without(item, ("words",)) for item in segments],
            "speaker_durations": [3.0, 2.5, 2, 1.5, 1.0],  # the first is 2 - 0, in integers
        }
    )


def test_speaker_durations_add_up_over_a_window_and_are_padded() -> None:
    fields = talk(segment(0, 3, "a"), segment(3, 5, "b"), segment(5, 9, "a"), segment(9, 10, None))
    assert as_json(build_training_windows(fields, RULES)["windows"][0]["speaker_durations"]) == "[7, 2, 0.0, 0.0, 0.0]"


def test_lost_windows_are_listed_with_their_neighbours() -> None:
    first, second, third = segment(0.0, 2.0, "a"), segment(2.0, 4.0, "b", words=[]), segment(4.0, 5.0, "c", 0)
    built = build_training_windows(talk(first, second, third), RULES)
    plain = without(second, ("words",))
    assert built["stats"]["lost_win_full_data"] == [
        {"index": 0, "window_segs": [first, plain], "next_seg": third, "prev_seg": first},
        {"index": 1, "window_segs": [plain], "next_seg": third, "prev_seg": first},
    ]
    assert list(built["stats"]["lost_win_full_data"][0]) == ["index", "window_segs", "next_seg", "prev_seg"]


def test_where_the_list_is_exhausted_the_last_segment_is_the_next_one() -> None:
    first, second = segment(0.0, 2.0, "a"), segment(2.0, 4.0, "b")
    lost = build_training_windows(talk(first, second), RULES)["stats"]["lost_win_full_data"]
    assert [loss["next_seg"] for loss in lost] == [second, second]


def test_the_result_keeps_the_order_of_keys_and_overwrites_in_place() -> None:
    fields = {"windows": 1, "id": 2, **talk(words=3), "stats": None}
    built = build_training_windows(fields, RULES)
    assert list(built) == ["windows", "id", "audio_filepath", "audio_sample_rate", "stats", "truncation_events"]
    assert built["windows"] == []
    kept = build_training_windows(fields, replace(RULES, drop_fields_top_level=("id",)))
    assert list(kept)[1:5] == ["audio_filepath", "audio_sample_rate", "segments", "words"]


def test_limits_are_compared_with_differences_as_the_reference_does() -> None:
    # 16.1 - 4.1 is 12.000000000000002 and crosses, although 4.1 + 12.0 is 16.1 and the last word is kept
    crossing = segment(10.0, 16.1, "b", words=[word(13.0), word(16.1)])
    plan = plan_entry(entry(segment(4.1, 10.0, "a"), crossing), RULES)
    assert (plan.firsts, plan.truncation_events) == ([], 1)
    assert plan.losses == [(0, 1, 2, 1), (1, 2, NOT_CUT, 1)]


def test_sums_are_left_to_right_on_every_python() -> None:
    fields = talk(*(segment(0.0, 0.1) for _ in range(10)))
    assert build_training_windows(fields, RULES)["stats"]["total_dur"] == 0.9999999999999999


def test_a_plan_names_windows_by_index() -> None:
    crossing = segment(6.0, 14.0, "b", words=[word(9.0), word(12.0), word(13.0)])
    plan = plan_entry(entry(segment(0.0, 6.0, "a"), crossing, segment(14.0, 17.0, "a")), RULES)
    assert (plan.firsts, plan.stops, plan.cuts) == ([0, 1], [1, 3], [2, NOT_CUT])
    assert (plan.starts, plan.ends, plan.truncation_events) == ([0.0, 6.0], [12.0, 17.0], 1)
    assert plan.speaker_durations == [[6.0, 6.0, 0.0, 0.0, 0.0], [8.0, 3.0, 0.0, 0.0, 0.0]]
    assert plan.losses == [(2, 3, NOT_CUT, 2)]


@pytest.mark.parametrize("missing", ["segments", "audio_sample_rate", "audio_filepath"])
def test_an_entry_without_a_required_key_is_refused(missing: str) -> None:
    with pytest.raises(EntryError, match=f"^missing_key: key '{missing}' is absent: add '{missing}' to the entry$"):
        build_training_windows(talk(**{missing: ABSENT}), RULES)


@settings(max_examples=200, deadline=None)
@given(entries(), window_rules())
def test_windows_are_those_of_the_rules_in_words(fields: Built, rules: WindowRules) -> None:
    fields["audio_sample_rate"] = 16000
    before = copy.deepcopy(fields)
    built = build_training_windows(fields, rules)
    windows, counts, lost, events = literal_windows(fields, rules)
    assert as_json(built["windows"]) == as_json(windows)
    assert as_json(built["stats"]["lost_win_full_data"]) == as_json(lost)
    assert {key: built["stats"][key] for key in counts} == counts
    assert built["truncation_events"] == events
    assert repr(fields) == repr(before), "the input was changed"


@settings(max_examples=100, deadline=None)
@given(entries(), window_rules())
def test_every_start_segment_is_accounted_for(fields: Built, rules: WindowRules) -> None:
    built = build_training_windows(fields, rules)
    stats = built["stats"]
    lost = stats["lost_bw"] + stats["lost_sr"] + stats["lost_spk"] + stats["lost_win"]
    assert len(built["windows"]) + lost == stats["total_segments"] == len(fields["segments"])
    assert stats["lost_no_spkr"] + stats["lost_next_seg_bm"] <= stats["lost_win"] == len(stats["lost_win_full_data"])
