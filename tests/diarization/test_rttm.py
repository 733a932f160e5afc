from __future__ import annotations

import io
import pickle
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.diarization.rttm import (
    LATEST,
    LineError,
    LinesError,
    RttmTurn,
    escape_field,
    parse_rttm,
    render_overlap_ctm,
    render_rttm,
    render_uem,
    unescape_field,
)
from beam_curator.diarization.turns import Overlap, Turn

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
PLAIN = [
    "talk-1",
    "Gespräch",
    "会議",
    "مكالمة",
    "O'Neil",
    "a;b",
    "a#b",
    "001",
    "1e5",
    "speaker_0",
    "a+b",
    "<x>",
    "näive\u0301",
]
NULL_WORDS = ["NA", "nan", "-NaN", "NULL", "null", "None", "n/a", "N/A", "#NA", "#N/A", "<NA>", "1.#IND", "-1.#QNAN"]
ESCAPED = {
    "my talk": "my%20talk",
    "a\tb\n": "a%09b%0A",
    "50%": "50%25",
    "%": "%25",
    'say "hi"': "say%20%22hi%22",
    ";;note": "%3B;note",
    "#note": "%23note",
    "a\u00a0b": "a%C2%A0b",
    "a\u3000b": "a%E3%80%80b",
    "\ufeffa": "%EF%BB%BFa",
    "a\u202eb": "a%E2%80%AEb",
    "\x00": "%00",
    "\udcff.wav": "%ED%B3%BF.wav",
    "": "%",
}


def test_rttm_text() -> None:
    turns = [
        Turn(start=12.5, end=13.0, speaker=0),
        Turn(start=0.08, end=3.44, speaker=1),
        (0.08, 3.44, "anna"),
        (3599.9996, 3661.2346, "speaker_0"),
        (2, 3, "b c"),
    ]
    assert render_rttm("talk 1", turns) == (
        "SPEAKER talk%201 1 0.080 3.360 <NA> <NA> anna <NA> <NA>\n"
        "SPEAKER talk%201 1 0.080 3.360 <NA> <NA> speaker_1 <NA> <NA>\n"
        "SPEAKER talk%201 1 2.000 1.000 <NA> <NA> b%20c <NA> <NA>\n"
        "SPEAKER talk%201 1 12.500 0.500 <NA> <NA> speaker_0 <NA> <NA>\n"
        "SPEAKER talk%201 1 3600.000 61.235 <NA> <NA> speaker_0 <NA> <NA>\n"
    )


def test_no_turns_give_no_lines() -> None:
    assert render_rttm("a", []) == render_uem("a", []) == render_overlap_ctm("a", []) == ""
    assert parse_rttm("") == []


@pytest.mark.parametrize(
    ("start", "end", "times"),
    [
        (0.0, 0.0004, None),  # no length after rounding: left out
        (1.0, 1.0, None),
        (0.0, 0.0006, "0.000 0.001"),
        (1.0004, 1.0006, "1.000 0.001"),
        (-0.0, 1.0, "0.000 1.000"),
        (0.1, 0.3, "0.100 0.200"),
        (0.0625, 0.1875, "0.062 0.126"),  # halves go to the even digit, as in "%.3f"
        (35999.9999, 36001, "36000.000 1.000"),
    ],
)
def test_times_are_milliseconds(start: float, end: float, times: str | None) -> None:
    expected = "" if times is None else f"SPEAKER a 1 {times} <NA> <NA> x <NA> <NA>\n"
    assert render_rttm("a", [(start, end, "x")]) == expected


@given(st.lists(st.floats(0, 1e5), min_size=3, max_size=3))
def test_what_touches_still_touches(times: list[float]) -> None:
    start, middle, end = sorted(times)
    turns = parse_rttm(render_rttm("a", [(start, middle, "x"), (middle, end, "y")]))
    if len(turns) == 2:
        assert turns[0].end == turns[1].start
    for turn in turns:
        assert f"{turn.start:.3f}" in {f"{time:.3f}" for time in times}
        assert f"{turn.end:.3f}" in {f"{time:.3f}" for time in times}


