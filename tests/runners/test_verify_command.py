from pathlib import Path

import pytest

from beam_curator.runners.options import UsageError
from beam_curator.runners.verify_command import find_problems
from beam_curator.sets.output_set import Manifest
from tests.manifests import line_of, run, run_process, speech, write_lines
from tests.transforms.clips.clip_sets import piece, write_recording, write_rows

ROWS, LETTERS = "windows-00000-of-00001.jsonl", "failures-build-00000-of-00001.jsonl"


@pytest.fixture
def output_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return a set of two rows and a dead letter."""
    lines = [line_of(speech(4)), b"broken", line_of(speech(6))]
    run("windows", write_lines(tmp_path / "a.jsonl", lines), "--output", tmp_path / "set", "--tolerate", "1")
    capsys.readouterr()
    return tmp_path / "set"


def problems(directory: Path) -> list[str]:
    return find_problems(str(directory), Manifest.from_json((directory / "_MANIFEST.json").read_bytes()))


def test_a_whole_set_passes(output_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (output_set / "notes.txt").touch()
    assert run("verify", output_set) == 0
    said = f"{output_set}: complete; 2 files, 3 rows, all as the manifest says.\n"
    assert capsys.readouterr().out == said


def test_the_lines_of_an_index_are_no_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recording(tmp_path / "a.wav")
    rows = write_rows(tmp_path / "m.jsonl", [piece("a.wav", 0, 500), piece("a.wav", 500, 1000)])
    run("extract", rows, "--output", tmp_path / "clips")
    assert (tmp_path / "clips" / "metadata.csv").exists()
    capsys.readouterr()
    run("verify", tmp_path / "clips")
    assert ", 2 rows, all as the manifest says" in capsys.readouterr().out


@pytest.mark.parametrize("row_format", ["parquet", "avro"])
def test_sets_of_other_formats_pass(output_set: Path, row_format: str) -> None:
    other = output_set.parent / row_format
    arguments = [output_set.parent / "a.jsonl", "--output", other, "--row-format", row_format, "--tolerate", "1"]
    assert run("windows", *arguments) == 0
    assert run("verify", other) == 0


def test_a_changed_byte_is_found(output_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = bytearray((output_set / ROWS).read_bytes())
    text[100] ^= 1
    (output_set / ROWS).write_bytes(text)
    assert run("verify", output_set) == 1
    err = capsys.readouterr().err
    assert f"beam-curator: {ROWS} was changed: {len(text)} bytes, sha256 " in err
    assert f"{output_set}: 1 problem in 2 files\n" in err


def test_a_missing_file_is_found(output_set: Path) -> None:
    (output_set / LETTERS).unlink()
    assert problems(output_set) == [f"{LETTERS} is missing"]
    assert run("verify", output_set) == 1


def test_a_summary_that_is_being_written_is_none(output_set: Path) -> None:
    (output_set / ".summary.json.ab.beam_curator.tmp").touch()
    assert problems(output_set) == []
    assert run("verify", output_set) == 0


@pytest.mark.parametrize("stray", ["windows-00001-of-00002.jsonl", f".{ROWS}.ab.beam_curator.tmp"])
def test_a_stray_file_is_found(output_set: Path, stray: str) -> None:
    (output_set / stray).touch()
    assert problems(output_set) == [f"{stray} does not belong to the set"]
    assert run("verify", output_set) == 1


def test_a_wrong_number_of_rows_is_found(output_set: Path) -> None:
    text = (output_set / "_MANIFEST.json").read_bytes()
    (output_set / "_MANIFEST.json").write_bytes(text.replace(b'"rows": 2', b'"rows": 3'))
    assert problems(output_set) == [f"{ROWS} does not hold 3 rows"]


def test_all_problems_are_named(output_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (output_set / ROWS).write_bytes(b"")
    (output_set / LETTERS).unlink()
    (output_set / "windows-00007-of-00009.jsonl").touch()
    assert run("verify", output_set) == 1
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 4
    assert err[-1] == f"{output_set}: 3 problems in 2 files"


def test_a_directory_without_a_manifest_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no _MANIFEST\.json: give the --output of a job"):
        run("verify", tmp_path / "none")
    write_lines(tmp_path / "_RUN.json", [b"{}"])
    with pytest.raises(UsageError, match=r"has no _MANIFEST\.json: its job did not finish: run the same command again"):
        run("verify", tmp_path)


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"format": 99}', b'{"format": 1}'])
def test_a_manifest_that_cannot_be_understood_is_wrong_usage(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "_MANIFEST.json").write_bytes(text)
    with pytest.raises(UsageError, match=r"the manifest cannot be understood|manifest format 99 is not 1"):
        run("verify", tmp_path)


def test_the_exit_code_says_it(output_set: Path) -> None:
    assert run_process("verify", output_set).returncode == 0
    (output_set / ROWS).unlink()
    assert run_process("verify", output_set).returncode == 1
    assert run_process("verify", output_set.parent).returncode == 2


def test_a_set_of_an_unknown_command_is_refused(output_set: Path) -> None:
    manifest = output_set / "_MANIFEST.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"command": "windows"', b'"command": "later"'))
    with pytest.raises(UsageError) as refused:
        run("verify", output_set)
    assert str(refused.value) == f"{output_set} was written by 'later': verify it with a version that has this command"
