import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.entries.entry import Entry
from beam_curator.failures import Failure, FailureCode, render_failure
from beam_curator.files.atomic_files import ForeignRunError
from beam_curator.files.block_files import existing_record, key_by_shard
from beam_curator.files.committing import commit
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.blocks import BlockRef, FailureBlock
from beam_curator.sets.output_set import FileRecord, InputRecord, RunRecord, UnbalancedBooksError
from beam_curator.sets.set_kinds import WINDOWS
from beam_curator.transforms.jobs.writing import CommitOutputSet, WriteFailures, WriteTrainingWindows
from beam_curator.windows.entry_blocks import EntryBlock, PlannedEntry
from beam_curator.windows.line_windows import choose_in_row
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.rendering import render_row
from beam_curator.windows.training_windows import plan_entry
from beam_curator.windows.window_rules import WindowRules
from tests.manifests import names_in, speech

RULES = WindowRules()


def ref(ordinal: int, n_blocks: int = 3) -> BlockRef:
    return BlockRef(source="a.jsonl", occurrence=0, ordinal=ordinal, n_blocks=n_blocks, start=0, stop=1)


def chosen(n_segments: int) -> PlannedEntry:
    entry = Entry.from_fields(speech(n_segments))
    plan = plan_entry(entry, RULES)
    return PlannedEntry(offset=0, entry=entry, plan=plan, choice=choose_in_row(plan, OverlapRules()))


def block(ordinal: int, *rows: PlannedEntry, part: int = 0) -> EntryBlock:
    return EntryBlock(ref=ref(ordinal), part=part, rules=RULES, rows=rows)


def text_of(*rows: PlannedEntry) -> bytes:
    rendered = [render_row(row.entry, row.plan, row.choice, RULES, "full") for row in rows if row.choice is not None]
    return b"".join(row + b"\n" for row in rendered)


def letter(offset: int) -> Failure:
    return Failure(
        code=FailureCode.BAD_JSON, stage="build", source="a.jsonl", offset=offset, message="m", cure="c", payload=b"{"
    )


def record(name: str, text: bytes, n_rows: int, kind: str = "windows", **more: Any) -> FileRecord:
    sha256 = hashlib.sha256(text).hexdigest()
    return FileRecord(name=name, n_bytes=len(text), sha256=sha256, n_rows=n_rows, kind=kind, **more)


def write_blocks(target: OutputTarget, blocks: Sequence[EntryBlock], expected: Sequence[FileRecord]) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        files = pipeline | beam.Create(blocks) | WriteTrainingWindows(target)
        assert_that(files, equal_to(expected))


A, B, C = chosen(4), chosen(6), chosen(2)


def test_each_block_becomes_a_file_and_its_record(tmp_path: Path) -> None:
    target = OutputTarget(directory=str(tmp_path / "made"))
    expected = [
        record("windows-00000-of-00003.jsonl", text_of(A, B), 2, position=(0, 0), n_blocks=3),
        record("windows-00002-p0001-of-00003.jsonl", text_of(C), 1, position=(2, 1), n_blocks=3),
    ]
    write_blocks(target, [block(2, C, part=1), block(0, A, B)], expected)
    assert names_in(tmp_path / "made") == [file.name for file in expected]
    assert (tmp_path / "made" / expected[0].name).read_bytes() == text_of(A, B)


def test_shards_are_the_blocks_put_together_in_order(tmp_path: Path) -> None:
    target = OutputTarget(directory=str(tmp_path), n_shards=2)
    expected = [
        record("windows-00000-of-00002.jsonl", text_of(A, B), 2),
        record("windows-00001-of-00002.jsonl", text_of(C, A), 2),
    ]
    # of 3 blocks, 0 and 1 go into shard 0, and 2 into shard 1
    write_blocks(target, [block(2, A, part=1), block(1, B), block(2, C), block(0, A)], expected)
    for file in expected:
        assert hashlib.sha256((tmp_path / file.name).read_bytes()).hexdigest() == file.sha256


