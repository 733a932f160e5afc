"""`beam-curator filter` from the outside: what it keeps and says, the same set twice, updates, what is refused."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from beam_curator.runners.options import UsageError
from tests.manifests import (
    TALKS,
    failures_in,
    line_of,
    lines_in,
    manifest_of,
    names_in,
    run,
    run_main,
    speech,
    write_lines,
)

WIDE = ("--where", "metrics.bandwidth >= 7000", "--where", "speaker != no-speaker")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of three entries, a row that lacks the keys, and two that fail."""
    narrow = speech(4, "b.wav", lang="de")
    narrow["segments"][1]["metrics"]["bandwidth"] = 3400
    narrow["segments"][3]["speaker"] = "no-speaker"
    rows = [speech(2, "a.wav"), narrow, {"audio_filepath": "c.wav"}, speech(1, "d.wav")]
    bad = [b"{broken", line_of({"audio_filepath": "e.wav", "segments": 7})]
    return write_lines(tmp_path_factory.mktemp("in") / "m.jsonl", [*map(line_of, rows), *bad])


def kept(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_in(directory, "filtered-*.jsonl")]


def test_rows_and_segments_are_kept_by_their_values(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert run("filter", manifest, "--output", output, *WIDE) == 3
    assert [(row["audio_filepath"], len(row["segments"])) for row in kept(output)] == [
        ("a.wav", 2),
        ("b.wav", 2),
        ("d.wav", 1),
    ]
    assert lines_in(output, "filtered-*.jsonl")[0] == manifest.read_bytes().splitlines()[0]
    assert [(letter["code"], letter["stage"]) for letter in failures_in(output)] == [
        ("bad_json", "filter"),
        ("bad_type", "filter"),
    ]
    said = capsys.readouterr().out
    assert "  1 row dropped in filter: missing metrics.bandwidth, there is no value at this key\n" in said
    assert "  1 segment dropped in segments: metrics.bandwidth >= 7000\n" in said
    assert "  1 segment dropped in segments: speaker != no-speaker\n" in said
    assert "3 of 6 rows kept, 5 of 7 segments in " in said
    assert run("verify", output) == 0
    assert run("explain", output) == 0
    assert "1 row dropped in filter: missing metrics.bandwidth" in capsys.readouterr().out
    assert run("explain", output, "e.wav") == 0
    assert "bad_type" in capsys.readouterr().out


def test_shards_and_parquet_hold_the_same_rows(manifest: Path, tmp_path: Path) -> None:
    others = [write_lines(tmp_path / f"more/{name}.jsonl", [line_of(speech(2, name))]) for name in "xy"]
    inputs = (manifest, *others)
    for name, flags in {
        "plain": (),
        "one": ("--shards", 1),
        "table": ("--shards", 1, "--row-format", "parquet"),
    }.items():
        assert run("filter", *inputs, "--output", tmp_path / name, *WIDE, *flags, "--tolerate", 2) == 0
    lines = lines_in(tmp_path / "plain", "filtered-*.jsonl")
    assert len(lines) == 5
    assert lines_in(tmp_path / "one", "filtered-*.jsonl") == lines
    table = pq.read_table(tmp_path / "table" / "filtered-00000-of-00001.parquet").to_pylist()
    assert [row["row"].encode() for row in table] == lines
    assert {row["source"] for row in table} == set(map(str, inputs))
    assert [row["audio_filepath"] for row in table] == ["a.wav", "b.wav", "d.wav", "x", "y"]


def test_an_update_keeps_blocks_and_is_a_run_from_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    for name in "ab":
        write_lines(folder / f"{name}.jsonl", [line_of(speech(2, f"{name}.wav"))])
    assert run("filter", folder, "--output", output, *WIDE) == 0
    assert run("filter", folder, "--output", output, *WIDE) == 0
    assert "already complete" in capsys.readouterr().out
    write_lines(folder / "c.jsonl", [line_of(speech(3, "c.wav")), line_of({"x": 1})])
    assert run("filter", folder, "--output", output, *WIDE, "--update", "--plan") == 0
    assert "2 blocks kept, 1 new, 0 gone" in capsys.readouterr().out
    assert run("filter", folder, "--output", output, *WIDE, "--update") == 0
    assert "2 blocks kept, 1 new, 0 gone" in capsys.readouterr().out
    assert run("filter", folder, "--output", tmp_path / "anew", *WIDE) == 0
    assert manifest_of(output) == manifest_of(tmp_path / "anew")
    assert names_in(output) == names_in(tmp_path / "anew")
    with pytest.raises(UsageError, match="holds a complete set of another job"):
        run("filter", folder, "--output", output, "--where", "x = 1")


def test_failures_are_tried_again(tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    write_lines(folder / "a.jsonl", [line_of(speech(2, "a.wav"))])
    write_lines(folder / "b.jsonl", [b"{broken"])
    assert run("filter", folder, "--output", output, *WIDE) == 3
    write_lines(folder / "b.jsonl", [line_of(speech(1, "b.wav"))])
    assert run("retry", output) == 0
    assert (failures_in(output), [row["audio_filepath"] for row in kept(output)]) == ([], ["a.wav", "b.wav"])


def test_conditions_come_from_a_config_too(tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text("filter: {where: ['duration > 1', 'a, b != 2'], of: rows}\n", encoding="utf-8")
    rows = write_lines(tmp_path / "m.jsonl", [line_of({"duration": n}) for n in (1, 2)])
    with pytest.raises(UsageError, match="condition 'a, b != 2' is not KEY"):  # a comma does not end a condition
        run("filter", rows, "--output", tmp_path / "out", "--config", config)
    config.write_text("filter: {where: 'duration > 1', of: rows}\n", encoding="utf-8")
    assert run("filter", rows, "--output", tmp_path / "out", "--config", config) == 0
    assert kept(tmp_path / "out") == [{"duration": 2}]
    assert manifest_of(tmp_path / "out")["config"]["filter"]["where"] == ["duration > 1"]


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ((), "no condition is given: write for example --where 'duration >= 2'"),
        (("--where", "duration"), "filter: condition 'duration' is not KEY"),
        (("--where", "a < true"), "asks for an order of true"),
        (("--where", "a < 1", "--of", "words"), "invalid choice: 'words'"),
    ],
)
def test_what_cannot_hold_is_said_before_the_job(
    flags: tuple[str, ...], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run_main(capsys, "filter", TALKS, "--output", tmp_path / "out", *flags)
    assert (done.returncode, problem in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_a_key_that_no_row_has_is_pointed_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write_lines(tmp_path / "m.jsonl", [line_of({"duration": 1})])
    assert run("filter", rows, "--output", tmp_path / "out", "--where", "durations > 0") == 0
    assert "No row has a value at key durations" in capsys.readouterr().out


def test_the_page_shows_what_the_command_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (TALKS.parents[1] / "docs" / "filter.md").read_text(encoding="utf-8")
    ((command, shown),) = re.findall(r"^\$ beam-curator (filter .*)\n((?:.*\n)*?)```", page, re.MULTILINE)
    arguments = [str(tmp_path / word) if word == "wide" else word for word in shlex.split(command)]
    assert run(*[str(TALKS) if word == "examples/talks.jsonl" else word for word in arguments]) == 3
    said, expected = (re.sub(r" *\d+\.\d\d s| on .*", "", text) for text in (capsys.readouterr().out, shown))
    assert said == expected
