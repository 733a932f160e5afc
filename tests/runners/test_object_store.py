"""The windows command from an object store to an object store; the store is on this machine, the rest is real."""

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
from beam_curator.files.listing import list_inputs
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.searching import NoInputError
from beam_curator.runners.options import UsageError
from beam_curator.sets.output_set import KEPT_FOLDER, InputRecord, render_manifest
from tests import fakes_filesystem as store
from tests.manifests import failures_in, line_of, lines_in, rows_in, run, speech, write_lines
from tests.transforms.clips.clip_sets import write_recording, write_rows

A, B, C = (line_of(speech(3 + number, f"{number}.wav")) + b"\n" for number in range(3))


@pytest.fixture(autouse=True, params=store.SCHEMES)
def bucket(request: pytest.FixtureRequest) -> Iterator[str]:
    """Fill a bucket with a tree of manifests, and empty it afterwards."""
    at = f"{request.param}://bucket"
    store.put(f"{at}/in/a.jsonl", A + b"broken\n")
    store.put(f"{at}/in/sub/b.jsonl.gz", gzip.compress(B))
    store.put(f"{at}/in/sub/c.json", json.dumps([json.loads(C)], indent=1).encode())
    for name in (".hidden.jsonl", ".tmp/x.jsonl", "notes.txt"):
        store.put(f"{at}/in/{name}", b"{}")
    yield at
    store.clear()


@pytest.fixture
def out(bucket: str) -> str:
    return f"{bucket}/out/set"


def names_in(directory: str) -> list[str]:
    return [name for name in store.names_under(directory) if not name.startswith(KEPT_FOLDER)]


def rows_of(directory: str) -> list[Any]:
    names = [name for name in store.names_under(directory) if name.startswith("windows-")]
    return [line for name in names for line in store.get(f"{directory}/{name}").splitlines()]


def test_a_set_is_written_as_on_a_disk(bucket: str, out: str, tmp_path: Path) -> None:
    for name, data in (("a.jsonl", A + b"broken\n"), ("sub/b.jsonl", B), ("sub/c.jsonl", C)):
        write_lines(tmp_path / "in" / name, data.splitlines())
    assert run("windows", tmp_path / "in", "--output", tmp_path / "out") == 3
    assert run("windows", f"{bucket}/in", "--output", out) == 3
    assert rows_of(out) == rows_in(tmp_path / "out")
    assert names_in(out) == [
        "_MANIFEST.json",
        "failures-build-00000-of-00003.jsonl",
        "summary.json",
        *(f"windows-0000{number}-of-00003.jsonl" for number in range(3)),
    ]
    inputs = [item["name"] for item in json.loads(store.get(f"{out}/_MANIFEST.json"))["inputs"]]
    assert inputs == [f"{bucket}/in/a.jsonl", f"{bucket}/in/sub/b.jsonl.gz", f"{bucket}/in/sub/c.json"]


def test_shards_are_merged_and_their_parts_are_gone(bucket: str, out: str) -> None:
    run("windows", f"{bucket}/in", "--output", out)
    run("windows", f"{bucket}/in", "--output", f"{out}2/", "--shards", "2")
    assert rows_of(f"{out}2") == rows_of(out)
    names = [name for name in names_in(f"{out}2") if name.startswith((".", "windows-"))]
    assert names == ["windows-00000-of-00002.jsonl", "windows-00001-of-00002.jsonl"]


