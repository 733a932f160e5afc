"""Bad input through the command: good rows come out, each bad one lands once in the dead letters, the books balance."""

import gzip
import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from beam_curator.windows.line_windows import windows_of_line
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.window_rules import WindowRules
from tests.manifests import (
    BAD_LINES,
    failures_in,
    line_of,
    manifest_of,
    names_in,
    rows_in,
    run,
    run_process,
    speech,
    without_override,
    write_lines,
    write_speech,
)

GOOD = [line_of(speech(3 + number % 5, f"{number}.wav")) for number in range(len(BAD_LINES) + 1)]


def curated(lines: list[bytes]) -> list[bytes]:
    return [windows_of_line(line, WindowRules(), OverlapRules()) for line in lines]


def assert_books_balance(directory: Path) -> None:
    """Compare the rows that were read with those that lie in the files, counted here."""
    counts = manifest_of(directory)["counts"]
    failed = {stage: counts.get(f"{stage}.failures", 0) for stage in ("file", "read", "build")}
    assert sum(failed.values()) == len(failures_in(directory))
    n_read = counts.get("read.rows", 0) + failed["file"] + failed["read"]
    assert n_read == len(rows_in(directory)) + len(failures_in(directory))


@pytest.fixture
def every_bad_line(tmp_path: Path) -> Path:
    """Return a manifest in which each bad line stands between two good ones."""
    lines = [GOOD[0]]
    for good, (bad, _) in zip(GOOD[1:], BAD_LINES.values(), strict=True):
        lines += [bad, good]
    return write_lines(tmp_path / "in" / "bad.jsonl", lines)


class TestEveryBadLine:
    def test_is_one_failure_with_code_source_offset_and_payload(self, every_bad_line: Path, tmp_path: Path) -> None:
        assert run("windows", every_bad_line, "--output", tmp_path / "out") == 3
        whole = every_bad_line.read_bytes()
        failures = failures_in(tmp_path / "out")
        assert [(failure["payload"], failure["code"]) for failure in failures] == list(BAD_LINES.values())
        for failure in failures:
            assert (failure["stage"], failure["source"]) == ("build", str(every_bad_line))
            assert failure["payload_truncated"] is False
            assert whole[failure["offset"] :].startswith(failure["payload"] + b"\n")
            assert failure["offset"] == 0 or whole[failure["offset"] - 1 : failure["offset"]] == b"\n"
            assert failure["message"]
            assert failure["cure"]

    def test_leaves_the_good_ones_as_they_are(self, every_bad_line: Path, tmp_path: Path) -> None:
        run("windows", every_bad_line, "--output", tmp_path / "out")
        assert rows_in(tmp_path / "out") == curated(GOOD)
        assert_books_balance(tmp_path / "out")

    def test_is_counted_by_its_code(self, every_bad_line: Path, tmp_path: Path) -> None:
        run("windows", every_bad_line, "--output", tmp_path / "out")
        counts = manifest_of(tmp_path / "out")["counts"]
        codes = Counter(code for _, code in BAD_LINES.values())
        assert {name.rpartition(".")[2]: n for name, n in counts.items() if name.startswith("build.failures.")} == codes
        assert counts["read.rows"] == len(GOOD) + len(BAD_LINES)

    def test_may_be_tolerated(self, every_bad_line: Path, tmp_path: Path) -> None:
        n_bad = len(BAD_LINES)
        for tolerate, code in (("100%", 0), (n_bad, 0), (n_bad - 1, 3), ("48%", 3), ("49%", 0)):
            # 20 bad of 41 lines are 48.8 %
            arguments = ["windows", every_bad_line, "--output", tmp_path / "out", "--tolerate", tolerate]
            assert run(*arguments, "--overwrite") == code, tolerate

    def test_comes_back_when_its_payload_is_run_again(self, every_bad_line: Path, tmp_path: Path) -> None:
        run("windows", every_bad_line, "--output", tmp_path / "out")
        again = write_lines(tmp_path / "again.jsonl", [failure["payload"] for failure in failures_in(tmp_path / "out")])
        assert run("windows", again, "--output", tmp_path / "out2") == 3
        assert [failure["code"] for failure in failures_in(tmp_path / "out2")] == [c for _, c in BAD_LINES.values()]
        assert rows_in(tmp_path / "out2") == []

    def test_is_found_in_blocks_of_a_few_rows_too(
        self, every_bad_line: Path, tmp_path: Path, small_blocks: None
    ) -> None:
        assert run("windows", every_bad_line, "--output", tmp_path / "out") == 3
        found = Counter((failure["payload"], failure["code"]) for failure in failures_in(tmp_path / "out"))
        assert found == Counter(BAD_LINES.values())
        assert rows_in(tmp_path / "out") == curated(GOOD)
        assert len(list((tmp_path / "out").glob("failures-*"))) > 3

    def test_takes_no_part_in_the_second_reading(self, every_bad_line: Path, tmp_path: Path) -> None:
        run("windows", every_bad_line, "--output", tmp_path / "out", "--overlap-scope", "audio_file")
        assert len(failures_in(tmp_path / "out")) == len(BAD_LINES)
        assert rows_in(tmp_path / "out") == curated(GOOD)  # each of a recording of its own
        assert_books_balance(tmp_path / "out")


