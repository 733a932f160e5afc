"""Who spoke when: turns from frame probabilities, and the overlaps, the solo speech and the speakers of turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds

TICK = 0.01
"""Seconds of the grid on which NeMo starts and ends turns, whatever the frames of the model."""

_DECIMALS = 2
"""Decimals of a turn's times: `diarize` of NeMo rounds to them, then prints three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One speaker talks from `start` to `end`, in seconds, half-open.

    Attributes:
      start, end: seconds of the recording.
      speaker: the model's slot, from 0; of channels that are heard one by one, those of each follow one another.
      channel: the only one that was heard, from 0; None for the mean of all.
      name: of the speaker, where it is not that of the slot.
    """

    start: Seconds
    end: Seconds
    speaker: int
    channel: int | None = field(default=None, repr=False)
    name: str = field(default="", repr=False)

    @property
    def label(self) -> str:
        """The speaker's name in rows and RTTM, as the reference writes it: `speaker_0`."""
        return self.name or f"speaker_{self.speaker}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """At least two speakers talk at once, from `start` to `end` in seconds; `speakers` are sorted.

    Attributes:
      names: of the speakers, where they are not those of their slots.
      channel: the first of their channels; None for the mean of all.
    """

    start: Seconds
    end: Seconds
    speakers: tuple[int, ...]
    names: tuple[str, ...] = field(default=(), repr=False)
    channel: int | None = field(default=None, repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """The speakers' names, as their turns have them."""
        return self.names or tuple(f"speaker_{speaker}" for speaker in self.speakers)


def turns_from_probabilities(
    probabilities: NDArray[np.float32],
    rules: TurnRules,
    frame_step: Seconds = 0.08,
    duration: Seconds | None = None,
) -> list[Turn]:
    """Turn frame probabilities into turns, as `diarize` of NeMo 3.0 does.

    Times are rounded to 10 ms, as there. A turn that is open when the frames end, ends 10 ms before they do, plus
    `pad_offset` (NeMo's last tick, not its end). Three things differ from NeMo: where padding is cut at 0 for two
    turns, they are always merged into the longer (NeMo's unstable sort may keep the shorter); turns without length
    are dropped; and turns end with the recording, where its duration is given.

    Args:
      probabilities: float32 [n_frames, n_speakers], one row per `frame_step`.
      rules: thresholds and durations.
      frame_step: seconds from frame to frame, a multiple of 0.01.
      duration: seconds of the recording; ends beyond it become the last whole millisecond in it.

    Returns:
      Turns sorted by (start, end, speaker). Those of different speakers may overlap, those of one may touch.

    Raises:
      EntryError: a probability is not finite.
      ValueError: the array has not two dimensions, or `frame_step` is no multiple of 0.01.

    Example:
      >>> turns_from_probabilities(np.float32([[0.9], [0.9], [0.1]]), TurnRules())
      [Turn(start=0.0, end=0.16, speaker=0)]
    """
    if probabilities.ndim != 2:
        raise ValueError(f"probabilities of shape {probabilities.shape}, expected [n_frames, n_speakers]: reshape them")
    turns = [
        Turn(start=start, end=end, speaker=speaker)
        for speaker, track in enumerate(np.ascontiguousarray(probabilities.T))
        for start, end in rounded_spans(spans_of_track(track, rules, frame_step), duration)
    ]
    return sorted(turns, key=turn_order)


