from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.clips.clip_rows import CLIPS
from beam_curator.entries.json_lines import encode
from beam_curator.files.clip_files import in_memory
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, lines_of_part, rows_of_part
from beam_curator.files.set_files import SetFiles
from beam_curator.sets.output_set import FileRecord
from beam_curator.sets.recording_events import MadeFile
from tests.files.parts import clip, letter, target_of, writer_of
from tests.manifests import names_in

ROWS, LETTERS = CLIPS.rows, CLIPS.letters
WITH_TABLES = replace(CLIPS, tables=("voices",))
EMPTY_HEAD = (
    b'{"n_rows":0,"columns":[],"counts":[],"documents":[],"tables":{},'
    b'"key":"","places":[],"recording":"","seen":{"stamp":"","content":""}}\n'
)


def part_file(directory: Path, kind: str = ROWS) -> Path:
    (path,) = [path for path in directory.glob(f".{kind}-*")]  # noqa: C416  exactly one
    return path


def head_of(directory: Path) -> dict[str, Any]:
    head: dict[str, Any] = json.loads(part_file(directory).read_bytes().splitlines()[0])
    return head


class TestPartWriter:
    def test_files_columns_and_counts(self, tmp_path: Path) -> None:
        target = target_of(tmp_path)
        writer = writer_of(target)
        for number in range(2):
            writer.add_row(clip(target, f"{number}.wav", mos=number) | {"clamped": True})
        writer.add_failure(letter())
        part = writer.write()
        assert [(record.kind, record.n_rows) for record in part.files] == [(LETTERS, 1), (ROWS, 2)]
        assert all((tmp_path / record.name).stat().st_size == record.n_bytes for record in part.files)
        assert all(record.name.startswith(".") for record in part.files)
        assert dict(part.columns)["mos"] == "int"
        assert dict(part.counts) == {
            "cut.clips": 2,
            "cut.audio_us": 2_000_000,
            "cut.bytes": 100,
            "cut.clamped": 2,
            "cut.failures": 1,
            "cut.failures.not_found": 1,
        }

    def test_no_rows_are_a_file_too(self, tmp_path: Path) -> None:
        part = writer_of(target_of(tmp_path)).write()
        assert [(record.kind, record.n_rows, record.n_bytes) for record in part.files] == [(ROWS, 0, len(EMPTY_HEAD))]
        assert (tmp_path / part.files[0].name).read_bytes() == EMPTY_HEAD

    def test_recordings_have_files_of_their_own(self, tmp_path: Path) -> None:
        target = target_of(tmp_path)
        for name in ("/a.wav", "/A.wav", "a.wav", "\udcff.wav"):
            writer_of(target, name).write()
        assert len(names_in(tmp_path)) == 5

    def test_the_first_line_says_what_rows_do_not(self, tmp_path: Path) -> None:
        target = target_of(tmp_path)
        writer = writer_of(target, kind=WITH_TABLES)
        writer.add_row(clip(target, "0.wav", mos=0.5))
        writer.add_to_table("voices", {"id": "a"})
        writer.add_to_table("voices", None)
        writer.count("dropped", 2)
        document = FileRecord(name="docs/a.json", n_bytes=2, sha256="00", n_rows=0, kind="document")
        writer.add_document(document)
        part = writer.write()
        head = head_of(tmp_path)
        assert (head["n_rows"], head["tables"]) == (1, {"voices": 1})
        assert dict(head["counts"]) == {
            "cut.clips": 1,
            "cut.audio_us": 1_000_000,
            "cut.bytes": 50,
            "cut.dropped": 2,
            "cut.voices.missing": 1,
        }
        assert (head["columns"][-1], [each["name"] for each in head["documents"]]) == (
            ["mos", "float"],
            ["docs/a.json"],
        )
        assert (part.documents, [record.kind for record in part.files]) == ((document,), ["voices", ROWS])

    def test_readers_leave_it_out(self, tmp_path: Path) -> None:
        target = target_of(tmp_path)
        writer = writer_of(target)
        rows = [clip(target, f"{number}.wav") for number in range(2)]
        for row in rows:
            writer.add_row(row)
        writer.write()
        path = str(part_file(tmp_path))
        assert list(rows_of_part(path, has_head=True)) == rows
        assert b"".join(lines_of_part(path, has_head=True)) == b"".join(encode(row) + b"\n" for row in rows)
        assert len(list(rows_of_part(path, has_head=False))) == 3

    def test_rows_and_letters_come_in_any_order(self, tmp_path: Path) -> None:
        target = target_of(tmp_path)
        writer = writer_of(target)
        for order in ((1, 0), (0, 10), (0, 2), (0, 2, 1)):
            writer.add_row(clip(target, f"{order}.wav", **{f"c{order[1]}": 1}), order)
            writer.add_failure(letter(100 * order[0] + order[1]), order)
        part = writer.write()
        names = [row["extracted_path"] for row in rows_of_part(str(part_file(tmp_path)), has_head=True)]
        assert names == ["(0, 2).wav", "(0, 2, 1).wav", "(0, 10).wav", "(1, 0).wav"]
        letters = [json.loads(line)["offset"] for line in part_file(tmp_path, LETTERS).read_bytes().splitlines()]
        assert letters == [2, 2, 10, 100]
        assert [name for name, _ in part.columns][-3:] == ["c2", "c10", "c0"]

    def test_rows_of_one_order_stay_as_they_came(self, tmp_path: Path) -> None:
        target = target_of(tmp_path)
        writer = writer_of(target)
        for name in ("b.wav", "a.wav", "c.wav"):
            writer.add_row(clip(target, name))
        writer.write()
        names = [row["extracted_path"] for row in rows_of_part(str(part_file(tmp_path)), has_head=True)]
        assert names == ["b.wav", "a.wav", "c.wav"]

    def test_what_was_forgotten_leaves_no_trace(self, tmp_path: Path) -> None:
        target = target_of(tmp_path)
        writer = writer_of(target, kind=WITH_TABLES)
        writer.add_row(clip(target, "0.wav"))
        writer.add_to_table("voices", {"id": "a"})
        writer.add_failure(letter())
        writer.add_document(FileRecord(name="a", n_bytes=1, sha256="", n_rows=0, kind="document"))
        writer.clear()
        part = writer.write()
        assert (part.counts, part.columns, part.documents, len(part.files)) == ((), (), (), 1)
        assert part_file(tmp_path).read_bytes() == EMPTY_HEAD