@pytest.mark.parametrize(
    ("n_blocks", "n_shards", "shards"),
    [(3, 2, [0, 0, 1]), (4, 4, [0, 1, 2, 3]), (2, 4, [0, 2]), (5, 1, [0] * 5), (7, 3, [0, 0, 0, 1, 1, 2, 2])],
)
def test_consecutive_blocks_share_a_shard(n_blocks: int, n_shards: int, shards: list[int]) -> None:
    records = [record("x", b"", 0, position=(ordinal, 0), n_blocks=n_blocks) for ordinal in range(n_blocks)]
    assert [key_by_shard(file, n_shards)[0] for file in records] == [("windows", shard) for shard in shards]


def test_a_resumed_job_keeps_a_file_that_is_in_place(tmp_path: Path) -> None:
    name = "windows-00000-of-00003.jsonl"
    (tmp_path / name).write_bytes(b"kept\nas it is\n")
    kept = record(name, b"kept\nas it is\n", 2, position=(0, 0), n_blocks=3)
    write_blocks(OutputTarget(directory=str(tmp_path), resume=True), [block(0, A)], [kept])
    again = record(name, text_of(A), 1, position=(0, 0), n_blocks=3)
    write_blocks(OutputTarget(directory=str(tmp_path)), [block(0, A)], [again])


def test_a_file_that_is_not_in_place_has_no_record(tmp_path: Path) -> None:
    assert existing_record(str(tmp_path), record("windows-00000-of-00001.jsonl", b"", 0)) is None


def test_dead_letters_are_json_lines_of_their_stage(tmp_path: Path) -> None:
    failures = FailureBlock(ref=ref(1), part=0, stage="build", failures=(letter(3), letter(9)))
    text = render_failure(letter(3)) + b"\n" + render_failure(letter(9)) + b"\n"
    expected = record(
        "failures-build-00001-of-00003.jsonl", text, 2, kind="failures-build", position=(1, 0), n_blocks=3
    )
    with beam.Pipeline("FnApiRunner") as pipeline:
        files = pipeline | beam.Create([failures]) | WriteFailures(OutputTarget(directory=str(tmp_path)))
        assert_that(files, equal_to([expected]))
    assert (tmp_path / expected.name).read_bytes() == text


class TestCheck:
    def claim(self, directory: Path, token: str) -> None:
        run = RunRecord(token=token, config_sha256="", inputs={}, cleared=True, commands=("windows",))
        (directory / "_RUN.json").write_bytes(run.to_json())

    def test_without_a_token_nothing_is_asked(self, tmp_path: Path) -> None:
        self.claim(tmp_path, "other")
        OutputTarget(directory=str(tmp_path)).check()

    def test_the_run_that_claimed_the_directory_goes_on(self, tmp_path: Path) -> None:
        self.claim(tmp_path, "mine")
        OutputTarget(directory=str(tmp_path), token="mine").check()

    def test_any_other_is_refused(self, tmp_path: Path) -> None:
        target = OutputTarget(directory=str(tmp_path), token="mine")
        with pytest.raises(ForeignRunError, match="now belongs to another run: this one stops writing"):
            target.check()  # _RUN.json is gone
        self.claim(tmp_path, "other")
        with pytest.raises(ForeignRunError):
            target.check()
        (tmp_path / "_RUN.json").write_bytes(b"{")
        with pytest.raises(ForeignRunError):
            target.check()

    def test_a_foreign_run_writes_no_file(self, tmp_path: Path) -> None:
        self.claim(tmp_path, "other")
        target = OutputTarget(directory=str(tmp_path), token="mine")
        with pytest.raises(RuntimeError, match="belongs to another run"), beam.Pipeline("FnApiRunner") as pipeline:
            _ = pipeline | beam.Create([block(0, A)]) | WriteTrainingWindows(target)
        assert names_in(tmp_path) == ["_RUN.json"]


ROWS = record("windows-00000-of-00001.jsonl", b"1\n2\n", 2)
LETTERS = record("failures-build-00000-of-00001.jsonl", b"f\n", 1, kind="failures-build")
COUNTS = {"read.rows": 3, "overlap.rows": 2, "build.failures": 1}
CONFIG = {"windows": {"min_speakers": 2}}
INPUTS = [InputRecord(name="a.jsonl", n_bytes=9, sha256="00")]


