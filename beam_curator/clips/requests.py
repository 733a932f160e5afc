"""From rows to requests for clips: the reference's three combos of rows, and the pieces of entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

from beam_curator.clips.entry_pieces import (
    EntryKeys,
    request_of_manifest_row,
    requests_of_items,
    requests_of_windows,
)
from beam_curator.clips.interval_lists import (
    check_forward,
    checked_list,
    each_alone,
    in_time_order,
    span_of,
    time_at,
)
from beam_curator.clips.records import BadInterval, ClipRequest, Fields, Interval
from beam_curator.clips.tables import fields_before_cut
from beam_curator.entries.channel_key import CHANNEL_KEY, channel_in
from beam_curator.failures import EntryError, FailureCode
from beam_curator.recordings.row_paths import path_in

What = Literal["auto", "rows", "segments", "diar_segments", "filtered_windows"]
WHATS: tuple[str, ...] = get_args(What)

_DEFAULT_KEYS = EntryKeys()
_PATH_CURE = "say which key holds the path, or what is to be cut"
_ENTRY_REQUESTS: Mapping[str, Callable[[Fields, str, EntryKeys], list[ClipRequest | BadInterval]]] = {
    "filtered_windows": requests_of_windows,
    "segments": partial(requests_of_items, key="segments"),
    "diar_segments": partial(requests_of_items, key="diar_segments"),
}


def combo_of(row: Mapping[str, Any]) -> int:
    """Return the combo of one row of the reference, from the keys that it has, whatever they hold.

    Example:
      >>> combo_of({"speaker_id": None, "diar_segments": []}), combo_of({"speaker_id": "a"}), combo_of({})
      (3, 4, 2)
    """
    if "speaker_id" not in row:
        return 2
    return 3 if "diar_segments" in row else 4


def detect_combo(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the combo of a manifest as the reference decides it: that of its first row, 2 where there is none.

    Extraction itself decides for each row (see `combo_of`), so that a mixed manifest loses no speakers.

    Example:
      >>> detect_combo([{"speaker_id": "a"}, {}]), detect_combo([])
      (4, 2)
    """
    return combo_of(rows[0]) if rows else 2


def requests_of_row(
    row: Mapping[str, Any], what: What, keys: EntryKeys = _DEFAULT_KEYS, *, member: str | None = None
) -> list[ClipRequest | BadInterval]:
    """Return the requests for the clips of one row, in time order, and the pieces that cannot be cut.

    A row of combo 2 or 4 is one piece. A row of combo 3 has one for each of its turns, an entry one for each item of
    the list that is cut; these may be none, and one that is wrong stands as a `BadInterval` beside the others. Times
    are checked for being times, not against the recording, which is not known here. A row that this extraction wrote
    is taken as it was before: what its cut added is left out. A row of a NeMo manifest, with `audio_filepath` and
    `duration` or `offset`, is one piece, too.

    Args:
      row: a row of the reference or of a NeMo manifest, or an entry.
      what: what is cut. "auto" takes rows where there is the key `original_file`, else the first that is there of
        `filtered_windows`, `segments` and `diar_segments`, else `duration` or `offset` for a row of a NeMo manifest.
      keys: names of keys from the user. `keys.audio` names the recording; "" means `original_file` in rows and
        `audio_filepath` in entries. With another key "auto" also takes a row for one that has it beside
        `original_end_ms`. `original_file` of the clips is always the recording they were cut from.
      member: the recording of a row of a NeMo tarred dataset; the row is then taken for one, whatever else it holds.

    Raises:
      EntryError: the row gives no clip: it names no recording, its list is no list, or its only piece is wrong.

    Example:
      >>> row = {"original_file": "a.wav", "original_start_ms": 500, "original_end_ms": 1250}
      >>> [request] = requests_of_row(row, "auto")
      >>> request.combo, request.start, request.end, request.unit
      (2, 500, 1250, 'ms')
    """
    if what not in WHATS:
        raise ValueError(f"what {what!r} is not known: use one of {', '.join(WHATS)}")
    if member is not None:
        return [request_of_manifest_row(fields_before_cut(row), member, keys)]
    chosen = _what_of(row, keys.audio) if what == "auto" else what
    if chosen != "rows":
        return _ENTRY_REQUESTS[chosen](dict(row), path_in(row, keys.audio or "audio_filepath", _PATH_CURE), keys)
    if _is_manifest_row(row, keys.audio):
        return [request_of_manifest_row(dict(row), path_in(row, keys.audio or "audio_filepath", _PATH_CURE), keys)]
    return _requests_of_plain_row(fields_before_cut(row), keys.audio or "original_file")


