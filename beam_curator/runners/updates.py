"""`--update`: which sets can be updated, and how many recordings were kept, new, changed or gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from beam_curator.collector import collector_paused
from beam_curator.files.kept_parts import is_tried_again, kept_parts
from beam_curator.files.listing import list_either
from beam_curator.files.moved_inputs import moved_of
from beam_curator.files.update_plan import blocks_of, plan_update, plan_update_of_blocks, seconds_of, tasks_of_blocks
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.options import UsageError
from beam_curator.runners.stages import number_of
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.recording_jobs import RecordingJob

_CURE_OF_MOVED = "use --update without it, which does all again under the new names"


def check_update(job: Job) -> None:
    """Refuse an update of a set that is always written as a whole, and flags of an update without one.

    Raises:
      UsageError: names it.
    """
    if not job.run.update:
        if job.run.moved:
            raise UsageError("--moved says where the inputs of a set went that is updated: add --update")
        return
    why = job.why_not_moved() if job.run.moved else None
    if why is not None:
        raise UsageError(f"--moved: {why}: {_CURE_OF_MOVED}")


def kept_blocks(job: Job) -> Counter[str]:
    """Return how many blocks of each key the set of a job keeps."""
    index = kept_parts(job.output).index if job.why_none_are_kept() is None else {}
    return Counter({name: part.n_equal for name, part in index.items() if name.startswith(f".{job.kind.rows}-")})


def kept_keys(job: Job) -> dict[str, str]:
    """Return the recordings that the set of a job keeps: names, and texts that tell changes.

    Those of recordings that are tried again, because of their failures, are empty.
    """
    index = kept_parts(job.output).index if job.why_none_are_kept() is None else {}
    rows = f".{job.kind.rows}-"
    return {
        name: "" if is_tried_again(part, job.codes) else f"{part.key} {part.seen.content or part.seen.stamp}"
        for name, part in index.items()
        if name.startswith(rows)
    }


def planned_update(job: Job, files: Sequence[InputFile]) -> str | None:
    """Describe an update of the set of a job without doing it; None where there is nothing to tell.

    Args:
      job: whose set is complete.
      files: its present inputs.
    """
    if job.why_none_are_kept():
        return None
    work = job.recording_job()
    if work is None:
        return _planned_blocks(job, files)
    said, to_do = _planned_recordings(job, work, files)
    seconds = seconds_of(to_do)
    length = "" if seconds is None else f", {seconds:,.1f} s ({seconds / 3600:,.2f} h)"
    return f"{said}; to open: {number_of(len(set(to_do)), 'recordings')}{length}"


def updated(job: Job, files: Sequence[InputFile]) -> Callable[[], str] | None:
    """Return a function that tells the outcome of an update once it is done; None where the set keeps nothing."""
    if job.kind.of_blocks:
        blocks = kept_blocks(job)
        return (lambda: said_of_blocks(blocks, kept_blocks(job))) if blocks else None
    before = kept_keys(job)
    if not before:
        return None
    of_moved = _said_of_moved(job, files)
    return lambda: of_moved or said_of_update(before, kept_keys(job))


def _said_of_moved(job: Job, files: Sequence[InputFile]) -> str | None:
    """Say how many recordings an update will keep though they were moved; None where none were.

    Names of before and after tell no recording then.
    """
    work = job.recording_job() if job.run.moved else None
    return None if work is None else _planned_recordings(job, work, files)[0]


def _planned_recordings(job: Job, work: RecordingJob[Any, Any], files: Sequence[InputFile]) -> tuple[str, list[str]]:
    """Say how many recordings an update would keep, and return those that it would open."""
    takes_recordings = job.lister is list_either
    tasks = tasks_of_blocks(work, blocks_of(work, files, job.options["input"], takes_recordings=takes_recordings))
    before, after, to_do = kept_keys(job), dict[str, str](), list[str]()
    moved = moved_of(job.run.moved)
    with collector_paused():
        index = kept_parts(job.output).index
        for planned in plan_update(work, tasks, index, rehash=job.run.rehash, codes=job.codes, moved=moved):
            after[planned.name] = before[planned.name] if planned.is_kept else "another"
            if not planned.is_kept:
                to_do.append(planned.recording)
    return said_of_update(before, after), to_do


def _planned_blocks(job: Job, files: Sequence[InputFile]) -> str:
    names = plan_update_of_blocks(files, job.options["input"], kept_parts(job.output).index, job.kind.rows)
    return said_of_blocks(kept_blocks(job), Counter(names))


def said_of_blocks(before: Counter[str], after: Counter[str]) -> str:
    """Say how many blocks of rows were kept, new and gone. They are known by their lines, so none is changed.

    Args:
      before: how many blocks of each key the set had that was updated.
      after: the same now.

    Example:
      >>> said_of_blocks(Counter({"a": 1, "b": 2}), Counter({"b": 3, "c": 1}))
      '2 blocks kept, 2 new, 1 gone'
    """
    n_kept, n_new, n_gone = (blocks.total() for blocks in (before & after, after - before, before - after))
    return f"{number_of(n_kept, 'blocks')} kept, {n_new:,} new, {n_gone:,} gone"


def said_of_update(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Say how many recordings were kept, new, changed and gone.

    Args:
      before: for each recording in the set that was updated, a text that tells changes; "" where it failed.
      after: the same now.

    Example:
      >>> said_of_update({"a": "1", "b": "2", "c": "", "d": "4"}, {"a": "1", "b": "3", "c": "5", "e": "6"})
      '1 kept, 1 new, 1 changed, 1 tried again, 1 gone'
    """
    both = before.keys() & after.keys()
    again = {name for name in both if not before[name]}
    kept = {name for name in both - again if before[name] == after[name]}
    told = {
        "kept": len(kept),
        "new": len(after.keys() - before.keys()),
        "changed": len(both - again - kept),
        "tried again": len(again),
        "gone": len(before.keys() - after.keys()),
    }
    return ", ".join(f"{n:,} {what}" for what, n in told.items() if n or what != "tried again")
