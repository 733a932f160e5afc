"""The windows command from an object store to an object store; the store is in memory, the rest is real."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile, ForeignRunError
from beam_curator.files.listing import NoInputError, list_inputs
from beam_curator.files.output_target import OutputTarget
from beam_curator.runners.options import UsageError
from tests import fakes_filesystem as store
from tests.manifests import line_of, rows_in, run, speech, write_lines

A, B, C = (line_of(speech(3 + number, f"{number}.wav")) + b"\n" for number in range(3))
OUT = "gs://bucket/out/set"


@pytest.fixture(autouse=True)
def bucket() -> Iterator[None]:
    """Fill the store with a tree of manifests, and empty it afterwards."""
    store.put("gs://bucket/in/a.jsonl", A + b"broken\n")
    store.put("gs://bucket/in/sub/b.jsonl.gz", gzip.compress(B))
    store.put("gs://bucket/in/sub/c.json", json.dumps([json.loads(C)], indent=1).encode())
    for name in (".hidden.jsonl", "_tmp/x.jsonl", "notes.txt"):
        store.put(f"gs://bucket/in/{name}", b"{}")
    yield
    store.OBJECTS.clear()


def rows_of(directory: str) -> list[Any]:
    names = [name for name in store.names_under(directory) if name.startswith("windows-")]
    return [line for name in names for line in store.get(f"{directory}/{name}").splitlines()]


def test_a_set_is_written_as_on_a_disk(tmp_path: Path) -> None:
    for name, data in (("a.jsonl", A + b"broken\n"), ("sub/b.jsonl", B), ("sub/c.jsonl", C)):
        write_lines(tmp_path / "in" / name, data.splitlines())
    assert run("windows", tmp_path / "in", "--output", tmp_path / "out") == 3
    assert run("windows", "gs://bucket/in", "--output", OUT) == 3
    assert rows_of(OUT) == rows_in(tmp_path / "out")
    assert store.names_under(OUT) == [
        "_MANIFEST.json",
        "failures-build-00000-of-00003.jsonl",
        "summary.json",
        *(f"windows-0000{number}-of-00003.jsonl" for number in range(3)),
    ]
    inputs = [item["name"] for item in json.loads(store.get(f"{OUT}/_MANIFEST.json"))["inputs"]]
    assert inputs == ["gs://bucket/in/a.jsonl", "gs://bucket/in/sub/b.jsonl.gz", "gs://bucket/in/sub/c.json"]


def test_shards_are_merged_and_their_parts_are_gone() -> None:
    run("windows", "gs://bucket/in", "--output", OUT)
    run("windows", "gs://bucket/in", "--output", f"{OUT}2/", "--shards", "2")
    assert rows_of(f"{OUT}2") == rows_of(OUT)
    names = [name for name in store.names_under(f"{OUT}2") if name.startswith((".", "windows-"))]
    assert names == ["windows-00000-of-00002.jsonl", "windows-00001-of-00002.jsonl"]


def test_a_set_is_known_again(capsys: pytest.CaptureFixture[str]) -> None:
    run("windows", "gs://bucket/in", "--output", OUT)
    before = dict(store.OBJECTS)
    capsys.readouterr()
    assert run("windows", "gs://bucket/in", "--output", OUT) == 0
    assert capsys.readouterr().out == f"{OUT} is already complete: nothing to do.\n"
    assert before == store.OBJECTS
    store.put("gs://bucket/in/a.jsonl", A)
    with pytest.raises(UsageError, match=r"gs://bucket/in/a\.jsonl has changed"):
        run("windows", "gs://bucket/in", "--output", OUT)
    assert run("windows", "gs://bucket/in", "--output", OUT, "--overwrite") == 0
    assert not any(name.startswith("failures") for name in store.names_under(OUT))


def test_a_set_can_be_verified(capsys: pytest.CaptureFixture[str]) -> None:
    run("windows", "gs://bucket/in", "--output", OUT)
    assert run("verify", OUT) == 0
    store.put(f"{OUT}/windows-00000-of-00003.jsonl", b"changed\n")
    assert run("verify", OUT) == 1
    assert "windows-00000-of-00003.jsonl was changed" in capsys.readouterr().err


def test_a_set_can_be_read() -> None:
    run("windows", "gs://bucket/in", "--output", OUT)
    assert [file.name for file in list_inputs([OUT])[0]] == [f"{OUT}/windows-0000{n}-of-00003.jsonl" for n in range(3)]


def names(*inputs: str) -> list[str]:
    return [file.name.removeprefix("gs://bucket/in/") for file in list_inputs(inputs)[0]]


def test_inputs_are_listed_as_on_a_disk() -> None:
    assert names("gs://bucket/in") == ["a.jsonl", "sub/b.jsonl.gz", "sub/c.json"]
    assert names("gs://bucket/in/sub/*") == ["sub/b.jsonl.gz", "sub/c.json"]
    assert names("gs://bucket/in/.hidden.jsonl") == [".hidden.jsonl"]
    for nothing in ("gs://bucket/none", "gs://bucket/in/*.csv", "gs://bucket/in/none.jsonl"):
        with pytest.raises(NoInputError, match="holds no manifest"):
            names(nothing)


def test_a_slash_behind_a_directory_changes_nothing() -> None:
    assert names("gs://bucket/in/") == names("gs://bucket/in")


def test_a_whole_bucket_is_a_tree() -> None:
    assert set(names("gs://bucket/in")) <= set(names("gs://bucket"))
    assert names("gs://bucket/") == names("gs://bucket")


@pytest.mark.parametrize("output", ["gs://bucket/in/out", "gs://bucket/in", "gs://bucket/in/"])
def test_an_output_inside_an_input_is_refused(output: str) -> None:
    with pytest.raises(UsageError, match="lies inside the input gs://bucket/in"):
        run("windows", "gs://bucket/in", "--output", output)


def test_an_upload_that_fails_leaves_no_object() -> None:
    with pytest.raises(KeyError), AtomicFile(OUT, "a") as file:
        file.write_pieces([b"x"])
        raise KeyError
    assert store.names_under(OUT) == []
    with pytest.raises(ForeignRunError), AtomicFile(OUT, "a", OutputTarget(directory=OUT, token="t").check) as file:
        file.write_pieces([b"x"])
    assert store.names_under(OUT) == []


def test_files_are_asked_for_as_on_a_disk() -> None:
    assert storage.size_of("gs://bucket/in/none") is None
    assert storage.read_bytes("gs://bucket/in/none") is None
    assert storage.read_bytes("gs://bucket/in/notes.txt") == b"{}"
    assert storage.list_directory("gs://bucket/in") == [".hidden.jsonl", "a.jsonl", "notes.txt"]
    storage.delete("gs://bucket/in", ["notes.txt", "none"])
    assert storage.size_of("gs://bucket/in/notes.txt") is None


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"scheme http:// in http://host/a\.jsonl is not allowed"):
        run("windows", "http://host/a.jsonl", "--output", tmp_path)
    with pytest.raises(UsageError, match="scheme ftp:// in ftp://host/out is not allowed"):
        run("windows", "gs://bucket/in", "--output", "ftp://host/out")


def test_verify_refuses_other_schemes() -> None:
    with pytest.raises(UsageError, match="scheme http:// in http://host is not allowed"):
        run("verify", "http://host")


WITHOUT = """
import sys
for name in ("boto3", "apache_beam.io.gcp.gcsfilesystem"):
    sys.modules[name] = None
from beam_curator.runners import cli
cli.main()
"""


def run_without_extras(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that finds none of the stores' libraries."""
    command = [sys.executable, "-c", WITHOUT, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("arguments", [["s3://bucket/a.jsonl"], ["a.jsonl", "--output", "s3://bucket/out"]])
def test_without_boto3_the_cure_is_said(arguments: list[str], tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [A])
    ended = run_without_extras("windows", *arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert "pip install" in ended.stderr


@pytest.mark.parametrize("command", ["windows", "verify"])
def test_without_the_extra_the_cure_is_said(command: str, tmp_path: Path) -> None:
    ended = run_without_extras(command, "gs://bucket/in", cwd=tmp_path)
    assert ended.returncode == 2
    assert "beam-curator[gcp]" in ended.stderr
    assert "Traceback" not in ended.stderr
