from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.sets.blocks import BlockRef
from beam_curator.sets.output_set import (
    LOCK_NAME,
    MANIFEST_NAME,
    RUN_NAME,
    SUMMARY_NAME,
    FileRecord,
    InputRecord,
    Manifest,
    NotAnOutputSetError,
    RunRecord,
    block_file_name,
    config_sha256,
    differences,
    is_ours,
    live_name,
    part_name,
    render_manifest,
    shard_file_name,
    temp_name,
)

KINDS = ("windows", "failures")
CONFIG: dict[str, dict[str, Any]] = {"windows": {"tolerance": 0.1, "drop_fields": ("words",)}, "overlap": {"é": 50}}
INPUTS = [InputRecord(name="b.jsonl", n_bytes=20, sha256="bb"), InputRecord(name="a.jsonl", n_bytes=None, sha256=None)]
ROWS = FileRecord(name="windows-00000-of-00001.jsonl", n_bytes=9, sha256="cc", n_rows=7, kind="windows")
READ = FileRecord(name="failures-read-00000-of-00001.jsonl", n_bytes=9, sha256="dd", n_rows=1, kind="failures-read")
BUILD = FileRecord(name="failures-build-00000-of-00001.jsonl", n_bytes=9, sha256="ee", n_rows=2, kind="failures-build")
COUNTS = {"read.rows": 9, "read.failures": 1, "build.failures": 2, "overlap.rows": 7}


def block_ref(ordinal: int, n_blocks: int) -> BlockRef:
    return BlockRef(source="a", occurrence=0, ordinal=ordinal, n_blocks=n_blocks, start=0, stop=1)


def manifest_text(**changes: Any) -> bytes:
    parts = {"command": "windows", "config": CONFIG, "inputs": INPUTS, "counts": COUNTS, "files": [ROWS, READ, BUILD]}
    return render_manifest(**parts | changes)


@pytest.mark.parametrize(
    ("ordinal", "n_blocks", "part", "name"),
    [
        (0, 1, 0, "windows-00000-of-00001.jsonl"),
        (42, 2500, 3, "windows-00042-p0003-of-02500.jsonl"),
        (123456, 1234567, 12345, "windows-123456-p12345-of-1234567.jsonl"),
    ],
)
def test_files_of_blocks_are_named_by_their_place(ordinal: int, n_blocks: int, part: int, name: str) -> None:
    assert block_file_name("windows", block_ref(ordinal, n_blocks), part, ".jsonl") == name
    assert is_ours(name, KINDS)


def test_merged_files_and_temporary_ones_have_names() -> None:
    assert shard_file_name("failures-read", 1, 4, ".avro") == "failures-read-00001-of-00004.avro"
    assert part_name("a.jsonl") == ".a.jsonl.part.beam_curator.tmp"
    assert temp_name("a.jsonl", "7") == ".a.jsonl.7.beam_curator.tmp"
    assert live_name("7f") == ".7f.beam_curator.live"


@pytest.mark.parametrize(
    "name",
    [
        shard_file_name("windows", 0, 1, ".parquet"),
        shard_file_name("failures-build", 0, 1, ".jsonl"),
        part_name(shard_file_name("windows", 0, 1, ".avro")),
        temp_name("windows-00000-of-00001.jsonl", "af09"),
        *(temp_name(name, "af09") for name in (MANIFEST_NAME, RUN_NAME, SUMMARY_NAME)),
    ],
)
def test_what_a_job_writes_is_known_again(name: str) -> None:
    assert is_ours(name, KINDS)


@pytest.mark.parametrize(
    "name",
    [
        "my-windows-00000-of-00001.jsonl",
        "windowsill-00000-of-00001.jsonl",
        "windows-0-of-1.jsonl",
        "windows-00000-of-00001.jsonl.bak",
        "windows-00000-of-00001.csv",
        "windows.jsonl",
        "sub/windows-00000-of-00001.jsonl",
        "a.beam_curator.tmp",
        ".beam_curator.tmp",
        ".windows-00000-of-00001.jsonl.tmp",
        "a.jsonl",
        "",
        *(MANIFEST_NAME, RUN_NAME, LOCK_NAME, SUMMARY_NAME),
    ],
)
def test_what_others_wrote_is_left_alone(name: str) -> None:
    assert not is_ours(name, KINDS)


def test_a_file_of_another_kind_is_not_ours() -> None:
    assert not is_ours("failures-read-00000-of-00001.jsonl", ["windows"])
    assert is_ours("failures-read-00000-of-00001.jsonl", ["failures-read"])


@given(st.sampled_from(["windows", "failures-read"]), st.integers(0, 10**7), st.integers(0, 10**5))
def test_blocks_and_parts_have_names_of_their_own(kind: str, ordinal: int, part: int) -> None:
    names = {
        block_file_name(kind, block_ref(n, 10**8), p, ".jsonl")
        for n in (ordinal, ordinal + 1)
        for p in (part, part + 1)
    }
    assert len(names) == 4
    assert all(is_ours(name, KINDS) for name in names)


