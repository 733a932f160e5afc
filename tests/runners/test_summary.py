import platform
from types import SimpleNamespace
from typing import Any

import pytest

from beam_curator.failures import FAILURE_DOCS, FailureCode
from beam_curator.output_set import FileRecord
from beam_curator.runners.summary import (
    number_of,
    peak_memory_mb,
    render_reasons,
    render_table,
    stages_of,
    summary_json,
    times_of,
    total_loss,
)
from beam_curator.window_rules import WindowRules

COUNTS = {
    "read.rows": 1200,
    "read.bytes": 99_999,
    "read.failures": 2,
    "read.failures.line_too_long": 1,
    "read.failures.truncated_file": 1,
    "build.rows": 1190,
    "build.failures": 10,
    "build.failures.bad_json": 9,
    "build.failures.bad_time": 1,
    "build.segments": 9000,
    "build.windows": 5000,
    "build.lost_bw": 1000,
    "build.lost_win": 3000,
    "build.audio_us": 3_600_000_000,
    "overlap.rows": 1190,
    "overlap.windows_in": 5000,
    "overlap.windows": 1,
    "overlap.dropped": 4999,
    "overlap.audio_us": 1_234_567,
}
FILES = [FileRecord(name="a", n_bytes=1, sha256="", n_rows=1, kind="windows")]
STAGES = stages_of(COUNTS, FILES, {"read": (2.0, 0.5), "write": (1.5, 1.5), "commit": (9.0, 9.0)})


def test_stages_follow_a_row_from_reading_to_writing() -> None:
    flow = [(stage.name, stage.n_in, stage.what_in, stage.n_out, stage.what_out) for stage in STAGES]
    assert flow == [
        ("read", 1202, "rows", 1200, "rows"),
        ("build", 1200, "rows", 1190, "entries"),
        ("windows", 9000, "starts", 5000, "windows"),
        ("overlap", 5000, "windows", 1, "kept"),
        ("write", 1202, "rows", 1, "files"),
    ]


def test_stages_balance() -> None:
    for stage in STAGES[:4]:
        assert stage.n_in == stage.n_out + sum(stage.dropped.values()) + sum(stage.failures.values())


def test_stages_hold_reasons_codes_seconds_and_times() -> None:
    read, build, windows, overlap, write = STAGES
    assert read.failures == {"line_too_long": 1, "truncated_file": 1}
    assert build.failures == {"bad_json": 9, "bad_time": 1}
    assert windows.dropped == {"lost_bw": 1000, "lost_win": 3000}
    assert overlap.dropped == {"overlap": 4999}
    assert [stage.seconds for stage in STAGES] == [None, 3600.0, None, 1.234567, None]
    assert (read.time_total, read.time_mean) == (2.0, 0.5)
    assert (build.time_total, build.time_mean) == (None, None)
    assert (write.time_total, write.time_mean) == (1.5, 1.5)


def test_the_stages_of_nothing_are_empty() -> None:
    for stage in stages_of({}, [], {}):
        assert (stage.n_in, stage.n_out, stage.dropped, stage.failures) == (0, 0, {}, {})


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


@pytest.mark.parametrize(
    ("n", "what", "text"),
    [(1, "files", "1 file"), (0, "files", "0 files"), (1, "entries", "1 entry"), (2000, "entries", "2,000 entries")],
)
def test_numbers_agree_with_what_is_counted(n: int, what: str, text: str) -> None:
    assert number_of(n, what) == text


class TestTotalLoss:
    def lost(self, n_segments: int = 10, n_rows: int = 2, **counts: int) -> str | None:
        named = {f"build.{name}": n for name, n in counts.items()}
        return total_loss({"build.rows": n_rows, "build.segments": n_segments, **named}, WindowRules())

    def test_of_missing_bandwidths_says_so(self) -> None:
        assert self.lost(lost_bw=10, rows_without_bandwidth=2) == (
            "No window was built: no segment has metrics.bandwidth. Add it, or give --min-bandwidth 0."
        )

    @pytest.mark.parametrize(
        ("counts", "hint"),
        [
            ({"lost_bw": 10}, "Every segment is below min_bandwidth 8000 Hz: lower --min-bandwidth."),
            ({"lost_sr": 10}, "Every entry is below min_sample_rate 16000 Hz: lower --min-sample-rate."),
            (
                {"lost_spk": 10},
                "No run has 2-5 speakers: check the labels, or change --min-speakers and --max-speakers.",
            ),
            (
                {"lost_win": 10},
                "No run of segments lasts 108-132 s: check that segments are sorted and labelled, "
                "or change --target-window-duration.",
            ),
        ],
    )
    def test_for_one_reason_names_the_cure(self, counts: dict[str, int], hint: str) -> None:
        assert self.lost(**counts) == f"No window was built. {hint}"

    def test_for_several_reasons_or_none_says_nothing(self) -> None:
        assert self.lost(lost_win=5, lost_spk=5) is None
        assert self.lost(lost_win=9, windows=1) is None
        assert self.lost(n_segments=0, n_rows=0) is None
        assert self.lost(lost_bw=10, rows_without_bandwidth=1) is not None


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
    summary: Any = summary_json(STAGES, COUNTS, {"startup": 1.23456, "run": 2.0, "total": 3.5})
    assert list(summary) == ["stages", "counts", "timing_s", "peak_memory_mb", "host", "versions"]
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
