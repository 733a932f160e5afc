"""Outcomes of recordings as hidden files: clips that are put in place, their rows, and dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from beam_curator.clips.clip_rows import CLIPS
from beam_curator.clips.tables import CutFacts, clip_row
from beam_curator.failures import EntryError, Failure, FailureCode
from beam_curator.files.clip_files import in_memory
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, PartWriter, rows_of_part
from beam_curator.files.recording_files import RecordingFiles, events_of
from beam_curator.files.set_files import SetFiles
from beam_curator.sets.counting import Count
from beam_curator.sets.recording_events import Event, MadeFile
from beam_curator.sets.recording_jobs import OpenedJob, RecordingJob, RowKind
from tests.transforms.clips.clip_sets import mark_run


def target_of(directory: Path, *, resume: bool = True) -> OutputTarget:
    """Return a target that a launcher prepared, to go on where another attempt stopped."""
    mark_run(directory, "t")
    return OutputTarget(directory=str(directory), token="t", resume=resume)


def clip(target: OutputTarget, name: str, **fields: Any) -> dict[str, Any]:
    """Put bytes in place as a clip, and return their row."""
    data = in_memory(name.encode() * 10, 8000)
    SetFiles(target, 2).put(MadeFile(name=name, body=data))
    facts = CutFacts(
        extracted_path=name,
        sha256=data.sha256,
        n_bytes=data.n_bytes,
        sample_rate=8000,
        n_channels=1,
        n_samples=8000,
        real_start_sec=0.0,
        real_end_sec=1.0,
    )
    asked = {"original_file": "a.wav", "original_start_ms": 0, "original_end_ms": 1000} | fields
    return clip_row(asked, 0, facts) | {"_origin": {"source": "m.jsonl", "offset": 0}}


def letter(offset: int = 7) -> Failure:
    """Return a dead letter of the stage that cuts."""
    error = EntryError(FailureCode.NOT_FOUND, "there is no file", "check the path")
    return Failure.from_error(error, stage="cut", source="m.jsonl", offset=offset, payload=b"{}")


def writer_of(
    target: OutputTarget, recording: str = "/a.wav", position: Sequence[int] = (0, 0, 0), kind: RowKind = CLIPS
) -> PartWriter:
    """Return a writer of the rows of a recording."""
    return PartWriter(kind, target, recording, tuple(position), 1)


def written(
    job: RecordingJob[Any, Any], target: OutputTarget, task: Any, events: Iterable[Event] | None = None
) -> tuple[list[Count], Part]:
    """Write what comes of a recording, by default what the job makes of it; return counts for people, and the part."""
    files = RecordingFiles(job, target)
    job.open()
    try:
        writing = files.write(task, events if events is not None else events_of(cast(OpenedJob[Any, Any], job), task))
        counts: list[Count] = []
        while True:
            counts.append(next(writing))
    except StopIteration as end:
        part: Part = end.value
        return counts, part
    finally:
        job.close()
        files.close()


def rows_of(part: Part, directory: Path) -> list[dict[str, Any]]:
    """Return the rows of a part."""
    return list(rows_of_part(str(directory / part.files[-1].name), has_head=True))