@pytest.mark.parametrize("times", [(-1.0, 1.0), (2.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_times_that_are_none_are_refused(times: tuple[float, float]) -> None:
    start, end = times
    for render in (
        lambda: render_rttm("a", [(start, end, "x")]),
        lambda: render_uem("a", [(start, end)]),
        lambda: render_overlap_ctm("a", [Overlap(start=start, end=end, speakers=(0, 1))]),
    ):
        with pytest.raises(ValueError, match="expected 0 <= start <= end: mend the turn"):
            render()


def test_uem_text() -> None:
    assert render_uem("my talk", [(30, 45.6789), (0, 10), (5, 5)]) == (
        "my%20talk 1 0.000 10.000\nmy%20talk 1 30.000 45.679\n"
    )


def test_overlap_ctm_text() -> None:
    overlaps = [
        Overlap(start=8.25, end=10, speakers=(0, 1, 3)),
        Overlap(start=1, end=2.5, speakers=(0, 2)),
        Overlap(start=3, end=3.0001, speakers=(0, 2)),
    ]
    assert render_overlap_ctm(";a", overlaps) == (
        "%3Ba 1 1.000 1.500 speaker_0+speaker_2 2\n%3Ba 1 8.250 1.750 speaker_0+speaker_1+speaker_3 3\n"
    )


@pytest.mark.parametrize("text", PLAIN)
def test_plain_names_stay(text: str) -> None:
    assert escape_field(text) == unescape_field(text) == text


@pytest.mark.parametrize(("text", "field"), ESCAPED.items())
def test_what_a_field_cannot_hold_is_escaped(text: str, field: str) -> None:
    assert escape_field(text) == field
    assert unescape_field(field) == text


@pytest.mark.parametrize("text", NULL_WORDS)
def test_what_pandas_takes_for_missing_is_escaped(text: str) -> None:
    assert escape_field(text) == f"%{ord(text[0]):02X}{text[1:]}"
    assert unescape_field(escape_field(text)) == text


@pytest.mark.parametrize("field", ["100%_mix", "%zz", "%2", "a%FFb", "%C3", "%E2%80"])
def test_what_is_no_escape_stands_for_itself(field: str) -> None:
    assert unescape_field(field) == field


@given(ANY_TEXT)
def test_escapes_can_be_undone(text: str) -> None:
    field = escape_field(text)
    assert unescape_field(field) == text
    assert field.split() == [field]
    assert not field.startswith((";", "#"))
    assert not any(character == '"' or unicodedata.category(character) in {"Cc", "Cs", "Zs"} for character in field)
    assert field.encode("utf-8").decode("utf-8") == field


TIMES = st.tuples(st.integers(0, 10**8), st.integers(1, 10**7)).map(lambda t: (t[0] / 1000, (t[0] + t[1]) / 1000))


@given(ANY_TEXT, st.lists(st.tuples(TIMES, ANY_TEXT), max_size=6))
def test_rttm_comes_back(recording_id: str, turns: list[tuple[tuple[float, float], str]]) -> None:
    parsed = parse_rttm(render_rttm(recording_id, [(start, end, speaker) for (start, end), speaker in turns]))
    assert parsed == sorted(
        (RttmTurn(recording_id=recording_id, start=start, end=end, speaker=speaker) for (start, end), speaker in turns),
        key=lambda turn: (turn.start, turn.end, escape_field(turn.speaker)),
    )


def test_other_lines_are_skipped() -> None:
    text = (
        "\ufeff;; made by hand\r\n"
        "SPKR-INFO a 1 <NA> <NA> <NA> unknown bob <NA> <NA>\r\n"
        "\n"
        "  SPEAKER a 1 .5 1e0 <NA> <NA> bob <NA>\r\n"
        "SPEAKER\ta\t2\t0.1\t0.2\t<NA>\t<NA>\tanna\t0.9\t<NA>"
    )
    assert parse_rttm(text) == [
        RttmTurn(recording_id="a", start=0.5, end=1.5, speaker="bob"),
        RttmTurn(recording_id="a", start=0.1, end=0.3, speaker="anna", channel="2"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello", "line 2: type 'hello', expected SPEAKER: give an RTTM, or start comments with ;;"),
        ("SPEAKER a 1 0 1 <NA> <NA>", "line 2: 7 fields, expected 10: mend the line"),
        ("SPEAKER my talk 1 0 1 <NA> <NA> b <NA> <NA>", "line 2: 11 fields, expected 10: escape blanks"),
        ("SPEAKER a 1 x 1 <NA> <NA> b <NA> <NA>", "line 2: start 'x', expected seconds, 0 or more: mend the line"),
        ("SPEAKER a 1 -1 1 <NA> <NA> b <NA> <NA>", "line 2: start '-1', expected"),
        ("SPEAKER a 1 0 nan <NA> <NA> b <NA> <NA>", "line 2: duration 'nan', expected"),
        ("SPEAKER a 1 0 inf <NA> <NA> b <NA> <NA>", "line 2: duration 'inf', expected"),
        ("SPEAKER a 1 1_0 1 <NA> <NA> b <NA> <NA>", "line 2: start '1_0', expected"),
        (
            "SPEAKER a 1 1e308 1e308 <NA> <NA> b <NA> <NA>",
            "line 2: start 1e308 and duration 1e308, expected an end at 1e+09 s or before: mend the line",
        ),
        ("SPEAKER a 1 999999999 1.001 <NA> <NA> b <NA> <NA>", "line 2: start 999999999 and duration 1.001, expected"),
    ],
)
def test_bad_lines_are_named(line: str, message: str) -> None:
    with pytest.raises(LineError) as caught:
        parse_rttm(f"SPEAKER a 1 0 1 <NA> <NA> b <NA> <NA>\n{line}\n")
    assert str(caught.value).startswith(message)
    assert caught.value.line_number == 2
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_lines_of_8_to_10_fields_and_without_duration_are_read() -> None:
    found = parse_rttm("SPEAKER a 1 0 1 <NA> <NA> b\nSPEAKER a 1 2 0.00 <NA> <NA> c <NA>\n")
    assert [(turn.start, turn.end, turn.speaker) for turn in found] == [(0.0, 1.0, "b"), (2.0, 2.0, "c")]


def test_all_lines_of_a_file_are_told_at_once() -> None:
    with pytest.raises(LinesError) as caught:
        parse_rttm(
            "hello\nSPEAKER a 1 0 1 <NA> <NA> b <NA> <NA>\nSPEAKER a 1 x 1 <NA> <NA> b <NA> <NA>\n" + "no\n" * 30
        )
    told = str(caught.value).split("; ")
    assert told[:2] == [
        "32 lines cannot be read: line 1: type 'hello', expected SPEAKER: give an RTTM, or start comments with ;;",
        "line 3: start 'x', expected seconds, 0 or more: mend the line",
    ]
    assert (len(told), told[-1]) == (21, "and 12 more")
    assert caught.value.line_number == 1
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_the_latest_time_is_read() -> None:
    (turn,) = parse_rttm(render_rttm("a", [(LATEST - 1, LATEST, "x")]))
    assert (turn.start, turn.end) == (999_999_999, 1_000_000_000)


def test_pyannote_reads_what_is_rendered() -> None:
    util = pytest.importorskip("pyannote.database.util")
    names = [*PLAIN, *NULL_WORDS, *ESCAPED]
    text = "".join(render_rttm(name, [(0.5, 2, name), (1, 3.125, "speaker_1")]) for name in names)
    read: dict[str, Any] = util.load_rttm(io.StringIO(text))
    assert sorted(map(unescape_field, read)) == sorted(set(names))
    for field, annotation in read.items():
        found = sorted(
            (segment.start, segment.end, unescape_field(label)) for segment, _, label in annotation.itertracks(True)
        )
        assert found == [(0.5, 2.0, unescape_field(field)), (1.0, 3.125, "speaker_1")]
    uem = util.load_uem(io.StringIO("".join(render_uem(name, [(0, 4)]) for name in names)))
    assert sorted(map(unescape_field, uem)) == sorted(set(names))


def test_pyannote_scores_what_is_rendered() -> None:
    util = pytest.importorskip("pyannote.database.util")
    diarization = pytest.importorskip("pyannote.metrics.diarization")
    reference = util.load_rttm(io.StringIO(render_rttm("a", [(0, 10, "anna"), (10, 20, "bob")])))["a"]
    turns = [Turn(start=0, end=10, speaker=1), Turn(start=10, end=18, speaker=0)]
    hypothesis = util.load_rttm(io.StringIO(render_rttm("a", turns)))["a"]
    uem = util.load_uem(io.StringIO(render_uem("a", [(0, 20)])))["a"]
    assert diarization.DiarizationErrorRate()(reference, hypothesis, uem=uem) == pytest.approx(0.1)
