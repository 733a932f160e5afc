from __future__ import annotations

from typing import Any

import pytest

from beam_curator.entries.channel_key import channel_in, check_channel
from beam_curator.failures import EntryError


@pytest.mark.parametrize(
    ("value", "channel"), [(0, 0), (7, 7), (None, None), ("BBC", None), ("", None), ([0, 1], None), ({"a": 1}, None)]
)
def test_a_whole_number_is_a_channel(value: Any, channel: int | None) -> None:
    assert channel_in({"channel": value}) == channel


@pytest.mark.parametrize(
    ("value", "found"),
    [(-1, "-1"), (1.0, "1.0"), (True, "a boolean"), ("1", "'1'"), (" 2 ", "' 2 '"), (float("nan"), "nan")],
)
def test_other_numbers_are_refused(value: Any, found: str) -> None:
    with pytest.raises(EntryError) as caught:
        channel_in({"channel": value}, "segments[3]")
    assert caught.value.code == "bad_type"
    assert caught.value.message == f"segments[3].channel is {found}, expected a whole number from 0"
    with pytest.raises(EntryError, match="bad_type: channel is"):
        channel_in({"channel": value})


def test_a_recording_has_so_many_channels() -> None:
    for channel in (None, 0, 1):
        check_channel(channel, 2)
    with pytest.raises(EntryError, match="out_of_range: channel 2 of a recording that has channels 0 to 1: count"):
        check_channel(2, 2)
    with pytest.raises(EntryError, match="channel 1 of a recording that has only channel 0"):
        check_channel(1, 1)