@given(st.permutations(range(6)))
def test_files_do_not_depend_on_the_order_in_which_rows_come(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int]
) -> None:
    directory = tmp_path_factory.mktemp("part")
    target = OutputTarget(directory=str(directory))
    writer = writer_of(target)
    for number in numbers:
        row = {"extracted_path": f"{number}.wav", "n_samples": 1, "sample_rate": 1, "n_bytes": 1}
        times = {"original_start_ms": 0, "original_end_ms": 1, "original_file": "a.wav", "segment_index": number}
        writer.add_row(row | times | {f"c{number}": number}, (number,))
    writer.write()
    rows = rows_of_part(str(part_file(directory)), has_head=True)
    assert [row["extracted_path"] for row in rows] == [f"{number}.wav" for number in range(6)]
    assert [name for name, _ in head_of(directory)["columns"]][-6:] == [f"c{number}" for number in range(6)]


def cut_off(data: bytes) -> bytes:
    return data[:-1]


def changed(data: bytes) -> bytes:
    return data[:-1] + b"!"


class TestKept:
    @pytest.fixture
    def target(self, tmp_path: Path) -> OutputTarget:
        return target_of(tmp_path)

    @pytest.fixture
    def written(self, target: OutputTarget) -> Part:
        """Return the outcome of an attempt that finished a recording of two clips, with a document and a table."""
        body = in_memory(b"{}")
        SetFiles(target, 2).put(MadeFile(name="a.json", body=body))
        writer = writer_of(target, kind=WITH_TABLES)
        for number in range(2):
            writer.add_row(clip(target, f"{number}.wav", mos=number))
            writer.add_to_table("voices", {"id": number} if number else None)
        writer.count("dropped", 3)
        writer.add_document(
            FileRecord(name="a.json", n_bytes=body.n_bytes, sha256=body.sha256, n_rows=0, kind="document")
        )
        return writer.write()

    def kept(self, target: OutputTarget, recording: str = "/a.wav", *, synced: bool = False) -> Part | None:
        return writer_of(target, recording, kind=WITH_TABLES).kept(synced=synced)

    def test_a_whole_part_is_kept_as_it_was_written(self, target: OutputTarget, written: Part) -> None:
        assert self.kept(target) == written
        assert dict(written.counts)["cut.voices.missing"] == 1

    def test_so_is_one_without_rows(self, target: OutputTarget) -> None:
        assert writer_of(target, "/b.wav").write() == writer_of(target, "/b.wav").kept()

    def test_not_where_the_job_begins_afresh(self, tmp_path: Path, written: Part) -> None:
        assert self.kept(target_of(tmp_path, resume=False)) is None

    def test_not_where_there_is_none(self, target: OutputTarget, written: Part) -> None:
        assert self.kept(target, "/b.wav") is None

    @pytest.mark.parametrize("harm", [None, cut_off, changed])
    def test_not_where_a_clip_is_damaged(
        self, target: OutputTarget, written: Part, tmp_path: Path, harm: Callable[[bytes], bytes] | None
    ) -> None:
        path = tmp_path / "1.wav"
        path.unlink() if harm is None else path.write_bytes(harm(path.read_bytes()))
        assert self.kept(target) is None
        assert self.kept(target, synced=True) == written

    @pytest.mark.parametrize("harm", [None, cut_off, changed])
    def test_not_where_a_document_is_damaged(
        self, target: OutputTarget, written: Part, tmp_path: Path, harm: Callable[[bytes], bytes] | None
    ) -> None:
        path = tmp_path / "a.json"
        path.unlink() if harm is None else path.write_bytes(harm(path.read_bytes()))
        assert self.kept(target) is None

    @pytest.mark.parametrize("n_left", [0, 1, -1, -20])
    def test_not_where_the_part_is_torn(self, target: OutputTarget, written: Part, tmp_path: Path, n_left: int) -> None:
        path = part_file(tmp_path)
        path.write_bytes(path.read_bytes()[:n_left])
        assert self.kept(target) is None

    @pytest.mark.parametrize("lines", [[0], [0, 1], [0, 1, 2, 2], [1, 2], [1], [], [1, 0, 2], [0, 0, 1, 2]])
    def test_not_where_lines_are_missing_or_too_many(
        self, target: OutputTarget, written: Part, tmp_path: Path, lines: list[int]
    ) -> None:
        path = part_file(tmp_path)
        given_lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(given_lines[number] for number in lines))
        assert self.kept(target) is None

    @pytest.mark.parametrize("head", [b"\0" * 40, b"{}", b"[]", b"", b'{"n_rows":2}', b'{"n_rows":"2"}'])
    def test_not_where_the_first_line_is_damaged(
        self, target: OutputTarget, written: Part, tmp_path: Path, head: bytes
    ) -> None:
        path = part_file(tmp_path)
        _, rest = path.read_bytes().split(b"\n", 1)
        path.write_bytes(head + b"\n" + rest)
        assert self.kept(target) is None

    def test_not_where_bytes_of_the_part_were_lost(self, target: OutputTarget, written: Part, tmp_path: Path) -> None:
        path = part_file(tmp_path)
        data = path.read_bytes()
        for first in (0, data.index(b"\n") + 1):
            path.write_bytes(data[:first] + b"\0" * (len(data) - first - 1) + b"\n")
            assert self.kept(target) is None

    @pytest.mark.parametrize("content", [None, b"", b'{"id":1}', b'{"id":1}\n{"id":2}\n', b"\0\0\n"])
    def test_not_where_a_table_is_damaged(
        self, target: OutputTarget, written: Part, tmp_path: Path, content: bytes | None
    ) -> None:
        path = part_file(tmp_path, "voices")
        path.unlink() if content is None else path.write_bytes(content)
        assert self.kept(target) is None

    def test_not_where_some_failed(self, target: OutputTarget) -> None:
        writer = writer_of(target)
        writer.add_failure(letter())
        writer.write()
        assert writer_of(target).kept() is None

    def test_not_where_letters_were_swept_before_the_rows(self, target: OutputTarget, tmp_path: Path) -> None:
        writer = writer_of(target)
        writer.add_row(clip(target, "0.wav"))
        writer.add_failure(letter())
        writer.write()
        part_file(tmp_path, LETTERS).unlink()
        assert writer_of(target).kept() is None

    def test_a_part_that_is_not_kept_leaves_no_count_behind(
        self, target: OutputTarget, written: Part, tmp_path: Path
    ) -> None:
        (tmp_path / "1.wav").unlink()
        writer = writer_of(target, kind=WITH_TABLES)
        assert writer.kept() is None
        assert writer.write().counts == ()
