import gzip
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from beam_curator.runners import cli
from beam_curator.runners.jobs import kind_of_job
from beam_curator.runners.jobs.windows import WindowsJob
from beam_curator.windows.line_windows import windows_of_line
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.window_rules import WindowRules
from tests.manifests import (
    REFERENCE,
    SAMPLE,
    figures_of,
    line_of,
    manifest_of,
    needs_reference,
    rows_in,
    run,
    speech,
    write_lines,
    write_speech,
)

COUNTS = Counter(
    {
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
)
SEGMENTS = speech(4)["segments"]
STAGES = WindowsJob.stages(COUNTS, 1, {"read": (2.0, 0.5), "write": (1.5, 1.5), "commit": (9.0, 9.0)})


def job(*arguments: str) -> WindowsJob:
    return WindowsJob.of(cli.parser_of("windows").parse_args(["a.jsonl", *arguments]), [], "out")


def test_a_set_with_a_preset_is_that_of_its_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phone = {"audio_sample_rate": 8000, "segments": [{**it, "metrics": {"bandwidth": 3400}} for it in SEGMENTS]}
    manifest = write_lines(tmp_path / "a.jsonl", [line_of(speech(4, **phone))])
    assert figures_of(capsys, manifest, "--output", tmp_path / "default") == "1 entry, 0 windows, 0 kept, 0.0 s"
    limits = ("--min-sample-rate", "8000", "--min-bandwidth", "3000.0")
    for name, flags in (("preset", ("--preset", "phone")), ("limits", limits)):
        figures = figures_of(capsys, manifest, "--output", tmp_path / name, *flags)
        assert figures == "1 entry, 2 windows, 1 kept, 120.0 s"
    preset, explicit = ((tmp_path / name / "_MANIFEST.json").read_bytes() for name in ("preset", "limits"))
    assert preset == explicit
    assert b'"preset"' not in preset
    assert run("windows", manifest, "--output", tmp_path / "limits", "--preset", "phone") == 0
    assert "already complete: nothing to do" in capsys.readouterr().out


def test_the_origin_of_a_limit_is_its_preset() -> None:
    made = job("--preset", "studio", "--min-bandwidth", "9000")
    assert made.origins == {
        "windows.preset": "flag",
        "windows.min_bandwidth": "flag",
        "windows.min_sample_rate": "preset studio",
    }
    rules = made.options["windows"]
    assert (rules.preset, rules.min_sample_rate, rules.min_bandwidth) == ("studio", 44100, 9000)


def test_it_is_the_job_of_its_command() -> None:
    assert kind_of_job("windows") is WindowsJob
    assert (WindowsJob.kind.command, WindowsJob.label) == ("windows", "Curate windows")


def test_without_an_output_it_writes_into_a_directory_of_its_own() -> None:
    parsed = cli.parser_of("windows").parse_args(["a.jsonl"])
    assert WindowsJob.of(parsed, [], parsed.output).output == "./windows_output"


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
    for stage in WindowsJob.stages(Counter(), 0, {}):
        assert (stage.n_in, stage.n_out, stage.dropped, stage.failures) == (0, 0, {}, {})


def test_a_plan_names_the_files() -> None:
    assert job().plan_lines() == ["windows-*, failures-* where there are any, _MANIFEST.json, summary.json"]


@pytest.mark.parametrize(
    ("counts", "result"),
    [
        (COUNTS, "1,190 entries, 5,000 windows, 1 kept, 1.2 s"),
        ({"build.rows": 1, "build.windows": 1}, "1 entry, 1 window, 0 kept, 0.0 s"),
        ({}, "0 entries, 0 windows, 0 kept, 0.0 s"),
    ],
)
def test_the_result_is_said_in_a_few_words(counts: dict[str, int], result: str) -> None:
    assert job().result(WindowsJob.stages(Counter(counts), 0, {})) == result


def test_advice_follows_the_options_of_the_job() -> None:
    counts = Counter({"build.rows": 2, "build.segments": 10, "build.lost_win": 10, "build.lost_win.at.60": 10})
    assert job("--target-window-duration", "180").hint(counts) == (
        "10 of 10 starts fail, as no run of segments from there lasts 162-198 s: their recordings last 60 s; "
        "change --target-window-duration, or check that segments are sorted."
    )
    assert job().hint(counts | Counter({"build.windows": 1})) is None


@pytest.mark.parametrize(
    ("counts", "share_read", "seconds", "line"),
    [
        ({}, 0.0, 0.0, "0 rows  0 %  0.0 h of speech  0 windows kept  0 failures  0 rows/s"),
        (
            {
                "read.rows": 12_000,
                "read.bytes": 500,
                "read.failures": 1,
                "build.failures": 2,
                "build.audio_us": 5_400_000_000_000,
                "overlap.windows": 34_567,
            },
            0.5,
            4.0,
            "12,000 rows  50 %  1,500.0 h of speech  34,567 windows kept  3 failures  3,000 rows/s",
        ),
        ({"read.rows": 1}, 0.99, 0.0, "1 rows  99 %  0.0 h of speech  0 windows kept  0 failures  10 rows/s"),
        (
            {"read.rows": 1200, "file.failures": 4, "build.audio_us": 7_200_000_000},
            0.5,
            2.0,
            "1,200 rows  50 %  2.0 h of speech  0 windows kept  4 failures  600 rows/s",
        ),
    ],
)
def test_a_line_says_how_far_a_job_is(counts: dict[str, int], share_read: float, seconds: float, line: str) -> None:
    assert WindowsJob.progress(Counter(counts), share_read, seconds) == line


@needs_reference
class TestReferenceFigures:
    @pytest.mark.parametrize(
        ("flags", "expected"),
        [
            ([], "5 entries, 181 windows, 25 kept, 3035.5 s"),
            (["--min-speakers", "2", "--max-speakers", "3"], "5 entries, 172 windows, 25 kept, 3026.3 s"),
            (["--overlap-percentage", "0"], "5 entries, 181 windows, 11 kept, 1321.7 s"),
        ],
    )
    def test_of_the_sample(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], expected: str
    ) -> None:
        assert figures_of(capsys, SAMPLE, "--output", tmp_path, *flags) == expected

    def test_of_a_tree_with_the_sample_four_times(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("subdir_a/manifest_a", "subdir_a/manifest_a2", "subdir_b/manifest_b", "subdir_b/manifest_b2"):
            path = tmp_path / "tree" / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SAMPLE, path)
        (tmp_path / "tree/subdir_b/notes.txt").write_text("not JSON")
        arguments = [tmp_path / "tree", "--output"]
        assert figures_of(capsys, *arguments, tmp_path / "row") == "20 entries, 724 windows, 100 kept, 12142.0 s"
        file = figures_of(capsys, *arguments, tmp_path / "file", "--overlap-scope", "audio_file")
        assert file == "20 entries, 724 windows, 25 kept, 3035.5 s"

    def test_all_golden_entries_come_out_as_curate_entry_has_them(self, tmp_path: Path) -> None:
        with gzip.open(REFERENCE / "golden_py3.11.jsonl.gz") as stream:
            lines = [line_of(json.loads(case)["entry"]) for case in stream]
        assert len(lines) == 300
        manifest = write_lines(tmp_path / "golden.jsonl", lines)
        assert run("windows", manifest, "--output", tmp_path / "out") == 0
        rows = rows_in(tmp_path / "out")
        expected = [windows_of_line(line, WindowRules(), OverlapRules()) for line in lines]
        assert rows == expected
        assert [list(json.loads(row)) for row in rows] == [list(json.loads(row)) for row in expected]
        counts = manifest_of(tmp_path / "out")["counts"]
        assert counts["build.unsorted_rows"] > 0
        assert counts["build.reversed_segments"] > 0


