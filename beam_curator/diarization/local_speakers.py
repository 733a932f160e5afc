"""Who talks within a window of 10 s, by a segmentation model: up to three people, known by their number there alone."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.clustering import expected_likeness, labels_after, merge_alike
from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats

WINDOW_SAMPLES, WINDOW_FRAMES = 160_000, 589
FRAME_SAMPLES = 270
FIRST_CENTRE = 495
"""Sample in the middle of what frame 0 of a window hears; each frame is `FRAME_SAMPLES` behind the one before."""

N_LOCAL = 3
FRAME_SECONDS = FRAME_SAMPLES / MODEL_SAMPLE_RATE

_CLASSES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], np.float32)
"""Who talks in each class of the model."""
_FIRST_OF_TWO = 4

_LEAST_ALONE, _LEAST_TALK, _LEAST_RUN = (round(seconds / FRAME_SECONDS) for seconds in (0.4, 0.3, 0.5))
_NEVER_ALONE = round(0.1 / FRAME_SECONDS)
_GAP = round(0.1 / FRAME_SECONDS)
_LONGEST_RUN = round(1.0 / FRAME_SECONDS)
"""One may take over from another within a breath: longer talk is several runs, each about so long."""
_RUNS_ALIKE = 0.9
"""Of how alike runs of one person are, on average."""

Masks = NDArray[np.bool_]


class Activity(NamedTuple):
    """A window as the model of windows heard it.

    Attributes:
      talks: bool [589, 3], who talks in a frame, by the likeliest class.
      shares: float32 [589, 5]: how likely each of the three talks, anybody, and two at once.
    """

    talks: Masks
    shares: Floats


def activity_of(log_probabilities: Floats) -> Activity:
    """Return who talks when in a window.

    Args:
      log_probabilities: float32 [n_frames, 7], of nobody, speakers 0, 1 and 2, and 0 and 1, 0 and 2, 1 and 2 at once.

    Example:
      >>> activity = activity_of(np.log(np.float32([[0.05, 0.2, 0.1, 0.05, 0.6, 0.0, 0.0]]) + 1e-9))
      >>> activity.talks.tolist(), activity.shares.round(2).tolist()[0]
      ([[True, True, False]], [0.800000011920929, 0.699999988079071, 0.05000000074505806, 0.949999988079071, \
0.6000000238418579])
    """
    likely = np.exp(log_probabilities)
    anybody, two = 1 - likely[:, :1], likely[:, _FIRST_OF_TWO:].sum(axis=1, keepdims=True)
    return Activity(
        talks=_CLASSES[log_probabilities.argmax(axis=1)] > 0,
        shares=np.concatenate([likely @ _CLASSES, anybody, two], axis=1).astype(np.float32),
    )


class Run(NamedTuple):
    """Somebody talks in frames `[start, stop)` of a window, with short pauses.

    Attributes:
      local: number in the window.
      voiced: bool [589], the frames to tell the voice by: those alone, or all where they are too few.
      n_alone: frames in which nobody else talks.
    """

    local: int
    start: int
    stop: int
    voiced: Masks
    n_alone: int


def runs_of(talks: Masks) -> list[Run]:
    """Return where each person of a window talks: runs of about a second, which pauses of up to 0.1 s do not end.

    Example:
      >>> talks = np.zeros((150, 3), bool)
      >>> talks[:10, 0] = talks[15:20, 0] = talks[30:, 0] = talks[8:12, 2] = True
      >>> [(run.local, run.start, run.stop, run.n_alone, int(run.voiced.sum())) for run in runs_of(talks)]
      [(0, 0, 20, 13, 15), (0, 30, 90, 60, 60), (0, 90, 150, 60, 60), (2, 8, 12, 2, 4)]
    """
    alone = talks & (talks.sum(axis=1, keepdims=True) == 1)
    runs = []
    for local in range(talks.shape[1]):
        for start, stop in _stretches(talks[:, local]):
            inside = np.zeros(len(talks), bool)
            inside[start:stop] = True
            solo = alone[:, local] & inside
            n_alone = int(solo.sum())
            voiced = solo if n_alone >= _LEAST_ALONE else talks[:, local] & inside
            runs.append(Run(local, start, stop, voiced, n_alone))
    return runs


def _stretches(talks: Masks) -> list[tuple[int, int]]:
    """Return the frames `[start, stop)` of runs."""
    frames = np.flatnonzero(talks)
    breaks = np.flatnonzero(np.diff(frames) > _GAP + 1)
    stretches: list[tuple[int, int]] = []
    for some in np.split(frames, breaks + 1) if len(frames) else []:
        start, stop = int(some[0]), int(some[-1]) + 1
        n_parts = max(1, round((stop - start) / _LONGEST_RUN))
        stretches += pairwise(start + (stop - start) * part // n_parts for part in range(n_parts + 1))
    return stretches


def long_runs(runs: list[Run]) -> list[Run]:
    """Return the runs of one number in a window that tell whether they are of several people; none if one is alone."""
    long = [run for run in runs if run.n_alone >= _LEAST_RUN]
    return long if len(long) > 1 else []


def group_runs(runs: list[Run], long: list[Run], vectors: Floats) -> list[list[Run]]:
    """Return the runs of each voice: those of one number, unless they sound like several people.

    The model takes two people for one at times. Shorter runs follow the nearest of the long ones.

    Args:
      runs: of one number in a window.
      long: of these, see `long_runs`.
      vectors: float32 [n_long, width], of length 1: how each long one sounds.
    """
    if not long:
        return [runs]
    seconds = np.array([run.n_alone * FRAME_SECONDS for run in long], np.float32)
    merges = merge_alike(vectors @ vectors.T / expected_likeness(seconds), seconds)
    labels = labels_after(len(long), [merge for merge in merges if merge.likeness > _RUNS_ALIKE])
    groups: list[list[Run]] = [[] for _ in range(int(labels.max()) + 1)]
    for run in runs:
        nearest = min(range(len(long)), key=lambda each: _between(long[each], run))
        groups[labels[nearest]].append(run)
    return groups


def _between(one: Run, other: Run) -> int:
    """Return the frames between two runs; less than 0 where they are the same, or overlap."""
    return max(one.start, other.start) - min(one.stop, other.stop)


def voiced_frames(group: list[Run]) -> Masks | None:
    """Return the frames of a window to tell a voice by, bool [589]; None where it says too little."""
    voiced: Masks = np.any([run.voiced for run in group], axis=0)
    return voiced if int(voiced.sum()) >= _LEAST_TALK else None


def seconds_told(group: list[Run]) -> float:
    """Return for how long somebody talks and nobody else does; of one who is never alone, for how long at all."""
    n_alone = sum(run.n_alone for run in group)
    return (n_alone if n_alone > _NEVER_ALONE else int(sum(run.voiced.sum() for run in group))) * FRAME_SECONDS


def talk_at_once(talks: Masks, one: list[Run], other: list[Run]) -> bool:
    """Tell whether two voices of a window talk at the same time, for 0.3 s or more."""
    both = talks[:, one[0].local] & talks[:, other[0].local]
    return one[0].local != other[0].local and int((both & _inside(one) & _inside(other)).sum()) >= _LEAST_TALK


def _inside(group: list[Run]) -> Masks:
    inside = np.zeros(len(group[0].voiced), bool)
    for run in group:
        inside[run.start : run.stop] = True
    return inside


def reach_of(group: list[Run], n_frames: int = WINDOW_FRAMES) -> Masks:
    """Return the frames that a voice may have, where its number in the window is that of several voices."""
    reach = np.zeros(n_frames, bool)
    for run in group:
        reach[max(0, run.start - _GAP // 2) : run.stop + _GAP // 2] = True
    return reach
