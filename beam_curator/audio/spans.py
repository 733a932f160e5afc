"""Pieces of a recording, exact to the sample: by seeking where a codec's seek is exact, by decoding forward elsewhere.

Measured with libsndfile 1.2.2: sought PCM and FLAC are equal to the whole, bit for bit. Sought Vorbis is not (a span
now and then comes from another place), nor is MP3 (last bits), nor Opus (its state), nor can GSM seek at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beam_curator.failures import EntryError, FailureCode

Samples = NDArray[np.float32]
"""float32 [n_samples, n_channels], full scale is 1.0."""

KEPT_VALUES = 1 << 24
"""How many decoded values (samples times channels) a forward reader keeps: 64 MiB."""

_BLOCK_VALUES = 1 << 16


def check_finite(samples: Samples, position: int) -> None:
    """Refuse NaN and infinite samples, of which the first has the number `position` in its recording or clip."""
    if not np.isfinite(samples).all():
        at = int(np.flatnonzero(~np.isfinite(samples).all(axis=1))[0])
        raise EntryError(
            FailureCode.NON_FINITE,
            f"sample {position + at} is {samples[at].tolist()}, expected finite numbers",
            "mend the recording, or write it again as 16-bit PCM",
        )


class Decoder(Protocol):
    """Decodes a recording from its beginning.

    Attributes:
      damage: why decoding ended early; None while it has not.
    """

    damage: str | None

    def read(self, n_samples: int) -> Samples:
        """Return the next samples, fewer than asked at the end only."""
        ...

    def close(self) -> None:
        """Release the decoder; the file stays open."""
        ...


class SeekableDecoder(Decoder, Protocol):
    """A decoder that goes to any sample and decodes there the same bits as on the way."""

    def seek(self, sample: int) -> bool:
        """Go to a sample; return whether that worked."""
        ...


class Spans(Protocol):
    """Reads pieces of a recording."""

    damage: str | None

    def read(self, start: int, stop: int) -> Samples:
        """Return samples `[start, stop)`; fewer where the recording ends or is damaged before."""
        ...

    def close(self) -> None:
        """Release the decoder; the file stays open."""
        ...


class SeekingSpans:
    """Spans of a codec whose seek is exact; it is used only where a span does not follow the one before.

    Args:
      open_decoder: opens the recording at its beginning.
      n_channels: number of channels.
      probe_above: how many values make it look for a span's last sample before memory is taken for it.
    """

    def __init__(self, open_decoder: Callable[[], SeekableDecoder], *, n_channels: int, probe_above: int) -> None:
        self._open_decoder = open_decoder
        self._n_channels = n_channels
        self._probe_above = probe_above
        self._decoder: SeekableDecoder | None = None
        self._position = 0
        self.damage: str | None = None

    def read(self, start: int, stop: int) -> Samples:
        """Return samples `[start, stop)`; fewer where the recording ends or is damaged before."""
        n_samples = stop - start
        # a header may claim far more than there is: look before memory is taken for it
        if n_samples * self._n_channels > self._probe_above and len(self._read(stop - 1, 1)) == 0:
            return np.empty((0, self._n_channels), np.float32)
        return self._read(start, n_samples)

    def _read(self, start: int, n_samples: int) -> Samples:
        if self._decoder is None:
            self._decoder, self._position = self._open_decoder(), 0
        if start != self._position and not self._decoder.seek(start):
            samples = np.empty((0, self._n_channels), np.float32)
        else:
            samples = self._decoder.read(n_samples)
        self._position = start + len(samples)
        # after a failure the decoder's position is not known, so the next span begins with a new one
        if len(samples) < n_samples:
            self.damage = self._decoder.damage
            self.close()
        return samples

    def close(self) -> None:
        """Release the decoder; the file stays open."""
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = None


class ForwardSpans:
    """Spans of a codec that is decoded from its beginning only.

    Spans in ascending order cost one pass. What was decoded last stays, so that overlapping spans, and
    any order within a short recording, do not begin anew; a span from before that does.

    Args:
      open_decoder: opens the recording at its beginning.
      n_channels: number of channels.
      kept_values: how many values stay.
    """

    def __init__(self, open_decoder: Callable[[], Decoder], *, n_channels: int, kept_values: int = KEPT_VALUES) -> None:
        self._open_decoder = open_decoder
        self._kept_values = kept_values
        self._n_channels = n_channels
        self._block = max(1, _BLOCK_VALUES // n_channels)
        self._decoder: Decoder | None = None
        self._blocks: deque[tuple[int, Samples]] = deque()
        self._kept = 0
        self._position = 0
        self.damage: str | None = None

    def read(self, start: int, stop: int) -> Samples:
        """Return samples `[start, stop)`; fewer where the recording ends or is damaged before."""
        # what was let go can only be decoded again, from the beginning
        if start < (self._blocks[0][0] if self._blocks else self._position):
            self.close()
        found = [_cut(first, block, start, stop) for first, block in self._blocks]
        parts = [part for part in found if len(part)]
        while self._position < stop and len(block := self._next()):
            part = _cut(self._position - len(block), block, start, stop)
            if len(part):
                parts.append(part)
        return np.concatenate(parts) if parts else np.empty((0, self._n_channels), np.float32)

    def count(self, goes_on: Callable[[int], bool] = lambda n_samples: True) -> int:
        """Decode to the end, or as long as `goes_on` says of the number of samples so far; return that number."""
        while len(self._next()) and goes_on(self._position):
            pass
        return self._position

    def _next(self) -> Samples:
        """Decode a block and keep it; let go of the oldest ones."""
        if self._decoder is None:
            self._decoder = self._open_decoder()
        block = self._decoder.read(self._block)
        self.damage = self._decoder.damage or self.damage
        if len(block):
            self._blocks.append((self._position, block))
            self._position += len(block)
            self._kept += block.size
        # the latest block stays even where it alone is above the limit: the caller is about to use it
        while self._kept > self._kept_values and len(self._blocks) > 1:
            self._kept -= self._blocks.popleft()[1].size
        return block

    def close(self) -> None:
        """Release the decoder and the samples that were kept; the file stays open."""
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = None
        self._blocks.clear()
        self._kept = self._position = 0


def _cut(first: int, block: Samples, start: int, stop: int) -> Samples:
    """Return the samples of `[start, stop)` that lie in a block beginning at sample `first`."""
    return block[max(0, start - first) : max(0, stop - first)]
