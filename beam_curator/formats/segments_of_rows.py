"""The segments of a row of any kind that `extract` reads: an entry, a clip, a row of NeMo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from beam_curator.clips.entry_pieces import EntryKeys
from beam_curator.clips.records import BadInterval, ClipRequest
from beam_curator.clips.requests import What, requests_of_row
from beam_curator.entries.channel_key import channel_in
from beam_curator.failures import EntryError, FailureCode
from beam_curator.formats.annotations import Segment, Word
from beam_curator.formats.convert_options import ConvertOptions
from beam_curator.intervals import Seconds
from beam_curator.recordings.asked import SESSION_KEY
from beam_curator.recordings.recording_ids import wanted_id
from beam_curator.recordings.row_paths import path_in
from beam_curator.recordings.safe_names import speaker_text, stem_of
from beam_curator.separation.speaker_turns import NO_SPEAKER, speaker_name

_LISTS = ("segments", "diar_segments", "filtered_windows")
_MILLISECONDS = {"ms": 1000, "s": 1}


@dataclass(slots=True, kw_only=True)
class RowSegments:
    """A row as far as formats of turns hold it.

    Attributes:
      path: of its recording, as the row has it.
      wanted_id: that the recording goes by, unless another one wants it, too.
      duration: of the whole recording, where the row says it.
      sample_rate: likewise.
      segments: in the order of time.
      bad: pieces that are none.
      n_no_speaker: pieces without anybody, which are left out.
      n_windows: segments that are training windows, whose own turns are lost.
    """

    path: str
    wanted_id: str
    duration: Seconds | None = None
    sample_rate: int | None = None
    segments: list[Segment] = field(default_factory=list)
    bad: list[BadInterval] = field(default_factory=list)
    n_no_speaker: int = 0
    n_windows: int = 0

    @property
    def n_pieces(self) -> int:
        """Number of all pieces of the row."""
        return len(self.segments) + len(self.bad) + self.n_no_speaker


def segments_of_row(row: Mapping[str, Any], options: ConvertOptions, *, member: str | None = None) -> RowSegments:
    """Read the segments of a row.

    Args:
      row: of a manifest or an output set.
      options: that choose them.
      member: the recording of a row of a NeMo tarred dataset.

    Raises:
      EntryError: the row names no recording, or has no segments.

    Example:
      >>> row = {"audio_filepath": "a.wav", "segments": [{"start": 0, "end": 2.5, "speaker": 1}]}
      >>> segments_of_row(row, ConvertOptions(to="rttm")).segments[0].speaker
      'speaker_1'
    """
    keys = EntryKeys(audio=options.audio_filepath_key, own=("words",))
    items = requests_of_row(row, cast(What, options.what), keys, member=member)
    paths = [item.fields["original_file"] for item in items if isinstance(item, ClipRequest)]
    path = paths[0] if paths else member or path_in(row, keys.audio or "audio_filepath", "name another key")
    name = row.get(SESSION_KEY)
    found = RowSegments(path=path, wanted_id=wanted_id(row, name if isinstance(name, str) and name else stem_of(path)))
    if any(key in row for key in _LISTS) and row.get("offset") is None:
        found.duration = _number(row.get("duration"))
        rate = _number(row.get("audio_sample_rate"))
        found.sample_rate = int(rate) if rate is not None else None
    for item in items:
        _add(found, item)
    found.segments.sort(key=lambda segment: (segment.start, segment.end, segment.speaker))
    return found


def _add(found: RowSegments, item: ClipRequest | BadInterval) -> None:
    if isinstance(item, BadInterval):
        found.bad.append(item)
        return
    try:
        segment = _segment_of(item)
    except EntryError as err:
        found.bad.append(BadInterval(error=err, fields=item.fields))
        return
    if segment.speaker == NO_SPEAKER:
        found.n_no_speaker += 1
    else:
        found.segments.append(segment)
        found.n_windows += "turns" in item.fields


def _segment_of(request: ClipRequest) -> Segment:
    if request.end is None:
        raise EntryError(FailureCode.BAD_TIME, "the piece has no end", "write its duration in seconds")
    per_second = _MILLISECONDS[request.unit]
    if request.start < 0:
        found = f"the piece begins at {request.start / per_second:g} s"
        raise EntryError(FailureCode.BAD_TIME, f"{found}, expected 0 or later", "shift the times, or leave it out")
    speaker, text = request.fields.get("speaker_id"), request.fields.get("text")
    return Segment(
        start=request.start / per_second,
        end=request.end / per_second,
        speaker="" if speaker is None else speaker_name(speaker) or speaker_text(speaker),
        text=text if isinstance(text, str) else "",
        channel=channel_in(request.fields),
        words=_words(request.fields.get("words")),
    )


def _words(items: Any) -> tuple[Word, ...]:
    """Return the words of a segment; none where some have no times."""
    words = []
    for item in items if isinstance(items, list) else ():
        word, start, end = (
            (item.get(key) for key in ("word", "start", "end")) if isinstance(item, dict) else (None,) * 3
        )
        begin, stop = _number(start), _number(end)
        if not isinstance(word, str) or begin is None or stop is None or not begin <= stop:
            return ()
        words.append(Word(start=begin, end=stop, word=word))
    return tuple(words)


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value <= 1e9 else None
