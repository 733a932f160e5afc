"""The bandwidth of each segment of a recording, measured while the recording is read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from beam_curator.audio import Samples, mix_channels
from beam_curator.audio_formats import Channels
from beam_curator.diarization.bandwidth import BandwidthMeter

KeyT = TypeVar("KeyT")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSpan:
    """Samples `[first, stop)` of a recording, and the channel that they are of; "mix" for the mean of all."""

    first: int
    stop: int
    channels: Channels = "mix"


class SegmentMeters(Generic[KeyT]):
    """Measures the bandwidth of spans of a recording that comes in pieces.

    How it is cut changes nothing, not a bit, and spans may overlap. Memory is that of the spans that are begun.

    Args:
      spans: by any key.
      sample_rate: of the recording, Hz, at least 100.
      first: sample of the recording at which the pieces begin.

    Example:
      >>> import numpy as np
      >>> meters = SegmentMeters({"a": SegmentSpan(first=1, stop=3), "b": SegmentSpan(first=0, stop=1)}, 16000)
      >>> meters.add(np.float32([[0], [1], [0], [0]]))
      >>> meters.bandwidths()
      {'b': 0, 'a': 8000}
    """

    def __init__(self, spans: Mapping[KeyT, SegmentSpan], sample_rate: int, first: int = 0) -> None:
        self._waiting = sorted(spans.items(), key=lambda item: item[1].first, reverse=True)
        self._sample_rate = sample_rate
        self._here = first
        self._begun: list[tuple[KeyT, SegmentSpan, BandwidthMeter]] = []
        self._found: dict[KeyT, int] = {}

    def add(self, samples: Samples) -> None:
        """Take the next samples, float32 [n, n_channels].

        Raises:
          EntryError: a sample is not finite.
        """
        begin, end = self._here, self._here + len(samples)
        while self._waiting and self._waiting[-1][1].first < end:
            self._begun.append((*self._waiting.pop(), BandwidthMeter(self._sample_rate)))
        going_on = []
        for key, span, meter in self._begun:
            piece = samples[max(span.first - begin, 0) : max(span.stop - begin, 0)]
            meter.add(mix_channels(piece, span.channels)[:, 0])
            if span.stop > end:
                going_on.append((key, span, meter))
            else:
                self._found[key] = meter.bandwidth()
        self._begun, self._here = going_on, end

    def bandwidths(self) -> dict[KeyT, int]:
        """Return the bandwidth in Hz of each span, by its key, as far as its samples came; no others may follow."""
        self._found |= {key: meter.bandwidth() for key, _, meter in self._begun}
        self._begun = []
        return self._found
