"""Python's cyclic garbage collector, kept still while data without cycles is made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


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
            if not _has_frozen_objects():
                gc.freeze()
                gc.unfreeze()
            gc.enable()


@cache
def _has_frozen_objects() -> bool:
    """Tell whether the program has frozen objects of its own: looked up once, as each look walks over all of them."""
    return gc.get_freeze_count() > 0