def spans_of_track(track: NDArray[np.float32], rules: TurnRules, frame_step: Seconds = 0.08) -> NDArray[np.float32]:
    """Find where one speaker talks, as NeMo's `ts_vad_post_processing`: threshold, pad, merge, drop short, fill gaps.

    Thresholds are compared and times held in float32, as there: whether a gap of exactly `min_duration_off` is filled
    depends on it.

    Args:
      track: float32 [n_frames], probabilities of one speaker.
      rules: thresholds and durations.
      frame_step: seconds from frame to frame, a multiple of 0.01.

    Returns:
      float32 [n_spans, 2], starts and ends in seconds, ascending and disjoint, not rounded.

    Raises:
      EntryError: a probability is not finite.
      ValueError: `frame_step` is no multiple of 0.01.

    Example:
      >>> spans_of_track(np.float32([0.9, 0.1, 0.1, 0.9, 0.1]), TurnRules(min_duration_off=0.2)).tolist()
      [[0.0, 0.3199999928474426]]
    """
    _check_finite(track)
    starts, ends = _crossings(np.asarray(track, np.float32), rules, ticks_of(frame_step))
    padded_starts = np.maximum(0.0, starts * TICK - rules.pad_onset)
    padded_ends = ends * TICK + rules.pad_offset
    kept = padded_ends > padded_starts
    spans = np.stack((padded_starts[kept], padded_ends[kept]), axis=1).astype(np.float32)
    # those that overlap or touch are one: starts and ends ascend
    spans = _joined(spans, spans[:-1, 1] >= spans[1:, 0])
    spans = spans[spans[:, 1] - spans[:, 0] >= np.float32(rules.min_duration_on)]
    gaps = spans[1:, 0] - spans[:-1, 1]
    return _joined(spans, gaps < np.float32(rules.min_duration_off))


