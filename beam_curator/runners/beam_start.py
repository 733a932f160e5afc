"""Loading Beam for commands and their workers: without unused libraries, and with a memory for repeated work."""

from __future__ import annotations

from beam_curator.files.beam_imports import import_beam


def start_beam(*, for_dataflow: bool = False) -> None:
    """Load Beam for a command or a worker; nothing happens where it is loaded already.

    Args:
      for_dataflow: Google's clients are needed.
    """
    import_beam(for_dataflow=for_dataflow)
    from beam_curator.runners.beam_memos import keep_memos

    keep_memos()
