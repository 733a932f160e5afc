"""The pieces of an entry: its segments, its turns, or the training windows that were kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from beam_curator.clips.interval_lists import (
    check_forward,
    checked_list,
    each_alone,
    in_time_order,
    span_of,
    start_of,
)
from beam_curator.clips.records import BadInterval, ClipRequest, Fields, Interval
from beam_curator.entries.channel_key import CHANNEL_KEY, channel_in
from beam_curator.entries.json_lines import kind_of
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds
from beam_curator.recordings.asked import piece_of

_LISTS = frozenset(
    {"segments", "diar_segments", "windows", "filtered_windows", "filtered", "stats", "words", "filtered_dur_list"}
    | {"total_dur_list_window", "total_dur_list_window_timestamps"}
)
"""What jobs put into entries besides single values; left out of the row of a single bad piece."""

_PAIRS = "total_dur_list_window_timestamps"

_ABOUT_THE_ENTRY = frozenset(
    {"audio_filepath", "audio_sample_rate", "offset", "duration", "text", "speaker_id"}
    | {"original_file", "original_start_ms", "original_end_ms", "duration_ms", "speaking_duration"}
    | {"truncation_events", "total_dur_window", "filtered_dur", "manifest_filepath", "swift_filepath"}
)
"""Single values of an entry that are true of the whole recording only: clips do not inherit them."""

_ABOUT_THE_ROW = (_ABOUT_THE_ENTRY | {"shard_id", "turns"}) - {"text", "speaker_id"}
"""Keys of a NeMo manifest's row that do not hold for its piece, once that is a file of its own."""

