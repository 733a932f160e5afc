from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.entries.entry import Entry
from beam_curator.windows.line_windows import choose_in_row
from beam_curator.windows.overlap import OverlapRules, keep_non_overlapping
from beam_curator.windows.rendering import Layout, expand_window, render_pieces, render_row, spans_of
from beam_curator.windows.training_windows import build_training_windows, plan_entry
from beam_curator.windows.window_rules import WindowRules
from tests.talks import (
    ABSENT,
    OVERLAP,
    RULES,
    as_json,
    entries,
    entry,
    overlap_rules,
    segment,
    talk,
    window_rules,
    word,
)

Fields = dict[str, Any]

DIALOGUE = (
    segment(0.0, 6.0, "a", text="é"),
    segment(6.0, 14.0, "b", words=[word(9.0, "x"), word(12.0, "y"), word(13.0, "z")]),
    segment(14.0, 17.0, "a"),
)


def drawn_entries() -> st.SearchStrategy[Fields]:
    """Draw entries of which half have bad segments among others that are none."""
    odd = entries(bad=True).filter(lambda fields: any(map(is_usable, fields["segments"])) or not fields["segments"])
    return st.one_of(entries(), odd)


def is_usable(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and not isinstance(item.get("words"), str)
        and None not in (item.get("start"), item.get("end"))
    )


def render(fields: Fields, rules: WindowRules, overlap: OverlapRules, layout: Layout) -> bytes:
    parsed = Entry.from_fields(fields)
    plan = plan_entry(parsed, rules)
    return render_row(parsed, plan, choose_in_row(plan, overlap), rules, layout)


@settings(max_examples=200, deadline=None)
@given(drawn_entries(), window_rules(), overlap_rules())
def test_a_full_row_is_what_the_pure_functions_return(
    fields: Fields, rules: WindowRules, overlap: OverlapRules
) -> None:
    row = render(fields, rules, overlap, "full")
    expected = keep_non_overlapping(build_training_windows(fields, rules), overlap)
    assert repr(json.loads(row)) == as_json(expected)
    assert b"\n" not in row


@settings(max_examples=200, deadline=None)
@given(drawn_entries(), window_rules(), overlap_rules())
def test_a_row_of_spans_expands_to_the_full_row(fields: Fields, rules: WindowRules, overlap: OverlapRules) -> None:
    row = json.loads(render(fields, rules, overlap, "spans"))
    full = json.loads(render(fields, rules, overlap, "full"))
    for name in ("windows", "filtered_windows"):
        row[name] = [expanded(fields, rules, window) for window in row[name]]
    usable = {number: item for number, item in enumerate(fields["segments"]) if isinstance(item, dict)}
    segments = {
        number: {k: v for k, v in item.items() if k not in rules.drop_fields} for number, item in usable.items()
    }
    for loss in row["stats"]["lost_win_full_data"]:
        cut = {"cut_words": loss.pop("cut_words")} if "cut_words" in loss else {}
        loss["window_segs"] = expand_window(Entry.from_fields(fields), rules, loss["window_segs"], **cut)
        loss |= {name: segments[loss[name]] for name in ("next_seg", "prev_seg")}
    assert as_json(row) == repr(full)


def expanded(fields: Fields, rules: WindowRules, window: Fields) -> Fields:
    """Put segments in the place of a window's index range, and of `cut_words` beside it."""
    durations = window.pop("speaker_durations")
    segments = expand_window(Entry.from_fields(fields), rules, **window)
    return {"segments": segments, "speaker_durations": durations}


def test_a_full_row_to_the_byte() -> None:
    row = render(talk(segment(0, 4.5, "a"), segment(4.5, 9.0, "é", x=10**30), id=[1e2]), RULES, OVERLAP, "full")
    first = '{"start":0,"end":4.5,"speaker":"a","metrics":{"bandwidth":8000}}'
    second = '{"start":4.5,"end":9.0,"speaker":"é","metrics":{"bandwidth":8000},"x":1000000000000000000000000000000}'
    window = f'{{"segments":[{first},{second}],"speaker_durations":[4.5,4.5,0.0,0.0,0.0]}}'
    loss = f'{{"index":1,"window_segs":[{second}],"next_seg":{second},"prev_seg":{first}}}'
    assert row.decode() == (
        f'{{"audio_filepath":"a.wav","audio_sample_rate":16000,"id":[100.0],"windows":[{window}],'
        '"stats":{"total_segments":2,"total_dur":9.0,"swift_path":"","audio_sample_rate":16000,'
        '"lost_bw":0,"dur_lost_bw":0.0,"lost_sr":0,"dur_lost_sr":0.0,"lost_spk":0,"dur_lost_spk":0.0,'
        '"lost_win":1,"dur_lost_win":4.5,"lost_no_spkr":0,"dur_lost_no_spkr":0.0,'
        f'"lost_next_seg_bm":0,"dur_lost_next_seg_bm":0.0,"lost_win_full_data":[{loss}]}},"truncation_events":0,'
        '"total_dur_window":9.0,"total_dur_list_window":[9.0],"total_dur_list_window_timestamps":[[9.0,0]],'
        f'"filtered":[[9.0,0]],"filtered_windows":[{window}],"filtered_dur":9.0,"filtered_dur_list":[9.0],'
        '"manifest_filepath":null,"swift_filepath":""}'
    )


