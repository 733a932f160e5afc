"""Rows of Lhotse's manifests as entries: cuts, recordings, and supervisions with their recording."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeGuard

from beam_curator.entries.channel_key import CHANNEL_KEY
from beam_curator.entries.entry import MAX_SECONDS
from beam_curator.entries.json_lines import kind_of
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds

Row = Mapping[str, Any]

RECORDING_KEY = "recording_id"
_CUTS = ("MonoCut", "MultiCut", "Cut")
_NO_CUTS = ("MixedCut", "PaddingCut")
_OF_A_CUT = frozenset({"recording", "supervisions", "start", "duration", CHANNEL_KEY, "type"})
_OF_A_RECORDING = frozenset({"id", "sources", "sampling_rate", "num_samples", "duration", "channel_ids"})
_OF_A_SUPERVISION = frozenset({"start", "duration", CHANNEL_KEY, "alignment", RECORDING_KEY})
"""Keys that an entry, or a segment, has in another form; all others stay as they are."""

_SAVE = "save the audio with CutSet.save_audios of Lhotse, and read the manifest of the cuts that this returns"
_WRITE = "write the manifest with Lhotse"
_DIGITS = 8
"""Decimals of a second to which Lhotse rounds sums of times."""
_SLACK = 0.001
"""Seconds by which a supervision may reach beyond its cut: Lhotse rounds cuts to samples."""


def entry_of_lhotse(row: Row) -> dict[str, Any] | None:
    """Return the entry that a cut or a recording of Lhotse stands for; None for a row of any other kind.

    Times are seconds of the recording, as in all entries. A cut that is not its whole recording has `duration`; its
    supervisions end where it does. Words keep the times that Lhotse gives them, which are those of the recording, too.

    Raises:
      EntryError: it cannot be an entry, as it mixes recordings, changes them, or has none in a file.

    Example:
      >>> source = {"type": "file", "channels": [0], "source": "a.wav"}
      >>> recording = {"id": "a", "sources": [source], "sampling_rate": 8000, "duration": 60}
      >>> turns = [{"start": 1, "duration": 2.5, "speaker": "ana"}]
      >>> cut = {"type": "MonoCut", "start": 30, "duration": 10, "channel": 0, "supervisions": turns}
      >>> entry_of_lhotse(cut | {"recording": recording})
      {'audio_filepath': 'a.wav', 'audio_sample_rate': 8000, 'recording_id': 'a', 'offset': 30, 'duration': 10,
       'segments': [{'start': 31.0, 'end': 33.5, 'speaker': 'ana'}]}
    """
    if row.get("type") in _NO_CUTS:
        raise _refusal(f"a {row['type']} is no part of one recording", _SAVE)
    if row.get("type") in _CUTS and "audio_filepath" not in row:
        return _entry_of_cut(row)
    if isinstance(row.get("sources"), list) and "sampling_rate" in row and "audio_filepath" not in row:
        return _recording_fields(row, _files_of(row, ())[0])
    return None


def entry_of_supervisions(recording: Row, supervisions: Sequence[Row]) -> dict[str, Any]:
    """Return the entry of a recording with its supervisions as segments, in order of time.

    Raises:
      EntryError: see `entry_of_lhotse`.
    """
    files, channels = _files_of(recording, ())
    return _recording_fields(recording, files) | {"segments": _segments(supervisions, channels)}


def _entry_of_cut(cut: Row) -> dict[str, Any]:
    recording = cut.get("recording")
    if not isinstance(recording, dict):
        raise _refusal("the cut has no recording, only features", "make cuts with CutSet.from_manifests(recordings=…)")
    heard = _channels(cut.get(CHANNEL_KEY))
    files, channels = _files_of(recording, heard)
    start, duration = _number(cut, "start"), _number(cut, "duration")
    end = round(start + duration, _DIGITS)
    entry = _recording_fields(recording, files) | {"offset": start}
    if start > 0 or (_number(recording, "duration") - end) * entry["audio_sample_rate"] > 1:
        entry["duration"] = duration
    if len(heard) == 1 and len(channels) > 1:
        entry[CHANNEL_KEY] = channels.index(heard[0])
    elif heard and set(heard) != set(channels):
        raise _refusal(f"the cut has channels {heard} of {channels}", "cut one channel, or all channels of the file")
    shared = channels if len(heard) > 1 else []
    segments = _segments(_objects(cut, "supervisions"), shared, offset=start, end=end)
    return {key: value for key, value in cut.items() if key not in _OF_A_CUT} | entry | {"segments": segments}


def _recording_fields(recording: Row, files: str | list[str]) -> dict[str, Any]:
    """Return the entry of a recording without segments."""
    fields = {"audio_filepath": files, "audio_sample_rate": _number(recording, "sampling_rate")}
    if "id" in recording:
        fields[RECORDING_KEY] = recording["id"]
    return fields | {key: value for key, value in recording.items() if key not in _OF_A_RECORDING | fields.keys()}


def _files_of(recording: Row, heard: Collection[int]) -> tuple[str | list[str], list[int]]:
    """Return the file of a recording that has the given channels, or all of it for none, and the channels in there.

    Several files are a list, if each of them has one channel.
    """
    if recording.get("transforms"):
        raise _refusal("the recording has transforms: its file holds other samples, or times", _SAVE)
    sources = _objects(recording, "sources")
    chosen = [each for each in sources if not heard or set(heard) & set(_channels(each.get("channels")))]
    channels = [channel for each in chosen for channel in _channels(each.get("channels"))]
    if not chosen or not set(heard) <= set(channels):
        raise _refusal(f"no file of the recording has channel {sorted(set(heard) - set(channels))}", _WRITE)
    if len(chosen) > 1 and len(channels) != len(chosen):
        raise _refusal(f"the recording lies in {len(chosen)} files of several channels", "make a cut of each channel")
    for each in chosen:
        if each.get("type", "file") != "file" or not isinstance(each.get("source"), str):
            problem = f"the recording is of type {each.get('type')!r}, expected file"
            raise EntryError(FailureCode.SCHEME_NOT_ALLOWED, problem, _SAVE)
    paths = [each["source"] for each in chosen]
    return (paths[0] if len(paths) == 1 else paths), channels


def _objects(fields: Row, key: str) -> list[Row]:
    listed = fields.get(key, [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise _refusal(f"{key} is {kind_of(listed)}, expected an array of objects", _WRITE)
    return listed


def _channels(value: Any) -> list[int]:
    listed = value if isinstance(value, list) else [] if value is None else [value]
    if not all(type(each) is int for each in listed):
        raise _refusal(f"channel is {kind_of(value)}, expected numbers from 0", _WRITE)
    return listed


def _segments(
    supervisions: Sequence[Row], channels: list[int], *, offset: Seconds = 0.0, end: Seconds | None = None
) -> list[dict[str, Any]]:
    """Return supervisions as segments, in order of time; where there are several channels, they name theirs."""
    segments = [_segment(each, offset, end) for each in supervisions]
    for segment, each in zip(segments, supervisions, strict=True):
        own = _channels(each.get(CHANNEL_KEY))
        if len(channels) > 1 and len(own) == 1 and own[0] in channels:
            segment[CHANNEL_KEY] = channels.index(own[0])
    return sorted(segments, key=lambda segment: (segment["start"] is None, segment["start"] or 0.0))


def _segment(supervision: Row, offset: Seconds, cut_end: Seconds | None) -> dict[str, Any]:
    """Return a supervision as a segment, which ends with its cut; without usable times it is left to the jobs."""
    start, duration = supervision.get("start"), supervision.get("duration")
    segment: dict[str, Any] = {"start": None, "end": None}
    words = _words(supervision)
    if _is_number(start) and _is_number(duration):
        begin, end = round(float(start + offset), _DIGITS), round(float(start + offset + duration), _DIGITS)
        if cut_end is not None and (begin < offset - _SLACK or end > cut_end + _SLACK):
            begin, end = max(begin, offset), min(end, cut_end)
            words = [word for word in words if begin <= word["start"] + _SLACK and word["end"] <= end + _SLACK]
        segment = {"start": begin, "end": end}
    segment |= {key: value for key, value in supervision.items() if key not in _OF_A_SUPERVISION}
    return segment | {"words": words} if words else segment


def _words(supervision: Row) -> list[dict[str, Any]]:
    """Return the words of a supervision, in either form that Lhotse has written: arrays, and objects before 1.8."""
    words, alignment = [], supervision.get("alignment")
    items = alignment.get("word") if isinstance(alignment, dict) else None
    for item in items if isinstance(items, list) else []:
        values = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        symbol, start, duration = [*values, None, None, None][:3]
        if not isinstance(symbol, str) or not _is_number(start) or not _is_number(duration):
            raise _refusal(f"word {item!r:.60} has no times", "write words as [symbol, start, duration]")
        if symbol.strip():  # a pause
            words.append({"word": symbol, "start": float(start), "end": round(float(start + duration), _DIGITS)})
    return words


def _number(fields: Row, key: str) -> Any:
    if not _is_number(fields.get(key)) or fields[key] < 0:
        raise _refusal(f"{key} is {kind_of(fields.get(key))}, expected a number from 0", _WRITE)
    return fields[key]


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and abs(value) <= MAX_SECONDS


def _refusal(problem: str, cure: str) -> EntryError:
    return EntryError(FailureCode.BAD_TYPE, problem, cure)
