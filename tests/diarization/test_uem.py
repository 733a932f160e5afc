from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.diarization.rttm import LineError, LinesError, parse_uem, render_uem

MILLISECONDS = st.integers(0, 10_000_000)


def test_parts_of_several_recordings() -> None:
    text = "\ufeff;; whole talks\r\nmy%20talk 1 0.5 10\r\n\r\n  b\t1 20.000 30.000\r\nb 1 0 5\nb 2 4.5 6\n"
    assert parse_uem(text) == {"my talk": ((0.5, 10.0),), "b": ((0.0, 6.0), (20.0, 30.0))}


def test_channels_may_be_told_apart() -> None:
    assert parse_uem("b 1 0 5\nb 2 4.5 6\nb 1 4 6", by_channel=True) == {"b:1": ((0.0, 6.0),), "b:2": ((4.5, 6.0),)}


@pytest.mark.parametrize("text", ["", "\n\n", ";; nothing\n"])
def test_nothing_is_no_recording(text: str) -> None:
    assert parse_uem(text) == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a 1 0", "line 2: 3 fields, expected 4: recording, channel, start, end: mend the line"),
        (
            "my talk 1 0 5",
            "line 2: 5 fields, expected 4: recording, channel, start, end: mend the line, and escape blanks in names",
        ),
        ("a 1 x 5", "line 2: start 'x', expected seconds, 0 or more: mend the line"),
        ("a 1 0 nan", "line 2: end 'nan', expected seconds"),
        ("a 1 -1 5", "line 2: start '-1', expected seconds"),
        ("a 1 0 1_0", "line 2: end '1_0', expected seconds"),
        ("a 1 0 inf", "line 2: end 'inf', expected seconds"),
        ("a 1 0 1e308", "line 2: end 1e308, expected 1e+09 s or less: mend the line"),
        ("a 1 0 1000000000.1", "line 2: end 1000000000.1, expected"),
        ("a 1 5 5", "line 2: end 5, expected more than the start 5: mend the line"),
        ("SPEAKER a 1 0.0 5.0 <NA> <NA> x <NA> <NA>", "line 2: 10 fields, expected 4"),
    ],
)
def test_what_is_no_uem(line: str, said: str) -> None:
    with pytest.raises(LineError) as caught:
        parse_uem(f"good 1 0 5\n{line}\n")
    assert str(caught.value).startswith(said)
    assert caught.value.line_number == 2


def test_all_lines_are_told_at_once() -> None:
    with pytest.raises(LinesError, match=r"^2 lines cannot be read: line 1: 3 fields.*; line 3: start 'x'"):
        parse_uem("a 1 0\na 1 0 5\na 1 x 5\n")


@given(
    name=st.text(st.characters(exclude_categories=()), max_size=8),
    times=st.lists(MILLISECONDS, min_size=2, max_size=12, unique=True),
)
def test_is_the_inverse_of_rendering(name: str, times: list[int]) -> None:
    ordered = sorted(times[: len(times) // 2 * 2])
    spans = tuple((a / 1000, b / 1000) for a, b in zip(ordered[::2], ordered[1::2], strict=True))
    assert parse_uem(render_uem(name, spans)) == {name: spans}
