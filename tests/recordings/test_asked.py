from __future__ import annotations

from typing import Any

import pytest

from beam_curator.failures import EntryError, FailureCode
from beam_curator.recordings.asked import Asked, asked_by
from beam_curator.recordings.recording_ids import identity_of, ids_of

ROWS: list[tuple[dict[str, Any], Asked]] = [
    ({"audio_filepath": "x/a.b.wav"}, Asked(path="x/a.b.wav", name="a.b")),
    ({"audio_filepath": "a.wav", "session_name": "s 1"}, Asked(path="a.wav", name="s 1")),
    ({"audio_filepath": "a.wav", "session_name": None, "duration": 5}, Asked(path="a.wav", name="a", end=5.0)),
    ({"audio_filepath": "a.wav", "offset": None, "duration": None}, Asked(path="a.wav", name="a")),
    ({"audio_filepath": "a.wav", "offset": 2}, Asked(path="a.wav", name="a", start=2.0)),
    ({"audio_filepath": "a.wav", "duration": 1.5, "track_duration": 4}, Asked(path="a.wav", name="a", end=4.0)),
    ({"audio_filepath": "a.wav", "offset": 2, "duration": None}, Asked(path="a.wav", name="a", start=2.0)),
    ({"audio_filepath": "a.wav", "offset": 0, "duration": 1.5}, Asked(path="a.wav", name="a", end=1.5)),
    ({"audio_filepath": ["x/a.wav"]}, Asked(path="x/a.wav", name="a")),
    ({"audio_filepath": ["x/a0.wav", "x/a1.wav"]}, Asked(path='["x/a0.wav", "x/a1.wav"]', name="a0+1")),
    ({"audio_filepath": ["a", "b", "c"], "channel": 2}, Asked(path='["a", "b", "c"]', name="a+2", channel=2)),
    ({"audio_filepath": ["a", "b"], "session_name": "s"}, Asked(path='["a", "b"]', name="s")),
]


@pytest.mark.parametrize(("row", "asked"), ROWS)
def test_what_a_row_asks_for(row: dict[str, Any], asked: Asked) -> None:
    assert asked_by(row, "audio_filepath") == asked


BAD: list[tuple[dict[str, Any], FailureCode, str]] = [
    ({}, FailureCode.MISSING_KEY, "key 'audio_filepath' is absent"),
    ({"audio_filepath": ""}, FailureCode.BAD_TYPE, "audio_filepath is empty"),
    ({"audio_filepath": ["a", 7]}, FailureCode.BAD_TYPE, "audio_filepath[1] is a number, expected the path of a file"),
    ({"audio_filepath": [""]}, FailureCode.BAD_TYPE, "audio_filepath[0] is empty, expected the path of a file"),
    ({"audio_filepath": [["a"], "b"]}, FailureCode.BAD_TYPE, "audio_filepath[0] is an array"),
    ({"audio_filepath": ["a"] * 65}, FailureCode.BAD_TYPE, "audio_filepath is an array of 65, expected at most 64"),
    ({"audio_filepath": []}, FailureCode.BAD_TYPE, "audio_filepath is an array, expected the path"),
    ({"audio_filepath": "a", "duration": "?"}, FailureCode.BAD_TYPE, "duration is a string"),
    ({"audio_filepath": "a", "duration": 0}, FailureCode.BAD_TIME, "duration is 0"),
    ({"audio_filepath": "a", "session_name": 7}, FailureCode.BAD_TYPE, "session_name is a number"),
    ({"audio_filepath": "a", "session_name": ""}, FailureCode.BAD_TYPE, "session_name is empty"),
    ({"audio_filepath": "a", "offset": "1"}, FailureCode.BAD_TYPE, "offset is a string"),
    ({"audio_filepath": "a", "offset": True}, FailureCode.BAD_TYPE, "offset is a boolean"),
    ({"audio_filepath": "a", "offset": -1}, FailureCode.BAD_TIME, "offset -1 s"),
    ({"audio_filepath": "a", "offset": 1, "duration": 0}, FailureCode.BAD_TIME, "duration is 0"),
    ({"audio_filepath": "a", "offset": 1e300}, FailureCode.BAD_TIME, "offset 1e+300 s"),
]


@pytest.mark.parametrize(("row", "code", "message"), BAD)
def test_rows_that_ask_for_nothing(row: dict[str, Any], code: FailureCode, message: str) -> None:
    with pytest.raises(EntryError) as raised:
        asked_by(row, "audio_filepath")
    assert raised.value.code == code
    assert raised.value.message.startswith(message)


def test_a_member_of_a_tar_and_another_key() -> None:
    assert asked_by({}, "audio_filepath", member="x.tar::b/c.flac").name == "c"
    assert asked_by({"path": "d.ogg"}, "path").path == "d.ogg"


def test_identities_tell_pieces_apart() -> None:
    assert len({identity_of("a", 0.0, None), identity_of("a", 0.0, 2.0), identity_of("a", 2.0, None)}) == 3


def test_ids_are_safe_names_and_follow_from_the_recordings_alone() -> None:
    assert ids_of("../x", ["/../x.wav"])["/../x.wav"].startswith("_._x~")
    two = ids_of("talk", ["/b/talk.wav", "/a/talk.wav", "/b/talk.wav"])
    assert list(two) == ["/a/talk.wav", "/b/talk.wav"]
    assert len(set(two.values())) == 2
    assert two == ids_of("talk", ["/a/talk.wav", "/b/talk.wav"])
