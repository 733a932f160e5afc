"""What a model says of a recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats
from beam_curator.intervals import Seconds


@dataclass(frozen=True, slots=True, eq=False)
class Probabilities:
    """How likely each speaker talks, frame by frame.

    Attributes:
      frames: float32 [n_frames, n_speakers].
      frame_step: seconds from one frame to the next.
      encoder_frames: float16 [n_frames, width], what embeddings are pooled from; None where nobody asked for them.
    """

    frames: Floats
    frame_step: Seconds
    encoder_frames: NDArray[np.float16] | None = None

    @property
    def n_speakers(self) -> int:
        """Slots for speakers that the model has."""
        return int(self.frames.shape[1])
