"""Rows of any set as the page shows them: who talks, windows, clips, losses, and the values that rules look at."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from beam_curator.failures import EntryError
from beam_curator.intervals import Seconds, Span, united
from beam_curator.separation.speaker_turns import NO_SPEAKER, speaker_name, turns_of_row
from beam_curator.windows.window_counts import LOSSES

Turn = tuple[Seconds, Seconds, str]
_NO_SCORE = re.compile(r"_.*|n_.*|real_.*|original_.*|.*_(ms|index|sec)|offset|audio_sample_rate")
_COLUMNS = ("duration", "num_speakers", "num_channels")
"""Numbers that have a column of their own, or say little."""
_WINDOW_TIMES = "total_dur_list_window_timestamps"
_SEPARATED = ("overlapped", "buffer", "too_short")


class Window(NamedTuple):
    """A training window: its times, its number of speakers, and whether it was kept."""

    start: Seconds
    end: Seconds
    n_speakers: int
    is_kept: bool


class Clip(NamedTuple):
    """A clip: its times in the recording, who talks, its file, and the filters that it failed."""

    start: Seconds
    end: Seconds
    speaker: str
    file: str
    failed: str


class Value(NamedTuple):
    """A number that a rule may look at: the kind of thing that has it, its key, and the seconds that it stands for."""

    of: str
    key: str
    value: float
    seconds: Seconds


class Shown(msgspec.Struct, omit_defaults=True):
    """A row as far as the page shows it.

    Attributes:
      id: that the recording goes by; "" where the row says none.
      duration: of the whole recording, seconds; None where the row does not say it.
      sample_rate: of the recording, Hz; None likewise.
      turns: who talks, sorted by start.
      windows: all that were planned.
      clips: pieces that were cut.
      lost: how much was lost, by reason.
      scores: numbers of the recording, or of the clip, as a whole.
    """

    id: str = ""
    duration: float | None = None
    sample_rate: float | None = None
    turns: list[Turn] = []
    windows: list[Window] = []
    clips: list[Clip] = []
    lost: dict[str, float] = {}
    scores: dict[str, float] = {}


def shown_row(fields: Mapping[str, Any]) -> Shown:
    """Read a row of a set by its shape: a clip, a track, an entry with windows, or an entry with turns.

    Example:
      >>> shown = shown_row({"duration": 9, "segments": [{"start": 1, "end": 3, "speaker": "a"}], "snr_db": 20.5})
      >>> shown.turns, shown.duration, shown.scores
      ([(1, 3, 'a')], 9, {'snr_db': 20.5})
    """
    scores = {key: value for key, value in _numbers(fields) if key not in _COLUMNS}
    if "original_start_ms" in fields:
        reason = fields.get("reason")
        lost = {f"rejected by {reason}": 1.0} if reason else {}
        return Shown(clips=[_clip_of(fields)], scores=scores, lost=lost)
    separated = fields.get("separation")
    if isinstance(separated, dict):
        speaker = str(fields.get("speaker_id", ""))
        turns = [(start, end, speaker) for start, end in fields["diar_segments"]]
        lost = {f"{part} s": separated[part] for part in _SEPARATED if separated.get(part)}
        return Shown(turns=turns, lost=lost, scores=scores, duration=fields.get("track_duration"))
    shown = Shown(turns=_turns_of(fields), scores=scores)
    name = fields.get("recording_id")
    shown.id = name if isinstance(name, str) else ""
    shown.duration, shown.sample_rate = _number(fields.get("duration")), _number(fields.get("audio_sample_rate"))
    stats = fields.get("stats")
    if isinstance(stats, dict) and _WINDOW_TIMES in fields:
        shown.scores, shown.windows = {}, _windows_of(fields)
        shown.turns = shown.turns or _turns_in(fields["windows"], stats.get("lost_win_full_data") or ())
        shown.lost = {reason: stats[reason] for reason in LOSSES if stats.get(reason)}
        n_lost = sum(not window.is_kept for window in shown.windows)
        shown.lost |= {"overlap": n_lost} if n_lost else {}
    return shown


def _number(value: Any) -> float | None:
    return value if type(value) in (int, float) else None


def _numbers(fields: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a row that are neither times, places nor sizes."""
    for key, value in fields.items():
        if type(value) in (int, float) and not _NO_SCORE.fullmatch(key):
            yield key, value


def _turns_of(fields: Mapping[str, Any]) -> list[Turn]:
    try:
        turns = turns_of_row(fields).turns
    except EntryError:  # rows without turns are shown, too
        return []
    return sorted((turn.start, turn.end, turn.speaker) for turn in turns)


