from __future__ import annotations

import pytest

from beam_curator.failures import EntryError, FailureCode
from beam_curator.formats.found_recordings import FoundRecording, recordings_of_lines
from beam_curator.formats.transcripts import rttm_segment
from beam_curator.sets.blocks import PAYLOAD_BYTES, Line


def speaker(name: str, start: str, duration: str, who: str) -> bytes:
    return f"SPEAKER {name} 1 {start} {duration} <NA> <NA> {who} <NA> <NA>".encode()


def lines_of(*raws: bytes) -> list[Line]:
    """Place lines in a file, ten bytes each."""
    return [Line(offset=10 * number, raw=raw) for number, raw in enumerate(raws)]


def recordings_of_rttm(lines: list[Line]) -> list[FoundRecording]:
    return recordings_of_lines(lines, rttm_segment)


def test_each_recording_becomes_an_entry_with_its_turns_in_order_of_time() -> None:
    found = recordings_of_rttm(
        lines_of(
            b";; made by hand",
            speaker("b%20c", "5.2", "3", "eve"),
            speaker("a", "1", "0.5", "bob"),
            b"SPKR-INFO a 1 <NA> <NA> <NA> adult_male bob <NA>",
            speaker("b%20c", "0.1", "0.2", "b%20b"),
            speaker("b%20c", "0.1", "0.2", "b%20a"),
        )
    )
    assert [(recording.name, recording.offset) for recording in found] == [("b c", 10), ("a", 20)]
    assert found[0].entry("x/b c.wav") == {
        "audio_filepath": "x/b c.wav",
        "segments": [
            {"start": 0.1, "end": 0.3, "speaker": "b a"},
            {"start": 0.1, "end": 0.3, "speaker": "b b"},
            {"start": 5.2, "end": 8.2, "speaker": "eve"},
        ],
    }
    assert found[1].entry("a.wav")["segments"] == [{"start": 1.0, "end": 1.5, "speaker": "bob"}]


@pytest.mark.parametrize(
    ("broken", "code", "message"),
    [
        (speaker("a", "1", "x", "bob"), "bad_turns", "line at byte 10: duration 'x', expected seconds, 0 or more"),
        (speaker("a", "1", "1e10", "bob"), "bad_turns", "line at byte 10: start 1 and duration 1e10, expected an end"),
        (b"SPEAKER a 1 2", "bad_turns", "line at byte 10: 4 fields, expected 10"),
        (
            speaker("a", "1", "2", "?").replace(b"?", b"\xff"),
            "bad_utf8",
            "line at byte 10: byte 0xff at position 26 is",
        ),
    ],
)
def test_a_broken_line_fails_its_recording_and_no_other(broken: bytes, code: str, message: str) -> None:
    good, other = speaker("a", "1", "2", "bob"), speaker("b", "1", "2", "bob")
    bad, whole = recordings_of_rttm(lines_of(good, broken, other))
    with pytest.raises(EntryError, match=f"{code}: ") as caught:
        bad.entry("a.wav")
    assert caught.value.message.startswith(message)
    letter = bad.failure(caught.value, stage="read", source="x.rttm")
    assert (letter.offset, letter.payload) == (0, good + b"\n" + broken)
    assert (letter.code, letter.source, letter.payload_truncated) == (code, "x.rttm", False)
    assert whole.entry("b.wav")["segments"] == [{"start": 1.0, "end": 3.0, "speaker": "bob"}]


def test_a_broken_line_that_names_no_recording_fails_alone() -> None:
    found = recordings_of_rttm(lines_of(b"{}", speaker("a", "1", "2", "bob"), b"SPEAKER"))
    assert [(recording.name, recording.offset, recording.error is None) for recording in found] == [
        ("", 0, False),
        ("a", 10, True),
        ("", 20, False),
    ]


def test_a_dead_letter_holds_no_more_than_its_limit() -> None:
    (found,) = recordings_of_rttm(lines_of(*[speaker("a", "1", "2", "bob")] * 2000))
    letter = found.failure(EntryError(FailureCode.NOT_FOUND, "m", "c"), stage="read", source="x.rttm")
    assert (len(letter.payload), letter.payload_truncated) == (PAYLOAD_BYTES, True)
