"""Voices to speakers: those that sound alike are merged, and every voice is given to the speaker that it sounds like.

A voice is somebody within a few seconds of a recording, as an embedding of length 1. How alike two voices are is the
cosine of their angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats
from beam_curator.diarization.speaker_counts import SpeakerCounts

Labels = NDArray[np.int64]

LikenessOfOne = tuple[tuple[float, ...], tuple[float, ...]]
_LIKENESS_OF_ONE: LikenessOfOne = (0.5, 1.15, 2.25, 4.0, 7.0), (0.42, 0.5, 0.6, 0.7, 0.76)
"""Of CAM++, in `examples/human_speech`."""
_NEVER_ONE = -1e6
"""How alike voices are that are never merged: no average with it is above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRules:
    """How voices are merged. How alike two are counts in shares of how alike voices of one person are.

    Attributes:
      surely_two: groups that are less alike than this are never merged, unless there have to be fewer speakers.
      surely_one: groups that are more alike are always merged, unless there have to be more.
      full_seconds: a voice counts as much as it talks, up to so long.
      least_seconds: less talk than this is no speaker.
      least_share: of all talk, too.
      brief_seconds: who talks less than this is a speaker if unlike all others.
      brief_likeness: whoever is more alike is not: the cosine of two speakers.
      likeness_of_one: seconds that a voice talks, and the mean likeness of two such voices of one person.
      counts: how many speakers there are.
    """

    surely_two: float = 0.6
    surely_one: float = 0.85
    full_seconds: float = 3.0
    least_seconds: float = 1.0
    least_share: float = 0.005
    brief_seconds: float = 2.0
    brief_likeness: float = 0.4
    likeness_of_one: LikenessOfOne = _LIKENESS_OF_ONE
    counts: SpeakerCounts = field(default_factory=SpeakerCounts)


class Voices(NamedTuple):
    """People within a few seconds of a recording each; many voices are of one speaker.

    Attributes:
      vectors: float32 [n_voices, width], embeddings of length 1.
      seconds: float32 [n_voices], how long each talks.
      apart: pairs of voices that are two people, as far as can be told.
      never_one: pairs that surely are, as they always talk at the same time.
    """

    vectors: Floats
    seconds: Floats
    apart: Sequence[tuple[int, int]] = ()
    never_one: Sequence[tuple[int, int]] = ()


class Merge(NamedTuple):
    """Two groups become one: `keep` takes in `gone`. Groups have the number of their first item."""

    likeness: float
    keep: int
    gone: int


def merge_alike(likeness: Floats, weights: Floats) -> list[Merge]:
    """Merge groups, always the two that are most alike on average, until there is one.

    Args:
      likeness: float32 [n_items, n_items], symmetric; it is overwritten.
      weights: float32 [n_items], of items in an average.

    Returns:
      The merges in their order: no later one is of groups that are more alike.

    Example:
      >>> for merge in merge_alike(np.float32([[1, 0.75, 0], [0.75, 1, 0.5], [0, 0.5, 1]]), np.ones(3, np.float32)):
      ...     print(merge)
      Merge(likeness=0.75, keep=0, gone=1)
      Merge(likeness=0.25, keep=0, gone=2)
    """
    weights = weights.copy()
    np.fill_diagonal(likeness, -np.inf)
    nearest = likeness.argmax(axis=1)
    best = likeness[np.arange(len(likeness)), nearest]
    merges: list[Merge] = []
    for _ in range(len(likeness) - 1):
        one = int(best.argmax())
        keep, gone = sorted((one, int(nearest[one])))
        merges.append(Merge(float(best[one]), keep, gone))
        share = weights[keep] / (weights[keep] + weights[gone])
        row = share * likeness[keep] + (1 - share) * likeness[gone]
        row[[keep, gone]] = -np.inf
        weights[keep] += weights[gone]
        likeness[keep] = likeness[:, keep] = row
        likeness[gone] = likeness[:, gone] = -np.inf
        _look_again(likeness, nearest, best, keep, gone)
    return merges


