"""One module per job of the command line: its options made into work, and the texts about it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beam_curator.runners.jobs.base import Job


def kind_of_job(name: str) -> type[Job]:
    """Return the class of a job by its command: of `windows`, `WindowsJob` in the module `windows`.

    Only its own module is loaded, and what that needs.
    """
    kind: type[Job] = getattr(import_module(f"{__name__}.{name}"), f"{name.capitalize()}Job")
    return kind
