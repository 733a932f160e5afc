"""One module per job of the command line: its options made into work, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beam_curator.runners.jobs.base import Job


def kind_of_job(name: str) -> type[Job]:
    """Return the class of a job by its command.

    Only its own module is loaded: Beam's RunInference, which diarization needs, loads torch where that is installed.
    """
    return _JOBS[name]()


def _windows() -> type[Job]:
    from beam_curator.runners.jobs.windows import WindowsJob

    return WindowsJob


def _extract() -> type[Job]:
    from beam_curator.runners.jobs.extract import ExtractJob

    return ExtractJob


def _export() -> type[Job]:
    from beam_curator.runners.jobs.export import ExportJob

    return ExportJob


def _diarize() -> type[Job]:
    from beam_curator.runners.jobs.diarize import DiarizeJob

    return DiarizeJob


_JOBS: dict[str, Callable[[], type[Job]]] = {
    "windows": _windows,
    "extract": _extract,
    "export": _export,
    "diarize": _diarize,
}
