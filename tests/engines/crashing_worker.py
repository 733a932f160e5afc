"""A worker that ends itself with SIGKILL once, at a moment of the job that is named: `MOMENT FLAG POOL`.

The flag file is made by the worker that dies; no other one dies after it.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from beam_curator.runners.engines.worker_pool import work
from beam_curator.transforms import atomic_files, output_set


def die_once(flag: str) -> None:
    """End this process, if it is the first to come here."""
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def in_the_middle_of_a_block(flag: str) -> None:
    """Die with half of a block's rows written into its temporary file."""
    write_rows: Callable[..., None] = output_set.write_rows

    def half(file: atomic_files.AtomicFile, rows: Any, *rest: Any) -> None:
        if len(rows) < 2:
            write_rows(file, rows, *rest)
            return
        write_rows(file, rows[: len(rows) // 2], *rest)
        if not os.path.exists(flag):
            file._hand_over()
            file._wait()
            die_once(flag)
        write_rows(file, rows[len(rows) // 2 :], *rest)

    output_set.write_rows = half


def before_the_manifest(flag: str) -> None:
    """Die inside the commit, after the sweep and before `_MANIFEST.json` is there."""
    replace = atomic_files.replace_unless_changed

    def last(*arguments: Any) -> None:
        die_once(flag)
        replace(*arguments)

    atomic_files.replace_unless_changed = last


def after_the_manifest(flag: str) -> None:
    """Die inside the commit, with `_MANIFEST.json` in place and the engine not yet told."""
    replace = atomic_files.replace_unless_changed

    def last(*arguments: Any) -> None:
        replace(*arguments)
        die_once(flag)

    atomic_files.replace_unless_changed = last


MOMENTS = {kind.__name__: kind for kind in (in_the_middle_of_a_block, before_the_manifest, after_the_manifest)}

if __name__ == "__main__":
    MOMENTS[sys.argv[1]](sys.argv[2])
    work(int(sys.argv[3]))