_ABOUT_THE_ITEM = frozenset({"start", "end", "speaker", "speaker_id", "text", "metrics", "words", "cut_words"})
"""Keys of a segment that are written in another way, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryKeys:
    """Keys of an entry that a user names.

    Attributes:
      audio: the key that holds the path, where it is not `audio_filepath`.
      kept: keys that clips have from their item, or else from the entry, whatever they hold.
      own: keys that clips have from their item only, whatever they hold: what is true of a whole recording is not
        true of its pieces.
    """

    audio: str = ""
    kept: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


_OpenSpan = tuple[Seconds, Seconds | None]
"""Begin and end of a piece in seconds; None for the end of its recording."""


def request_of_manifest_row(row: Fields, path: str, keys: EntryKeys) -> ClipRequest:
    """Ask for the piece that a row of a NeMo manifest is: see `piece_of`.

    Fields are as those of a segment; `speaker` becomes `speaker_id`.

    Raises:
      EntryError: `offset` or `duration` is no time.
    """
    span = piece_of(row)
    item = {key: value for key, value in row.items() if key not in _ABOUT_THE_ROW or key in keys.kept + keys.own}
    return _request_of_span(_times(path, span), item, {}, keys, Interval(index=0, where="the row", item=item), span)


def requests_of_items(entry: Fields, path: str, keys: EntryKeys, key: str) -> list[ClipRequest | BadInterval]:
    """Ask for each of an entry's `segments`, or of its turns in `diar_segments`, in time order.

    An item is an object with `start`, `end` and perhaps `speaker`, or a pair `[start, end]`.

    Fields are, in this order: `original_file`, `original_start_ms`, `original_end_ms`, `duration` in seconds,
    `speaker_id` and `text` where there are any, the segment's other single values, those of its `metrics` by their own
    names, and the entry's, but for what is true of the whole recording only. Of equal keys the first stays. Where an
    entry has a `speaker_id`, segments without a speaker are taken to be theirs. `channel` is that of the segment, or
    else of the entry.

    Args:
      entry: the row.
      path: its recording, as given.
      keys: that a user names.
      key: of the list.

    Raises:
      EntryError: the list is absent or no array.
    """
    items = checked_list(entry, key)
    common = _common_fields(entry, keys)
    speaker = entry.get("speaker_id")
    return each_alone(
        in_time_order(items, key),
        partial(_request_of_item, path, common, speaker if _is_scalar(speaker) else None, keys),
        lambda piece: _with_only(entry, key, piece.item),
    )


def requests_of_windows(entry: Fields, path: str, keys: EntryKeys) -> list[ClipRequest | BadInterval]:
    """Ask for each of an entry's `filtered_windows`, from its first segment's begin to its last end.

    Fields are those of a segment without `speaker_id`, with `num_speakers`, how many there are, with `text`, all texts
    one after the other, and at the end with `turns`: `[start, end, speaker]` of each segment, seconds of the recording.
    A window has a `channel` where all its segments name the same one.

    Where windows are index ranges (layout `spans`), times come from the entry's `filtered`, which holds pairs
    `[end, start]`, end first, one for each different window, and the channel from the windows that
    `total_dur_list_window_timestamps` lists by such pairs; what was said and by whom is not known then.

    Args and errors are those of `requests_of_items`; besides, index ranges without `filtered` are an error.
    """
    windows = checked_list(entry, "filtered_windows")
    common = _common_fields(entry, keys)
    ranges = [window for window in windows if _is_index_range(window)]
    if ranges:
        if "filtered" not in entry:
            raise EntryError(
                FailureCode.MISSING_KEY,
                "filtered_windows are index ranges, and key 'filtered' with their times is absent",
                "keep 'filtered' in the row, or build the windows with --layout full",
            )
        known = _windows_by_pair(entry)
        return each_alone(
            in_time_order(checked_list(entry, "filtered"), "filtered", _start_of_pair),
            partial(_request_of_pair, path, common, known),
            partial(_only_pair, entry, ranges[0], known),
        )
    return each_alone(
        in_time_order(windows, "filtered_windows", _start_of_window),
        partial(_request_of_window, path, common, keys),
        lambda window: _with_only(entry, "filtered_windows", window.item),
    )


def milliseconds(time: Seconds) -> float:
    """Return a time in milliseconds to six decimals, an integer where it is whole.

    Example:
      >>> milliseconds(3.18), milliseconds(0.1234567), milliseconds(2)
      (3180, 123.4567, 2000)
    """
    scaled = round(time * 1000, 6)
    return int(scaled) if scaled == int(scaled) else scaled


def _with_only(entry: Fields, key: str, item: Any) -> Fields:
    return {name: value for name, value in entry.items() if name not in _LISTS} | {key: [item]}


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _values(fields: Fields, without: frozenset[str], kept: tuple[str, ...] = ()) -> Fields:
    """Return single values of an object, and whatever the kept keys hold."""
    return {key: value for key, value in fields.items() if key in kept or (_is_scalar(value) and key not in without)}


def _common_fields(entry: Fields, keys: EntryKeys) -> Fields:
    """Return the fields that every clip of an entry inherits from it."""
    return _values(entry, _ABOUT_THE_ENTRY | {keys.audio, *keys.own}, keys.kept)


def _times(path: str, span: _OpenSpan) -> Fields:
    start, end = span
    return {
        "original_file": path,
        "original_start_ms": milliseconds(start),
        "original_end_ms": None if end is None else milliseconds(end),
        "duration": None if end is None else end - start,
    }


def _request(fields: Fields, combo: int, piece: Interval, span: _OpenSpan) -> ClipRequest:
    return ClipRequest(
        fields=fields,
        combo=combo,
        index=piece.index,
        start=span[0],
        end=span[1],
        unit="s",
        channel=channel_in(fields),
    )


def _request_of_item(path: str, common: Fields, entry_speaker: Any, keys: EntryKeys, piece: Interval) -> ClipRequest:
    span = span_of(piece.item, piece.where)
    check_forward(*span, piece.where, "s")
    item: Fields = piece.item if isinstance(piece.item, dict) else {}
    channel_in(item, piece.where)
    return _request_of_span(_times(path, span), {"speaker_id": entry_speaker} | item, common, keys, piece, span)


def _request_of_span(
    fields: Fields, item: Fields, common: Fields, keys: EntryKeys, piece: Interval, span: _OpenSpan
) -> ClipRequest:
    """Make the request for a piece with its speaker and text, its other values, its metrics, and the common fields."""
    speaker = _first_known(item.get("speaker"), item.get("speaker_id"))
    if speaker is not None:
        fields["speaker_id"] = speaker
    if isinstance(item.get("text"), str):
        fields["text"] = item["text"]
    metrics = item.get("metrics")
    more = [
        _values(item, _ABOUT_THE_ITEM, keys.kept + keys.own),
        _values(metrics, frozenset()) if isinstance(metrics, dict) else {},
    ]
    return _request(_filled(fields, *more, common), 2 if speaker is None else 4, piece, span)


def _filled(fields: Fields, *more: Fields) -> Fields:
    """Add further keys one after the other; of equal ones the first stays."""
    for values in more:
        for key, value in values.items():
            if key not in fields and key != "speaker_id":
                fields[key] = value
    return fields


def _first_known(*speakers: Any) -> Any:
    return next((speaker for speaker in speakers if speaker is not None and speaker != ""), None)


def _is_index_range(window: Any) -> bool:
    segments = window.get("segments") if isinstance(window, dict) else None
    return isinstance(segments, (list, tuple)) and len(segments) == 2 and all(type(end) is int for end in segments)


def _start_of_pair(pair: Any) -> float:
    return start_of(pair[::-1] if isinstance(pair, (list, tuple)) else None)


_Known = Mapping[tuple[Any, ...] | None, list[Fields]]
"""Windows that say their channel, by their times as a pair."""


def _windows_by_pair(entry: Fields) -> _Known:
    windows, pairs = entry.get("windows"), entry.get(_PAIRS)
    if not isinstance(windows, list) or not isinstance(pairs, list) or len(windows) != len(pairs):
        return {}
    known: dict[tuple[Any, ...] | None, list[Fields]] = {}
    for window, pair in zip(windows, pairs, strict=True):
        if isinstance(window, dict) and CHANNEL_KEY in window:
            known.setdefault(_as_key(pair), []).append(window)
    return known


def _as_key(pair: Any) -> tuple[Any, ...] | None:
    return tuple(pair) if isinstance(pair, (list, tuple)) and all(map(_is_scalar, pair)) else None


def _only_pair(entry: Fields, a_range: Any, known: _Known, piece: Interval) -> Fields:
    """Return the row of one pair alone, with its channel where that is known."""
    pair, windows = piece.item, known.get(_as_key(piece.item), [])
    channels = {"windows": windows, _PAIRS: [pair] * len(windows)} if windows else {}
    return _with_only(entry, "filtered_windows", a_range) | {"filtered": [pair]} | channels


def _on_channel_of(windows: list[Fields], common: Fields, where: str) -> Fields:
    """Return the common fields with the channel of windows of the same times, or without one where they differ."""
    channels = {channel_in(window, where) for window in windows}
    if not channels:
        return common
    channel = channels.pop() if len(channels) == 1 else None
    if channel is not None:
        return common | {CHANNEL_KEY: channel}
    return {key: value for key, value in common.items() if key != CHANNEL_KEY}


def _request_of_pair(path: str, common: Fields, known: _Known, piece: Interval) -> ClipRequest:
    if not isinstance(piece.item, (list, tuple)) or len(piece.item) != 2:
        raise EntryError(
            FailureCode.BAD_TYPE, f"{piece.where} is no pair [end, start]", "write both times in seconds, end first"
        )
    end, start = piece.item
    span = span_of({"start": start, "end": end}, piece.where)
    check_forward(*span, piece.where, "s")
    common = _on_channel_of(known.get(_as_key(piece.item), []), common, piece.where)
    return _request(_filled(_times(path, span), common), 2, piece, span)


def _start_of_window(window: Any) -> float:
    segments = window.get("segments") if isinstance(window, dict) else None
    return start_of(segments[0] if isinstance(segments, (list, tuple)) and segments else None)


def _request_of_window(path: str, common: Fields, keys: EntryKeys, piece: Interval) -> ClipRequest:
    segments = _segments_of(piece)
    spans = [span_of(segment, f"{piece.where}.segments[{position}]") for position, segment in enumerate(segments)]
    span = spans[0][0], max(end for _, end in spans)
    check_forward(*span, piece.where, "s")
    fields = _times(path, span)
    speakers = [_first_known(segment.get("speaker")) for segment in segments]
    different = {repr(speaker) for speaker in speakers if speaker is not None}
    if different:
        fields["num_speakers"] = len(different)
    text = " ".join(_texts_of(segments))
    if text:
        fields["text"] = text
    common = _on_one_channel(common, segments, piece.where)
    _filled(fields, _values(piece.item, _ABOUT_THE_ITEM, keys.kept + keys.own), common)
    fields["turns"] = [[start, end, speaker] for (start, end), speaker in zip(spans, speakers, strict=True)]
    return _request(fields, 2, piece, span)


def _on_one_channel(common: Fields, segments: list[Fields], where: str) -> Fields:
    """Return the common fields of a window with the channel of its segments, or without one where they differ."""
    common_channel = channel_in(common)
    channels = {
        _first_known(channel_in(segment, f"{where}.segments[{position}]"), common_channel)
        for position, segment in enumerate(segments)
    }
    if len(channels) > 1:
        return {key: value for key, value in common.items() if key != CHANNEL_KEY}
    channel = channels.pop()
    return common if channel == common_channel else common | {CHANNEL_KEY: channel}


def _segments_of(piece: Interval) -> list[Fields]:
    segments = piece.item.get("segments") if isinstance(piece.item, dict) else None
    if not isinstance(segments, (list, tuple)) or not segments or not all(isinstance(each, dict) for each in segments):
        found = kind_of(piece.item) if not isinstance(piece.item, dict) else "without them"
        raise EntryError(
            FailureCode.BAD_TYPE,
            f"{piece.where} is {found}, expected an object with segments",
            "build the training windows again",
        )
    return list(segments)


def _texts_of(segments: list[Fields]) -> Iterator[str]:
    for segment in segments:
        text = segment.get("text")
        if isinstance(text, str) and text.strip():
            yield text.strip()
