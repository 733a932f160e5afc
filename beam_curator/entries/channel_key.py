"""The channel that a row, or a piece of one, names: a whole number from 0 under `channel`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beam_curator.entries.json_lines import kind_of
from beam_curator.failures import EntryError, FailureCode

CHANNEL_KEY = "channel"
"""Of rows and of their segments; RTTM counts channels from 1."""

CLIP_PATH_KEY = "extracted_path"
"""Names the clip of a row of `extract`, whose `channel` is that of the recording: the clip itself has but one."""


def channel_in(fields: Mapping[str, Any], where: str = "") -> int | None:
    """Return the channel that a row or a segment names, from 0; None where it names none.

    A text that is no number, such as the name of a broadcaster, and a list or an object are the user's own values.

    Args:
      fields: the row or the segment.
      where: its place in the row, for messages; "" for the row itself.

    Raises:
      EntryError: it is another number than a whole one from 0.

    Example:
      >>> channel_in({"channel": 1}), channel_in({"channel": "BBC"}), channel_in({})
      (1, None, None)
    """
    value = fields.get(CHANNEL_KEY)
    if type(value) is int and value >= 0:
        return value
    is_number = isinstance(value, (bool, int, float)) or (isinstance(value, str) and value.strip().isdigit())
    if not is_number:
        return None
    found = kind_of(value) if isinstance(value, bool) else repr(value)[:24]
    raise EntryError(
        FailureCode.BAD_TYPE,
        f"{f'{where}.' if where else ''}{CHANNEL_KEY} is {found}, expected a whole number from 0",
        "count the channels of the recording from 0, or leave the key out",
    )


def channel_of_row(row: Mapping[str, Any], filepath_key: str) -> int | None:
    """Return the channel of the recording that a row names under a key; none of a clip.

    Raises:
      EntryError: see `channel_in`.

    Example:
      >>> row = {"original_file": "call.wav", "extracted_path": "clip.wav", "channel": 1}
      >>> channel_of_row(row, "original_file"), channel_of_row(row, "extracted_path")
      (1, None)
    """
    return None if filepath_key == CLIP_PATH_KEY else channel_in(row)


def check_channel(channel: int | None, n_channels: int) -> None:
    """Check that a recording has a channel.

    Raises:
      EntryError: it has not so many.
    """
    if channel is not None and channel >= n_channels:
        last = "only channel 0" if n_channels == 1 else f"channels 0 to {n_channels - 1}"
        raise EntryError(
            FailureCode.OUT_OF_RANGE,
            f"channel {channel} of a recording that has {last}",
            "count channels from 0, or leave the channel out",
        )
