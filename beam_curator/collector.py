"""Python's cyclic garbage collector, kept still while data without cycles is made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the cyclic garbage collector still: parsed JSON has no cycles, and walking it takes as long as parsing.

    What was made meanwhile counts as old when it goes on: as young, it would be walked at once.
    """
    # where it is off already, it stays off: pauses may nest
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():  # a program may have frozen objects of its own
                gc.freeze()
                gc.unfreeze()
            gc.enable()
