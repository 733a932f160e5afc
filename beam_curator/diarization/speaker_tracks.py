"""From windows in which people were heard to speakers of the whole recording, and who of them talks in each frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.cascade import HeardWindow, LocalVoice
from beam_curator.diarization.clustering import ClusterRules, Labels, Voices, find_speakers, give_voices
from beam_curator.diarization.local_speakers import (
    FIRST_CENTRE,
    FRAME_SAMPLES,
    FRAME_SECONDS,
    N_LOCAL,
    WINDOW_FRAMES,
    WINDOW_SAMPLES,
)
from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats

TRACK_STEP = 0.02
"""Seconds of a frame of the result."""
_TRACK_SAMPLES = round(TRACK_STEP * MODEL_SAMPLE_RATE)

_LEAST_SECONDS = 0.7
"""Of a voice by which speakers are found; shorter ones are given to them afterwards."""
_MOST_VOICES = 3000
"""By which speakers are found: of longer recordings, every so many windows. Their likeness takes 36 MB."""

_SECOND = np.float32(0.6)
"""A second person talks where the model is surer of it than of anybody: 0.5 of the one is 0.3 of the other."""
_LEAST_SCORE = 0.02
_HEARD = 0.3

_HALF = 127
"""Of 255: who is likelier than this to talk, talks."""

_ALWAYS = round(3 / FRAME_SECONDS)

_ANYBODY, _TWO = N_LOCAL, N_LOCAL + 1


class _Place(NamedTuple):
    """A voice, and the window that it is in."""

    window: HeardWindow
    voice: LocalVoice


def speaker_tracks(windows: Sequence[HeardWindow], n_samples: int, rules: ClusterRules) -> Floats:
    """Return who talks when in a recording.

    Args:
      windows: of a recording, in order of time.
      n_samples: of the recording at 16 kHz.
      rules: how voices are merged to speakers.

    Returns:
      float32 [n_frames, n_speakers], a row for each 0.02 s: how likely anybody talks, for the one who does, and how
      likely a second one does, for that one. Speakers are in the order in which they are first heard.
    """
    n_frames = -(-n_samples // _TRACK_SAMPLES)
    places, given, n_speakers = _speakers_of(windows, n_samples, rules)
    if not n_speakers:
        return np.zeros((n_frames, 0), np.float32)
    heard, scores = _sums(windows, places, given, n_speakers)
    centres = np.arange(n_frames) * _TRACK_SAMPLES + _TRACK_SAMPLES // 2 - FIRST_CENTRE
    nearest = np.clip(np.rint(centres / FRAME_SAMPLES).astype(np.int64), 0, len(heard) - 1)
    return in_order(chosen_tracks(scores, heard)[nearest])


def _speakers_of(
    windows: Sequence[HeardWindow], n_samples: int, rules: ClusterRules
) -> tuple[list[_Place], Labels, int]:
    """Return the voices that can be told by their sound, the speaker of each, and the number of speakers."""
    places = [_Place(window, voice) for window in windows for voice in window.voices if voice.vector is not None]
    if not places:
        return [], np.empty(0, np.int64), 0
    vectors = np.stack([place.voice.vector for place in places if place.voice.vector is not None])
    seconds = np.array([place.voice.seconds for place in places], np.float32)
    chosen, n_windows = _chosen(places, seconds, len(windows))
    share = min(1.0, n_samples / (n_windows * WINDOW_SAMPLES))
    voices = Voices(vectors, seconds, _pairs(windows, _of_two_numbers), _pairs(windows, _always_at_once))
    speakers = find_speakers(_some_of(voices, chosen), share, rules)
    given = give_voices(Voices(vectors, seconds, _pairs(windows, lambda window: window.at_once)), speakers)
    return places, given, len(speakers)


def _pairs(
    windows: Sequence[HeardWindow], pairs_in: Callable[[HeardWindow], Sequence[tuple[int, int]]]
) -> list[tuple[int, int]]:
    """Return pairs of voices in windows as pairs among all voices that can be told by their sound."""
    pairs, n_before = [], 0
    for window in windows:
        heard = [number for number, voice in enumerate(window.voices) if voice.vector is not None]
        numbers = {number: n_before + place for place, number in enumerate(heard)}
        pairs += [(numbers[one], numbers[other]) for one, other in pairs_in(window) if {one, other} <= set(heard)]
        n_before += len(heard)
    return pairs


def _of_two_numbers(window: HeardWindow) -> list[tuple[int, int]]:
    """Return the pairs of voices that the model of windows takes for two people."""
    locals_ = [voice.local for voice in window.voices]
    return [(one, other) for one, other in combinations(range(len(locals_)), 2) if locals_[one] != locals_[other]]


def _always_at_once(window: HeardWindow) -> list[tuple[int, int]]:
    """Return the pairs of voices that share 3 s of talk, and more than half of the talk of either."""
    talks = [_talks(window, voice) for voice in window.voices]
    both = {pair: int((talks[pair[0]] & talks[pair[1]]).sum()) for pair in window.at_once}
    return [
        pair
        for pair, n_frames in both.items()
        if n_frames >= _ALWAYS and 2 * n_frames > max(int(talks[each].sum()) for each in pair)
    ]


def _talks(window: HeardWindow, voice: LocalVoice) -> NDArray[np.bool_]:
    """Return the frames of a window in which a voice is likely to talk, bool [589]."""
    talks: NDArray[np.bool_] = window.shares[:, voice.local] > _HALF
    return talks if voice.reach is None else talks & voice.reach


def _chosen(places: Sequence[_Place], seconds: Floats, n_windows: int) -> tuple[NDArray[np.int64], int]:
    """Return the voices to find speakers by, and the number of windows that they are from."""
    long = np.flatnonzero(seconds >= _LEAST_SECONDS)
    usable = long if len(long) else np.arange(len(places))
    stride = -(-len(usable) // _MOST_VOICES)
    frames = np.unique([place.window.frame for place in places])[::stride]
    kept = np.isin([places[int(number)].window.frame for number in usable], frames)
    return usable[kept], -(-n_windows // stride)


def _some_of(voices: Voices, chosen: NDArray[np.int64]) -> Voices:
    numbers = {int(voice): number for number, voice in enumerate(chosen)}

    def among(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(numbers[one], numbers[other]) for one, other in pairs if one in numbers and other in numbers]

    return Voices(voices.vectors[chosen], voices.seconds[chosen], among(voices.apart), among(voices.never_one))


def _sums(
    windows: Sequence[HeardWindow], places: Sequence[_Place], given: Labels, n_speakers: int
) -> tuple[Floats, Floats]:
    """Return the means over windows, frame by frame.

    Returns:
      float32 [n_frames, 2], how likely anybody talks, and two at once; float32 [n_frames, n_speakers], how likely each
      speaker does.
    """
    n_frames = windows[-1].frame + WINDOW_FRAMES
    heard, scores = np.zeros((n_frames, 2), np.float32), np.zeros((n_frames, n_speakers), np.float32)
    covered = np.zeros((n_frames, 1), np.float32)
    for window in windows:
        stretch = slice(window.frame, window.frame + WINDOW_FRAMES)
        heard[stretch] += window.shares[:, _ANYBODY : _TWO + 1]
        covered[stretch] += 255
    for place, speaker in zip(places, given, strict=True):
        if speaker >= 0:
            share = place.window.shares[:, place.voice.local]
            reach = place.voice.reach
            scores[place.window.frame : place.window.frame + WINDOW_FRAMES, speaker] += (
                share if reach is None else np.where(reach, share, 0)
            )
    covered = np.maximum(covered, 1)
    return heard / covered, scores / covered


def chosen_tracks(scores: Floats, heard: Floats) -> Floats:
    """Give each frame to the one or two speakers of the highest scores.

    Args:
      scores: float32 [n_frames, n_speakers], how likely each talks.
      heard: float32 [n_frames, 2], how likely anybody talks, and two at once.

    Example:
      >>> chosen_tracks(np.float32([[0.1, 0.8, 0.5], [0, 0, 0]]), np.float32([[0.9, 0.5], [0.5, 0]])).round(2).tolist()
      [[0.0, 0.8999999761581421, 0.30000001192092896], [0.0, 0.0, 0.0]]
    """
    tracks = np.zeros_like(scores)
    rows = np.arange(len(scores))
    left = scores.copy()
    for place, level in enumerate((heard[:, 0], heard[:, 1] * _SECOND)):
        if place == scores.shape[1]:
            break
        speaker = left.argmax(axis=1)
        known = left[rows, speaker] > _LEAST_SCORE
        tracks[rows[known], speaker[known]] = level[known]
        left[rows, speaker] = -1
    return tracks


def in_order(tracks: Floats) -> Floats:
    """Return the tracks of speakers who are heard, in the order in which each is first heard.

    Example:
      >>> in_order(np.float32([[0, 0, 0.9], [0.4, 0.1, 0.2]])).round(1).tolist()
      [[0.8999999761581421, 0.0], [0.20000000298023224, 0.4000000059604645]]
    """
    is_heard = tracks > _HEARD
    heard = np.flatnonzero(is_heard.any(axis=0))
    first = is_heard[:, heard].argmax(axis=0)
    return np.ascontiguousarray(tracks[:, heard[np.argsort(first, kind="stable")]])
