"""Files that a command writes where `--output` names one, instead of a directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from beam_curator.files import storage
from beam_curator.files.atomic_files import write_bytes
from beam_curator.files.replacing import is_output_set
from beam_curator.files.storage import UnknownSchemeError
from beam_curator.runners.options import UsageError


def check_output_file(output: str, files: Sequence[str]) -> None:
    """Refuse a file that cannot be written, or must not.

    Args:
      output: the file.
      files: that are read.

    Raises:
      UsageError: it is no file, is one that is read, or lies in an output set.
    """
    try:
        storage.check_store(output)
    except UnknownSchemeError as err:
        raise UsageError(str(err)) from err
    if not storage.is_remote(output):
        _check_local_output(output)
    for file in files:
        same = file == output if storage.is_remote(output) else os.path.realpath(file) == os.path.realpath(output)
        if same:
            raise UsageError(f"--output {output} is one of the files that are read: give another name")
    for folder in _folders_around(output):
        if is_output_set(folder):
            raise UsageError(f"--output {output} lies in the output set {folder}: give a name outside of it")


def _check_local_output(output: str) -> None:
    if output == "-":
        raise UsageError("--output - names no file: leave --output out to print")
    mode = None
    try:
        mode = os.stat(output).st_mode
    except FileNotFoundError:
        pass
    except OSError as err:
        raise UsageError(f"--output {output} cannot be written: {err.strerror or err}: give another name") from err
    if (mode is not None and stat.S_ISDIR(mode)) or not os.path.basename(output):
        raise UsageError(f"--output {output} is a directory: name a file in it")
    if mode is not None and not stat.S_ISREG(mode):
        raise UsageError(
            f"--output {output} is a device, pipe or socket, expected a file: give one, or leave --output out to print"
        )


def _folders_around(output: str) -> Iterator[str]:
    """Yield the directories that a file lies in, the nearest first."""
    if not storage.is_remote(output):
        yield from map(str, Path(os.path.realpath(output)).parents)
        return
    folder = output.rpartition("/")[0]
    while not folder.endswith("/"):
        yield folder
        folder = folder.rpartition("/")[0]


def write_output_file(output: str, data: bytes) -> None:
    """Put a file in place, whole or not at all; a link is followed to its target."""
    path = output if storage.is_remote(output) else os.path.realpath(output)
    directory, slash, name = path.rpartition("/")
    directory = directory or slash
    try:
        storage.make_directory(directory)
        write_bytes(directory, name, data)
    except OSError as err:
        raise OSError(
            f"--output {output} cannot be written: {err.strerror or err}: give a file where you may write one"
        ) from err
