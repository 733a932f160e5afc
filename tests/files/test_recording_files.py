"""What comes of the work on a recording, written whole or not at all; the job does what a list of events says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from beam_curator.audio import AudioReader
from beam_curator.clips.clip_rows import CLIPS
from beam_curator.failures import EntryError, Failure, FailureCode
from beam_curator.files.clip_files import EncodedClip, in_memory
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part
from beam_curator.files.recording_files import RecordingFiles, events_of
from beam_curator.files.set_files import LinkedFolderError
from beam_curator.sets.blocks import LineBlock
from beam_curator.sets.output_set import FileRecord
from beam_curator.sets.packed_rows import PackedRow, compressed
from beam_curator.sets.recording_events import Described, Event, Made, MadeFile, Missed, Noticed, Opened, TableRow
from beam_curator.sets.recording_jobs import BlockPlan, OpenedJob, RowsTask
from beam_curator.sets.set_kinds import EXTRACT
from tests.files.parts import rows_of, target_of, written
from tests.transforms.clips.clip_sets import write_recording

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
BROKEN = EntryError(FailureCode.TRUNCATED_AUDIO, "it ends too early", "fetch it again")

Asked = RowsTask[PackedRow]


class Listed(OpenedJob[PackedRow, Asked]):
    """A job that yields given events, and then fails if it is told to; its dead letters name files of before."""

    kind = EXTRACT
    rows = replace(CLIPS, tables=("voices",), columns_of=None)

    def __init__(self, *events: Event, fails: bool = False, left: tuple[str, ...] = ()) -> None:
        self._events = events
        self._fails = fails
        self._left = left
        self.seen: list[int] = []

    def plan(self, block: LineBlock) -> BlockPlan[PackedRow]:
        return BlockPlan()

    def key(self, asked: PackedRow) -> str:
        return asked.recording

    def tasks(self, key: str, asked: Iterable[PackedRow], *, marked: bool) -> Iterator[Asked]:
        yield RowsTask(recording_id=key, identity=key, rows=tuple(asked))

    def check(self, task: Asked) -> None:
        if task.recording_id == "refused":
            raise EntryError(FailureCode.PATH_OUTSIDE_ROOT, "it lies elsewhere", "move it")

    def work(self, task: Asked, reader: AudioReader) -> Iterator[Event]:
        self.seen.append(reader.info.n_samples)
        yield from self._events
        if self._fails:
            raise BROKEN

    def failed(self, task: Asked, error: EntryError) -> Iterator[Event]:
        yield Noticed(counts={"speakers_failed": 7})
        yield from task.missed(error, "cut", self._left)


def task_of(recording: object, *ids: int, recording_id: str = "a") -> Asked:
    rows = tuple(
        PackedRow(
            recording=str(recording),
            source="m.jsonl",
            position=(1, 0, 10 * number),
            n_blocks=3,
            packed=compressed(json.dumps({"id": number}).encode()),
        )
        for number in ids or (0,)
    )
    return RowsTask(recording_id=recording_id, identity=recording_id, rows=rows)


def file_of(name: str, content: bytes = b"hello") -> MadeFile:
    return MadeFile(name=name, body=in_memory(content))


def made(number: int, *files: MadeFile, **counts: int) -> Made:
    path, n_bytes, sha256 = files[0].written if files else ("none", 0, "")
    facts = {"extracted_path": path, "n_bytes": n_bytes, "sha256": sha256, "n_samples": 4, "sample_rate": 8000}
    times = {"original_file": "a.wav", "original_start_ms": 0, "original_end_ms": 1}
    return Made(row=facts | times | {"number": number}, order=(number,), files=files, counts=counts)


def missed(number: int, *names: str, **counts: int) -> Missed:
    failure = Failure.from_error(BROKEN, stage="cut", source="m.jsonl", offset=number, payload=b"{}")
    return Missed(failure=failure, order=(number,), names=names, counts=counts)


def files_in(directory: Path) -> list[str]:
    """Return the names of all files but hidden ones, sorted."""
    files = (path for path in directory.rglob("*") if path.is_file() and not path.name.startswith((".", "_RUN")))
    return sorted(path.relative_to(directory).as_posix() for path in files)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A recording of one second at 8 kHz."""
    write_recording(tmp_path / "a.wav", 1)
    return tmp_path / "a.wav"


