"""Silero's detector of speech, on onnxruntime: its graph for sequences, block by block."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from beam_curator.diarization.models import Floats
from beam_curator.model_records import FAMILIES
from beam_curator.models.onnx_sessions import EndNames, open_session, run_session
from beam_curator.vad.speech_rules import FRAME_SAMPLES

_NAMES = EndNames(("input", "h", "c"), ("speech_probs", "hn", "cn"))
_CONTEXT = 64
"""Samples of the frame before, which a frame hears, too."""
_BLOCK = 128
"""Frames at once: fewer, or all of them, take longer. The results are the same bit for bit."""
_STATE = (1, 1, 128)


class SpeechDetector:
    """A detector of speech. Threads may share it.

    Args:
      session: of the graph.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def probabilities(self, pieces: Iterable[Floats]) -> Floats:
        """Return the probability of speech in each frame of a recording.

        Args:
          pieces: float32 [n_samples] at 16 kHz, in order, of any lengths: results do not depend on the cutting.

        Returns:
          float32 [n_frames], for each 512 samples; the last frame is filled up with zeros.

        Raises:
          OutOfMemoryError: memory is lacking.
        """
        context = np.zeros(_CONTEXT, np.float32)
        hidden, cell = np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32)
        made = [np.empty(0, np.float32)]
        for block in _blocks(pieces):
            frames = np.empty((len(block) // FRAME_SAMPLES, _CONTEXT + FRAME_SAMPLES), np.float32)
            frames[:, _CONTEXT:] = block.reshape(-1, FRAME_SAMPLES)
            frames[0, :_CONTEXT] = context
            frames[1:, :_CONTEXT] = frames[:-1, -_CONTEXT:]
            context = frames[-1, -_CONTEXT:].copy()
            given = {"input": frames, "h": hidden, "c": cell}
            some, hidden, cell = run_session(self._session, _NAMES.outputs, given)
            made.append(some)
        return np.concatenate(made)


def _blocks(pieces: Iterable[Floats]) -> Iterator[Floats]:
    """Yield samples in blocks of whole frames, each of the same size but the last, which is filled up with zeros."""
    size, rest = _BLOCK * FRAME_SAMPLES, np.empty(0, np.float32)
    for piece in pieces:
        rest = np.concatenate([rest, piece])
        n_whole = len(rest) // size
        yield from rest[: n_whole * size].reshape(n_whole, size)
        rest = rest[n_whole * size :]
    if len(rest):
        yield np.pad(rest, (0, -len(rest) % FRAME_SAMPLES))


def load_silero(folder: str, n_threads: int = 1) -> SpeechDetector:
    """Load the detector from a folder with its graph. Nothing is hashed: see `check_made`.

    Raises:
      NotAModelError: the file is no graph, or another one.
      OutOfMemoryError: it does not fit into memory.
    """
    path = os.path.join(folder, FAMILIES["silero-vad"].onnx_files[0])
    cure = "install it again: beam-curator models install silero-vad"
    return SpeechDetector(open_session(path, _NAMES, n_threads, ["CPUExecutionProvider"], cure))
