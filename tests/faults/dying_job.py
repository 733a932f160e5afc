"""A command that ends itself with SIGKILL at a counted moment, which does not depend on how fast the machine is."""

import itertools
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from beam_curator.runners import cli
from beam_curator.runners.beam_start import start_beam

start_beam()

from beam_curator.files import storage  # noqa: E402

N_STRAYS = 10


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL leaves nobody to come here")


class Replacing:
    """Stands for `os.replace`: dies before or after a file gets its name.

    Args:
      chosen: tells whether a path below the output is such a file.
      count: the how many-th of them it is, from 1.
      after: die with the file in place.
    """

    def __init__(self, output: str, chosen: Callable[[str], bool], count: int = 1, *, after: bool = False) -> None:
        self._output, self._chosen, self._left, self._after = output, chosen, count, after
        self._replace = os.replace

    def __call__(self, source: str, target: str) -> None:
        name = os.path.relpath(target, self._output)
        self._left -= self._chosen(name)
        is_moment = self._chosen(name) and self._left == 0
        if is_moment and not self._after:
            die()
        self._replace(source, target)
        if is_moment:
            die()


def die_in_the_sweep(output: str) -> None:
    """Leave strays once the directory is cleared for this run, and die with half of what is swept gone."""
    replace, delete = os.replace, storage.delete
    n_marks = itertools.count(1)

    def with_strays(source: str, target: str) -> None:
        replace(source, target)
        if target.endswith("_RUN.json") and next(n_marks) == 2:
            for number in range(N_STRAYS):
                Path(output, f".stray{number}.beam_curator.tmp").touch()

    def half(directory: str, names: list[str]) -> None:
        if len(names) < N_STRAYS:
            delete(directory, names)
            return
        delete(directory, names[: len(names) // 2])
        die()

    os.replace, storage.delete = with_strays, half


def is_merged(name: str) -> bool:
    return re.fullmatch(r"(clips|turns|tracks)-\d{5}-of-\d{5}\.jsonl", name) is not None


def prepare_to_die(moment: str, kept: str, middle: int, output: str) -> None:
    """Arrange for the end of this process at a moment."""

    def is_kept(name: str) -> bool:
        return re.fullmatch(kept, name) is not None

    moments = {
        "marking": Replacing(output, "_RUN.json".__eq__, after=True),
        "planning": Replacing(output, "_RUN.json".__eq__, 2, after=True),
        "first_file": Replacing(output, is_kept),
        "middle_file": Replacing(output, is_kept, middle),
        "last_file": Replacing(output, is_kept, 2 * middle, after=True),
        "merge": Replacing(output, is_merged),
        "manifest": Replacing(output, "_MANIFEST.json".__eq__),
        "committed": Replacing(output, "_MANIFEST.json".__eq__, after=True),
    }
    if moment == "sweep":
        die_in_the_sweep(output)
    else:
        os.replace = moments[moment]


def run_and_die(moment: str, kept: str, middle: int, command: Sequence[str], said: Path) -> None:
    """Run a command in this process, which ends at a moment.

    Args:
      moment: one of those above.
      kept: matches the paths, below the output, of files that stay.
      middle: how many of them are in place when the moment `middle_file` has come.
      command: the command line.
      said: takes the output.
    """
    with said.open("wb") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    prepare_to_die(moment, kept, middle, command[command.index("--output") + 1])
    sys.exit(cli.run(command))
