"""Silero's detector of speech, on onnxruntime: its graph for sequences, block by block."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from beam_curator.diarization.models import Floats
from beam_curator.model_records import FAMILIES, KNOWN_MODELS, SILERO_MODEL
from beam_curator.models.onnx_sessions import EndNames, open_session, run_session
from beam_curator.models.resolving import find_packaged
from beam_curator.vad.speech_rules import FRAME_SAMPLES
from beam_curator.vad.speech_spans import Speech

_RECORD = KNOWN_MODELS[SILERO_MODEL]

_NAMES = EndNames(("input", "h", "c"), ("speech_probs", "hn", "cn"))
_CONTEXT = 64
"""Samples of the frame before, which a frame hears, too."""
_BLOCK = 128
"""Frames at once: fewer, or all of them, take longer. The results are the same bit for bit."""
_BLOCK_SAMPLES = _BLOCK * FRAME_SAMPLES
_STATE = (1, 1, 128)


class SpeechDetector:
    """A detector of speech. Threads may share it.

    Args:
      session: of the graph.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def hear(self, pieces: Iterable[Floats]) -> Speech:
        """Return how likely anybody speaks in a recording, frame by frame.

        Args:
          pieces: float32 [n_samples] at 16 kHz, in order, of any lengths: results do not depend on the cutting.

        Raises:
          OutOfMemoryError: memory is lacking.
        """
        listening = SpeechListening(self)
        for _ in listening.passed_on(pieces):
            pass
        return listening.speech

    def stream(self) -> "_SpeechStream":
        """Begin a recording."""
        return _SpeechStream(self._session)


class SpeechListening:
    """Listens to a recording on its way to somebody else.

    Args:
      detector: of speech.
    """

    def __init__(self, detector: SpeechDetector) -> None:
        self._detector = detector
        self._speech: Speech | None = None

    def passed_on(self, pieces: Iterable[Floats]) -> Iterator[Floats]:
        """Yield the pieces of a recording as they are; each is heard before."""
        stream = self._detector.stream()
        for piece in pieces:
            stream.push(piece)
            yield piece
        self._speech = stream.finish()

    @property
    def is_done(self) -> bool:
        """Whether all of a recording was heard."""
        return self._speech is not None

    @property
    def speech(self) -> Speech:
        """How likely anybody speaks.

        Raises:
          ValueError: no recording was heard to its end.
        """
        if self._speech is None:
            raise ValueError("no recording was heard to its end: take all pieces first")
        return self._speech


class _SpeechStream:
    """Hears a recording block by block."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._rest = np.empty(0, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._state = np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32)
        self._made = [np.empty(0, np.float32)]
        self._n_samples = 0

    def push(self, samples: Floats) -> None:
        """Hear the next samples."""
        held = np.concatenate([self._rest, samples])
        self._n_samples += len(samples)
        stop = len(held) // _BLOCK_SAMPLES * _BLOCK_SAMPLES
        for block in held[:stop].reshape(-1, _BLOCK_SAMPLES):
            self._hear(block)
        self._rest = held[stop:].copy()

    def finish(self) -> Speech:
        """Hear the rest, which is filled up with zeros, and return the result."""
        if len(self._rest):
            self._hear(np.pad(self._rest, (0, -len(self._rest) % FRAME_SAMPLES)))
        return Speech(np.concatenate(self._made), self._n_samples)

    def _hear(self, block: Floats) -> None:
        frames = np.empty((len(block) // FRAME_SAMPLES, _CONTEXT + FRAME_SAMPLES), np.float32)
        frames[:, _CONTEXT:] = block.reshape(-1, FRAME_SAMPLES)
        frames[0, :_CONTEXT] = self._context
        frames[1:, :_CONTEXT] = frames[:-1, -_CONTEXT:]
        self._context = frames[-1, -_CONTEXT:].copy()
        given = {"input": frames, "h": self._state[0], "c": self._state[1]}
        some, *state = run_session(self._session, _NAMES.outputs, given)
        self._state = state[0], state[1]
        self._made.append(some)


def find_silero(folder: str = "", cache_dir: str = "") -> str:
    """Return the folder of the detector, checked by its hashes: see `find_packaged`."""
    return find_packaged(_RECORD, folder, cache_dir)


def load_silero(folder: str, n_threads: int = 1) -> SpeechDetector:
    """Load the detector from a folder with its graph. Nothing is hashed: see `check_made`.

    Raises:
      NotAModelError: the file is no graph, or another one.
      OutOfMemoryError: it does not fit into memory.
    """
    path = os.path.join(folder, FAMILIES[_RECORD.family].onnx_files[0])
    cure = "install it again: beam-curator models install silero-vad"
    return SpeechDetector(open_session(path, _NAMES, n_threads, ["CPUExecutionProvider"], cure))
