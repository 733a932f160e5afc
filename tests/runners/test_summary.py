import os
import platform
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from beam_curator.failures import FAILURE_DOCS, FailureCode
from beam_curator.runners.stages import Stage
from beam_curator.runners.summary import (
    peak_memory_mb,
    render_reasons,
    render_table,
    summary_json,
    times_of,
)

COUNTS = {"read.rows": 1200, "read.bytes": 99_999, "build.rows": 1190, "overlap.windows": 1}
STAGES = [
    Stage(
        name="read",
        what_in="rows",
        n_in=1202,
        what_out="rows",
        n_out=1200,
        failures={"line_too_long": 1, "truncated_file": 1},
        time_total=2.0,
        time_mean=0.5,
    ),
    Stage(
        name="build",
        what_in="rows",
        n_in=1200,
        what_out="entries",
        n_out=1190,
        failures={"bad_json": 9, "bad_time": 1},
        seconds=3600.0,
    ),
    Stage(
        name="windows",
        what_in="starts",
        n_in=9000,
        what_out="windows",
        n_out=5000,
        dropped={"lost_bw": 1000, "lost_win": 3000},
    ),
    Stage(
        name="overlap",
        what_in="windows",
        n_in=5000,
        what_out="kept",
        n_out=1,
        dropped={"overlap": 4999},
        seconds=1.234567,
    ),
    Stage(name="write", what_in="rows", n_in=1202, what_out="files", n_out=1, time_total=1.5, time_mean=1.5),
]


def test_the_table_lines_up() -> None:
    expected = [
        "stage    in             out            dropped  failures  audio               time",
        "-------  -------------  -------------  -------  --------  ------------------  ------",
        "read     1,202 rows     1,200 rows     0        2                             2.00 s",
        "build    1,200 rows     1,190 entries  0        10        3,600.0 s (1.00 h)",
        "windows  9,000 starts   5,000 windows  4,000    0",
        "overlap  5,000 windows  1 kept         4,999    0         1.2 s (0.00 h)",
        "write    1,202 rows     1 file         0        0                             1.50 s",
    ]
    assert render_table(STAGES).splitlines() == expected


def test_every_reason_is_said_in_words() -> None:
    lines = render_reasons(STAGES)
    assert lines[0] == (
        "  1,000 starts dropped in windows: lost_bw, the segment's own bandwidth is below min_bandwidth"
    )
    assert lines[2] == (
        "  4,999 windows dropped in overlap: overlap, shares too much audio with a window nearer to the target"
    )
    code = FailureCode.BAD_TIME
    assert lines[-1] == f"  1 row failed in build: bad_time, {FAILURE_DOCS[code]}"
    assert len(lines) == 7


def distribution(stage: str, namespace: str, total_us: int, count: int) -> Any:
    metric = SimpleNamespace(namespace=namespace, name=stage)
    return SimpleNamespace(
        key=SimpleNamespace(metric=metric), committed=None, attempted=SimpleNamespace(sum=total_us, count=count)
    )


def test_times_are_seconds_in_all_and_a_block() -> None:
    mine = distribution("read", "beam_curator", 3_000_000, 6)
    other = distribution("read", "elsewhere", 9_000_000, 9)
    assert times_of([mine, other]) == {"read": (3.0, 0.5)}


def test_times_of_a_stage_in_two_steps_add_up() -> None:
    steps = (distribution("read", "beam_curator", 6_000_000, 6), distribution("read", "beam_curator", 2_000_000, 2))
    assert times_of(steps) == {"read": (8.0, 1.0)}


def test_the_summary_is_what_programs_read() -> None:
    timing = {"startup": 1.23456, "run": 2.0, "total": 3.5}
    summary: Any = summary_json(STAGES, COUNTS, timing, {"inputs": ["a"]}, "more")
    assert summary["advice"] == "more"
    assert summary["command"] == {"inputs": ["a"]}
    names = ["command", "stages", "advice", "replaces", "counts", "timing_s", "peak_memory_mb", "host", "versions"]
    assert list(summary) == names
    assert summary["stages"][1]["hours"] == 1.0
    assert summary["stages"][0]["hours"] is None
    assert list(summary["counts"]) == sorted(COUNTS)
    assert summary["timing_s"] == {"startup": 1.2346, "run": 2.0, "total": 3.5}
    assert summary["versions"]["python"] == platform.python_version()
    assert set(summary["versions"]) == {"beam_curator", "apache_beam", "python"}


def test_peak_memory_is_in_megabytes() -> None:
    peak = peak_memory_mb()
    assert 30 < peak["driver"] < 100_000
    assert set(peak) == {"driver", "largest_worker"}


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux alone tells it in /proc")
def test_peak_memory_is_not_that_of_who_started_the_job() -> None:
    starter = b"x" * (600 << 20)
    code = "from beam_curator.runners.summary import peak_memory_mb; print(peak_memory_mb()['driver'])"
    peak = float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    assert 10 < peak < len(starter) / 2**20 / 2