def _look_again(likeness: Floats, nearest: Labels, best: Floats, keep: int, gone: int) -> None:
    """Find again which group is nearest to each, after two were merged."""
    best[gone] = -np.inf
    stale = np.flatnonzero(((nearest == keep) | (nearest == gone)) & (best > -np.inf))
    for row in (keep, *stale):
        nearest[row] = likeness[row].argmax()
        best[row] = likeness[row, nearest[row]]
    closer = np.flatnonzero(likeness[keep] > best)
    nearest[closer], best[closer] = keep, likeness[keep, closer]


def labels_after(n_items: int, merges: Sequence[Merge]) -> Labels:
    """Return the group of each item after some merges, numbered from 0 in the order of their first items.

    Example:
      >>> labels_after(4, [Merge(0.9, 1, 3), Merge(0.8, 0, 1)]).tolist()
      [0, 0, 1, 0]
    """
    groups = np.arange(n_items)
    for merge in merges:
        groups[groups == merge.gone] = merge.keep
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def find_speakers(voices: Voices, talk_share: float, rules: ClusterRules) -> Floats:
    """Tell how many people talk, and how each of them sounds.

    Args:
      voices: at least one.
      talk_share: seconds of the recording for each second that a voice talks: windows that overlap hear it several
        times.
      rules: how they are merged, and how many speakers there may be.

    Returns:
      float32 [n_speakers, width], of length 1.
    """
    weights = np.minimum(voices.seconds, np.float32(rules.full_seconds))
    likeness = voices.vectors @ voices.vectors.T / expected_likeness(voices.seconds, rules.likeness_of_one)
    for pairs, unlike in ((voices.apart, -1), (voices.never_one, _NEVER_ONE)):
        for one, other in pairs:
            likeness[one, other] = likeness[other, one] = unlike
    merges = merge_alike(likeness, weights)
    heard = _Heard(voices.vectors * weights[:, np.newaxis], voices.seconds * np.float32(talk_share))
    labels, kept = _bounded(merges, heard, rules)
    return heard.sounds(labels)[kept]


class _Heard(NamedTuple):
    """Voices: float32 [n_voices, width], how each sounds, longer the more it counts, and the seconds that it talks."""

    vectors: Floats
    talk: Floats

    def sounds(self, labels: Labels) -> Floats:
        """Return how each group sounds, float32 [n_groups, width], of length 1."""
        return unit(np.stack([self.vectors[labels == group].sum(axis=0) for group in range(int(labels.max()) + 1)]))


def expected_likeness(seconds: Floats, of_one: LikenessOfOne = _LIKENESS_OF_ONE) -> Floats:
    """Return how alike voices of one person are: the less they say, the less.

    Args:
      seconds: float32 [n_voices], how long each talks.
      of_one: seconds, and the mean likeness of two voices of one person that talk so long.

    Returns:
      float32 [n_voices, n_voices].

    Example:
      >>> expected_likeness(np.float32([0.5, 7])).round(3).tolist()
      [[0.41999998688697815, 0.5649999976158142], [0.5649999976158142, 0.7599999904632568]]
    """
    roots = np.sqrt(np.interp(seconds, *of_one)).astype(np.float32)
    return np.outer(roots, roots)


def _bounded(merges: Sequence[Merge], heard: _Heard, rules: ClusterRules) -> tuple[Labels, list[int]]:
    """Return the group of each voice, and the groups that are speakers: as many as the rules allow, if they can be had.

    Merges go on while groups are alike enough. Where that leaves too many, they go on; where it leaves too few, some
    are taken back.
    """

    def groups_after(n_merges: int) -> tuple[Labels, list[int]]:
        labels = labels_after(len(heard.talk), merges[:n_merges])
        return labels, speakers_among(labels, heard.talk, heard.sounds(labels), rules)

    fewest, most = rules.counts.bounds
    least_alike = widest_gap(_of_speakers(merges, heard.talk, rules), rules)
    n_merges = sum(merge.likeness >= least_alike for merge in merges)
    found = groups_after(n_merges)
    while len(found[1]) > most:
        n_merges += 1
        found = groups_after(n_merges)
    while len(found[1]) < fewest and n_merges > 0:
        n_merges -= 1
        finer = groups_after(n_merges)
        if len(found[1]) < len(finer[1]) <= most:
            found = finer
    return found


