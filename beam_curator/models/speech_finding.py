"""Where anybody speaks in a recording or on a track of it, by the detector that options name."""

from collections.abc import Iterable

import numpy as np

from beam_curator.curate.curate_rules import CurateVad
from beam_curator.diarization.dead_air import dead_air_of
from beam_curator.diarization.models import Floats
from beam_curator.models.silero import SpeechDetector, find_silero, load_silero
from beam_curator.vad.speech_rules import FRAME_SAMPLES
from beam_curator.vad.speech_spans import SAMPLE_RATE, Speech


class SpeechFinder:
    """Finds speech, with a model that is loaded when it is first needed.

    Args:
      options: which detector.
      threads: of the model.
    """

    def __init__(self, options: CurateVad, threads: int = 1) -> None:
        self._options = options
        self._threads = threads
        self._detector: SpeechDetector | None = None

    def hear(self, pieces: Iterable[Floats]) -> Speech:
        """Return how likely anybody speaks, frame by frame.

        Args:
          pieces: float32 [n_samples] at 16 kHz, in order.

        Raises:
          OutOfMemoryError: memory is lacking.
          ModelNotFoundError, ModelFileError, NotAModelError: see `find_silero`.
        """
        if not self._options.needs_model:
            return sounding(pieces)
        if self._detector is None:
            self._detector = load_silero(find_silero(self._options.vad_path), self._threads)
        return self._detector.hear(pieces)


def sounding(pieces: Iterable[Floats]) -> Speech:
    """Return a detector's result that takes all for speech but dead air.

    Example:
      >>> found = sounding([np.zeros(48000, np.float32), np.tile(np.float32([0.5, -0.5]), 8000)])
      >>> found.probabilities[[0, 80, 90]].tolist()
      [0.0, 0.0, 1.0]
    """
    dead, n_samples = dead_air_of(pieces)
    probabilities = np.ones(-(-n_samples // FRAME_SAMPLES), np.float32)
    for start, end in dead:
        first, stop = (round(time * SAMPLE_RATE / FRAME_SAMPLES) for time in (start, end))
        probabilities[first:stop] = 0
    return Speech(probabilities, n_samples)