class TestAccepted:
    def test_byte_order_mark_carriage_returns_and_blank_lines(self, tmp_path: Path) -> None:
        manifest = tmp_path / "a.jsonl"
        manifest.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([GOOD[0], b"", b"  \t", GOOD[1], GOOD[2]]))
        assert run("windows", manifest, "--output", tmp_path / "out") == 0
        assert rows_in(tmp_path / "out") == curated(GOOD[:3])
        assert manifest_of(tmp_path / "out")["counts"]["read.rows"] == 3

    def test_unsorted_and_reversed_segments_are_counted(self, tmp_path: Path) -> None:
        unsorted, reverse = speech(6), speech(6)
        unsorted["segments"][1:3] = reversed(unsorted["segments"][1:3])
        reverse["segments"][2]["end"] = reverse["segments"][2]["start"] - 1.5
        reverse["segments"][4]["end"] = reverse["segments"][4]["start"] - 1e-3
        lines = [line_of(entry) for entry in (speech(6), unsorted, reverse)]
        assert run("windows", write_lines(tmp_path / "a.jsonl", lines), "--output", tmp_path / "out") == 0
        counts = manifest_of(tmp_path / "out")["counts"]
        assert (counts["build.unsorted_rows"], counts["build.reversed_segments"]) == (1, 2)
        assert rows_in(tmp_path / "out") == curated(lines)

    def test_a_file_of_no_bytes_is_a_complete_set_without_rows(self, tmp_path: Path) -> None:
        assert run("windows", write_lines(tmp_path / "a.jsonl", []), "--output", tmp_path / "out") == 0
        assert names_in(tmp_path / "out") == ["_MANIFEST.json", "summary.json"]
        assert manifest_of(tmp_path / "out")["files"] == []
        assert run("verify", tmp_path / "out") == 0

    def test_json_files_in_all_their_forms(self, tmp_path: Path) -> None:
        entries = [speech(3 + number, f"{number}.wav") for number in range(6)]
        files = {
            "1-object.json": json.dumps(entries[0], indent=1),
            "2-array.json": json.dumps(entries[1:3], indent=2),
            "3-lines.json": "".join(json.dumps(entry) + "\n" for entry in entries[3:5]),
            "4-one-line.json": json.dumps(entries[5]),
            "5-empty-array.json": "[]",
        }
        for name, text in files.items():
            write_lines(tmp_path / "in" / name, [text.encode()])
        assert run("windows", tmp_path / "in", "--output", tmp_path / "out") == 0
        assert rows_in(tmp_path / "out") == curated([line_of(entry) for entry in entries])

    @pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
    def test_compressed_files(self, tmp_path: Path, name: str) -> None:
        text = b"\n".join(GOOD)
        packed = gzip.compress(text) if name.endswith(".gz") else zstandard.ZstdCompressor().compress(text)
        (tmp_path / name).write_bytes(packed)
        assert run("windows", tmp_path / name, "--output", tmp_path / "out") == 0
        assert rows_in(tmp_path / "out") == curated(GOOD)


@pytest.mark.parametrize("time", [10**400, -(10**400)], ids=["late", "early"])
def test_a_time_beyond_all_doubles_is_one_failure(tmp_path: Path, time: int) -> None:
    entry = speech(1)
    entry["segments"][0]["start"] = time
    manifest = write_lines(tmp_path / "a.jsonl", [GOOD[0], line_of(entry)])
    assert run("windows", manifest, "--output", tmp_path / "out") == 3
    assert [failure["code"] for failure in failures_in(tmp_path / "out")] == ["bad_time"]


@pytest.mark.parametrize("row_format", ["jsonl", "parquet", "avro"])
def test_other_integers_beyond_all_doubles_do_no_harm(tmp_path: Path, row_format: str) -> None:
    wide, fast = speech(4), speech(4, audio_sample_rate=10**400)
    wide["segments"][1]["metrics"]["bandwidth"] = 10**400
    wide |= {"duration": 10**400}
    manifest = write_lines(tmp_path / "a.jsonl", [line_of(wide), line_of(fast), GOOD[0]])
    assert run("windows", manifest, "--output", tmp_path / "out", "--row-format", row_format) == 3
    assert [failure["code"] for failure in failures_in(tmp_path / "out")] == ["bad_type"]
    assert manifest_of(tmp_path / "out")["counts"]["build.rows"] == 2


