"""Which files an input means: a file, a glob, a directory tree, or an output set."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from beam_curator.audio_formats import AUDIO_EXTENSIONS
from beam_curator.failures import readable_name
from beam_curator.files import storage
from beam_curator.sets.blocks import CHUNK_BYTES, InputFile, sniff_form
from beam_curator.sets.output_set import MANIFEST_NAME, Manifest, NotAnOutputSetError
from beam_curator.sets.set_kinds import SET_KINDS

EXTENSIONS = tuple(f"{kind}{packed}" for kind in (".jsonl", ".json") for packed in ("", ".gz", ".zst"))
_GLOB_CHARACTERS = frozenset("*?[")


@runtime_checkable  # Beam checks arguments of steps
class Lister(Protocol):
    """Lists the files that inputs mean, and the names that were listed more than once."""

    def __call__(
        self, inputs: Sequence[str], *, keep_duplicates: bool = False
    ) -> tuple[list[InputFile], list[str]]: ...


class NoInputError(ValueError):
    """An input that names nothing."""


def list_inputs(
    inputs: Sequence[str], *, keep_duplicates: bool = False, extensions: tuple[str, ...] = EXTENSIONS
) -> tuple[list[InputFile], list[str]]:
    """List the files that the inputs mean, in order of their names.

    Args:
      inputs: files, globs, directories (searched as trees), local or in an object store.
      keep_duplicates: read a file each time it is listed.
      extensions: of the files that are looked for in directories.

    Returns:
      The files, and the names that were listed more than once.

    Raises:
      NoInputError: an input names nothing.
      UnknownSchemeError: an input has a scheme that is not allowed.
    """
    for given in inputs:
        storage.check_store(given)
    return _listed([name for given in inputs for name in _names(given, extensions)], keep_duplicates)


def _listed(names: Sequence[str], keep_duplicates: bool) -> tuple[list[InputFile], list[str]]:
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


def list_recordings(inputs: Sequence[str], *, keep_duplicates: bool = False) -> tuple[list[InputFile], list[str], bool]:
    """List the recordings that the inputs mean, or the manifests that name them.

    A directory stands for the recordings below it; where there are none, for the manifests. A file that is named, also
    by a glob, is a manifest by its extension, else a recording, whatever it is called.

    Returns:
      As `list_inputs`, and whether the files are manifests.

    Raises:
      NoInputError: an input names nothing, or the inputs name both recordings and manifests.
      UnknownSchemeError: an input has a scheme that is not allowed.
    """
    manifests: list[str] = []
    recordings: list[str] = []
    for given in inputs:
        storage.check_store(given)
        names = _names(given, (*EXTENSIONS, *AUDIO_EXTENSIONS))
        heard = [name for name in names if not name.lower().endswith(EXTENSIONS)]
        recordings += heard
        if not heard or _is_glob(given):
            manifests += [name for name in names if name.lower().endswith(EXTENSIONS)]
    if manifests and recordings:
        raise NoInputError(
            f"the inputs name manifests ({manifests[0]}) and recordings ({recordings[0]}): give one kind at a time"
        )
    return *_listed(manifests or recordings, keep_duplicates), bool(manifests)


def list_manifests_of(inputs: Sequence[str], *, keep_duplicates: bool = False) -> tuple[list[InputFile], list[str]]:
    """List as `list_recordings` does, but only where the inputs mean manifests."""
    files, repeated, are_manifests = list_recordings(inputs, keep_duplicates=keep_duplicates)
    return (files, repeated) if are_manifests else ([], [])


def list_either(inputs: Sequence[str], *, keep_duplicates: bool = False) -> tuple[list[InputFile], list[str]]:
    """List as `list_recordings` does."""
    return list_recordings(inputs, keep_duplicates=keep_duplicates)[:2]


def _is_glob(given: str) -> bool:
    return bool(_GLOB_CHARACTERS & set(given)) and (storage.is_remote(given) or not os.path.exists(given))


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


def _names(given: str, extensions: tuple[str, ...]) -> list[str]:
    try:
        names = _remote_names if storage.is_remote(given) else _local_names
        found = _checked(names(given, extensions))
    except (OSError, NotAnOutputSetError) as err:
        raise NoInputError(f"{given} cannot be listed: {err}") from err
    if not found:
        kind = "glob" if _GLOB_CHARACTERS & set(given) else "directory"
        raise NoInputError(f"{kind} {given} holds no {_what(extensions)}")
    return found


def _what(extensions: tuple[str, ...]) -> str:
    if extensions == EXTENSIONS:
        return f"manifest: expected files ending in {', '.join(EXTENSIONS)}"
    return "recording, and no manifest: expected files such as .wav, .flac, .mp3, .m4a, or .jsonl"


def _local_names(given: str, extensions: tuple[str, ...]) -> list[str]:
    if os.path.isdir(given):
        return list(_tree(given, extensions))
    if os.path.exists(given):
        return [given]
    if not _GLOB_CHARACTERS & set(given):
        raise NoInputError(f"file {given} is not there: check the path")
    matches = sorted(glob.glob(given, recursive=True))
    return [name for match in matches for name in (_tree(match, extensions) if os.path.isdir(match) else [match])]


def _checked(names: list[str]) -> list[str]:
    """Return the names, but refuse files that cannot be read twice or named in a result."""
    for name in names:
        if storage.is_remote(name):
            continue
        if not os.path.isfile(name) and os.path.exists(name):
            raise NoInputError(f"{name} is not a regular file: write its contents to one")
        if readable_name(name) != name:
            raise NoInputError(f"the name of {readable_name(name)} is not UTF-8: rename the file")
    return names


def _tree(directory: str, extensions: tuple[str, ...]) -> Iterator[str]:
    """List the files below a local directory; names that begin with `.` or `_` are left out."""
    with os.scandir(directory) as items:
        entries = sorted(items, key=lambda item: item.name)
    # an output set is read by its manifest, so that leftovers and dead letters stay out
    manifest = storage.read_bytes(os.path.join(directory, MANIFEST_NAME))
    if manifest is not None:
        yield from _row_files(directory, manifest)
        return
    for item in entries:
        if item.name.startswith((".", "_")):
            continue
        if item.is_dir():
            yield from _tree(item.path, extensions)
        elif item.name.lower().endswith(extensions):
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


def _remote_names(given: str, extensions: tuple[str, ...]) -> list[str]:
    given = given.rstrip("/")
    is_bucket = "/" not in given.partition("://")[2]  # which no store lets one ask for as an object
    exact = [] if is_bucket else storage.file_systems().match([given])[0].metadata_list
    if exact:
        return [metadata.path for metadata in exact]
    if _GLOB_CHARACTERS & set(given):
        return []
    prefix = given + "/"
    manifest = storage.read_bytes(prefix + MANIFEST_NAME)
    if manifest is not None:
        return list(_row_files(prefix, manifest))
    found = [metadata.path for metadata in storage.file_systems().match([prefix + "**"])[0].metadata_list]
    return [path for path in found if _is_shown(path[len(prefix) :]) and path.lower().endswith(extensions)]


def _is_shown(relative: str) -> bool:
    return not any(part.startswith((".", "_")) for part in relative.split("/"))