@pytest.fixture
def target(tmp_path: Path) -> OutputTarget:
    """Return a target in which an earlier attempt was stopped."""
    (tmp_path / "out").mkdir()
    return target_of(tmp_path / "out")


class TestEvents:
    def write(self, recording: Path, target: OutputTarget, *events: Event) -> Part:
        _, part = written(Listed(*events), target, task_of(recording))
        return part

    def test_made_is_a_row_with_its_files(self, recording: Path, target: OutputTarget, tmp_path: Path) -> None:
        later, first = made(1, file_of("x/b.wav")), made(0, file_of("a.wav"), file_of("a.json", b"{}"), previews=2)
        part = self.write(recording, target, later, first)
        assert [row["number"] for row in rows_of(part, tmp_path / "out")] == [0, 1]
        assert files_in(tmp_path / "out") == ["a.json", "a.wav", "x/b.wav"]
        assert (tmp_path / "out" / "x" / "b.wav").read_bytes() == b"hello"
        assert dict(part.counts) == {"cut.clips": 2, "cut.audio_us": 1000, "cut.bytes": 10, "cut.previews": 2}
        assert [(record.kind, record.n_rows, record.position, record.n_blocks) for record in part.files] == [
            ("voices", 0, (1, 0, 0), 3),
            ("clips", 2, (1, 0, 0), 3),
        ]

    def test_rows_may_share_a_file_whose_bytes_can_be_read_once(
        self, recording: Path, target: OutputTarget, tmp_path: Path
    ) -> None:
        (tmp_path / "long.flac").write_bytes(b"hello")
        with (tmp_path / "long.flac").open("rb") as stream:
            body = EncodedClip(body=stream, n_bytes=5, sha256=HELLO, n_samples=1)
            shared = MadeFile(name="a.wav", body=body)
            self.write(recording, target, made(0, shared), made(1, shared))
            assert stream.closed
        assert (tmp_path / "out" / "a.wav").read_bytes() == b"hello"

    def test_missed_is_a_dead_letter_and_takes_old_files_along(
        self, recording: Path, target: OutputTarget, tmp_path: Path
    ) -> None:
        for name in ("old.wav", "other.wav"):
            (tmp_path / "out" / name).write_bytes(b"of an earlier attempt")
        part = self.write(recording, target, missed(9, "old.wav", "never.wav"), missed(4, late=1))
        assert files_in(tmp_path / "out") == ["other.wav"]
        assert dict(part.counts) == {"cut.failures": 2, "cut.failures.truncated_audio": 2, "cut.late": 1}
        (letters,) = (tmp_path / "out").glob(".failures-cut-*")
        assert [json.loads(line)["offset"] for line in letters.read_bytes().splitlines()] == [4, 9]

    def test_noticed_counts_shows_and_removes(self, recording: Path, target: OutputTarget, tmp_path: Path) -> None:
        (tmp_path / "out" / "old.wav").write_bytes(b"of an earlier attempt")
        noticed = Noticed(counts={"dropped": 2, "silent": 0}, progress={"progress.clips": 3}, names=("old.wav",))
        counts, part = written(Listed(noticed), target, task_of(recording))
        assert (counts, part.counts, files_in(tmp_path / "out")) == ([("progress.clips", 3)], (("cut.dropped", 2),), [])

    def test_described_is_a_file_that_the_manifest_lists(
        self, recording: Path, target: OutputTarget, tmp_path: Path
    ) -> None:
        part = self.write(recording, target, Described(file=file_of("docs/a.json"), kind="document", n_rows=2))
        assert part.documents == (FileRecord(name="docs/a.json", n_bytes=5, sha256=HELLO, n_rows=2, kind="document"),)
        assert files_in(tmp_path / "out") == ["docs/a.json"]

    def test_rows_of_tables_have_a_file_and_missing_ones_a_count(
        self, recording: Path, target: OutputTarget, tmp_path: Path
    ) -> None:
        rows = [TableRow(table="voices", row=row) for row in ({"id": "b"}, None, {"id": "a"})]
        part = self.write(recording, target, made(0), *rows)
        (table,) = (tmp_path / "out").glob(".voices-*")
        assert table.read_bytes() == b'{"id":"b"}\n{"id":"a"}\n'
        assert dict(part.counts)["cut.voices.missing"] == 1
        assert [(record.kind, record.n_rows) for record in part.files] == [("voices", 2), ("clips", 1)]


