"""Stages, progress, hints and results of jobs that cut clips."""

from collections.abc import Mapping, Sequence

from beam_curator.runners.stages import Stage, dropped_of, failures_of, number_of, read_stage, with_times
from beam_curator.sets.output_set import FileRecord


def clip_stages(
    counts: Mapping[str, int], files: Sequence[FileRecord], times: Mapping[str, tuple[float, float]]
) -> list[Stage]:
    """Put the counts of a job that cuts clips into stages."""

    def get(name: str) -> int:
        return counts.get(name, 0)

    n_bad = get("interval.failures")
    stages = [
        read_stage(counts),
        Stage(name="plan", what_in="rows", n_in=get("read.rows"), what_out="clips", n_out=get("plan.clips"),
              dropped=dropped_of(counts, "plan"), failures=failures_of(counts, "plan")),
        Stage(name="cut", what_in="clips", n_in=get("plan.clips"), what_out="clips", n_out=get("cut.clips"),
              dropped=dropped_of(counts, "cut"), seconds=get("cut.audio_us") / 1e6,
              failures=_sum(failures_of(counts, "cut"), failures_of(counts, "interval"))),
        Stage(name="write", what_in="clips", n_in=get("cut.clips") + get("cut.failures") + n_bad, what_out="files",
              n_out=len(files)),
    ]  # fmt: skip
    return with_times(stages, times)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}


def clip_progress(counts: Mapping[str, int], share_read: float, seconds: float) -> str:
    """Say in one line how far such a job is.

    Example:
      >>> counts = {"read.rows": 10, "plan.clips": 40, "progress.clips": 20, "progress.audio_us": 3_600_000_000}
      >>> clip_progress(counts, 0.5, 2.0)
      '10 rows  20 of 40 clips  1.0 h cut  0 failures  1,800x real time'
    """
    del share_read
    failures = sum(counts.get(f"{stage}.failures", 0) for stage in ("file", "read", "plan", "interval", "cut"))
    audio = counts.get("progress.audio_us", 0) / 1e6
    n_cut, n_planned = counts.get("progress.clips", 0), counts.get("plan.clips", 0)
    return (
        f"{counts.get('read.rows', 0):,} rows  {n_cut:,} of {n_planned:,} clips  "
        f"{audio / 3600:,.1f} h cut  {failures:,} failures  {audio / max(seconds, 0.1):,.0f}x real time"
    )


def clamped_hint(counts: Mapping[str, int]) -> str | None:
    """Say how many clips are shorter than asked for.

    Example:
      >>> clamped_hint({"cut.clamped": 2})
      '2 clips are shorter than asked for, as their recordings are; --on-overrun fail makes them failures.'
    """
    n = counts.get("cut.clamped", 0)
    if not n:
        return None
    verb = "is" if n == 1 else "are"
    what = f"{number_of(n, 'clips')} {verb} shorter than asked for, as their recordings are"
    return f"{what}; --on-overrun fail makes them failures."


def clip_result(stages: Sequence[Stage]) -> str:
    """Sum up the outcome in a few words: rows, clips and seconds of audio."""
    return (
        f"{number_of(stages[1].n_in, 'rows')}, {number_of(stages[2].n_out, 'clips')}, {stages[2].seconds or 0:,.1f} s"
    )
