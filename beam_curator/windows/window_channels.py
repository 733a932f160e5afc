"""The channel of a training window whose segments name one, for a layout that leaves its segments out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beam_curator.entries.channel_key import CHANNEL_KEY, channel_in
from beam_curator.entries.json_lines import encode
from beam_curator.failures import EntryError


def channels_named(fields: dict[str, Any], segments: Sequence[dict[str, Any]]) -> list[Any] | None:
    """Return the channel that each segment of a row names, or else the row; None where no segment names one.

    A number that is no channel stays as it is: whoever cuts the window refuses it.

    Example:
      >>> channels_named({"channel": 0}, [{"channel": 1}, {}, {"channel": -1}]), channels_named({"channel": 0}, [{}])
      ([1, 0, -1], None)
    """
    if not any(CHANNEL_KEY in segment for segment in segments):
        return None
    named = [_named(segment) for segment in segments]
    if all(channel is None for channel in named):
        return None
    common = _named(fields)
    return [common if channel is None else channel for channel in named]


def channel_text(channels: Sequence[Any]) -> bytes:
    """Return the key of a window with the channel of all its segments, null where they differ.

    Example:
      >>> channel_text([1, 1]), channel_text([0, 1]), channel_text([0, -1])
      (b',"channel":1', b',"channel":null', b',"channel":-1')
    """
    different = list(dict.fromkeys(channels))
    wrong = [channel for channel in different if not (channel is None or (type(channel) is int and channel >= 0))]
    chosen = wrong[0] if wrong else different[0] if len(different) == 1 else None
    return b',"%b":%b' % (CHANNEL_KEY.encode(), encode(chosen))


def _named(fields: dict[str, Any]) -> Any:
    try:
        return channel_in(fields)
    except EntryError:
        return fields[CHANNEL_KEY]