def _crossings(track: NDArray[np.float32], rules: TurnRules, ticks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ticks at which speech starts and ends: two int64 arrays of one length."""
    onset, offset = np.float32(rules.onset), np.float32(rules.offset)
    # NeMo closes an open turn at its last tick, not behind it
    last = len(track) * ticks - 1
    # with crossed thresholds the state may flip at every tick within a frame, so ticks have to be counted
    if offset > onset:
        track, ticks = np.repeat(track, ticks), 1
    # strictly above and below, as in NeMo: a frame at a threshold changes nothing
    speech = _hysteresis(track > onset, track < offset)
    edges = np.flatnonzero(np.diff(speech, prepend=False, append=False))
    starts, ends = edges[::2] * ticks, edges[1::2] * ticks
    return starts, np.minimum(ends, last)


def _hysteresis(starting: NDArray[np.bool_], ending: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where a switch is on that `starting` turns on when it is off, and `ending` turns off when it is on.

    Where only one of them holds, the state is known; where both hold it flips, where none does it stays. So the state
    is the last known one, flipped as often as both have held since.
    """
    known = starting != ending
    flips = np.cumsum(starting & ending)
    last_known = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    before = last_known < 0
    # where nothing is known yet the index is -1, whose value is thrown away
    state = np.where(before, False, starting[last_known])
    flips_since: NDArray[np.int64] = flips - np.where(before, 0, flips[last_known])
    return state ^ (flips_since % 2 == 1)


def _joined(spans: NDArray[np.float32], joins: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Join each span with the next where `joins` (one shorter) says so."""
    if not joins.any():
        return spans
    heads = np.concatenate(([True], ~joins))
    tails = np.concatenate((~joins, [True]))
    return np.stack((spans[heads, 0], spans[tails, 1]), axis=1)


def rounded_spans(spans: NDArray[np.float32], duration: Seconds | None) -> Iterator[tuple[Seconds, Seconds]]:
    """Yield spans as turns have them: in 10 ms, within the recording where its duration is given, and with a length."""
    limit = np.inf if duration is None else _floor_to_milliseconds(duration)
    for start, end in spans.tolist():
        rounded = round(start, _DECIMALS), min(round(end, _DECIMALS), limit)
        if rounded[0] < rounded[1]:
            yield rounded


def ticks_of(frame_step: Seconds) -> int:
    """Return the ticks of a frame.

    Raises:
      ValueError: it is no multiple of a tick.
    """
    ticks = round(frame_step / TICK)
    if ticks < 1 or abs(ticks * TICK - frame_step) > 1e-9:
        raise ValueError(f"frame_step {frame_step:g} s is no multiple of {TICK} s: give the model's, such as 0.08")
    return ticks


def _floor_to_milliseconds(seconds: Seconds) -> Seconds:
    nearest = round(seconds, 3)
    # rounding may have gone up, beyond the recording
    return nearest if nearest <= seconds else round(nearest - 0.001, 3)


def _check_finite(track: NDArray[np.float32]) -> None:
    n_bad = len(track) - int(np.isfinite(track).sum())
    if n_bad:
        raise EntryError(
            FailureCode.NON_FINITE,
            f"{n_bad} of {len(track)} probabilities of a speaker are not finite, expected 0-1",
            "check the model and its precision, and the recording for samples that are not finite",
        )


def turn_order(turn: Turn) -> tuple[Seconds, Seconds, int]:
    """Return the key that sorts turns by time."""
    return turn.start, turn.end, turn.speaker


def exclusive_turns(turns: Iterable[Turn]) -> list[Turn]:
    """Return where exactly one speaker talks; turns of one speaker that touch or overlap come back as one.

    Args:
      turns: in any order; those without length count for nothing.

    Returns:
      Turns sorted by time, none of which overlap.

    Example:
      >>> exclusive_turns([Turn(start=0, end=10, speaker=0), Turn(start=4, end=5, speaker=1)])
      [Turn(start=0, end=4, speaker=0), Turn(start=5, end=10, speaker=0)]
    """
    turns = list(turns)
    of_speaker = {turn.speaker: turn for turn in turns}
    return [
        replace(of_speaker[speakers[0]], start=start, end=end)
        for start, end, speakers in _talk(turns)
        if len(speakers) == 1
    ]


def overlap_regions(turns: Iterable[Turn]) -> list[Overlap]:
    """Return where at least two speakers talk at once, one region for each set of speakers, sorted by time.

    Example:
      >>> overlap_regions([Turn(start=0, end=10, speaker=0), Turn(start=8, end=15, speaker=1)])
      [Overlap(start=8, end=10, speakers=(0, 1))]
    """
    turns = list(turns)
    of_speaker = {turn.speaker: turn for turn in turns}
    return [
        Overlap(
            start=start,
            end=end,
            speakers=speakers,
            names=tuple(of_speaker[speaker].label for speaker in speakers) if of_speaker[speakers[0]].name else (),
            channel=of_speaker[speakers[0]].channel,
        )
        for start, end, speakers in _talk(turns)
        if len(speakers) > 1
    ]


def speakers_of(turns: Iterable[Turn]) -> tuple[int, ...]:
    """Return the speakers that have a turn, ascending.

    Example:
      >>> speakers_of([Turn(start=0, end=1, speaker=2), Turn(start=3, end=4, speaker=0)])
      (0, 2)
    """
    return tuple(sorted({turn.speaker for turn in turns}))


def is_saturated(turns: Iterable[Turn], n_slots: int) -> bool:
    """Say whether all slots of the model talk, so that there may be more speakers than it can tell apart.

    Example:
      >>> is_saturated([Turn(start=0, end=1, speaker=0)], 4)
      False
    """
    return len(speakers_of(turns)) >= n_slots


def _talk(turns: Iterable[Turn]) -> Iterator[tuple[Seconds, Seconds, tuple[int, ...]]]:
    """Yield `(start, end, speakers)` for each stretch in which the same speakers, at least one, talk; in time order."""
    changes = []
    for turn in turns:
        if turn.start < turn.end:
            changes += [(turn.start, turn.speaker, 1), (turn.end, turn.speaker, -1)]
    changes.sort(key=itemgetter(0))
    open_turns: dict[int, int] = {}
    since: Seconds = 0.0
    talking: tuple[int, ...] = ()
    for time, group in groupby(changes, key=itemgetter(0)):
        for _, speaker, change in group:
            open_turns[speaker] = open_turns.get(speaker, 0) + change
        now = tuple(sorted(speaker for speaker, n_open in open_turns.items() if n_open))
        # turns of one speaker that touch change nothing, so they come back as one
        if now != talking:
            if talking:
                yield since, time, talking
            since, talking = time, now