class TestCommit:
    def commit(
        self, directory: Path, files: Sequence[FileRecord], counts: dict[str, int], token: str | None = None
    ) -> None:
        target = OutputTarget(directory=str(directory), token=token)
        commit(target, WINDOWS, CONFIG, files, counts, INPUTS)

    def test_lists_what_was_read_and_written(self, tmp_path: Path) -> None:
        self.commit(tmp_path / "made", [ROWS, LETTERS], COUNTS)
        manifest = json.loads((tmp_path / "made/_MANIFEST.json").read_bytes())
        assert [file["name"] for file in manifest["files"]] == [LETTERS.name, ROWS.name]
        assert manifest["inputs"] == [{"name": "a.jsonl", "bytes": 9, "sha256": "00"}]
        assert (manifest["command"], manifest["config"], manifest["counts"]) == ("windows", CONFIG, COUNTS)

    def test_twice_is_the_same_as_once(self, tmp_path: Path) -> None:
        self.commit(tmp_path, [ROWS, LETTERS], COUNTS)
        first = (tmp_path / "_MANIFEST.json").read_bytes()
        # a repeated bundle may hand in a record twice
        self.commit(tmp_path, [LETTERS, ROWS, ROWS, LETTERS], dict(reversed(COUNTS.items())))
        assert (tmp_path / "_MANIFEST.json").read_bytes() == first

    def test_sweeps_what_is_ours_and_leaves_what_is_not(self, tmp_path: Path) -> None:
        ours = ["windows-00001-of-00002.jsonl", ".windows-00000-of-00001.jsonl.ab.beam_curator.tmp"]
        ours += ["failures-read-00000-of-00001.jsonl", "windows-00000-of-00001.parquet"]
        foreign = ["notes.txt", "windows.jsonl", "windows-00001-of-00002.jsonl.bak", "my-windows-00001-of-00002.jsonl"]
        for name in [*ours, *foreign, ROWS.name, LETTERS.name]:
            (tmp_path / name).touch()
        (tmp_path / "windows-00009-of-00010.jsonl").mkdir()
        self.commit(tmp_path, [ROWS, LETTERS], COUNTS)
        kept = [*foreign, ROWS.name, LETTERS.name, "_MANIFEST.json", "windows-00009-of-00010.jsonl"]
        assert names_in(tmp_path) == sorted(kept)

    @pytest.mark.parametrize(
        ("files", "counts"),
        [
            ([ROWS], COUNTS),
            ([ROWS, LETTERS], {**COUNTS, "read.rows": 4}),
            ([ROWS, LETTERS], {**COUNTS, "overlap.rows": 1, "build.failures": 2}),
        ],
    )
    def test_of_unbalanced_books_is_refused(
        self, tmp_path: Path, files: list[FileRecord], counts: dict[str, int]
    ) -> None:
        (tmp_path / "windows-00001-of-00002.jsonl").touch()
        with pytest.raises(UnbalancedBooksError):
            self.commit(tmp_path, files, counts)
        assert names_in(tmp_path) == ["windows-00001-of-00002.jsonl"]

    def test_by_a_run_that_was_replaced_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ForeignRunError):
            self.commit(tmp_path, [ROWS, LETTERS], COUNTS, token="mine")
        assert names_in(tmp_path) == []

    def test_adds_the_counts_up_in_a_pipeline(self, tmp_path: Path) -> None:
        with beam.Pipeline("FnApiRunner") as pipeline:
            counts = pipeline | "Counts" >> beam.Create([*COUNTS.items(), ("x", 1), ("x", 2)])
            inputs = pipeline | "Inputs" >> beam.Create(INPUTS)
            files = pipeline | "Files" >> beam.Create([ROWS, LETTERS])
            target = OutputTarget(directory=str(tmp_path))
            totals = files | CommitOutputSet(target, kind=WINDOWS, config=CONFIG, counts=counts, inputs=inputs)
            assert_that(totals, equal_to([{**COUNTS, "x": 3}]))
        assert json.loads((tmp_path / "_MANIFEST.json").read_bytes())["counts"] == {**COUNTS, "x": 3}

    def test_of_an_empty_set_is_a_set(self, tmp_path: Path) -> None:
        self.commit(tmp_path, [], {})
        assert json.loads((tmp_path / "_MANIFEST.json").read_bytes())["files"] == []
