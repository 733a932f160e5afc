"""One module per job of the command line: its options made into work, and what is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beam_curator.runners.jobs.base import Job


def kind_of_job(name: str) -> type[Job]:
    """Return the class of a job by its command."""
    from beam_curator.runners.jobs.export import ExportJob
    from beam_curator.runners.jobs.extract import ExtractJob
    from beam_curator.runners.jobs.windows import WindowsJob

    jobs: tuple[type[Job], ...] = (WindowsJob, ExtractJob, ExportJob)
    return next(job for job in jobs if job.kind.command == name)