def test_the_rows_of_a_set_are_an_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_lines(tmp_path / "a.jsonl", [line_of(speech(4)), b"broken"])
    run("windows", manifest, "--output", tmp_path / "set", "--drop-fields-top-level", "words", "--tolerate", "1")
    capsys.readouterr()
    expected = "1 entry, 2 windows, 1 kept, 120.0 s"
    assert figures_of(capsys, tmp_path / "set", "--output", tmp_path / "out") == expected


def test_spans_are_index_ranges_into_the_segments(tmp_path: Path) -> None:
    manifest = write_speech(tmp_path / "a.jsonl", 1, 4)
    run("windows", manifest, "--output", tmp_path / "out", "--layout", "spans")
    row = json.loads(rows_in(tmp_path / "out")[1])
    assert row["_origin"] == {"source": str(manifest), "offset": manifest.read_bytes().index(b"\n") + 1}
    assert [(window["segments"], window.get("cut_words")) for window in row["windows"]] == [([0, 3], 0), ([1, 4], None)]


def test_spans_keep_an_entry_s_own_source_and_offset(tmp_path: Path) -> None:
    manifest = write_lines(tmp_path / "a.jsonl", [line_of(speech(4, source="radio", offset=7.5))])
    run("windows", manifest, "--output", tmp_path / "out", "--layout", "spans")
    pairs = json.loads(rows_in(tmp_path / "out")[0], object_pairs_hook=lambda pairs: pairs)
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys))
    assert dict(pairs)["source"] == "radio"
