"""What a model says of a recording."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.diarization.models import Floats
from beam_curator.intervals import Seconds


@dataclass(frozen=True, slots=True, eq=False)
class Probabilities:
    """How likely each speaker talks, frame by frame.

    Attributes:
      frames: float32 [n_frames, n_speakers].
      frame_step: seconds from one frame to the next.
    """

    frames: Floats
    frame_step: Seconds

    @property
    def n_speakers(self) -> int:
        """Slots for speakers that the model has."""
        return int(self.frames.shape[1])
