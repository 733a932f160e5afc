"""Windows of sound that comes in pieces, as a scorer hears them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from beam_curator.diarization.models import Floats
from beam_curator.quality.scorers import Scorer


def sound_windows(pieces: Iterable[Floats], scorer: Scorer) -> Iterator[Floats]:
    """Yield the windows of a sound; how it is cut changes nothing. Memory is that of a window and a piece.

    Values are limited to full scale, beyond which resampling may have brought them.

    Args:
      pieces: float32 [n_samples] at the rate of the scorer, in order.
      scorer: its window, hop, and what is done with short sound.

    Yields:
      float32 [n_samples], of a window's length; where sound is given as it is, the last one may be shorter.

    Example:
      >>> from beam_curator.quality.scorers import SCORERS
      >>> [len(window) for window in sound_windows([np.zeros(48000, np.float32)], SCORERS["dnsmos"])]
      [144160, 144160, 144160]
    """
    hop = round(scorer.hop * scorer.sample_rate)
    held, begin, n_samples, n_given = np.empty(0, np.float32), 0, 0, 0
    for piece in pieces:
        held = np.concatenate([held, np.clip(piece, -1, 1)])
        n_samples += len(piece)
        while n_given < scorer.n_windows(n_samples):
            yield held[n_given * hop - begin :][: scorer.n_window]
            n_given += 1
        held = held[n_given * hop - begin :] if n_given else held
        begin = n_given * hop
    if scorer.short == "as_is" and n_samples > begin:
        yield held
    elif not n_given and n_samples:
        while len(held) < scorer.n_window:
            held = np.tile(held, 2)
        for at in range(scorer.n_windows(len(held))):
            yield held[at * hop :][: scorer.n_window]
