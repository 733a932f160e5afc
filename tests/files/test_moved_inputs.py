"""Names of inputs before they were moved, and now."""

from __future__ import annotations

import pytest

from beam_curator.files.moved_inputs import NOT_MOVED, Moved, moved_of
from beam_curator.sets.recording_jobs import Request


def test_names_begin_a_text_or_a_string_in_it() -> None:
    moved = Moved((("/old", "/new"),))
    assert moved.now(b'["/old/a.wav","x/old/a.wav","/older/a.wav","[\\"/old/b.wav\\"]"]') == (
        b'["/new/a.wav","x/old/a.wav","/older/a.wav","[\\"/new/b.wav\\"]"]'
    )
    assert moved.before("talk\n/new/talk.wav") == "talk\n/old/talk.wav"
    assert moved.before("/old/talk.wav") == "/old/talk.wav"


def test_of_two_directories_the_inner_one_counts() -> None:
    moved = Moved((("/a", "/x"), ("/a/b", "/y")))
    assert moved.now(b'{"a":"/a/b/1.wav","c":"/a/2.wav"}') == b'{"a":"/y/1.wav","c":"/x/2.wav"}'
    assert moved.before("/y/1.wav") == "/a/b/1.wav"


def test_names_that_no_utf8_holds_pass() -> None:
    assert Moved((("/old", "/new"),)).before("/new/\udcff.wav") == "/old/\udcff.wav"


def test_a_request_that_still_holds_a_name_of_before_is_none() -> None:
    moved = Moved((("/old", "/new"),))
    asked = [Request(b'{"a":"/new/1.wav"}', "/new/m.jsonl", 7)]
    assert moved.requests_before(asked) == [Request(b'{"a":"/old/1.wav"}', "/new/m.jsonl", 7)]
    noted = [Request(b'{"a":"/new/1.wav","note":"/old/readme"}', "/new/m.jsonl", 7)]
    assert moved.requests_before(noted) is None
    assert NOT_MOVED.requests_before(noted) == noted


@pytest.mark.parametrize("given", ["/old", "=/new", "/old=", "/a=/b=/c", "/=/new"])
def test_other_forms_are_refused(given: str) -> None:
    with pytest.raises(ValueError, match="names no two directories: write OLD=NEW"):
        moved_of([given])
