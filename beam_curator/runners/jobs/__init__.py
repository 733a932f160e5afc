"""One module per job of the command line: its options made into work, and the texts about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beam_curator.runners.jobs.base import Job


def kind_of_job(name: str) -> type[Job]:
    """Return the class of a job by its command.

    Only its own module is loaded, and what that needs.
    """
    if name == "windows":
        from beam_curator.runners.jobs.windows import WindowsJob

        return WindowsJob
    if name == "extract":
        from beam_curator.runners.jobs.extract import ExtractJob

        return ExtractJob
    if name == "export":
        from beam_curator.runners.jobs.export import ExportJob

        return ExportJob
    if name == "diarize":
        from beam_curator.runners.jobs.diarize import DiarizeJob

        return DiarizeJob
    if name == "separate":
        from beam_curator.runners.jobs.separate import SeparateJob

        return SeparateJob
    raise KeyError(name)