class TestFailsAsAWhole:
    EVENTS = (
        made(0, file_of("x/a.wav"), previews=1),
        missed(1),
        Noticed(counts={"dropped": 1}, progress={"progress.clips": 1}),
        Described(file=file_of("docs/a.json"), kind="document"),
        TableRow(table="voices", row={"id": "a"}),
    )

    @pytest.mark.parametrize("n_done", range(6))
    def test_midway_it_leaves_nothing_but_its_dead_letters(
        self, recording: Path, target: OutputTarget, tmp_path: Path, n_done: int
    ) -> None:
        job = Listed(*self.EVENTS[:n_done], fails=True)
        counts, part = written(job, target, task_of(recording, 0, 1))
        assert counts == [("progress.clips", 1)] * (n_done > 2)
        assert dict(part.counts) == {
            "cut.speakers_failed": 7,
            "cut.failures": 2,
            "cut.failures.truncated_audio": 2,
        }
        assert [(record.kind, record.n_rows) for record in part.files] == [("failures-cut", 2), ("clips", 0)]
        assert (part.documents, files_in(tmp_path / "out")) == ((), [])
        assert not list((tmp_path / "out").glob(".voices-*"))

    def test_without_resume_too(self, recording: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        target = target_of(tmp_path / "out", resume=False)
        written(Listed(*self.EVENTS, fails=True), target, task_of(recording))
        assert files_in(tmp_path / "out") == []

    def test_files_of_an_earlier_attempt_go(self, recording: Path, target: OutputTarget, tmp_path: Path) -> None:
        (tmp_path / "out" / "old.wav").write_bytes(b"of an earlier attempt")
        written(Listed(fails=True, left=("old.wav", "x/a.wav")), target, task_of(recording))
        assert files_in(tmp_path / "out") == []

    def test_letters_say_which_rows(self, recording: Path, target: OutputTarget, tmp_path: Path) -> None:
        written(Listed(fails=True), target, task_of(recording, *range(12)))
        (letters,) = (tmp_path / "out").glob(".failures-cut-*")
        found = [json.loads(line) for line in letters.read_bytes().splitlines()]
        assert [(letter["offset"], json.loads(letter["payload"])["id"]) for letter in found] == [
            (10 * number, number) for number in range(12)
        ]

    @pytest.mark.parametrize(
        ("content", "recording_id", "code"),
        [(None, "a", "not_found"), (b"<html>", "a", "not_audio"), (None, "refused", "path_outside_root")],
    )
    def test_before_it_is_open(
        self, target: OutputTarget, tmp_path: Path, content: bytes | None, recording_id: str, code: str
    ) -> None:
        if content is not None:
            (tmp_path / "b.wav").write_bytes(content)
        job = Listed(*self.EVENTS)
        _, part = written(job, target, task_of(tmp_path / "b.wav", recording_id=recording_id))
        assert (dict(part.counts)[f"cut.failures.{code}"], job.seen) == (1, [])


class TestKept:
    def test_what_is_whole(self, recording: Path, target: OutputTarget) -> None:
        task, job = task_of(recording), Listed(*(event for event in TestFailsAsAWhole.EVENTS if event != missed(1)))
        files = RecordingFiles(job, target)
        assert files.kept(task) is None
        _, part = written(job, target, task)
        assert files.kept(task) == part
        assert files.kept(task_of(recording, recording_id="b")) is None

    def test_not_what_failed(self, recording: Path, target: OutputTarget) -> None:
        job = Listed(made(0), fails=True)
        written(job, target, task_of(recording))
        assert RecordingFiles(job, target).kept(task_of(recording)) is None


def test_an_error_of_the_disk_is_no_dead_letter(recording: Path, target: OutputTarget, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LinkedFolderError):
        written(Listed(made(0, file_of("x/a.wav"))), target, task_of(recording))
    assert not list((tmp_path / "out").glob(".clips-*"))


def test_a_job_sees_the_open_recording(recording: Path) -> None:
    job = Listed(made(0))
    assert [type(event) for event in events_of(job, task_of(recording))] == [Opened, Made]
    assert job.seen == [8000]
