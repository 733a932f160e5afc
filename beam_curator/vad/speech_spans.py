"""Spans of speech from the probabilities of frames, by the rules of silero-vad 6.2.3, sample by sample the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_curator.intervals import Span
from beam_curator.vad.speech_rules import FRAME_SAMPLES, SpeechRules

SAMPLE_RATE = 16000
_CUT_MS = 98
"""Only a longer silence is a place to cut a span that grows too long."""


class SampleSpan(NamedTuple):
    """A span of speech, in samples at 16 kHz."""

    start: int
    stop: int


class _Silence(NamedTuple):
    start: int
    n_samples: int


class Speech(NamedTuple):
    """How likely anybody speaks in a recording.

    Attributes:
      probabilities: float32 [n_frames], of speech in each 512 samples at 16 kHz.
      n_samples: of the recording at 16 kHz; the last frame may reach beyond it.
    """

    probabilities: NDArray[np.float32]
    n_samples: int

    def spans(self, rules: SpeechRules) -> list[SampleSpan]:
        """Return the spans in which anybody speaks; see `speech_spans`."""
        return speech_spans(self.probabilities, self.n_samples, rules)

    def seconds(self, rules: SpeechRules) -> tuple[Span, ...]:
        """Return the same spans in seconds, which end with the last whole millisecond of the recording.

        Example:
          >>> Speech(np.float32([0.1, 0.9, 0.9]), 1540).seconds(SpeechRules(min_speech=0))
          ((0.002, 0.096),)
        """
        # all other ends are whole milliseconds as soon as padding is
        return tuple((span.start / SAMPLE_RATE, span.stop * 1000 // SAMPLE_RATE / 1000) for span in self.spans(rules))


def speech_spans(probabilities: NDArray[np.floating], n_samples: int, rules: SpeechRules) -> list[SampleSpan]:
    """Return the spans in which anybody speaks.

    Args:
      probabilities: float [n_frames], of speech in each 512 samples.
      n_samples: length of the audio at 16 kHz; the last frame may reach beyond it.
      rules: thresholds and durations.

    Returns:
      Spans in order, padded; they do not overlap.

    Example:
      >>> speech_spans(np.array([0.1] * 10 + [0.9] * 20 + [0.1] * 10), 40 * 512, SpeechRules())
      [SampleSpan(start=4640, stop=15840)]
    """
    return _padded(list(_found(probabilities, n_samples, rules)), n_samples, SAMPLE_RATE * rules.padding)


@dataclass(slots=True)
class _Open:
    """A span that has begun.

    Attributes:
      start: its first sample.
      quiet_from: where the silence began that may end it; None while there is none.
      silences: past ones that are long enough to cut at.
    """

    start: int
    quiet_from: int | None = None
    silences: list[_Silence] = field(default_factory=list)


def _found(probabilities: NDArray[np.floating], n_samples: int, rules: SpeechRules) -> Iterator[SampleSpan]:
    shortest, gap = SAMPLE_RATE * rules.min_speech, SAMPLE_RATE * rules.min_silence
    longest = SAMPLE_RATE * rules.max_speech - FRAME_SAMPLES - 2 * SAMPLE_RATE * rules.padding
    # not in float32, to which NumPy would round the thresholds
    exact = probabilities.astype(np.float64)
    is_speech, is_quiet = exact >= rules.threshold, exact < rules.end_threshold
    span: _Open | None = None
    for frame in _telling_frames(is_speech, is_quiet, every=longest < n_samples):
        at = frame * FRAME_SAMPLES
        if span is None:
            span = _Open(at) if is_speech[frame] else None
            continue
        if is_speech[frame]:
            _speak_on(span, at)
        if at - span.start > longest:
            cut = max(span.silences, key=lambda silence: silence.n_samples, default=None)
            yield SampleSpan(span.start, at if cut is None else cut.start)
            span = None if cut is None else _Open(cut.start + cut.n_samples)
        if span is None or not is_quiet[frame]:
            continue
        span.quiet_from = at if span.quiet_from is None else span.quiet_from
        if at - span.quiet_from >= gap:
            if span.quiet_from - span.start > shortest:
                yield SampleSpan(span.start, span.quiet_from)
            span = None
    if span is not None and n_samples - span.start > shortest:
        yield SampleSpan(span.start, n_samples)


def _telling_frames(is_speech: NDArray[np.bool_], is_quiet: NDArray[np.bool_], *, every: bool) -> Sequence[int]:
    """Return the frames that can change anything: those between the thresholds only count time."""
    chosen = np.arange(len(is_speech)) if every else np.flatnonzero(is_speech | is_quiet)
    frames: list[int] = chosen.tolist()
    return frames


def _speak_on(span: _Open, at: int) -> None:
    """Note the silence that ends at `at`, if there is one."""
    if span.quiet_from is not None and at - span.quiet_from > SAMPLE_RATE * _CUT_MS / 1000:
        span.silences.append(_Silence(span.quiet_from, at - span.quiet_from))
    span.quiet_from = None


def _padded(spans: Sequence[SampleSpan], n_samples: int, padding: float) -> list[SampleSpan]:
    """Widen spans at both ends; two that are too near for that share the silence between them."""
    starts, stops = [span.start for span in spans], [span.stop for span in spans]
    for at in range(len(spans) - 1):
        silence = spans[at + 1].start - spans[at].stop
        room = silence // 2 if silence < 2 * padding else padding
        stops[at] = int(min(n_samples, stops[at] + room))
        starts[at + 1] = int(max(0, starts[at + 1] - room))
    if spans:
        starts[0] = int(max(0, starts[0] - padding))
        stops[-1] = int(min(n_samples, stops[-1] + padding))
    return [SampleSpan(*ends) for ends in zip(starts, stops, strict=True)]
