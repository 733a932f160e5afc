"""Which files an input means: a file, a glob, a directory tree, or an output set."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from apache_beam.io.filesystems import FileSystems

from beam_curator.blocks import CHUNK_BYTES, InputFile, sniff_form
from beam_curator.failures import readable_name
from beam_curator.output_set import MANIFEST_NAME, Manifest, NotAnOutputSetError
from beam_curator.set_kinds import SET_KINDS
from beam_curator.transforms import storage

EXTENSIONS = tuple(f"{kind}{packed}" for kind in (".jsonl", ".json") for packed in ("", ".gz", ".zst"))
_GLOB_CHARACTERS = frozenset("*?[")


class NoInputError(ValueError):
    """An input that names nothing."""


def list_inputs(inputs: Sequence[str], *, keep_duplicates: bool = False) -> tuple[list[InputFile], list[str]]:
    """List the files that the inputs mean, in order of their names.

    Args:
      inputs: files, globs, directories (searched as trees), local or in an object store.
      keep_duplicates: read a file that is listed twice twice.

    Returns:
      The files, and the names that were listed more than once.

    Raises:
      NoInputError: an input names nothing.
      UnknownSchemeError: an input has a scheme that is not allowed.
    """
    for given in inputs:
        storage.check_store(given)
    names = [name for given in inputs for name in _names(given)]
    repeated = sorted(name for name, times in Counter(map(_absolute, names)).items() if times > 1)
    seen: Counter[str] = Counter()
    files = []
    for name in sorted(names):
        occurrence = seen[_absolute(name)]
        seen[_absolute(name)] += 1
        if occurrence == 0 or keep_duplicates:
            size = storage.size_of(name)  # a broken link has none: its one block will say what is wrong
            files.append(InputFile(name=name, size=size if size is not None else 1, occurrence=occurrence))
    return files, repeated


def is_output_set(directory: str) -> bool:
    """Tell whether a directory holds a complete output set."""
    return storage.size_of(storage.join(directory, MANIFEST_NAME)) is not None


def with_form(file: InputFile) -> InputFile:
    """Look into a `.json` file and tell whether it holds lines or one document; unreadable files count as lines."""
    name = file.name.rpartition("/")[2].lower()
    if ".json" not in name or ".jsonl" in name:
        return file
    try:
        with storage.open_text(file.name) as stream:
            return replace(file, form=sniff_form(file.name, stream.read(CHUNK_BYTES)))
    except (OSError, *storage.DAMAGED):
        return file


def _absolute(name: str) -> str:
    return name if storage.is_remote(name) else os.path.realpath(name)


def _names(given: str) -> list[str]:
    try:
        found = _remote_names(given) if storage.is_remote(given) else _checked(_local_names(given))
    except (OSError, NotAnOutputSetError) as err:
        raise NoInputError(f"{given} cannot be listed: {err}") from err
    if not found:
        kind = "glob" if _GLOB_CHARACTERS & set(given) else "directory"
        raise NoInputError(f"{kind} {given} holds no manifest: expected files ending in {', '.join(EXTENSIONS)}")
    return found


def _local_names(given: str) -> list[str]:
    if os.path.isdir(given):
        return list(_tree(given))
    if os.path.exists(given):
        return [given]
    if not _GLOB_CHARACTERS & set(given):
        raise NoInputError(f"file {given} is not there: check the path")
    matches = sorted(glob.glob(given, recursive=True))
    return [name for match in matches for name in (_tree(match) if os.path.isdir(match) else [match])]


def _checked(names: list[str]) -> list[str]:
    """Refuse what cannot be read twice, or named in a result."""
    for name in names:
        if not os.path.isfile(name) and os.path.exists(name):
            raise NoInputError(f"{name} is not a regular file: write its contents to one")
        if readable_name(name) != name:
            raise NoInputError(f"the name of {readable_name(name)} is not UTF-8: rename the file")
    return names


def _tree(directory: str) -> Iterator[str]:
    """List the manifests below a local directory; names that begin with `.` or `_` are left out."""
    with os.scandir(directory) as items:
        entries = sorted(items, key=lambda item: item.name)
    manifest = storage.read_bytes(os.path.join(directory, MANIFEST_NAME))
    if manifest is not None:
        yield from _row_files(directory, manifest)
        return
    for item in entries:
        if item.name.startswith((".", "_")):
            continue
        if item.is_dir():
            yield from _tree(item.path)
        elif item.name.lower().endswith(EXTENSIONS):
            yield item.path


def _row_files(directory: str, manifest: bytes) -> Iterable[str]:
    """List the row files of an output set: dead letters and summaries are no rows."""
    parsed = Manifest.from_json(manifest)
    rows = SET_KINDS[parsed.command].rows if parsed.command in SET_KINDS else parsed.command
    files = [record for record in parsed.files if record.kind == rows]
    tables = [record.name for record in files if not record.name.endswith(EXTENSIONS)]
    if tables:
        raise NotAnOutputSetError(
            f"its rows are in {tables[0]}: write the set with --row-format jsonl to read it again"
        )
    yield from (storage.join(directory, record.name) for record in files)


def _remote_names(given: str) -> list[str]:
    given = given.rstrip("/")
    is_bucket = "/" not in given.partition("://")[2]  # which no store lets one ask for as an object
    exact = [] if is_bucket else FileSystems.match([given])[0].metadata_list
    if exact:
        return [metadata.path for metadata in exact]
    if _GLOB_CHARACTERS & set(given):
        return []
    prefix = given + "/"
    manifest = storage.read_bytes(prefix + MANIFEST_NAME)
    if manifest is not None:
        return list(_row_files(prefix, manifest))
    found = [metadata.path for metadata in FileSystems.match([prefix + "**"])[0].metadata_list]
    return [path for path in found if _is_shown(path[len(prefix) :]) and path.lower().endswith(EXTENSIONS)]


def _is_shown(relative: str) -> bool:
    return not any(part.startswith((".", "_")) for part in relative.split("/"))