def test_a_set_is_known_again(bucket: str, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("windows", f"{bucket}/in", "--output", out)
    before = [store.get(f"{out}/{name}") for name in store.names_under(out)]
    capsys.readouterr()
    assert run("windows", f"{bucket}/in", "--output", out) == 3
    assert capsys.readouterr().out.splitlines()[0] == f"{out} is already complete: nothing to do."
    assert before == [store.get(f"{out}/{name}") for name in store.names_under(out)]
    store.put(f"{bucket}/in/a.jsonl", A)
    with pytest.raises(UsageError, match=rf"{bucket}/in/a\.jsonl has changed"):
        run("windows", f"{bucket}/in", "--output", out)
    assert run("windows", f"{bucket}/in", "--output", out, "--overwrite") == 0
    assert not any("failures" in name for name in store.names_under(out))
    assert run("verify", out) == 0


def test_a_set_can_be_verified(bucket: str, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("windows", f"{bucket}/in", "--output", out)
    assert run("verify", out) == 0
    store.put(f"{out}/windows-00000-of-00003.jsonl", b"changed\n")
    assert run("verify", out) == 1
    assert "windows-00000-of-00003.jsonl was changed" in capsys.readouterr().err


def test_sets_are_found(bucket: str, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("windows", f"{bucket}/in", "--output", out, "--tolerate", "1")
    (rows, *_) = (file for file in json.loads(store.get(f"{out}/_MANIFEST.json"))["files"] if file["kind"] == "windows")
    read = InputRecord(name=f"{out}/{rows['name']}", n_bytes=rows["bytes"], sha256=rows["sha256"])
    made = render_manifest(command="extract", config={}, inputs=[read], counts={}, files=[])
    store.put(f"{bucket}/out/made/_MANIFEST.json", made)
    capsys.readouterr()
    assert run("sets", bucket, "--format", "json") == 0
    first, second = json.loads(capsys.readouterr().out)["sets"]
    assert (first["path"], first["made_from"]) == (f"{bucket}/out/made", [{"path": out, "changed": False}])
    assert (second["path"], second["rows"], second["failures"]) == (out, 3, 1)
    with pytest.raises(UsageError, match=f"no output set below {bucket}/in: "):
        run("sets", f"{bucket}/in")
    assert run("explain", out, "0.wav") == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"{bucket}/in/0.wav: row at byte 0 of {bucket}/in/a.jsonl"
    assert lines[0] == "  3 starts: 1 kept, 2 lost_win"


def test_a_set_can_be_read(bucket: str, out: str) -> None:
    run("windows", f"{bucket}/in", "--output", out)
    assert [file.name for file in list_inputs([out])[0]] == [f"{out}/windows-0000{n}-of-00003.jsonl" for n in range(3)]


def names(*inputs: str) -> list[str]:
    return [file.name.partition("/in/")[2] for file in list_inputs(inputs)[0]]


def test_inputs_are_listed_as_on_a_disk(bucket: str) -> None:
    assert names(f"{bucket}/in") == ["a.jsonl", "sub/b.jsonl.gz", "sub/c.json"]
    assert names(f"{bucket}/in/sub/*") == ["sub/b.jsonl.gz", "sub/c.json"]
    assert names(f"{bucket}/in/.hidden.jsonl") == [".hidden.jsonl"]
    for nothing in (f"{bucket}/none", f"{bucket}/in/*.csv", f"{bucket}/in/none.jsonl"):
        with pytest.raises(NoInputError, match="holds no manifest"):
            names(nothing)


def test_a_slash_behind_a_directory_changes_nothing(bucket: str) -> None:
    assert names(f"{bucket}/in/") == names(f"{bucket}/in")


def test_a_whole_bucket_is_a_tree(bucket: str) -> None:
    assert set(names(f"{bucket}/in")) <= set(names(bucket))
    assert names(f"{bucket}/") == names(bucket)


def clip_rows(bucket: str, folder: Path, *names: str) -> Path:
    """Put recordings in the bucket, and write a local manifest that asks for a clip of each."""
    write_recording(folder / "a.wav")
    for name in names:
        store.put(f"{bucket}/{name}", (folder / "a.wav").read_bytes())
    rows = [{"audio_filepath": f"{bucket}/{name}", "offset": 1, "duration": 1} for name in names]
    return write_rows(folder / "m.jsonl", rows)


def test_brackets_in_names_are_letters(bucket: str, tmp_path: Path) -> None:
    rows = clip_rows(bucket, tmp_path, "rec/talk [dQw4].wav", "rec/why?.wav", "rec/a*b.wav")
    outputs = [f"{bucket}/run [12]", f"{bucket}/run 1"]
    for output in outputs:
        assert run("extract", rows, "--output", output) == 0
        assert run("verify", output) == 0
    before = store.names_under(outputs[1])
    assert len([name for name in before if name.endswith(".wav")]) == 3
    assert run("extract", rows, "--output", outputs[0], "--overwrite", "--output-format", "flac") == 0
    assert run("verify", outputs[0]) == 0
    assert not [name for name in store.names_under(outputs[0]) if name.endswith(".wav")]
    assert store.names_under(outputs[1]) == before


def test_an_object_takes_few_requests(bucket: str, tmp_path: Path) -> None:
    names = [f"rec/{number}.wav" for number in range(11)]
    rows = clip_rows(bucket, tmp_path, *names)
    requests = store.requests_of(bucket)
    assert storage.size_of(f"{bucket}/{names[0]}")  # a bucket that has answered
    requests.clear()
    assert run("extract", rows, "--output", tmp_path / "out") == 0
    assert len(requests) <= 3 * len(names)  # which version is it? its bytes; is it that version still?
    requests.clear()
    assert run("verify", tmp_path / "out") == 0
    assert requests == []
    assert run("extract", rows, "--output", f"{bucket}/out") == 0
    # each recording is read, its clip and the file of its row are written, the latter is read and removed
    n_objects = 3 * len(names)
    of_the_set = ("_RUN.json", "_MANIFEST.json", "prefix=")  # marks that are looked at while time passes, and lists
    assert len([request for request in requests if not any(name in request for name in of_the_set)]) <= 3 * n_objects
    of_clips = [request for request in requests if "out/clips" in request or "out%2Fclips" in request]
    assert len(of_clips) <= 3 * len(names)


def test_a_recording_that_cannot_be_had_is_a_dead_letter(bucket: str, tmp_path: Path) -> None:
    names = [f"rec/{number}.wav" for number in range(4)]
    rows = clip_rows(bucket, tmp_path, *names)
    assert storage.size_of(f"{bucket}/rec/0.wav")  # a bucket that has answered
    store.fail(f"{bucket}/rec/1.wav", 403)
    store.fail(f"{bucket}/rec/2.wav", 404)
    store.fail(f"{bucket}/rec/3.wav", 503, 0, 429)
    assert run("extract", rows, "--output", tmp_path / "out") == 3
    assert len(lines_in(tmp_path / "out", "clips-*.jsonl")) == 2
    assert sorted(letter["code"] for letter in failures_in(tmp_path / "out")) == ["not_found", "not_readable"]


@pytest.mark.parametrize("output", ["in/out", "in", "in/"])
def test_an_output_inside_an_input_is_refused(bucket: str, output: str) -> None:
    with pytest.raises(UsageError, match=f"lies inside the input {bucket}/in"):
        run("windows", f"{bucket}/in", "--output", f"{bucket}/{output}")


def test_an_upload_that_fails_leaves_no_object(out: str) -> None:
    with pytest.raises(KeyError), AtomicFile(out, "a") as file:
        file.write_pieces([b"x"])
        raise KeyError
    assert store.names_under(out) == []
    with pytest.raises(ForeignRunError), AtomicFile(out, "a", OutputTarget(directory=out, token="t").check) as file:
        file.write_pieces([b"x"])
    assert store.names_under(out) == []


def test_files_are_asked_for_as_on_a_disk(bucket: str) -> None:
    assert storage.size_of(f"{bucket}/in/none") is None
    assert storage.read_bytes(f"{bucket}/in/none") is None
    assert storage.read_bytes(f"{bucket}/in/notes.txt") == b"{}"
    assert storage.list_directory(f"{bucket}/in") == [".hidden.jsonl", "a.jsonl", "notes.txt"]
    storage.delete(f"{bucket}/in", ["notes.txt", "none"])
    assert storage.size_of(f"{bucket}/in/notes.txt") is None


def test_other_schemes_are_refused(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"scheme http:// in http://host/a\.jsonl is not allowed"):
        run("windows", "http://host/a.jsonl", "--output", tmp_path)
    with pytest.raises(UsageError, match="scheme ftp:// in ftp://host/out is not allowed"):
        run("windows", f"{bucket}/in", "--output", "ftp://host/out")


def test_verify_refuses_other_schemes() -> None:
    with pytest.raises(UsageError, match="scheme http:// in http://host is not allowed"):
        run("verify", "http://host")


WITHOUT = """
import sys
for name in ("boto3", "google.cloud.storage"):
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
