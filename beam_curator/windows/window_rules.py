"""The rules for training windows, with their defaults and limits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from beam_curator.entries.segment_options import SegmentOptions
from beam_curator.intervals import Seconds
from beam_curator.option_names import takes_presets
from beam_curator.rules import number_problems, option, option_problems, raise_problems, same_option

BANDS: Mapping[str, Mapping[str, float]] = {
    "phone": {"min_sample_rate": 8000, "min_bandwidth": 3000},
    "wideband": {"min_sample_rate": 16000, "min_bandwidth": 5500},
    "studio": {"min_sample_rate": 44100, "min_bandwidth": 8000},
}
"""Kinds of recordings, and the limits that their speech passes; docs/windows.md has the measurements."""


@takes_presets
@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRules:
    """The rules for training windows. Names and defaults are the reference's, but for `preset` and `strict`.

    Raises:
      ValueError: all rules that cannot hold, each with value, limit and cure.
    """

    target_window_duration: float = option(120.0, "duration to aim at, in seconds")
    tolerance: float = option(0.1, "how far a window may be off the target, as a fraction of it")
    preset: str | None = option(
        None, "kind of recordings, which sets min_sample_rate and min_bandwidth where they are not given", presets=BANDS
    )
    min_bandwidth: float = option(8000, "minimum metrics.bandwidth of a segment, in Hz")
    min_sample_rate: float = option(16000, "minimum audio_sample_rate of an entry, in Hz")
    min_speakers: int = option(2, "minimum number of speakers in a window")
    max_speakers: int = option(5, "maximum number of speakers in a window")
    truncation: bool = option(True, "cut a segment that makes a window too long at its last whole word")
    drop_fields: tuple[str, ...] = option(("words",), "keys to leave out of the segments of a window")
    drop_fields_top_level: tuple[str, ...] = option(("words", "segments"), "keys to leave out of the entry")
    strict: bool = same_option(SegmentOptions, "strict")

    def __post_init__(self) -> None:
        object.__setattr__(self, "drop_fields", _names(self.drop_fields))
        object.__setattr__(self, "drop_fields_top_level", _names(self.drop_fields_top_level))
        problems = number_problems(
            self,
            {
                "target_window_duration": (0.0, 86400.0),
                "tolerance": (0.0, 1.0),
                "min_bandwidth": (0, math.inf),
                "min_sample_rate": (0, math.inf),
                "min_speakers": (0, math.inf),
                "max_speakers": (1, math.inf),
            },
        )
        if self.target_window_duration == 0:
            problems.append("target_window_duration 0 leaves no room for speech: raise it")
        if _both_numbers(self.min_speakers, self.max_speakers) and self.min_speakers > self.max_speakers:
            problems.append(
                f"min_speakers {self.min_speakers} exceeds max_speakers {self.max_speakers}: "
                "lower min_speakers or raise max_speakers"
            )
        problems += option_problems(self)
        needed = sorted({"start", "end"} & set(self.drop_fields))
        if needed:
            problems.append(f"drop_fields {', '.join(needed)} would leave windows without times: keep them")
        raise_problems("window rules", problems)

    @property
    def min_duration(self) -> Seconds:
        """The shortest a window may be, inclusive."""
        return self.target_window_duration - self.target_window_duration * self.tolerance

    @property
    def max_duration(self) -> Seconds:
        """The longest a window may be, inclusive."""
        return self.target_window_duration + self.target_window_duration * self.tolerance


def _both_numbers(*values: object) -> bool:
    return all(isinstance(value, (int, float)) for value in values)


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError(f"window rules: {value!r} is one string, expected a list of keys: write [{value!r}]")
    if not isinstance(value, Iterable):
        raise ValueError(f"window rules: {value!r} is not a list of keys: write [] for none")
    names = tuple(value)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"window rules: {names!r} is not a list of keys: give strings")
    return names
