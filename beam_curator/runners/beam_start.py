"""Loading Beam for commands and their workers: without unused libraries, and with a memory for repeated work."""

from __future__ import annotations

from collections.abc import Sequence

from beam_curator.files.beam_imports import import_beam


def start_beam(arguments: Sequence[str] = ()) -> None:
    """Load Beam for a command or a worker.

    Args:
      arguments: of the command line, which tell whether Google's clients are needed.
    """
    import_beam(arguments)
    from beam_curator.runners.beam_memos import keep_memos

    keep_memos()
