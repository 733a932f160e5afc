"""Filters: limits of measures and scores of a recording, a piece of speech or a clip, as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from beam_curator.curate.curate_rules import ANNOTATE, CurateOptions, QualityRules
from beam_curator.curate.score_rules import SCORED, least_of
from beam_curator.quality.scorers import SCORERS

Scores = Mapping[str, Any]
"""What is known of sound, by the key of a row; None where it could not be measured."""

RECORDING, SEGMENT, CLIP = LEVELS = ("recording", "segment", "clip")
"""What a filter looks at: a recording, a piece of speech before speakers are told apart, or a clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A limit of one value; without one anything passes, as there is nothing to judge.

    Attributes:
      name: of the filter, in rows and counts.
      key: of the value.
      least: the lowest value that passes; None for any.
      most: the highest one; None for any.
      equal: the only value that passes; None for any.
      annotates: what is beyond the limit stays, and its row says so.
      levels: what it looks at.
    """

    name: str
    key: str
    least: float | None = None
    most: float | None = None
    equal: Any = None
    annotates: bool = False
    levels: tuple[str, ...] = (SEGMENT, CLIP)

    def passes(self, scores: Scores) -> bool:
        """Tell whether a value is within the limit.

        Example:
          >>> Filter(name="snr", key="snr_db", least=10).passes({"snr_db": 9.9})
          False
        """
        value = scores.get(self.key)
        if value is None:
            return True
        if self.equal is not None:
            return bool(value == self.equal)
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def limit(self) -> Any:
        """The threshold, as rejected rows have it."""
        return next((limit for limit in (self.least, self.most, self.equal) if limit is not None), None)


class Verdict(NamedTuple):
    """The verdict of filters on something.

    Attributes:
      passed: names of the filters that it passes.
      failed: names of all others.
      dropped_by: the first of those that drops; None where it stays.
    """

    passed: tuple[str, ...]
    failed: tuple[str, ...]
    dropped_by: Filter | None


def judge(filters: Iterable[Filter], scores: Scores) -> Verdict:
    """Apply filters to the scores of something.

    Example:
      >>> filters = [Filter(name="snr", key="snr_db", least=10, annotates=True), Filter(name="clip", key="n", most=3)]
      >>> judge(filters, {"snr_db": 4.0, "n": 2})
      Verdict(passed=('clip',), failed=('snr',), dropped_by=None)
    """
    passed, failed = [], []
    dropped_by = None
    for each in filters:
        if each.passes(scores):
            passed.append(each.name)
            continue
        failed.append(each.name)
        if dropped_by is None and not each.annotates:
            dropped_by = each
    return Verdict(tuple(passed), tuple(failed), dropped_by)


def filters_of(options: CurateOptions, level: str) -> tuple[Filter, ...]:
    """Return the filters that options ask for, of recordings, of pieces of speech or of clips."""
    if level == SEGMENT and not options.speaker_separation.enable:
        return ()  # a piece is a clip, and is judged as that
    return tuple(each for each in _all_filters(options) if level in each.levels)


def _all_filters(options: CurateOptions) -> Iterator[Filter]:
    quality = options.quality
    for found in (*_of_recordings(options), *_of_sound(quality), *_of_scores(options)):
        if found.limit is not None:
            yield replace(found, annotates=quality.on_reject == ANNOTATE or found.name in quality.annotate)


def _of_recordings(options: CurateOptions) -> Sequence[Filter]:
    quality, mono, band = options.quality, options.mono_conversion, options.band_filter
    rate = mono.output_sample_rate if mono.strict_sample_rate else None
    # a classifier hears clips alone, as other models do
    levels = (CLIP,) if band.path else (SEGMENT, CLIP)
    return (
        Filter(name="strict_sample_rate", key="sample_rate", equal=rate, levels=(RECORDING,)),
        Filter(name="sample_rate", key="sample_rate", least=quality.min_sample_rate, levels=(RECORDING,)),
        Filter(name="channels", key="num_channels", most=quality.max_channels, levels=(RECORDING,)),
        Filter(name="band", key="band_prediction", equal=band.band_value if band.enable else None, levels=levels),
    )


def _of_sound(quality: QualityRules) -> Sequence[Filter]:
    return (
        Filter(name="short", key="duration", least=quality.min_clip_duration, levels=(CLIP,)),
        Filter(name="long", key="duration", most=quality.max_clip_duration, levels=(CLIP,)),
        Filter(name="bandwidth", key="bandwidth", least=quality.min_bandwidth),
        Filter(name="clipped", key="clipped_ratio", most=quality.max_clipped_ratio),
        Filter(name="level", key="rms_dbfs", least=quality.min_level),
        Filter(name="snr", key="snr_db", least=quality.min_snr),
    )


def _of_scores(options: CurateOptions) -> Iterator[Filter]:
    # clips alone: a model hears sound once
    for name in SCORED:
        for key in SCORERS[name].outputs:
            yield Filter(name=key, key=key, least=least_of(getattr(options, name), name, key), levels=(CLIP,))
