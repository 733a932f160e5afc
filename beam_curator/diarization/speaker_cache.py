"""Which frames of the past a streaming Sortformer keeps: the compression of its speaker cache.

The rules are those of NeMo's `SortformerModules` (sortformer_modules.py: `_compress_spkcache` and what it calls,
`_get_silence_profile`), for one stream, in evaluation.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import CacheRules, Floats

_PARTIAL_SORT = 64
"""Torch selects by partial sort, not by nth_element, where k times this is not above n (TopKImpl.h)."""


def silence_profile(
    mean: Floats, count: int, embeddings: Floats, predictions: Floats, threshold: float
) -> tuple[Floats, int]:
    """Take frames in which nobody speaks into the mean embedding of silence.

    Args:
      mean: float32 [embedding_size], mean embedding of the silence so far.
      count: frames that it is the mean of.
      embeddings: float32 [n_frames, embedding_size].
      predictions: float32 [n_frames, n_speakers], their probabilities.
      threshold: a frame is silence if its probabilities sum up to less.

    Returns:
      The new mean and count.

    Example:
      >>> frames, nobody = np.float32([[1.0], [4.0], [7.0]]), np.float32([[0.1, 0.0], [0.2, 0.3], [0.0, 0.0]])
      >>> silence_profile(np.float32([1.0]), 1, frames, nobody, threshold=0.2)
      (array([3.], dtype=float32), 3)
    """
    # torch compares in the type of the tensor
    silent = predictions.sum(axis=1) < np.float32(threshold)
    n_silent = int(np.count_nonzero(silent))
    if n_silent == 0:
        return mean, count
    total = mean * np.float32(count) + _sum_of_frames(embeddings * silent[:, np.newaxis])
    return total / np.float32(count + n_silent), count + n_silent


def _sum_of_frames(frames: Floats) -> Floats:
    """Add up frames one after the other in groups of 16, and groups in groups of 16: torch.sum's order, to the bit.

    (ATen/native/cpu/SumKernel.cpp: cascade_sum, its four levels for up to 65,536 frames.)
    """
    n_levels, size, width = 4, 16, frames.shape[1]
    sums = [np.zeros(width, dtype=np.float32) for _ in range(n_levels)]
    n_groups = len(frames) // size
    # along an axis that is not the last one, NumPy adds in order, not in pairs
    for number, group in enumerate(frames[: n_groups * size].reshape(n_groups, size, width).sum(axis=1), start=1):
        carried = group
        for level in range(1, n_levels):
            sums[level] = sums[level] + carried
            # a level is handed on after 16 sums of the one below
            if number % size**level:
                break
            carried, sums[level] = sums[level], np.zeros_like(carried)
    for frame in frames[n_groups * size :]:
        sums[0] = sums[0] + frame
    return sums[0] + sums[1] + sums[2] + sums[3]


def compress(
    embeddings: Floats, predictions: Floats, silence_mean: Floats, rules: CacheRules, length: int
) -> tuple[Floats, Floats]:
    """Keep the `length` frames that say most about the speakers.

    Args:
      embeddings: float32 [n_frames, embedding_size], n_frames > length: the cache, then frames that are new to it.
      predictions: float32 [n_frames, n_speakers], their probabilities.
      silence_mean: float32 [embedding_size], takes the place of a speaker's silence, and of what is not filled.
      rules: the model's rules.
      length: frames to keep, `spkcache_len`.

    Returns:
      float32 [length, embedding_size] and float32 [length, n_speakers]: speaker by speaker, each in the order of
      time and closed by silence. A frame may stand for several speakers.
    """
    n_frames, n_speakers = predictions.shape
    per_speaker = length // n_speakers - rules.spkcache_sil_frames_per_spk
    scores = speaker_scores(predictions, rules, math.floor(per_speaker * rules.min_pos_scores_rate))
    # frames from `length` on are new to the cache
    scores[:, length:] += np.float32(max(0.0, rules.scores_boost_latest))
    # NeMo: -scale_factor * log(offset), with scale factors 2 and 1 and offset 0.5
    _boost_highest(scores, math.floor(per_speaker * rules.strong_boost_rate), 2 * math.log(2))
    _boost_highest(scores, math.floor(per_speaker * rules.weak_boost_rate), math.log(2))
    # infinite scores, so that these places are always kept: each speaker ends with silence
    silence = np.full((n_speakers, rules.spkcache_sil_frames_per_spk), np.inf, dtype=np.float32)
    kept = _kept_frames(np.concatenate([scores, silence], axis=1), length)
    # places behind the frames are silence, or were not filled
    is_filler = kept >= n_frames
    # any valid index will do: what it fetches is overwritten
    kept[is_filler] = 0
    cache, cache_predictions = embeddings[kept], predictions[kept]
    cache[is_filler] = silence_mean
    cache_predictions[is_filler] = 0
    return cache, cache_predictions


def speaker_scores(predictions: Floats, rules: CacheRules, n_enough: int) -> Floats:
    """Score how much each frame says about each speaker: high where one speaks, surely and alone.

    Args:
      predictions: float32 [n_frames, n_speakers], probabilities.
      rules: the model's rules.
      n_enough: a speaker with this many positive scores keeps no others, which are overlapped speech.

    Returns:
      float32 [n_speakers, n_frames], -inf for frames that must not be kept for a speaker.

    Example:
      >>> speaker_scores(np.float32([[0.9, 0.1], [0.8, 0.6], [0.3, 0.1]]), CacheRules(), n_enough=9).round(3)
      array([[ 0.482, -0.446,   -inf],
             [  -inf, -1.204,   -inf]], dtype=float32)
    """
    floor = np.float32(rules.pred_score_threshold)
    speaks = _log(np.maximum(predictions, floor))
    is_quiet = _log(np.maximum(np.float32(1) - predictions, floor))
    # log p + log 2 + log(1 - p) of all others: the speaker's own 1 - p cancels, but in this order it rounds as in NeMo
    scores = speaks - is_quiet + is_quiet.sum(axis=1, keepdims=True) - np.float32(math.log(0.5))
    is_speech = predictions > 0.5
    scores[~is_speech] = -np.inf
    is_positive = scores > 0
    has_enough = np.count_nonzero(is_positive, axis=0) >= n_enough
    scores[~is_positive & has_enough] = -np.inf
    return np.ascontiguousarray(scores.T)


def _log(values: Floats) -> Floats:
    """Return the logarithm, rounded as torch's: NumPy's own for float32 is off by one place in a tenth of all cases.

    That decides between frames whose scores are all but equal.
    """
    return np.log(values, dtype=np.float64).astype(np.float32)


def _boost_highest(scores: Floats, count: int, boost: float) -> None:
    """Add to the `count` highest scores of each speaker, in place."""
    for row in scores:
        row[highest(row, count)] += np.float32(boost)


def _kept_frames(scores: Floats, length: int) -> NDArray[np.intp]:
    """Return the frames of the highest scores over all speakers, and n_frames for each that is -inf."""
    n_frames = scores.shape[1]
    flat = scores.ravel()
    # sorted by place in the flat scores: speaker by speaker, each in order of time
    chosen = np.sort(highest(flat, length))
    chosen = chosen[flat[chosen] > -np.inf]
    kept = np.full(length, n_frames, dtype=np.intp)
    kept[: len(chosen)] = chosen % n_frames
    return kept


def highest(scores: Floats, count: int) -> NDArray[np.intp]:
    """Return where the `count` highest scores are, in no order: of equal ones those that torch takes on a CPU.

    Ties are common where probabilities saturate, and decide which frames are kept. `torch.topk` leaves it to
    libstdc++'s `std::nth_element` (on a GPU: to another rule). Scores of -inf are never kept, so which of them are
    taken does not matter. Where torch would partially sort (count * 64 <= n), the first of equal scores are taken.

    Args:
      scores: float32 [n], no NaN.
      count: how many to find; all if there are fewer.

    Returns:
      intp [min(count, n)].

    Example:
      >>> sorted(highest(np.float32([1, 3, 2, 0]), 2).tolist())
      [1, 2]
    """
    n = len(scores)
    if count >= n:
        return np.arange(n)
    if count <= 0:
        return np.empty(0, dtype=np.intp)
    chosen = np.argpartition(scores, n - count)[n - count :]
    # argpartition puts the least of the chosen at the cut, which is their first place
    least = scores[chosen[0]]
    # without a tie at the cut every algorithm takes the same
    if least == -np.inf or np.count_nonzero(scores >= least) == count:
        return chosen
    if count * _PARTIAL_SORT <= n:
        return np.argsort(-scores, kind="stable")[:count]
    return np.array(_nth_element(scores.tolist(), count), dtype=np.intp)


def _nth_element(scores: list[float], count: int) -> list[int]:
    """Return the first `count` indices after std::nth_element with "greater" (libstdc++, bits/stl_algo.h)."""
    order = list(range(len(scores)))
    first, last = 0, len(order)
    # std::nth_element gives up partitioning after twice the binary logarithm of steps
    for _ in range(2 * (len(order).bit_length() - 1)):
        if last - first <= 3:
            break
        cut = _partition(scores, order, first, last)
        first, last = (cut, last) if cut < count else (first, cut)
    # the insertion sort at the end is stable, as `sorted` is
    order[first:last] = sorted(order[first:last], key=lambda index: -scores[index])
    return order[:count]


def _partition(scores: list[float], order: list[int], first: int, last: int) -> int:
    """Split [first, last) at the median of three, as std::__unguarded_partition_pivot; return where it is cut."""
    a, b, c = first + 1, first + (last - first) // 2, last - 1
    high, middle, low = scores[order[a]], scores[order[b]], scores[order[c]]
    if high > middle:
        pivot = b if middle > low else c if high > low else a
    else:
        pivot = a if high > low else c if middle > low else b
    # std::__move_median_to_first
    order[first], order[pivot] = order[pivot], order[first]
    value = scores[order[first]]
    left, right = first + 1, last
    while True:
        # no bounds: the median of three guarantees a stop on both sides
        while scores[order[left]] > value:
            left += 1
        right -= 1
        while value > scores[order[right]]:
            right -= 1
        if left >= right:
            return left
        order[left], order[right] = order[right], order[left]
        left += 1
