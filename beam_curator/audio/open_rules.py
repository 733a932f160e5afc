"""Rules for opening a recording: how far it may be counted, and how much of it stays in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from beam_curator.audio.information import AudioInfo
from beam_curator.audio.spans import KEPT_VALUES, Decoder, ForwardSpans
from beam_curator.failures import EntryError


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Says how far to count a recording, and how much of it to keep in memory.

    Attributes:
      check: asked again and again, while a recording that does not say its length is decoded to count it; an
        EntryError ends that. None for no limit.
      counts: False stops at the first samples, where nobody asks for the length.
      kept_values: how many decoded values stay, where decoding only goes forward.
    """

    check: Callable[[AudioInfo], None] | None = None
    counts: bool = True
    kept_values: int = KEPT_VALUES

    def spans(self, open_decoder: Callable[[], Decoder], n_channels: int) -> ForwardSpans:
        """Return the spans of a codec that is decoded from its beginning only."""
        return ForwardSpans(open_decoder, n_channels=n_channels, kept_values=self.kept_values)

    def count(self, spans: ForwardSpans, info: AudioInfo) -> int:
        """Return how many samples a recording has, which only decoding tells.

        Raises:
          EntryError: `check` refuses it; its decoder is released.
        """
        try:
            return spans.count(lambda n_samples: self._goes_on(info.with_samples(n_samples)))
        except EntryError:
            spans.close()
            raise

    def _goes_on(self, info: AudioInfo) -> bool:
        if self.check is not None:
            self.check(info)
        return self.counts


WHOLE = Opening()
"""Without limits."""
