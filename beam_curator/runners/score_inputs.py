"""What `beam-curator score` reads: RTTM and UEM in files, globs, directory trees, and output sets of `diarize`."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from beam_curator.diarization.entries import files_of_entry
from beam_curator.diarization.rttm import RttmError, RttmTurn, parse_rttm
from beam_curator.intervals import Span
from beam_curator.output_set import MANIFEST_NAME, RUN_NAME, Manifest, NotAnOutputSetError
from beam_curator.runners.options import UsageError
from beam_curator.scoring.recordings import Speakers, recordings_of
from beam_curator.scoring.uem import UemError, parse_uem
from beam_curator.set_kinds import DIARIZE
from beam_curator.transforms import storage
from beam_curator.transforms.listing import NoInputError, is_output_set, list_inputs
from beam_curator.transforms.row_tables import read_row_file
from beam_curator.transforms.storage import UnknownSchemeError

RTTM, UEM = ".rttm", ".uem"

T = TypeVar("T")

File = tuple[str, dict[str, T]]
"""A file by its name, and what it says of each recording."""


def read_turns(given: str) -> tuple[dict[str, Speakers], list[str]]:
    """Read who speaks when in the recordings of one side.

    Args:
      given: an RTTM, a glob, a directory tree with .rttm files, or an output set of `diarize`.

    Returns:
      Speakers of each recording, and the files that were read.

    Raises:
      UsageError: something is missing or broken, or two files have the same recording.
    """
    _check(given)
    if is_output_set(given):
        return _gathered(_turns_of_set(given), "turns")
    return _gathered(((path, _turns_of(path)) for path in _listed(given, RTTM)), "turns")


def read_uem(given: str) -> dict[str, tuple[Span, ...]]:
    """Read which parts of recordings are scored.

    Args:
      given: a UEM, a glob, a directory tree with .uem files, or an output set of `diarize --uem`.

    Raises:
      UsageError: something is missing or broken, or two files have the same recording.
    """
    _check(given)
    if not is_output_set(given):
        paths = _listed(given, UEM)
    else:
        names = {file.name: None for row in _rows_of_set(given) for file in files_of_entry(row)}
        paths = [storage.join(given, name) for name in names if name.endswith(UEM)]
        if not paths:
            raise UsageError(f"{given} holds no {UEM} file: run diarize with --uem, or give another UEM")
    return _gathered(((path, _read(path, parse_uem)) for path in paths), "UEM")[0]


def _check(given: str) -> None:
    try:
        storage.check_store(given)
    except UnknownSchemeError as err:
        raise UsageError(str(err)) from err
    unfinished = storage.size_of(storage.join(given, RUN_NAME)) is not None
    if unfinished and not is_output_set(given):
        raise UsageError(f"{given} has no {MANIFEST_NAME}: its job did not finish: run the same command again")


def _listed(given: str, extension: str) -> list[str]:
    """List what is named: a file whatever it is called, of globs and directories what has the extension."""
    try:
        names = [file.name for file in list_inputs([given], extensions=(extension,))[0]]
    except NoInputError as err:
        if err.__cause__ is not None or not _names_many(given):
            raise UsageError(str(err)) from err
        names = []
    if names == [given]:
        return names
    found = [name for name in names if name.lower().endswith(extension) and not _file_name(name).startswith(".")]
    if not found:
        raise UsageError(f"{given} holds no {extension} file: give one, a directory or glob, or a set of diarize")
    return found


def _names_many(given: str) -> bool:
    return storage.is_remote(given) or os.path.isdir(given) or any(character in given for character in "*?[")


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]


def _turns_of(path: str) -> dict[str, Speakers]:
    """Read an RTTM; one without turns is that of a recording of its own name, in which nobody talks."""
    name = _file_name(path)
    return dict(recordings_of(_read(path, parse_rttm))) or {name.rpartition(".")[0] or name: {}}


def _turns_of_set(directory: str) -> Iterator[File[Speakers]]:
    """Yield what each row of a set says: by its RTTM, or by its segments where it has none."""
    seen = set()
    for row in _rows_of_set(directory):
        name = row["recording_id"]
        if name in seen:  # several rows may ask for one recording: their turns are the same
            continue
        seen.add(name)
        if "rttm_filepath" in row:
            path = storage.join(directory, row["rttm_filepath"])
            yield path, dict(recordings_of(_read(path, parse_rttm))) or {name: {}}
        else:
            turns = (
                RttmTurn(recording_id=name, start=turn["start"], end=turn["end"], speaker=turn["speaker"])
                for turn in row["segments"]
            )
            yield directory, dict(recordings_of(turns)) or {name: {}}


def _rows_of_set(directory: str) -> Iterator[Mapping[str, Any]]:
    try:
        manifest = Manifest.from_json(storage.read_bytes(storage.join(directory, MANIFEST_NAME)) or b"")
        if manifest.command != DIARIZE.command:
            raise UsageError(f"{directory} was written by {manifest.command}: give a set of diarize, or RTTM")
        for record in manifest.files:
            if record.kind == DIARIZE.rows:
                yield from read_row_file(storage.join(directory, record.name))
    except (NotAnOutputSetError, FileNotFoundError, msgspec.MsgspecError) as err:
        raise UsageError(f"{directory}: {err}: beam-curator verify says what is wrong with it") from err


def _gathered(files: Iterable[File[T]], what: str) -> tuple[dict[str, T], list[str]]:
    found: dict[str, T] = {}
    owner: dict[str, str] = {}
    read: dict[str, None] = {}
    for path, of_file in files:
        read[path] = None
        for name, value in of_file.items():
            if name in found:
                raise UsageError(f"{what} of recording {name!r} are in {owner[name]} and in {path}: give one of them")
            found[name], owner[name] = value, path
    return found, list(read)


def _read(path: str, parse: Callable[[str], T]) -> T:
    try:
        data = storage.read_bytes(path)
    except OSError as err:
        raise UsageError(f"file {path} cannot be read: {os.strerror(err.errno or 0)}: check who may read it") from err
    if data is None:
        raise UsageError(f"file {path} is not there: check the path")
    try:
        return parse(data.decode("utf-8"))
    except UnicodeDecodeError as err:
        raise UsageError(
            f"{path}: byte {data[err.start]:#04x} at position {err.start} is not UTF-8: convert the file, "
            "or give one that is text"
        ) from err
    except (RttmError, UemError) as err:
        raise UsageError(f"{path}, {err}") from err
