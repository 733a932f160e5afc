"""The detectors of speech that options name, found, checked and loaded."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

from beam_curator.diarization.dead_air import dead_air_of
from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats
from beam_curator.intervals import Seconds, Span
from beam_curator.model_records import KNOWN_MODELS, SILERO_MODEL
from beam_curator.models.resolving import is_installed
from beam_curator.models.silero import SpeechDetector, find_silero, load_silero
from beam_curator.quality.measure_rules import MeasureRules
from beam_curator.vad.speech_rules import SpeechRules
from beam_curator.vad.vad_options import ENERGY, NO_VAD, SILERO


class SpeechDetecting(Protocol):
    """Tells where anybody speaks."""

    def speech(self, pieces: Iterable[Floats]) -> list[Span]:
        """Return spans in seconds from the first sample.

        Args:
          pieces: float32 [n_samples] at 16 kHz, in order; all are taken.
        """


class _Silero:
    def __init__(self, detector: SpeechDetector) -> None:
        self._detector = detector

    def speech(self, pieces: Iterable[Floats]) -> list[Span]:
        return list(self._detector.hear(pieces).seconds(SpeechRules()))


class _Energy:
    def speech(self, pieces: Iterable[Floats]) -> list[Span]:
        dead, n_samples = dead_air_of(pieces)
        return _between(dead, n_samples / MODEL_SAMPLE_RATE)


class _Nothing:
    def speech(self, pieces: Iterable[Floats]) -> list[Span]:
        for _ in pieces:
            pass
        return []


def _between(spans: Iterable[Span], end: Seconds) -> list[Span]:
    edges = [0.0, *(time for span in spans for time in span), end]
    return [(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]


def with_vad(rules: MeasureRules, *, is_elsewhere: bool = False) -> MeasureRules:
    """Return rules that name a detector, where they leave it open: silero where it is installed, else energy.

    Args:
      rules: the options.
      is_elsewhere: workers have other models installed than this machine.
    """
    if rules.vad is not None:
        return rules
    is_there = not is_elsewhere and is_installed(SILERO_MODEL, None)
    return replace(rules, vad=SILERO if rules.vad_path or is_there else ENERGY)


def load_detector(rules: MeasureRules) -> SpeechDetecting:
    """Load the detector that rules name.

    Raises:
      ModelNotFoundError, ModelFileError, NotAModelError: see `find_silero`.
    """
    chosen = with_vad(rules).vad
    if chosen == SILERO:
        return _Silero(load_silero(find_silero(rules.vad_path)))
    return _Nothing() if chosen == NO_VAD else _Energy()


def vad_config(rules: MeasureRules) -> dict[str, Any]:
    """Return the hash of the model's package, which decides the spans besides the options."""
    return {"silero-vad": KNOWN_MODELS[SILERO_MODEL].sha256} if rules.vad == SILERO else {}
