"""Scores of one recording, measured by pyannote.metrics: DER (NIST, RT-09) and JER (second DIHARD challenge)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from beam_curator.intervals import Span
from beam_curator.scoring.pairing import Pairing, Recordings, Speakers, extent_of, named
from beam_curator.scoring.scores import Conditions, RecordingScore

if TYPE_CHECKING:
    from pyannote.core import Annotation, Timeline


def score_recording(
    recording_id: str,
    reference: Speakers,
    hypothesis: Speakers | None,
    *,
    conditions: Conditions,
    uem: Sequence[Span] | None = None,
) -> RecordingScore:
    """Measure how far the turns of a recording are from those of a reference.

    Speakers of both sides are matched one to one, so that they share as much time as possible in what is scored; their
    names do not matter. JER is measured with that matching, as pyannote.metrics does; dscore, the scorer of the DIHARD
    challenges, matches for the least JER, so that its JER may be some points lower.

    Args:
      recording_id: its name.
      reference: who speaks when.
      hypothesis: who was said to speak when; None stands for nothing at all.
      conditions: collar, and whether overlap is left out.
      uem: the parts that are scored, in seconds; None for all from the first to the last turn of either side.

    Raises:
      ModuleNotFoundError: pyannote.metrics is not installed.

    Example:
      >>> reference = {"ann": ((0.0, 8.0),), "bob": ((8.0, 10.0),)}
      >>> hypothesis = {"speaker_0": ((0.0, 7.0),), "speaker_1": ((7.0, 10.0),)}
      >>> score = score_recording("a", reference, hypothesis, conditions=Conditions())
      >>> score.speech, score.confused, score.rates.der
      (10.0, 1.0, 10.0)
    """
    said = hypothesis if hypothesis is not None else {}
    extent = _timeline(extent_of(reference, said) if uem is None else uem)
    score = _measured(recording_id, _annotation(reference), _annotation(said), extent, conditions)
    return replace(score, has_hypothesis=hypothesis is not None)


def _measured(
    recording_id: str, reference: Annotation, hypothesis: Annotation, extent: Timeline, conditions: Conditions
) -> RecordingScore:
    from pyannote.metrics.diarization import DiarizationErrorRate, JaccardErrorRate

    sides = reference, hypothesis
    width, skip = 2 * conditions.collar, conditions.skip_overlap  # a collar's two sides are one number there
    errors = DiarizationErrorRate(width, skip)(*sides, uem=extent, detailed=True)
    jaccard = JaccardErrorRate(width, skip)
    speakers = jaccard(*sides, uem=extent, detailed=True)
    *_, scored = jaccard.uemify(*sides, uem=extent, collar=width, skip_overlap=skip, returns_uem=True)
    return RecordingScore(
        recording_id=recording_id,
        scored=_rounded(scored.duration()),
        speech=_rounded(errors["total"]),
        missed=_rounded(errors["missed detection"]),
        false_alarm=_rounded(errors["false alarm"]),
        confused=_rounded(errors["confusion"]),
        jaccard_error=round(max(0.0, speakers["speaker error"]), 12),
        n_jaccard=int(speakers["speaker count"]),
        n_reference_speakers=len(reference.crop(extent).labels()),
        n_hypothesis_speakers=len(hypothesis.crop(extent).labels()),
    )


def matched_speakers(reference: Speakers, hypothesis: Speakers) -> dict[str, str]:
    """Return the speaker of the reference that each one of the other side stands for, as the error rate has it.

    Raises:
      ModuleNotFoundError: pyannote.metrics is not installed.

    Example:
      >>> matched_speakers({"ann": ((0.0, 8.0),)}, {"x": ((0.0, 7.0),), "y": ((7.0, 8.0),)})
      {'x': 'ann'}
    """
    from pyannote.metrics.diarization import DiarizationErrorRate

    sides = _annotation(reference), _annotation(hypothesis)
    extent = _timeline(extent_of(reference, hypothesis))
    mapping = DiarizationErrorRate().optimal_mapping(*sides, uem=extent)
    return {str(said): str(true) for said, true in mapping.items()}


def score_recordings(
    pairing: Pairing,
    reference: Recordings,
    hypothesis: Recordings,
    conditions: Conditions,
    uem: Mapping[str, Sequence[Span]] | None = None,
) -> tuple[RecordingScore, ...]:
    """Score all recordings of the reference, in the order of their names.

    Args:
      pairing: which recordings there are.
      reference: who speaks when in each of them.
      hypothesis: who was said to.
      conditions: collar, and whether overlap is left out.
      uem: the parts that are scored of each recording; None for all from the first to the last turn of either side.

    Raises:
      ModuleNotFoundError: pyannote.metrics is not installed.
      ValueError: the UEM lacks recordings of the reference.
    """
    lacking = [] if uem is None else [name for name in pairing.scored if name not in uem]
    if lacking:
        raise ValueError(
            f"the UEM has no line for {named(lacking)}: add their lines, or leave these recordings out of the reference"
        )
    return tuple(
        score_recording(
            name,
            reference[name],
            hypothesis.get(name),
            conditions=conditions,
            uem=None if uem is None else uem[name],
        )
        for name in pairing.scored
    )


def _timeline(spans: Iterable[Span]) -> Timeline:
    from pyannote.core import Segment, Timeline

    return Timeline([Segment(start, end) for start, end in spans])


def _annotation(speakers: Speakers) -> Annotation:
    from pyannote.core import Annotation, Segment

    annotation = Annotation()
    for name, spans in speakers.items():
        for number, (start, end) in enumerate(spans):
            annotation[Segment(start, end), f"{name} {number}"] = name
    return annotation


def _rounded(seconds: float) -> float:
    """Round to a microsecond: sums of differences are off by less, and may come out below 0 where nothing is wrong."""
    return round(max(0.0, seconds), 6)