def _turns_in(windows: list[Any], tries: Sequence[Any]) -> list[Turn]:
    """Return the turns that windows, and starts that gave none, are made of: their rows may have lost all others."""
    segments = [segment for window in windows for segment in window["segments"]]
    segments += [segment for tried in tries for segment in tried["window_segs"]]
    found = {
        (segment["start"], segment["end"], speaker)
        for segment in segments
        if isinstance(segment, dict) and (speaker := speaker_name(segment.get("speaker"))) not in (None, NO_SPEAKER)
    }
    return sorted(found)


def _clip_of(fields: Mapping[str, Any]) -> Clip:
    start, end = (fields[f"original_{end}_ms"] / 1000 for end in ("start", "end"))
    file = fields.get("extracted_path") or fields.get("audio_filepath") or ""
    failed = fields.get("filtered_by") or fields.get("filters_failed") or [fields.get("reason") or ""]
    return Clip(start, end, str(fields.get("speaker_id") or ""), str(file), ", ".join(map(str, failed)))


def _windows_of(fields: Mapping[str, Any]) -> list[Window]:
    # the reference writes ends before starts
    spans = [(start, end) for end, start in fields[_WINDOW_TIMES]]
    kept = Counter((start, end) for end, start in fields.get("filtered") or ())
    windows = []
    for span, window in zip(spans, fields["windows"], strict=True):
        kept[span] -= 1
        windows.append(Window(*span, _n_speakers(window), kept[span] >= 0))
    return windows


def _n_speakers(window: Mapping[str, Any]) -> int:
    members = [segment.get("speaker") for segment in window["segments"] if isinstance(segment, dict)]
    # where only index ranges are given, the seconds of the first five speakers are there
    return len(set(members)) if members else sum(seconds > 0 for seconds in window["speaker_durations"])


def values_of(fields: Mapping[str, Any], shown: Shown) -> Iterator[Value]:
    """Yield the numbers of a row that rules may look at: of itself, of its segments, of its windows.

    Example:
      >>> row = {"duration": 9, "segments": [{"start": 1, "end": 3, "speaker": "a", "metrics": {"bandwidth": 8000}}]}
      >>> [(value.of, value.key, value.value, value.seconds) for value in values_of(row, shown_row(row))]
      [('recordings', 'duration', 9, 9), ('segments', 'metrics.bandwidth', 8000, 2)]
    """
    of = "clips" if shown.clips else "tracks" if "separation" in fields else "recordings"
    if "reason" in fields and shown.clips:  # what a filter rejected is no row of the set
        return
    whole = _number(fields.get("duration")) or 0
    for key, value in _numbers(fields):
        # a row of windows has sums of its windows, too
        if key == "duration" or _WINDOW_TIMES not in fields:
            yield Value(of, key, value, whole)
    rate = _number(fields.get("audio_sample_rate"))
    if rate is not None:
        yield Value(of, "audio_sample_rate", rate, whole)
    segments = fields.get("segments")
    for segment in segments if isinstance(segments, list) else ():
        metrics = segment.get("metrics") if isinstance(segment, dict) else None
        for key, value in _numbers(metrics) if isinstance(metrics, dict) else ():
            yield Value("segments", f"metrics.{key}", value, _seconds(segment))
    for window in shown.windows:
        seconds = window.end - window.start
        yield Value("windows", "duration", round(seconds, 3), seconds)
        yield Value("windows", "speakers", window.n_speakers, seconds)


def _seconds(segment: Mapping[str, Any]) -> Seconds:
    start, end = _number(segment.get("start")), _number(segment.get("end"))
    return 0 if start is None or end is None else max(0, end - start)


def speech_of(turns: list[Turn]) -> tuple[Seconds, Seconds]:
    """Return the seconds in which anybody talks, and those in which several do.

    Example:
      >>> speech_of([(0, 4, "a"), (3, 5, "b"), (6, 7, "a")])
      (6.0, 1.0)
    """
    by_speaker: dict[str, list[Span]] = {}
    for start, end, speaker in turns:
        by_speaker.setdefault(speaker, []).append((start, end))
    own = [span for spans in by_speaker.values() for span in united(spans)]
    changes = sorted([(start, 1) for start, _ in own] + [(end, -1) for _, end in own])
    speech = crosstalk = before = n_talking = 0.0
    for time, change in changes:
        speech += (time - before) * (n_talking >= 1)
        crosstalk += (time - before) * (n_talking >= 2)
        before, n_talking = time, n_talking + change
    return speech, crosstalk
