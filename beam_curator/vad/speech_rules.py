"""Options of the spans of speech."""

from __future__ import annotations

import math
from dataclasses import dataclass

FRAME_SAMPLES = 512
"""Samples of a frame at 16 kHz, of which each has a probability of speech: 32 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRules:
    """Rules that turn probabilities of speech into spans; defaults are those of silero-vad.

    Attributes:
      threshold: from this probability on, a frame starts speech.
      min_speech: spans that are not longer are left out, seconds; it holds before padding.
      max_speech: longer spans are cut, at their longest silence where they have one, seconds.
      min_silence: shorter silences do not end a span, seconds.
      padding: added before and after each span, as far as there is room, seconds.
      neg_threshold: below this probability a frame may end speech; None for 0.15 less than `threshold`.
    """

    threshold: float = 0.5
    min_speech: float = 0.25
    max_speech: float = math.inf
    min_silence: float = 0.1
    padding: float = 0.03
    neg_threshold: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold:g}, expected a probability above 0 and up to 1: lower it")
        if self.neg_threshold is not None and not 0 <= self.neg_threshold <= self.threshold:
            raise ValueError(
                f"neg_threshold is {self.neg_threshold:g}, expected 0 to {self.threshold:g}, the threshold: lower it"
            )
        for name in ("min_speech", "min_silence", "padding"):
            seconds = getattr(self, name)
            if not 0 <= seconds < math.inf:
                raise ValueError(f"{name} is {seconds:g} s, expected 0 or more: raise it")
        # a frame and both pads must fit, else every span would end where it begins
        least = FRAME_SAMPLES / 16000 + 2 * self.padding
        if not self.max_speech > least:
            raise ValueError(
                f"max_speech is {self.max_speech:g} s, expected more than {least:g} s, a frame and two times padding: "
                "raise it, or lower padding"
            )

    @property
    def end_threshold(self) -> float:
        """The probability below which a frame may end speech."""
        return max(self.threshold - 0.15, 0.01) if self.neg_threshold is None else self.neg_threshold


GATE_RULES = SpeechRules(threshold=0.2, min_speech=0.1, min_silence=0.5, padding=0.3)
"""For turns, which a model found already: chosen so that little speech is lost, and noise and music still are.

On the half of `examples/human_speech` to choose by, silero's own rules take 7 % of the speech from the turns of `demo`.
"""