class TestBrokenFile:
    def test_a_document_that_is_no_json_is_one_failure(self, tmp_path: Path) -> None:
        text = json.dumps([speech(4)], indent=1)[:-1].encode()
        manifest = tmp_path / "a.json"
        manifest.write_bytes(text)
        assert run("windows", manifest, "--output", tmp_path / "out") == 3
        (failure,) = failures_in(tmp_path / "out")
        assert (failure["code"], failure["payload"]) == ("bad_json", text.strip())

    def test_a_line_over_the_cap_is_one_failure_of_reading(self, tmp_path: Path) -> None:
        long = line_of(speech(4, filler="x" * 200_000))
        manifest = write_lines(tmp_path / "a.jsonl", [GOOD[0], long, GOOD[1]])
        out = tmp_path / "out"
        assert run("windows", manifest, "--output", out, "--max-line-bytes", 100_000) == 3
        (failure,) = failures_in(out)
        assert (failure["code"], failure["stage"], failure["offset"]) == ("line_too_long", "read", len(GOOD[0]) + 1)
        assert (failure["payload"], failure["payload_truncated"]) == (long[: 64 << 10], True)
        assert failure["cure"] == "split the entry, or raise --max-line-bytes"
        assert rows_in(out) == curated(GOOD[:2])
        assert_books_balance(out)
        assert run("windows", manifest, "--output", tmp_path / "all") == 0

    @pytest.mark.parametrize("extension", [".gz", ".zst"])
    def test_rows_before_the_damage_come_out(self, tmp_path: Path, extension: str) -> None:
        noise = random.Random(7)
        lines = [line_of(speech(4, f"{n}.wav", noise=noise.randbytes(900).hex())) for n in range(400)]
        text = b"\n".join(lines)
        packed = gzip.compress(text) if extension == ".gz" else zstandard.ZstdCompressor().compress(text)
        broken, whole = tmp_path / "in" / f"broken.jsonl{extension}", tmp_path / "in" / "whole.jsonl"
        write_lines(whole, GOOD)
        broken.write_bytes(packed[: len(packed) * 9 // 10])
        assert run("windows", tmp_path / "in", "--output", tmp_path / "out") == 3
        (failure,) = failures_in(tmp_path / "out")
        assert (failure["code"], failure["source"]) == ("truncated_file", str(broken))
        rows = rows_in(tmp_path / "out")
        n_broken = len(rows) - len(GOOD)
        assert 250 < n_broken < 400
        assert rows == curated([*lines[:n_broken], *GOOD])
        assert failure["offset"] == sum(len(line) + 1 for line in lines[:n_broken]) - 1
        assert_books_balance(tmp_path / "out")

    def test_the_second_reading_stops_at_the_damage_too(self, tmp_path: Path) -> None:
        packed = gzip.compress(b"\n".join(line_of(speech(4, f"{number}.wav")) for number in range(3000)))
        (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
        assert run("windows", tmp_path, "--output", f"{tmp_path}-row") == 3
        assert run("windows", tmp_path, "--output", f"{tmp_path}-file", "--overlap-scope", "audio_file") == 3
        rows = rows_in(Path(f"{tmp_path}-row"))
        assert len(rows) > 100
        assert rows_in(Path(f"{tmp_path}-file")) == rows
        assert [failure["code"] for failure in failures_in(Path(f"{tmp_path}-file"))] == ["truncated_file"]

    @pytest.mark.parametrize("n_lost", [4, 100])
    def test_a_document_cut_short_is_a_truncated_file(self, tmp_path: Path, n_lost: int) -> None:
        packed = gzip.compress(json.dumps([speech(4)] * 50, indent=1).encode())
        (tmp_path / "a.json.gz").write_bytes(packed[:-n_lost])
        assert run("windows", tmp_path, "--output", f"{tmp_path}-out") == 3
        assert [failure["code"] for failure in failures_in(Path(f"{tmp_path}-out"))] == ["truncated_file"]

    def test_a_file_that_may_not_be_read_is_one_failure(self, tmp_path: Path) -> None:
        closed, opened = write_speech(tmp_path / "closed.jsonl", 4), write_speech(tmp_path / "open.jsonl", 4)
        closed.chmod(0)
        ended = run_process("windows", closed, opened, "--output", tmp_path / "out", preexec_fn=without_override)
        assert ended.returncode == 3, ended.stderr
        (failure,) = failures_in(tmp_path / "out")
        assert (failure["code"], failure["source"]) == ("not_readable", str(closed))
        assert "Permission denied" in failure["message"]
        assert len(rows_in(tmp_path / "out")) == 1
        inputs = {Path(item["name"]).name: item["sha256"] for item in manifest_of(tmp_path / "out")["inputs"]}
        assert inputs["closed.jsonl"] is None
        assert inputs["open.jsonl"] is not None

    def test_a_broken_link_in_a_tree_is_one_failure(self, tmp_path: Path) -> None:
        write_speech(tmp_path / "in" / "a.jsonl", 4)
        (tmp_path / "in" / "b.jsonl").symlink_to("gone.jsonl")
        assert run("windows", tmp_path / "in", "--output", tmp_path / "out") == 3
        (failure,) = failures_in(tmp_path / "out")
        assert (failure["code"], failure["source"]) == ("not_found", str(tmp_path / "in" / "b.jsonl"))

    def test_a_large_file_that_may_not_be_read_is_one_failure(self, tmp_path: Path) -> None:
        closed = tmp_path / "closed.jsonl"
        with closed.open("wb") as stream:
            os.truncate(stream.fileno(), 9 << 20)
        closed.chmod(0)
        run_process("windows", closed, "--output", tmp_path / "out", preexec_fn=without_override)
        assert len(failures_in(tmp_path / "out")) == 1
