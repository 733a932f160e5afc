"""The part that jobs which cut clips share: stages, progress, result and hint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from beam_curator.runners.jobs.base import Job
from beam_curator.runners.stages import (
    Stage,
    Times,
    dropped_of,
    failures_of,
    number_of,
    pace,
    read_stage,
    time_left,
    with_times,
)


class ClipsJob(Job):
    """A job that cuts clips."""

    @staticmethod
    def stages(counts: Counter[str], n_files: int, times: Times) -> list[Stage]:
        stages = [
            read_stage(counts),
            Stage(name="plan", what_in="rows", n_in=counts["read.rows"], what_out="clips", n_out=counts["plan.clips"],
                  dropped=dropped_of(counts, "plan"), failures=failures_of(counts, "plan")),
            Stage(name="cut", what_in="clips", n_in=counts["plan.clips"], what_out="clips", n_out=counts["cut.clips"],
                  dropped=dropped_of(counts, "cut"), seconds=counts["cut.audio_us"] / 1e6,
                  failures=_sum(failures_of(counts, "cut"), failures_of(counts, "interval"))),
            Stage(name="write", what_in="clips", what_out="files", n_out=n_files,
                  n_in=counts["cut.clips"] + counts["cut.failures"] + counts["interval.failures"]),
        ]  # fmt: skip
        return with_times(stages, times)

    @staticmethod
    def progress(counts: Counter[str], share_read: float, seconds: float) -> str:
        """Say in one line how far such a job is.

        Example:
          >>> counts = Counter({"read.rows": 10, "plan.clips": 40, "progress.clips": 20})
          >>> counts["progress.audio_us"] = 3_600_000_000
          >>> ClipsJob.progress(counts, 0.5, 2.0)
          '10 rows  20 of 40 clips  1.0 h cut  0 failures  1,800x real time'
        """
        del share_read
        failures = sum(counts[f"{stage}.failures"] for stage in ("file", "read", "plan", "interval", "cut"))
        return (
            f"{counts['read.rows']:,} rows  {counts['progress.clips']:,} of {counts['plan.clips']:,} clips  "
            f"{pace(counts['progress.audio_us'] / 1e6, 'cut', failures, seconds)}"
            f"{time_left(counts['progress.clips'] / max(counts['plan.clips'], 1), seconds)}"
        )

    def result(self, stages: Sequence[Stage]) -> str:
        rows, clips, audio = stages[1].n_in, stages[2].n_out, stages[2].seconds or 0
        return f"{number_of(rows, 'rows')}, {number_of(clips, 'clips')}, {audio:,.1f} s"

    def hint(self, counts: Counter[str]) -> str | None:
        """Say how many clips are shorter than asked for, and how many were not mixed; None where none is."""
        return joined_hints(_clamped_hint(counts["cut.clamped"]), unmixed_hint(counts["cut.unmixed"], "clips"))


def _clamped_hint(n: int) -> str | None:
    if not n:
        return None
    verb = "is" if n == 1 else "are"
    what = f"{number_of(n, 'clips')} {verb} shorter than asked for, as their recordings are"
    return f"{what}; --on-overrun fail makes them failures."


def crosstalk_hint(seconds: float) -> str:
    """Say how much of the turns was the same speech on several channels.

    Example:
      >>> crosstalk_hint(1.64)
      '1.6 s of turns were the same speech as on a louder channel, and were left to it.'
    """
    return f"{seconds:,.1f} s of turns were the same speech as on a louder channel, and were left to it."


def unmixed_hint(n: int, what: str) -> str | None:
    """Say how many recordings or clips have channels that cancel each other in their mean; None where none has.

    Example:
      >>> unmixed_hint(2, "clips")
      '2 clips have channels of opposite phase, which cancel in their mean: the loudest was taken (unmixed_channel).'
    """
    if not n:
        return None
    verb = "has" if n == 1 else "have"
    cancelled = f"{number_of(n, what)} {verb} channels of opposite phase, which cancel in their mean"
    return f"{cancelled}: the loudest was taken (unmixed_channel)."


def joined_hints(*hints: str | None) -> str | None:
    """Return several remarks as one, None where there is none."""
    return " ".join(hint for hint in hints if hint is not None) or None


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}
