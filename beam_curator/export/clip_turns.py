"""Who speaks when in a clip, for its preview."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from beam_curator.export.previews import Turn
from beam_curator.intervals import Seconds, Span
from beam_curator.recordings.safe_names import UNKNOWN, speaker_text


def turns_of(row: Mapping[str, Any], span: Span) -> list[Turn]:
    """Return the turns of a clip, in seconds from its start.

    They are in `turns`, items `[start, end, speaker]` in seconds of the recording, as clips of training windows have
    them; what lies outside of the clip is left out, and so are items of another form or without length. Without any,
    the clip is one turn of its `speaker_id`; without that, it has none.

    Args:
      row: the row of the clip.
      span: where it lies in the recording.

    Example:
      >>> turns_of({"turns": [[8.0, 11.5, "ana"], [11.5, 14.0, None]]}, (10.0, 12.0))
      [Turn(start=0.0, end=1.5, speaker='ana'), Turn(start=1.5, end=2.0, speaker='unknown')]
      >>> turns_of({"speaker_id": 3}, (10.0, 12.0)), turns_of({}, (10.0, 12.0))
      ([Turn(start=0.0, end=2.0, speaker='3')], [])
    """
    listed = row.get("turns")
    said = list(_listed(listed)) if isinstance(listed, (list, tuple)) else []
    if said:
        return list(_inside(said, span))
    speaker = row.get("speaker_id")
    if speaker is None or speaker == "":
        return []
    return [Turn(start=0.0, end=span[1] - span[0], speaker=speaker_text(speaker))]


def _listed(items: Sequence[Any]) -> Iterator[tuple[Seconds, Seconds, str]]:
    for item in items:
        if isinstance(item, (list, tuple)) and len(item) == 3 and _is_time(item[0]) and _is_time(item[1]):
            start, end, speaker = item
            if start < end:
                yield start, end, UNKNOWN if speaker is None or speaker == "" else speaker_text(speaker)


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -math.inf < value < math.inf


def _inside(turns: Sequence[tuple[Seconds, Seconds, str]], span: Span) -> Iterator[Turn]:
    first, stop = span
    for start, end, speaker in turns:
        if start < stop and end > first:
            yield Turn(start=max(start, first) - first, end=min(end, stop) - first, speaker=speaker)
