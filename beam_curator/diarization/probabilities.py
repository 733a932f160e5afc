"""The probabilities that a model gives for a recording, and the identity of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.clipping import NOT_HEARD, Clipped
from beam_curator.diarization.models import Floats
from beam_curator.intervals import Seconds, Span


class ModelIdentity(NamedTuple):
    """Which model said something.

    Attributes:
      name: its name on the hub, else that of its file.
      revision: the hub's commit; "" where it does not come from there.
      sha256: of the `.nemo` file that it is, or was exported from; "" where unknown.
      backend: name of the backend, such as "onnx" or "nemo"; "" if unknown.
    """

    name: str
    revision: str = ""
    sha256: str = ""
    backend: str = ""


class HeardPieces(NamedTuple):
    """How a recording was heard in pieces: the speakers that the model can tell apart in each, and their length."""

    slots: int
    seconds: Seconds


@dataclass(frozen=True, slots=True, eq=False)
class Probabilities:
    """How likely each speaker talks, frame by frame.

    Attributes:
      frames: float32 [n_frames, n_speakers].
      frame_step: seconds from one frame to the next.
      encoder_frames: float16 [n_frames, width], what embeddings are pooled from; None where nobody asked for them, and
        where there are no frames.
      model: which one said it; None where that is not told.
      dead_air: stretches in seconds where nothing moves; a handler of your own may leave it out.
      clipped: how much of the sound is clipped; a handler of your own may leave it out.
      slots: speakers that the model can tell apart, where it gives fewer tracks; None for as many as there are tracks.
      speech: stretches in seconds, ascending, in which anybody speaks; None where nobody looked.
      pieces: how it was heard in pieces; None where it was heard as a whole.
    """

    frames: Floats
    frame_step: Seconds
    encoder_frames: NDArray[np.float16] | None = None
    model: ModelIdentity | None = None
    dead_air: tuple[Span, ...] = ()
    clipped: Clipped = NOT_HEARD
    slots: int | None = None
    speech: tuple[Span, ...] | None = None
    pieces: HeardPieces | None = None

    @property
    def n_speakers(self) -> int:
        """Slots for speakers that the model has."""
        return int(self.frames.shape[1]) if self.slots is None else self.slots
