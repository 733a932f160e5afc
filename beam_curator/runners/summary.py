"""The summary of a run: stage by stage, for people as a table and for programs as `summary.json`."""

import os
import platform
import resource
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from beam_curator.failures import FAILURE_DOCS
from beam_curator.runners.stages import Stage, number_of
from beam_curator.sets.counting import NAMESPACE, said_of_drop

REPLACES_KEY = "replaces"
"""In `summary.json`: the SHA-256 of the manifest of the set in whose place this one was put; null for none."""


def render_table(stages: Sequence[Stage]) -> str:
    """Render the stages as a table for a terminal."""
    head = ("stage", "in", "out", "dropped", "failures", "audio", "time")
    return table_of([head, *map(_row, stages)])


def table_of(rows: Sequence[Sequence[str]]) -> str:
    """Render rows of cells, the head first, as a table for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
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


def render_reasons(stages: Sequence[Stage]) -> list[str]:
    """Say in words why pieces were dropped and rows failed."""
    lines = [
        f"  {number_of(n, stage.what_in)} dropped in {stage.name}: {said_of_drop(reason)}"
        for stage in stages
        for reason, n in stage.dropped.items()
    ]
    lines += [
        f"  {number_of(n, stage.what_in)} failed in {stage.name}: {code}, {FAILURE_DOCS[code]}"
        for stage in stages
        for code, n in stage.failures.items()
    ]
    return lines


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
    own = _own_peak_kb() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    return {"driver": round(own / unit, 1), "largest_worker": round(workers, 1)}


def _own_peak_kb() -> int:
    """Return the peak that Linux tells in /proc, 0 elsewhere: `ru_maxrss` has that of who started the process, too."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0


def summary_json(
    stages: Sequence[Stage],
    counts: Mapping[str, int],
    timing: Mapping[str, float],
    command: Mapping[str, object],
    advice: str | None = None,
    replaces: str = "",
) -> dict[str, object]:
    """Return the contents of `summary.json`, which is not part of the set and differs from run to run."""
    return {
        "command": command,
        "stages": [
            {**asdict(stage), "hours": None if stage.seconds is None else stage.seconds / 3600} for stage in stages
        ],
        "advice": advice,
        REPLACES_KEY: replaces or None,
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