def _of_speakers(merges: Sequence[Merge], talk: Floats, rules: ClusterRules) -> list[float]:
    """Return how alike the groups of each merge were where both talked long enough to be speakers."""
    totals = talk.astype(np.float64)
    likenesses = []
    for merge in merges:
        if min(totals[merge.keep], totals[merge.gone]) >= rules.least_seconds:
            likenesses.append(merge.likeness)
        totals[merge.keep] += totals[merge.gone]
    return likenesses


def widest_gap(likenesses: Sequence[float], rules: ClusterRules) -> float:
    """Return how alike groups have to be to be one speaker: the middle of the widest gap between the merges there are.

    Groups of one speaker are more alike than groups of two, but by how much depends on the recording.

    Args:
      likenesses: of merges.
      rules: the limits between which the gap is looked for.

    Example:
      >>> round(widest_gap([0.95, 0.8, 0.62, 0.1], ClusterRules()), 3)
      0.71
    """
    inside = [each for each in likenesses if rules.surely_two < each < rules.surely_one]
    steps = sorted([rules.surely_two, *inside, rules.surely_one], reverse=True)
    _, middle = max((high - low, (high + low) / 2) for high, low in pairwise(steps))
    return middle


def speakers_among(labels: Labels, talk: Floats, sounds: Floats, rules: ClusterRules) -> list[int]:
    """Return the groups that are speakers: all that talk long, and others that sound like none of them.

    Brief groups are often voices of one of the others that were heard badly.

    Args:
      labels: int64 [n_voices], the group of each voice.
      talk: float32 [n_voices], the seconds that each talks.
      sounds: float32 [n_groups, width], of length 1.
      rules: which groups are too short.

    Returns:
      Numbers of groups in order; that of the longest one, where all are too short.

    Example:
      >>> labels, sounds = np.arange(3), np.float32([[1, 0], [0.8, 0.6], [0, 1]])
      >>> rules = ClusterRules(least_seconds=1, brief_seconds=2, brief_likeness=0.7)
      >>> speakers_among(labels, np.float32([3, 1.5, 1.2]), sounds, rules)
      [0, 2]
    """
    totals = np.bincount(labels, weights=talk)
    least = max(rules.least_share * float(totals.sum()), rules.least_seconds)
    kept: list[int] = []
    for group in np.argsort(-totals, kind="stable").tolist():
        is_brief = bool(kept) and totals[group] < rules.brief_seconds
        if totals[group] >= least and not (is_brief and (sounds[kept] @ sounds[group]).max() > rules.brief_likeness):
            kept.append(group)
    return sorted(kept) or [int(totals.argmax())]


def give_voices(voices: Voices, speakers: Floats) -> Labels:
    """Give each voice to the speaker that it sounds like; of two that are two people, the longer one chooses first.

    Args:
      voices: any number.
      speakers: float32 [n_speakers, width], of length 1, at least one.

    Returns:
      int64 [n_voices], numbers of speakers; -1 for a voice that can be none of them.

    Example:
      >>> voices = Voices(np.float32([[1, 0], [0.9, 0.4]]), np.float32([1, 2]), [(0, 1)])
      >>> give_voices(voices, np.eye(2, dtype=np.float32))
      array([1, 0])
    """
    alike = voices.vectors @ speakers.T
    given = alike.argmax(axis=1).astype(np.int64)
    others: dict[int, list[int]] = {}
    for one, other in voices.apart:
        others.setdefault(one, []).append(other)
        others.setdefault(other, []).append(one)
    done: set[int] = set()
    for voice in sorted(others, key=lambda each: (-float(voices.seconds[each]), each)):
        taken = {int(given[other]) for other in others[voice] if other in done}
        free = [speaker for speaker in range(len(speakers)) if speaker not in taken]
        given[voice] = max(free, key=lambda speaker: float(alike[voice, speaker])) if free else -1
        done.add(voice)
    return given


def unit(vectors: Floats) -> Floats:
    """Return vectors, float32 [..., width], scaled to length 1.

    Example:
      >>> unit(np.float32([[3, 4]])).round(2).tolist()
      [[0.6000000238418579, 0.800000011920929]]
    """
    lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=-1, keepdims=True))
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
