"""Stages of a job, as its summary shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

_LEAST_SECONDS, _LEAST_SHARE = 10, 0.01

Times = Mapping[str, tuple[float, float]]
"""The time that stages took: seconds in all and per block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a job: its input and its output, in numbers.

    Attributes:
      name: of the stage.
      what_in, what_out: what is counted, such as "rows".
      n_in, n_out: how many.
      dropped: by reason.
      failures: by code.
      seconds: of audio that came out; None where it does not apply.
      time_total, time_mean: seconds of work in all and per block; None where the engine does not say.
    """

    name: str
    what_in: str
    n_in: int
    what_out: str
    n_out: int
    dropped: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    seconds: float | None = None
    time_total: float | None = None
    time_mean: float | None = None


def failures_of(counts: Mapping[str, int], stage: str) -> dict[str, int]:
    """Return the failures of a stage by code."""
    prefix = f"{stage}.failures."
    return {name[len(prefix) :]: n for name, n in sorted(counts.items()) if name.startswith(prefix)}


def dropped_of(counts: Mapping[str, int], stage: str) -> dict[str, int]:
    """Return the number of pieces that a stage dropped, by reason."""
    prefix = f"{stage}.dropped."
    return {name[len(prefix) :]: n for name, n in sorted(counts.items()) if name.startswith(prefix) and n}


def read_stage(counts: Counter[str]) -> Stage:
    """Return the first stage of every job over manifests: rows that were read, and failures to read."""
    rows = counts["read.rows"]
    unreadable = counts["read.failures"] + counts["file.failures"]
    return Stage(
        name="read",
        what_in="rows",
        n_in=rows + unreadable,
        what_out="rows",
        n_out=rows,
        failures=failures_of(counts, "read") | failures_of(counts, "file"),
    )


def with_times(stages: Sequence[Stage], times: Times) -> list[Stage]:
    """Add the time that each stage took, where it is known."""
    known = [(stage, times.get(stage.name, (None, None))) for stage in stages]
    return [replace(stage, time_total=total, time_mean=mean) for stage, (total, mean) in known]


def pace(audio: float, done: str, n_failures: int, seconds: float) -> str:
    """Return the end of a line of progress: hours of audio done, failures, and speed.

    Example:
      >>> pace(3600, "heard", 1, 2.0)
      '1.0 h heard  1 failures  1,800x real time'
    """
    return f"{audio / 3600:,.1f} h {done}  {n_failures:,} failures  {audio / max(seconds, 0.1):,.0f}x real time"


def recordings_done(counts: Counter[str], stage: str, rows: str, done: str, seconds: float, made: str = "") -> str:
    """Return a line of progress of a job over recordings.

    Args:
      counts: of all workers so far.
      stage: that makes rows.
      rows: kind of the rows, which are counted as recordings.
      done: verb for the hours of audio.
      seconds: that the job took so far.
      made: kind of other things to count, such as clips.

    Example:
      >>> counts = Counter({"plan.rows": 40, "progress.cut.rows": 10, "progress.cut.audio_us": 3_600_000_000})
      >>> recordings_done(counts, "cut", "rows", "heard", 2.0)
      '10 of 40 recordings  1.0 h heard  0 failures  1,800x real time'
    """
    own = f"progress.{stage}"
    n_failures = sum(counts[f"{each}.failures"] for each in ("file", "read", "plan", own))
    n_done, n_rows = counts[f"{own}.{rows}"] + counts[f"{own}.failures"], counts["plan.rows"]
    also = f"{counts[f'{own}.{made}']:,} {made}  " if made else ""
    speed = pace(counts[f"{own}.audio_us"] / 1e6, done, n_failures, seconds)
    return f"{n_done:,} of {n_rows:,} recordings  {also}{speed}{time_left(n_done / max(n_rows, 1), seconds)}"


def time_left(share: float, seconds: float) -> str:
    """Return the estimate at the end of a line of progress; "" while it would be a guess.

    Args:
      share: of the work that is done, 0 to 1.
      seconds: that it took.

    Example:
      >>> time_left(0.25, 600), time_left(0.5, 20), time_left(0.001, 60)
      ('  about 30 min left', '  about 20 s left', '')
    """
    if seconds < _LEAST_SECONDS or share < _LEAST_SHARE:
        return ""
    left = seconds * (1 - share) / share
    for unit, length in (("h", 3600), ("min", 60)):
        if left >= 2 * length:
            return f"  about {left / length:,.0f} {unit} left"
    return f"  about {left:.0f} s left"


def number_of(n: int, what: str) -> str:
    """Say how many of something there are.

    Example:
      >>> number_of(1, "entries"), number_of(1200, "rows"), number_of(1, "kept")
      ('1 entry', '1,200 rows', '1 kept')
    """
    singular = f"{what[:-3]}y" if what.endswith("ies") else what.removesuffix("s")
    return f"{n:,} {singular if n == 1 else what}"