def _what_of(row: Mapping[str, Any], audio_key: str) -> str:
    if "original_file" in row or (audio_key and audio_key in row and "original_end_ms" in row):
        return "rows"
    for key in _ENTRY_REQUESTS:
        if key in row:
            return key
    if "duration" in row or "offset" in row:
        return "rows"
    raise EntryError(
        FailureCode.MISSING_KEY,
        "the row has none of 'original_file', 'filtered_windows', 'segments', 'diar_segments', 'duration' and 'offset'",
        "write rows of clips with original_file, rows of a NeMo manifest, or entries with one of these lists",
    )


def _is_manifest_row(row: Mapping[str, Any], audio_key: str) -> bool:
    is_clip = "original_file" in row or "original_end_ms" in row
    return not is_clip and (audio_key or "audio_filepath") in row and ("duration" in row or "offset" in row)


def _requests_of_plain_row(row: Fields, audio_key: str) -> list[ClipRequest | BadInterval]:
    path = path_in(row, audio_key, _PATH_CURE)
    in_front = {} if audio_key == "original_file" else {"original_file": path}
    row = in_front | row | {"original_file": path}
    combo = combo_of(row)
    if combo == 3:
        return _requests_of_turns(row)
    if "original_end_ms" not in row:
        raise EntryError(FailureCode.MISSING_KEY, "key 'original_end_ms' is absent", "add the end time in milliseconds")
    start = time_at(row.get("original_start_ms", 0), "original_start_ms", "ms")
    end = None
    if row["original_end_ms"] is not None or "duration" not in row or row["duration"] is not None:
        end = time_at(row["original_end_ms"], "original_end_ms", "ms")
        check_forward(start, end, "the row", "ms")
    if row.get("duration") is not None:
        time_at(row["duration"], "duration", "s")
    channel = channel_in(row)
    return [ClipRequest(fields=row, combo=combo, index=0, start=start, end=end, unit="ms", channel=channel)]


def _requests_of_turns(row: Fields) -> list[ClipRequest | BadInterval]:
    """Ask for the turns of a row of combo 3; null counts as none, as in the reference."""
    turns = checked_list(row, "diar_segments") if row["diar_segments"] is not None else []
    rest = {key: value for key, value in row.items() if key != "diar_segments"}
    return each_alone(
        in_time_order(turns, "diar_segments"),
        partial(_request_of_turn, rest),
        lambda turn: row | {"diar_segments": [turn.item]},
    )


def _request_of_turn(row: Fields, turn: Interval) -> ClipRequest:
    start, end = span_of(turn.item, turn.where)
    check_forward(start, end, turn.where, "s")
    start_ms, end_ms = int(start * 1000), int(end * 1000)
    check_forward(start_ms, end_ms, f"{turn.where}, in whole milliseconds,", "ms")
    fields = row | {"original_start_ms": start_ms, "original_end_ms": end_ms, "duration": end - start}
    if "duration_ms" in row:
        fields["duration_ms"] = end_ms - start_ms
    channel = channel_in(row)
    if isinstance(turn.item, dict):
        own = channel_in(turn.item, turn.where)
        if own is not None:
            fields[CHANNEL_KEY] = channel = own
        if turn.item.get("speaker") is not None:
            fields["speaker_id"] = turn.item["speaker"]
    return ClipRequest(fields=fields, combo=3, index=turn.index, start=start_ms, end=end_ms, unit="ms", channel=channel)
