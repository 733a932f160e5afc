"""A cascade of two models: one tells who talks within windows of 10 s, the other how each of them sounds.

Windows overlap by nine tenths. What they share is computed once: the filters of the first model, filter banks, and the
frames of the second model, which are then pooled over the frames of each voice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.clustering import unit
from beam_curator.diarization.filter_banks import filter_banks, n_filter_banks
from beam_curator.diarization.local_speakers import (
    FIRST_CENTRE,
    FRAME_SAMPLES,
    N_LOCAL,
    WINDOW_FRAMES,
    WINDOW_SAMPLES,
    Activity,
    Masks,
    Run,
    activity_of,
    group_runs,
    long_runs,
    reach_of,
    runs_of,
    seconds_told,
    talk_at_once,
    voiced_frames,
)
from beam_curator.diarization.models import Floats
from beam_curator.diarization.pooling import pooled_statistics

STEP_FRAMES = 60
"""Of the segmentation, from window to window: 1.0125 s."""
_STEP = STEP_FRAMES * FRAME_SAMPLES

_WINDOWS_AT_ONCE = 30
"""They share filters; as many need 25 MB."""

_BANKS, _BANK_STEP, _BANK_SAMPLES = 1000, 160, 400
_BLOCK = _BANKS * _BANK_STEP
"""Samples of a block of filter banks, from which their mean is subtracted."""
_PART = 300
"""Filter banks that the second model hears at once, about: in longer parts it mixes those who follow each other up."""
_EMBEDDING_FRAME = 2 * _BANK_STEP
_EMBEDDING_CENTRE = 280
"""Sample in the middle of frame 0 of the second model."""


class Segmentation(Protocol):
    """A model that tells up to three people within 10 s apart."""

    def log_probabilities_at(self, samples: Floats, starts: Sequence[int]) -> Floats:
        """Return float32 [n_windows, 589, 7] of windows that start at these samples."""
        ...


class Embedding(Protocol):
    """A model of voices, in two parts."""

    def frames(self, banks: Floats) -> Floats:
        """Turn filter banks, float32 [n, 80] less their mean, into float32 [ceil(n / 2), width]."""
        ...

    def head(self, statistics: Floats) -> Floats:
        """Turn means and deviations of frames, float32 [n_items, 2 * width], into embeddings."""
        ...


class LocalVoice(NamedTuple):
    """A person within a window.

    Attributes:
      local: number of the person there.
      reach: bool [589], frames that are this person's and no other's of that number; None for all.
      seconds: talk of nobody else; all talk of one who is never alone.
      vector: float32 [width] of length 1, how the person sounds; None for one who says too little.
    """

    local: int
    reach: Masks | None
    seconds: float
    vector: Floats | None


class HeardWindow(NamedTuple):
    """A window as both models heard it.

    Attributes:
      frame: number of its first frame, from the beginning of the recording.
      shares: uint8 [589, 5], the shares of `Activity` in 255ths.
      voices: the people in it.
      at_once: pairs of them that talk at the same time, as numbers in `voices`.
    """

    frame: int
    shares: NDArray[np.uint8]
    voices: tuple[LocalVoice, ...]
    at_once: tuple[tuple[int, int], ...]


class CascadeStream:
    """Hears a recording window by window, in pieces of any lengths; how it is cut does not change the result.

    Args:
      segmentation: the first model.
      embedding: the second one.
    """

    def __init__(self, segmentation: Segmentation, embedding: Embedding) -> None:
        self._segmentation = segmentation
        self._voices = _VoiceFrames(embedding)
        self._embedding = embedding
        self._held = np.empty(0, np.float32)
        self._held_from = 0
        self._next_start = 0
        self.windows: list[HeardWindow] = []

    @property
    def n_samples(self) -> int:
        """Samples that were pushed."""
        return self._held_from + len(self._held)

    def push(self, samples: Floats) -> None:
        """Hear the next samples, float32 [n] at 16 kHz."""
        self._held = np.concatenate([self._held, samples])
        while self.n_samples >= _samples_for(self._next_start + (_WINDOWS_AT_ONCE - 1) * _STEP):
            self._hear([self._next_start + number * _STEP for number in range(_WINDOWS_AT_ONCE)], is_last=False)

    def finish(self) -> list[HeardWindow]:
        """Hear the rest, and return all windows in order of time; none of a recording without samples."""
        starts = list(range(self._next_start, max(0, self.n_samples - WINDOW_SAMPLES) + 1, _STEP))
        # on the grid of frames, so up to 269 samples of silence follow
        last = -(-max(0, self.n_samples - WINDOW_SAMPLES) // FRAME_SAMPLES) * FRAME_SAMPLES
        if last >= self._next_start and last not in starts:
            starts.append(last)
        for first in range(0, len(starts) if self.n_samples else 0, _WINDOWS_AT_ONCE):
            self._hear(starts[first : first + _WINDOWS_AT_ONCE], is_last=True)
        return self.windows

    def _hear(self, starts: list[int], *, is_last: bool) -> None:
        self._voices.take(self._held, self._held_from, starts[-1] + WINDOW_SAMPLES, is_last=is_last)
        heard = self._held[starts[0] - self._held_from : starts[-1] + WINDOW_SAMPLES - self._held_from]
        missing = starts[-1] + WINDOW_SAMPLES - starts[0] - len(heard)
        heard = np.concatenate([heard, np.zeros(missing, np.float32)]) if missing else heard
        said = self._segmentation.log_probabilities_at(heard, [start - starts[0] for start in starts])
        self.windows += _heard_windows(starts, [activity_of(each) for each in said], self._voices, self._embedding)
        self._next_start = starts[-1] + _STEP
        # the last block of the second model may begin so far before the last window
        drop = min(max(0, self._next_start - WINDOW_SAMPLES - _BLOCK - self._held_from), len(self._held))
        self._held, self._held_from = self._held[drop:].copy(), self._held_from + drop
        self._voices.forget(self._next_start - WINDOW_SAMPLES)


def _samples_for(start: int) -> int:
    """Return how many samples it takes to hear a window that starts at one: whole blocks of the second model."""
    return -(-(start + WINDOW_SAMPLES) // _BLOCK) * _BLOCK + _BANK_SAMPLES - _BANK_STEP


def frames_in_parts(model: Embedding, banks: Floats) -> Floats:
    """Return the frames of filter banks, float32 [n, 80], which the model hears in parts of about 3 s.

    Each frame depends on all that the model hears at once, and so on those who talk before and after.
    """
    n_parts = max(1, round(len(banks) / _PART))
    edges = [2 * round(len(banks) * part / (2 * n_parts)) for part in range(n_parts)] + [len(banks)]
    return np.concatenate([model.frames(banks[start:stop]) for start, stop in pairwise(edges)])


class _VoiceFrames:
    """Frames of the second model, from block to block."""

    def __init__(self, model: Embedding) -> None:
        self._model = model
        self._frames = np.empty((0, 1), np.float32)
        self._first = 0

    @property
    def _stop(self) -> int:
        return self._first + len(self._frames)

    def take(self, held: Floats, held_from: int, stop: int, *, is_last: bool) -> None:
        """Compute the frames that are missing before sample `stop`; at the end, as many as there are."""
        blocks = [self._frames] if len(self._frames) else []
        while (n_frames := self._first + sum(map(len, blocks))) * _EMBEDDING_FRAME < stop:
            begin = n_frames * _EMBEDDING_FRAME
            n_banks = min(_BANKS, n_filter_banks(held_from + len(held) - begin))
            if n_banks < _BANKS and not is_last:
                raise ValueError(f"{n_banks} filter banks are there, expected {_BANKS}: push more samples first")
            if n_banks <= 0:
                break
            # a short rest is heard with what comes before it
            lead = min(_BANKS - n_banks, (begin - held_from) // _BANK_STEP) // 2 * 2 if n_banks < _BANKS else 0
            first = begin - lead * _BANK_STEP - held_from
            samples = held[first : first + (lead + n_banks - 1) * _BANK_STEP + _BANK_SAMPLES]
            blocks.append(
                frames_in_parts(self._model, filter_banks(np.ascontiguousarray(samples), centred=True))[lead // 2 :]
            )
        self._frames = np.concatenate(blocks) if blocks else self._frames

    def forget(self, stop: int) -> None:
        """Drop frames that lie before a sample."""
        n_frames = min(max(0, stop // _EMBEDDING_FRAME - self._first), len(self._frames))
        self._frames, self._first = self._frames[n_frames:], self._first + n_frames

    def of_window(self, start: int) -> tuple[Floats, NDArray[np.int64]]:
        """Return the frames within a window, and the frame of the window that each of them lies in."""
        first = max(0, -(-(start - _EMBEDDING_CENTRE) // _EMBEDDING_FRAME))
        stop = min(self._stop, (start + WINDOW_SAMPLES - _EMBEDDING_CENTRE) // _EMBEDDING_FRAME)
        centres = np.arange(first, stop) * _EMBEDDING_FRAME + _EMBEDDING_CENTRE - start - FIRST_CENTRE
        places = np.clip(np.rint(centres / FRAME_SAMPLES).astype(np.int64), 0, WINDOW_FRAMES - 1)
        return self._frames[first - self._first : stop - self._first], places

    def statistics(self, start: int, masks: Sequence[Masks]) -> list[Floats | None]:
        """Return the statistics of the frames of a window that each mask keeps; None where that is none."""
        frames, places = self.of_window(start)
        kept = [mask[places] for mask in masks]
        heard = [place for place, mask in enumerate(kept) if mask.any()]
        found: list[Floats | None] = [None] * len(masks)
        if heard:
            pooled = pooled_statistics(frames, np.stack([kept[place] for place in heard]))
            for place, values in zip(heard, pooled, strict=True):
                found[place] = values
        return found


class _Listening(NamedTuple):
    """A window on its way: its first sample, the result of the first model, and who talks in it."""

    start: int
    activity: Activity
    runs: tuple[list[Run], ...]


def _heard_windows(
    starts: Sequence[int], activities: Sequence[Activity], frames: _VoiceFrames, model: Embedding
) -> list[HeardWindow]:
    """Return windows that are heard together, as both models hear them."""
    windows = [
        _Listening(start, activity, _by_number(runs_of(activity.talks)))
        for start, activity in zip(starts, activities, strict=True)
    ]
    long = [[run for runs in window.runs for run in long_runs(runs)] for window in windows]
    vectors = _vectors(windows, [[run.voiced for run in runs] for runs in long], frames, model)
    voices = [_voices_of(*each) for each in zip(windows, long, vectors, strict=True)]
    masks = [[voiced_frames(group) for group in groups] for groups in voices]
    blank = np.zeros(WINDOW_FRAMES, bool)
    wanted = [[blank if mask is None else mask for mask in some] for some in masks]
    sounds = _vectors(windows, wanted, frames, model)
    return [_heard_window(*each) for each in zip(windows, voices, sounds, strict=True)]


def _by_number(runs: Sequence[Run]) -> tuple[list[Run], ...]:
    return tuple([run for run in runs if run.local == local] for local in range(N_LOCAL))


def _voices_of(window: _Listening, long: list[Run], vectors: Sequence[Floats | None]) -> list[list[Run]]:
    """Return the runs of each voice of a window."""
    known = {id(run): vector for run, vector in zip(long, vectors, strict=True) if vector is not None}
    groups: list[list[Run]] = []
    for runs in window.runs:
        some = [run for run in long_runs(runs) if id(run) in known]
        if len(some) > 1:
            groups += group_runs(runs, some, np.stack([known[id(run)] for run in some]))
        elif runs:
            groups.append(runs)
    return groups


def _vectors(
    windows: Sequence[_Listening], masks: Sequence[Sequence[Masks]], frames: _VoiceFrames, model: Embedding
) -> list[list[Floats | None]]:
    """Return how the voices of windows sound, which are heard in the frames that masks keep; None for no frame."""
    pooled = [frames.statistics(window.start, some) for window, some in zip(windows, masks, strict=True)]
    known = [values for some in pooled for values in some if values is not None]
    made = iter(unit(model.head(np.stack(known))) if known else ())
    return [[None if values is None else next(made) for values in some] for some in pooled]


def _heard_window(window: _Listening, groups: list[list[Run]], vectors: list[Floats | None]) -> HeardWindow:
    numbers = [group[0].local for group in groups]
    voices = tuple(
        LocalVoice(
            local=group[0].local,
            reach=reach_of(group) if numbers.count(group[0].local) > 1 else None,
            seconds=seconds_told(group),
            vector=vector,
        )
        for group, vector in zip(groups, vectors, strict=True)
    )
    pairs = [(one, other) for other in range(len(groups)) for one in range(other)]
    talks = window.activity.talks
    return HeardWindow(
        frame=window.start // FRAME_SAMPLES,
        shares=np.rint(np.clip(window.activity.shares, 0, 1) * 255).astype(np.uint8),
        voices=voices,
        at_once=tuple((one, other) for one, other in pairs if talk_at_once(talks, groups[one], groups[other])),
    )
