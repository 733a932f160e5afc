"""Scores of single recordings, and of all of them together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from beam_curator.intervals import Seconds, sum_left_to_right


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The parts of recordings that are left out of the scoring.

    Attributes:
      collar: seconds on each side of every boundary of a reference turn, as in md-eval's `-c`. pyannote.metrics takes
        both sides together: twice as much.
      skip_overlap: leave out where several speakers of the reference talk at once.

    Example:
      >>> str(Conditions(collar=0.25)), str(Conditions(skip_overlap=True))
      ('collar 0.25 s on each side, overlap scored', 'collar 0 s, overlap left out')
    """

    collar: Seconds = 0.0
    skip_overlap: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.collar) and self.collar >= 0):
            raise ValueError(f"collar {self.collar:g}, expected seconds, 0 or more: give for example 0.25")

    def __str__(self) -> str:
        side = f"{self.collar:g} s on each side" if self.collar else "0 s"
        return f"collar {side}, overlap {'left out' if self.skip_overlap else 'scored'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Errors in percent; None where the reference has no speech to measure them by.

    Attributes:
      der: diarization error rate, the sum of the next three.
      missed: speech of the reference that nobody was given.
      false_alarm: speech that the reference has not.
      confused: speech given to another speaker.
      jer: Jaccard error rate.
    """

    der: float | None
    missed: float | None
    false_alarm: float | None
    confused: float | None
    jer: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingScore:
    """How far the turns of one recording are from the reference. Where two talk at once, seconds count twice.

    Attributes:
      recording_id: its name.
      scored: seconds of the recording that were scored.
      speech: seconds of the reference's speech in them.
      missed, false_alarm, confused: seconds of the three errors.
      jaccard_error: sum over speakers of the reference of the share of both turns, theirs and those of the speaker
        they were matched with, that is not common to them.
      n_jaccard: how many speakers that is the sum over: those with speech in what was scored.
      n_reference_speakers, n_hypothesis_speakers: speakers in the UEM, collars included.
      has_hypothesis: false where the hypothesis lacks the recording.
    """

    recording_id: str
    scored: Seconds
    speech: Seconds
    missed: Seconds
    false_alarm: Seconds
    confused: Seconds
    jaccard_error: float
    n_jaccard: int
    n_reference_speakers: int
    n_hypothesis_speakers: int
    has_hypothesis: bool = True

    @property
    def count_error(self) -> int:
        """How many speakers too many were told apart; below 0 for too few."""
        return self.n_hypothesis_speakers - self.n_reference_speakers

    @property
    def rates(self) -> Rates:
        """The errors in percent of the reference's speech."""
        return weighted_rates([self])


def weighted_rates(scores: Iterable[RecordingScore]) -> Rates:
    """Return the errors of all recordings as percent of the reference's speech in all; JER over all speakers.

    Recordings without speech in the reference count by their false alarms.

    Example:
      >>> score = RecordingScore(recording_id="a", scored=10.0, speech=8.0, missed=1.0, false_alarm=2.0, confused=0.0,
      ...     jaccard_error=0.5, n_jaccard=2, n_reference_speakers=2, n_hypothesis_speakers=2)
      >>> weighted_rates([score])
      Rates(der=37.5, missed=12.5, false_alarm=25.0, confused=0.0, jer=25.0)
    """
    scores = list(scores)
    speech = sum_left_to_right(score.speech for score in scores)
    missed = sum_left_to_right(score.missed for score in scores)
    false_alarm = sum_left_to_right(score.false_alarm for score in scores)
    confused = sum_left_to_right(score.confused for score in scores)
    jaccard = sum_left_to_right(score.jaccard_error for score in scores)
    return Rates(
        der=_percent(missed + false_alarm + confused, speech),
        missed=_percent(missed, speech),
        false_alarm=_percent(false_alarm, speech),
        confused=_percent(confused, speech),
        jer=_percent(jaccard, sum(score.n_jaccard for score in scores)),
    )


def macro_rates(scores: Iterable[RecordingScore]) -> Rates:
    """Return the mean of the recordings' errors, each recording as much as any other.

    Recordings without speech in the reference have no rate and are left out.
    """
    rates = [score.rates for score in scores]
    return Rates(
        der=_mean([rate.der for rate in rates]),
        missed=_mean([rate.missed for rate in rates]),
        false_alarm=_mean([rate.false_alarm for rate in rates]),
        confused=_mean([rate.confused for rate in rates]),
        jer=_mean([rate.jer for rate in rates]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerCounts:
    """How well speakers were counted.

    Attributes:
      n_right: recordings with as many speakers as the reference has.
      accuracy: percent of all recordings that these are.
      mean_error: by how many the number is wrong on average, too many or too few alike.
    """

    n_right: int
    accuracy: float
    mean_error: float


def speaker_counts(scores: Sequence[RecordingScore]) -> SpeakerCounts:
    """Compare the numbers of speakers of at least one recording."""
    errors = [abs(score.count_error) for score in scores]
    n_right = errors.count(0)
    return SpeakerCounts(n_right=n_right, accuracy=100 * n_right / len(errors), mean_error=sum(errors) / len(errors))


def _percent(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole > 0 else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum_left_to_right(known) / len(known) if known else None
