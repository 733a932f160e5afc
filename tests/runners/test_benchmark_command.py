import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_curator.runners.options import UsageError
from tests.manifests import (
    SAMPLE,
    TALKS,
    line_of,
    names_in,
    needs_reference,
    rows_in,
    run,
    run_main,
    speech,
    write_lines,
)

REFERENCE_PARAMS = [
    "executor",
    "input_manifest",
    "num_input_entries",
    "target_window_duration",
    "tolerance",
    "min_sample_rate",
    "min_bandwidth",
    "min_speakers",
    "max_speakers",
    "overlap_percentage",
    "repeat_factor",
]
REFERENCE_METRICS = [
    "is_success",
    "time_taken_s",
    "num_input_entries",
    "num_output_entries",
    "entries_with_windows",
    "total_builder_windows",
    "total_filtered_windows",
    "total_filtered_dur_s",
    "throughput_entries_per_sec",
    "throughput_windows_per_sec",
]
BENCHMARKS = TALKS.parents[1] / "benchmarks" / "benchmark.yaml"


def read(results: Path, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((results / f"{name}.json").read_bytes())
    return loaded


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return a manifest of two good rows and a bad one, the last without a newline."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([line_of(speech(4)), b"broken", line_of(speech(6))]))
    return path


def test_the_results_have_the_reference_s_fields(manifest: Path, tmp_path: Path) -> None:
    assert run("benchmark", manifest, "--repeat-factor", 3, "--results", tmp_path / "b", "--min-speakers", 1) == 0
    params, metrics = read(tmp_path / "b", "params"), read(tmp_path / "b", "metrics")
    assert list(params)[: len(REFERENCE_PARAMS)] == REFERENCE_PARAMS
    assert list(metrics)[: len(REFERENCE_METRICS)] == REFERENCE_METRICS
    assert (params["input_manifest"], params["repeat_factor"]) == (str(manifest), 3)
    assert (params["min_speakers"], params["executor"], params["layout"]) == (1, "direct", "full")


def test_rows_are_counted_where_they_are_read(manifest: Path, tmp_path: Path) -> None:
    run("benchmark", manifest, "--repeat-factor", 3, "--results", tmp_path / "b")
    metrics = read(tmp_path / "b", "metrics")
    expected = {
        "is_success": True,
        "num_input_entries": 9,
        "num_output_entries": 6,
        "num_failures": 3,
        "entries_with_windows": 6,
        "total_builder_windows": 18,
        "total_filtered_windows": 9,
        "total_filtered_dur_s": 1080.0,
        "input_bytes": 3 * (manifest.stat().st_size + 1),
        "rows_written": 9,
    }
    assert {name: metrics[name] for name in expected} == expected
    assert metrics["throughput_entries_per_sec"] == pytest.approx(6 / metrics["time_taken_s"])
    assert metrics["throughput_windows_per_sec"] == pytest.approx(18 / metrics["time_taken_s"])
    assert metrics["output_bytes"] > 0
    assert metrics["peak_memory_driver_mb"] > 10


@needs_reference
def test_the_sample_repeated_gives_so_many_times_its_figures(tmp_path: Path) -> None:
    assert run("benchmark", SAMPLE, "--repeat-factor", 20, "--results", tmp_path, "--layout", "spans") == 0
    metrics = read(tmp_path, "metrics")
    assert metrics["num_input_entries"] == 100
    assert metrics["total_builder_windows"] == 3620
    assert metrics["total_filtered_windows"] == 500
    assert metrics["total_filtered_dur_s"] == pytest.approx(60_710.0)


def test_rows_are_removed_unless_they_are_to_be_kept(manifest: Path, tmp_path: Path) -> None:
    results = tmp_path / "b"
    run("benchmark", manifest, "--results", results)
    assert names_in(results) == ["metrics.json", "params.json"]
    run("benchmark", manifest, "--results", results, "--keep-rows", "--repeat-factor", 2)
    assert names_in(results) == ["metrics.json", "params.json", "rows"]
    assert len(rows_in(results / "rows")) == 4
    assert run("verify", results / "rows") == 0


def test_without_writing_the_counts_are_the_same(manifest: Path, tmp_path: Path) -> None:
    assert run("benchmark", manifest, "--results", tmp_path / "write") == 0
    assert run("benchmark", manifest, "--results", tmp_path / "dry", "--no-write", "--keep-rows") == 0
    write, dry = read(tmp_path / "write", "metrics"), read(tmp_path / "dry", "metrics")
    for name in ("num_input_entries", "num_output_entries", "total_builder_windows", "total_filtered_windows"):
        assert dry[name] == write[name] > 0
    assert (dry["output_bytes"], dry["rows_written"]) == (0, 0)
    assert write["output_bytes"] > 0
    assert not list((tmp_path / "dry").rglob("windows-*"))


def test_result_files_are_merged_into(manifest: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "b" / "metrics.json", [b'{"num_input_entries": 77, "mine": 1}'])
    write_lines(tmp_path / "b" / "params.json", [b"not JSON"])
    run("benchmark", manifest, "--results", tmp_path / "b")
    metrics = read(tmp_path / "b", "metrics")
    assert (metrics["mine"], metrics["num_input_entries"]) == (1, 3)
    assert read(tmp_path / "b", "params")["repeat_factor"] == 1


def test_compressed_manifests_are_repeated_as_lines(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl.gz").write_bytes(gzip.compress(manifest.read_bytes()))
    run("benchmark", tmp_path / "in", "--results", tmp_path / "b", "--repeat-factor", 2)
    assert read(tmp_path / "b", "metrics")["num_output_entries"] == 4


def test_pretty_printed_manifests_are_repeated_as_rows(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([speech(4), speech(6)], indent=1))
    run("benchmark", tmp_path / "a.json", "--results", tmp_path / "b", "--repeat-factor", 2)
    assert read(tmp_path / "b", "metrics")["num_output_entries"] == 4


def test_a_job_that_failed_is_written_down(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").mkdir()
    flags = ["--results", tmp_path / "b", "--runner", "PortableRunner", "--job_endpoint=localhost:1"]
    monkeypatch.setenv("GRPC_DNS_RESOLVER", "native")
    assert run("benchmark", manifest, *flags, "--environment_type=LOOPBACK", "--job_server_timeout=1") == 1
    metrics = read(tmp_path / "b", "metrics")
    assert metrics["is_success"] is False
    assert (metrics["num_input_entries"], metrics["total_builder_windows"]) == (0, 0)
    assert metrics["throughput_entries_per_sec"] == 0


class TestEntries:
    def config(self, directory: Path, *requirements: dict[str, Any], args: str = "{benchmark_dir}/a.jsonl") -> Path:
        path = directory / "benchmark.yaml"
        path.write_text(yaml.safe_dump({"entries": [{"name": "mine", "args": args, "requirements": [*requirements]}]}))
        return path

    def benchmark(self, config: Path, *flags: object) -> int:
        return run("benchmark", "--config", config, "--entry", "mine", "--results", config.parent / "b", *flags)

    def test_of_the_project_pass(self, tmp_path: Path) -> None:
        assert BENCHMARKS.exists()
        arguments = ["--config", BENCHMARKS, "--entry", "windows_direct", "--results", tmp_path]
        assert run("benchmark", *arguments, "--repeat-factor", 2) == 0
        assert read(tmp_path, "params")["repeat_factor"] == 2
        assert read(tmp_path, "metrics")["num_input_entries"] == 14

    def test_requirements_that_hold_pass(self, manifest: Path, tmp_path: Path) -> None:
        config = self.config(
            tmp_path,
            {"metric": "is_success", "exact_value": True},
            {"metric": "total_builder_windows", "min_value": 6, "max_value": 6},
        )
        assert self.benchmark(config) == 0

    @pytest.mark.parametrize(
        ("requirement", "message"),
        [
            ({"metric": "total_builder_windows", "min_value": 7}, "total_builder_windows is 6, expected min_value 7"),
            ({"metric": "total_builder_windows", "max_value": 5}, "total_builder_windows is 6, expected max_value 5"),
            ({"metric": "num_failures", "exact_value": 0}, "num_failures is 1, expected exact_value 0"),
            ({"metric": "num_failure", "min_value": 0}, "num_failure is not a metric: did you mean num_failures?"),
        ],
    )
    def test_a_requirement_that_is_missed_fails(
        self,
        manifest: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        requirement: dict[str, Any],
        message: str,
    ) -> None:
        assert self.benchmark(self.config(tmp_path, {"metric": "is_success", "exact_value": True}, requirement)) == 1
        assert f"beam-curator: requirement missed: {message}\n" in capsys.readouterr().err
        assert read(tmp_path / "b", "metrics")["is_success"] is True

    def test_flags_win_over_the_entry(self, manifest: Path, tmp_path: Path) -> None:
        config = self.config(tmp_path, args="{benchmark_dir}/a.jsonl --repeat-factor 3 --min-speakers 1 --layout spans")
        assert self.benchmark(config, "--repeat-factor", 2, "--min-speakers", 2) == 0
        params = read(tmp_path / "b", "params")
        assert (params["repeat_factor"], params["min_speakers"], params["layout"]) == (2, 2, "spans")

    @pytest.mark.parametrize(
        ("flags", "name", "value"),
        [(["--overlap-percentage", "0"], "overlap_percentage", 0), (["--min-bandwidth", "0"], "min_bandwidth", 0)],
    )
    def test_flags_of_zero_win_over_the_entry_too(
        self, manifest: Path, tmp_path: Path, flags: list[str], name: str, value: Any
    ) -> None:
        assert self.benchmark(self.config(tmp_path), *flags) == 0
        assert read(tmp_path / "b", "params")[name] == value

    def test_a_flag_that_turns_off_wins_over_the_entry_too(self, manifest: Path, tmp_path: Path) -> None:
        assert self.benchmark(self.config(tmp_path), "--no-truncation", "--keep-rows") == 0
        written = json.loads((tmp_path / "b/rows/_MANIFEST.json").read_bytes())
        assert written["config"]["windows"]["truncation"] is False

    def test_a_folder_with_a_blank_in_its_name_is_found(self, manifest: Path, tmp_path: Path) -> None:
        folder = tmp_path / "my benchmarks"
        write_lines(folder / "a.jsonl", [line_of(speech(4))])
        assert self.benchmark(self.config(folder)) == 0
        assert read(folder / "b", "metrics")["num_input_entries"] == 1

    def test_an_unknown_entry_is_refused_with_the_nearest(self, manifest: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"has no entry 'mime': did you mean mine\?"):
            run("benchmark", "--config", self.config(tmp_path), "--entry", "mime")

    def test_an_entry_needs_its_file(self) -> None:
        with pytest.raises(UsageError, match="--entry needs --config with the file that holds it"):
            run("benchmark", "--entry", "mine")

    @pytest.mark.parametrize("text", [None, "entries: [", "entries: [{args: a}]", "entries: [{name: mine}]", "- mine"])
    def test_a_file_that_cannot_be_used_is_refused(self, tmp_path: Path, text: str | None) -> None:
        if text is not None:
            (tmp_path / "b.yaml").write_text(text)
        with pytest.raises(UsageError):
            run("benchmark", "--config", tmp_path / "b.yaml", "--entry", "mine", "--results", tmp_path / "b")


def test_a_damaged_input_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line_of(speech(50)))[:-30])
    ended = run_main(capsys, "benchmark", tmp_path / "a.jsonl.gz", "--results", tmp_path / "b")
    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("factor", ["0", "-1"])
def test_a_factor_below_one_is_refused(manifest: Path, factor: str) -> None:
    with pytest.raises(UsageError, match=f"--repeat-factor {factor} is below 1: raise it"):
        run("benchmark", manifest, "--repeat-factor", factor)


def test_an_input_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not there"):
        run("benchmark", tmp_path / "none.jsonl", "--results", tmp_path / "b")