def test_a_row_of_spans_gives_indices() -> None:
    row = json.loads(render(talk(*DIALOGUE), RULES, OVERLAP, "spans"))
    first = {"segments": [0, 1], "cut_words": 2, "speaker_durations": [6.0, 6.0, 0.0, 0.0, 0.0]}
    second = {"segments": [1, 3], "speaker_durations": [8.0, 3.0, 0.0, 0.0, 0.0]}
    assert (row["windows"], row["filtered_windows"]) == ([first, second], [second])
    assert row["stats"]["lost_win_full_data"] == [{"index": 2, "window_segs": [2, 3], "next_seg": 2, "prev_seg": 1}]


def test_a_window_is_expanded_from_its_entry() -> None:
    parsed = entry(*DIALOGUE)
    cut = {"start": 6.0, "end": 12.0, "speaker": "b", "metrics": {"bandwidth": 8000}, "text": "x y"}
    assert expand_window(parsed, RULES, [0, 1], 2) == [DIALOGUE[0], cut]
    assert expand_window(parsed, RULES, [2, 3]) == [DIALOGUE[2]]
    assert expand_window(parsed, RULES, [1, 1], 0) == [cut | {"end": 6.0, "text": ""}]


def test_ranges_are_those_of_the_row_as_it_came() -> None:
    fields = talk(None, DIALOGUE[0], segment(6.0, None), DIALOGUE[1], "x", DIALOGUE[2], segment(ABSENT, 1.0))
    row = json.loads(render(fields, RULES, OVERLAP, "spans"))
    assert [window["segments"] for window in row["windows"]] == [[1, 3], [3, 6]]
    assert (row["windows"][0]["cut_words"], row["bad_segments"]) == (2, 4)
    parsed = Entry.from_fields(fields)
    assert [item["start"] for item in expand_window(parsed, RULES, [1, 3], 2)] == [0.0, 6.0]
    assert [item["start"] for item in expand_window(parsed, RULES, [3, 6])] == [6.0, 14.0]


def test_unknown_keys_pass_through_a_row_unchanged() -> None:
    text = (
        '{"z":1000000000000000000000000000000,"audio_filepath":null,"audio_sample_rate":16000,"é😀\\u0000":{"b":1.0,"a":[1e2,-0.0,'
        '1]},"segments":[],"dup":1,"dup":2}'
    )
    parsed = Entry.from_json(text.encode())
    plan = plan_entry(parsed, RULES)
    found = json.loads(render_row(parsed, plan, choose_in_row(plan, OVERLAP), RULES, "full"))
    assert repr(list(found.items())[:5]) == repr(
        [
            ("z", 10**30),
            ("audio_filepath", None),
            ("audio_sample_rate", 16000),
            ("é😀\0", {"b": 1.0, "a": [100.0, -0.0, 1]}),
            ("dup", 2),
        ]
    )


def test_pieces_join_to_the_row_and_share_the_text_of_segments() -> None:
    parsed = entry(*(segment(0.5 * k, 0.5 * k + 0.5, "ab"[k % 2], text="t" * 1000) for k in range(80)))
    plan = plan_entry(parsed, RULES)
    choice = choose_in_row(plan, OVERLAP)
    pieces = render_pieces(parsed, plan, choice, RULES, "full")
    assert b"".join(pieces) == render_row(parsed, plan, choice, RULES, "full")
    views = [piece for piece in pieces if isinstance(piece, memoryview)]
    assert len({id(view.obj) for view in views}) == 1
    assert len(views) == len(plan.firsts) + len(choice.kept) + len(plan.losses)


def test_spans_are_those_of_the_windows() -> None:
    assert spans_of(plan_entry(entry(*DIALOGUE), RULES)) == [(0.0, 12.0), (6.0, 17.0)]
