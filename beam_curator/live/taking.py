"""Sound of a session for its model: as many samples as a step takes, out of chunks that wait as they came."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from beam_curator.diarization.models import Floats
from beam_curator.live.ordering import ChunkOrder

_STALE_CHUNKS = 8
"""Chunks that were heard before the others are written anew without them."""


def take_samples(order: ChunkOrder, n_samples: int, decoded: Callable[[int], Floats]) -> Floats:
    """Return the next samples for the model, and note that it heard them.

    Args:
      order: of the session.
      n_samples: how many; there must be as many in order.
      decoded: decodes a chunk that came, by its number.

    Returns:
      float32 [n_samples], at the rate of the session; zeros for chunks that did not come.
    """
    parts = [np.empty(0, np.float32)]
    missing = n_samples
    while missing > 0:
        each = _silence_at(order)
        left = (np.zeros(each, np.float32) if each is not None else decoded(order.taken_seq))[order.skip :]
        parts.append(left[:missing])
        missing -= len(parts[-1])
        if len(parts[-1]) == len(left):
            order.taken_seq, order.skip = order.taken_seq + 1, 0
        else:
            order.skip += len(parts[-1])
    order.silences = [silence for silence in order.silences if silence[1] >= order.taken_seq]
    order.n_taken += n_samples
    return np.concatenate(parts)


def _silence_at(order: ChunkOrder) -> int | None:
    """Return how long the silence is that stands for the next chunk; None where that came."""
    for first, last, each in order.silences:
        if first <= order.taken_seq <= last:
            return each
    return None


def kept_chunks(order: ChunkOrder, chunks: Mapping[int, bytes]) -> list[bytes] | None:
    """Return the chunks to keep, where enough of them were heard that it pays to write the others anew; else None.

    Example:
      >>> order = ChunkOrder(taken_seq=9)
      >>> kept_chunks(order, {seq: b"%d" % seq for seq in range(11)}), kept_chunks(order, {8: b"8", 9: b"9"})
      ([b'9', b'10'], None)
    """
    kept = [message for seq, message in sorted(chunks.items()) if seq >= order.taken_seq]
    return kept if len(chunks) - len(kept) > _STALE_CHUNKS else None