def test_the_hash_of_a_configuration_is_fixed() -> None:
    expected = "8aa414aa154d6cbd1cf782691efe7bb9713828fc2f80388a9641f167947b3a56"  # of the text by sha256sum
    assert config_sha256("windows", CONFIG) == expected
    assert (
        config_sha256("windows", {"overlap": {"é": 50}, "windows": {"drop_fields": ["words"], "tolerance": 0.1}})
        == expected
    )


@pytest.mark.parametrize(
    ("command", "config"),
    [
        ("other", CONFIG),
        ("windows", {}),
        ("windows", CONFIG | {"overlap": {"é": 50.5}}),
        ("windows", CONFIG | {"x": {}}),
    ],
)
def test_another_configuration_has_another_hash(command: str, config: Any) -> None:
    assert config_sha256(command, config) != config_sha256("windows", CONFIG)


def test_a_manifest_has_these_bytes() -> None:
    found = json.loads(manifest_text())
    assert list(found) == ["format", "command", "config", "config_sha256", "inputs", "counts", "files"]
    assert found["format"] == 1
    assert found["config_sha256"] == config_sha256("windows", CONFIG)
    assert found["inputs"] == [
        {"name": "a.jsonl", "bytes": None, "sha256": None},
        {"name": "b.jsonl", "bytes": 20, "sha256": "bb"},
    ]
    assert list(found["counts"].items()) == sorted(COUNTS.items())
    assert [record["name"] for record in found["files"]] == sorted([ROWS.name, READ.name, BUILD.name])
    assert found["files"][2] == {"name": ROWS.name, "bytes": 9, "sha256": "cc", "rows": 7, "kind": "windows"}
    assert manifest_text().endswith(b"}\n")
    assert "é".encode() in manifest_text()


def test_the_order_of_arrival_does_not_change_a_manifest() -> None:
    counts = dict(reversed(COUNTS.items()))
    assert manifest_text(inputs=INPUTS[::-1], counts=counts, files=[BUILD, ROWS, READ]) == manifest_text()


def test_a_manifest_comes_back() -> None:
    manifest = Manifest.from_json(manifest_text())
    assert manifest.command == "windows"
    assert manifest.config == {"windows": {"tolerance": 0.1, "drop_fields": ["words"]}, "overlap": {"é": 50}}
    assert manifest.inputs == (INPUTS[1], INPUTS[0])
    assert manifest.files == (BUILD, READ, ROWS)
    assert manifest.counts == COUNTS
    again = manifest_text(config=manifest.config, inputs=manifest.inputs, counts=manifest.counts, files=manifest.files)
    assert again == manifest_text()


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"{}", b"null", b"\xff", b'{"format": 1}', manifest_text().replace(b'"rows"', b'"r"')],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_not_a_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(NotAnOutputSetError, match=r"cannot be understood .* run the job again"):
        Manifest.from_json(text)


def test_a_manifest_of_another_format_is_refused() -> None:
    text = manifest_text().replace(b'"format": 1', b'"format": 2')
    with pytest.raises(NotAnOutputSetError, match=r"^manifest format 2 is not 1: use a newer version$"):
        Manifest.from_json(text)


def test_an_equal_job_differs_in_nothing() -> None:
    assert differences(Manifest.from_json(manifest_text()), "windows", CONFIG, INPUTS) == []


def test_differences_are_told_in_words() -> None:
    manifest = Manifest.from_json(manifest_text())
    config: dict[str, dict[str, Any]] = {
        "windows": {"tolerance": 0.2, "drop_fields": ("words",), "new": None},
        "rows": {"layout": "full"},
    }
    inputs = [InputRecord(name="b.jsonl", n_bytes=20, sha256="bc"), InputRecord(name="c.jsonl", n_bytes=1, sha256="x")]
    assert differences(manifest, "windows", config, inputs) == [
        "overlap.é was 50, is None",
        "rows.layout was None, is 'full'",
        "windows.tolerance was 0.1, is 0.2",
        "a.jsonl is no longer among the inputs",
        "b.jsonl has changed",
        "c.jsonl is a new input",
    ]


RUN = RunRecord(token="t", config_sha256="c", inputs={"a.jsonl": "20-7"}, cleared=False, commands=("windows",))


def test_a_run_record_comes_back() -> None:
    assert RunRecord.from_json(RUN.to_json()) == RUN
    assert json.loads(RUN.to_json())["inputs"] == {"a.jsonl": "20-7"}


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b"null", RUN.to_json()[:-4], b'{"token": "t", "x": 1}'])
def test_a_damaged_run_record_is_none(text: bytes) -> None:
    assert RunRecord.from_json(text) is None


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"token": "u", "cleared": True}, True),
        ({"config_sha256": "d"}, False),
        ({"inputs": {}}, False),
        ({"inputs": {"a.jsonl": "20-8"}}, False),
    ],
)
def test_runs_of_the_same_job_know_each_other(changes: dict[str, Any], same: bool) -> None:
    assert RUN.same_job(replace(RUN, **changes)) is same
