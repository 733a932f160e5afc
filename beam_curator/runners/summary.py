"""The summary of a run: stage by stage, for people as a table and for programs as `summary.json`."""

import os
import platform
import resource
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any

from beam_curator.counting import LOSS_TEXTS, LOSSES
from beam_curator.failures import FAILURE_DOCS
from beam_curator.output_set import FileRecord
from beam_curator.transforms.metrics import NAMESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What went into one stage and what came out.

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


def stages_of(
    counts: Mapping[str, int], files: Sequence[FileRecord], times: Mapping[str, tuple[float, float]]
) -> list[Stage]:
    """Put the counts of a `windows` job into stages.

    Args:
      counts: as committed.
      files: of the output set.
      times: stage to seconds in all and per block.
    """

    def get(name: str) -> int:
        return counts.get(name, 0)

    def failures(stage: str) -> dict[str, int]:
        prefix = f"{stage}.failures."
        return {name[len(prefix) :]: n for name, n in sorted(counts.items()) if name.startswith(prefix)}

    read_failures = get("read.failures") + get("file.failures")
    lost = {reason: get(f"build.{reason}") for reason in LOSSES if get(f"build.{reason}")}
    dropped = {"overlap": get("overlap.dropped")} if get("overlap.dropped") else {}
    rows, n_windows, n_kept = get("read.rows"), get("build.windows"), get("overlap.windows")
    entries, audio, kept_audio = get("build.rows"), get("build.audio_us") / 1e6, get("overlap.audio_us") / 1e6
    stages = [
        Stage(name="read", what_in="rows", n_in=rows + read_failures, what_out="rows", n_out=rows,
              failures=failures("read") | failures("file")),
        Stage(name="build", what_in="rows", n_in=rows, what_out="entries", n_out=entries,
              failures=failures("build"), seconds=audio),
        Stage(name="windows", what_in="starts", n_in=get("build.segments"), what_out="windows", n_out=n_windows,
              dropped=lost),
        Stage(name="overlap", what_in="windows", n_in=n_windows, what_out="kept", n_out=n_kept,
              dropped=dropped, seconds=kept_audio),
        Stage(name="write", what_in="rows", n_in=entries + read_failures + get("build.failures"), what_out="files",
              n_out=len(files)),
    ]  # fmt: skip
    return [_with_time(stage, times) for stage in stages]


def _with_time(stage: Stage, times: Mapping[str, tuple[float, float]]) -> Stage:
    total, mean = times.get(stage.name, (None, None))
    return replace(stage, time_total=total, time_mean=mean)


def render_table(stages: Sequence[Stage]) -> str:
    """Render the stages as a table for a terminal."""
    head = ("stage", "in", "out", "dropped", "failures", "audio", "time")
    rows = [head, *map(_row, stages)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _row(stage: Stage) -> tuple[str, ...]:
    return (
        stage.name,
        number_of(stage.n_in, stage.what_in),
        number_of(stage.n_out, stage.what_out),
        f"{sum(stage.dropped.values()):,}",
        f"{sum(stage.failures.values()):,}",
        "" if stage.seconds is None else f"{stage.seconds:,.1f} s ({stage.seconds / 3600:,.2f} h)",
        "" if stage.time_total is None else f"{stage.time_total:.2f} s",
    )


def number_of(n: int, what: str) -> str:
    """Say how many of something there are.

    Example:
      >>> number_of(1, "entries"), number_of(1200, "rows"), number_of(1, "kept")
      ('1 entry', '1,200 rows', '1 kept')
    """
    singular = f"{what[:-3]}y" if what.endswith("ies") else what.removesuffix("s")
    return f"{n:,} {singular if n == 1 else what}"


def render_reasons(stages: Sequence[Stage]) -> list[str]:
    """Say in words why pieces were dropped and rows failed."""
    lines = [
        f"  {number_of(n, stage.what_in)} dropped in {stage.name}: {reason}, {LOSS_TEXTS[reason]}"
        for stage in stages
        for reason, n in stage.dropped.items()
    ]
    lines += [
        f"  {number_of(n, 'rows')} failed in {stage.name}: {code}, {FAILURE_DOCS[code]}"
        for stage in stages
        for code, n in stage.failures.items()
    ]
    return lines


def total_loss(counts: Mapping[str, int], rules: Any) -> str | None:
    """Say why there is not a single window, where one reason explains it, and what to do."""
    if counts.get("build.windows", 0) or not counts.get("build.segments", 0):
        return None
    lost = {reason: counts.get(f"build.{reason}", 0) for reason in LOSSES}
    if counts.get("build.rows_without_bandwidth", 0) == counts.get("build.rows", 0) and lost["lost_bw"]:
        return "No window was built: no segment has metrics.bandwidth. Add it, or give --min-bandwidth 0."
    reason = max(lost, key=lambda name: lost[name])
    if lost[reason] < counts["build.segments"]:
        return None
    cures = {
        "lost_bw": f"Every segment is below min_bandwidth {rules.min_bandwidth:g} Hz: lower --min-bandwidth.",
        "lost_sr": f"Every entry is below min_sample_rate {rules.min_sample_rate:g} Hz: lower --min-sample-rate.",
        "lost_spk": f"No run has {rules.min_speakers}-{rules.max_speakers} speakers: "
        "check the labels, or change --min-speakers and --max-speakers.",
        "lost_win": f"No run of segments lasts {rules.min_duration:g}-{rules.max_duration:g} s: "
        "check that segments are sorted and labelled, or change --target-window-duration.",
    }
    return f"No window was built. {cures[reason]}"


def times_of(distributions: Iterable[Any]) -> dict[str, tuple[float, float]]:
    """Read the stages' timings out of Beam's distributions: seconds in all, and per block."""
    sums: dict[str, tuple[float, int]] = {}
    for item in distributions:
        if item.key.metric.namespace == NAMESPACE:
            value = item.committed if item.committed is not None else item.attempted
            total, count = sums.get(item.key.metric.name, (0.0, 0))
            sums[item.key.metric.name] = (total + value.sum / 1e6, count + value.count)
    return {name: (total, total / max(count, 1)) for name, (total, count) in sums.items()}


def peak_memory_mb() -> dict[str, float]:
    """Return the peak resident memory of this process and of its largest ended worker, in MB."""
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    return {"driver": round(own, 1), "largest_worker": round(workers, 1)}


def summary_json(stages: Sequence[Stage], counts: Mapping[str, int], timing: Mapping[str, float]) -> dict[str, object]:
    """Return what `summary.json` holds: it is not part of the set and differs from run to run."""
    return {
        "stages": [
            {**asdict(stage), "hours": None if stage.seconds is None else stage.seconds / 3600} for stage in stages
        ],
        "counts": dict(sorted(counts.items())),
        "timing_s": {name: round(value, 4) for name, value in timing.items()},
        "peak_memory_mb": peak_memory_mb(),
        "host": {"machine": platform.node(), "cpus": os.cpu_count(), "system": platform.platform()},
        "versions": {
            "beam_curator": version("beam-curator"),
            "apache_beam": version("apache-beam"),
            "python": platform.python_version(),
        },
    }
