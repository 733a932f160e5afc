"""Which files an input means: a file, a glob, a directory tree, or an output set."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from beam_curator.audio_formats import AUDIO_EXTENSIONS
from beam_curator.failures import readable_name
from beam_curator.files import object_stores, set_layers, storage
from beam_curator.files.searching import (
    GLOB_CHARACTERS,
    NoInputError,
    Search,
    ending_of,
    file_of,
    is_glob,
    remote_file,
    remote_matches,
)
from beam_curator.files.turn_files import form_of, holds_labels, of_one_kind
from beam_curator.formats.registry import ENDINGS, LABELS, format_of
from beam_curator.recordings.recording_ids import name_below
from beam_curator.recordings.safe_names import stem_of
from beam_curator.sets.blocks import CHUNK_BYTES, InputFile, sniff_form
from beam_curator.sets.output_set import MANIFEST_NAME, Manifest, NotAnOutputSetError
from beam_curator.sets.set_kinds import SET_KINDS

EXTENSIONS = tuple(f"{kind}{packed}" for kind in (".jsonl", ".json") for packed in ("", ".gz", ".zst"))
MANIFEST_EXTENSIONS = (*EXTENSIONS, *ENDINGS)
"""Of the files that a job reads as manifests."""

_KINDS_SAID = 8
_HEAD_BYTES = 4096
"""Of a manifest, enough to see the keys of its first row."""


@runtime_checkable  # Beam checks arguments of steps
class Lister(Protocol):
    """Lists the files that inputs mean, and the names that were listed more than once; counts those left out."""

    def __call__(
        self, inputs: Sequence[str], *, keep_duplicates: bool = False, left_out: Counter[str] | None = None
    ) -> tuple[list[InputFile], list[str]]: ...


def list_inputs(
    inputs: Sequence[str],
    *,
    keep_duplicates: bool = False,
    left_out: Counter[str] | None = None,
    extensions: tuple[str, ...] = MANIFEST_EXTENSIONS,
) -> tuple[list[InputFile], list[str]]:
    """List the files that the inputs mean, in order of their names.

    Of a directory or glob that holds other manifests files of turns are left out, as these may have their turns.

    Args:
      inputs: files, globs, directories (searched as trees), local or in an object store.
      keep_duplicates: read a file each time it is listed.
      left_out: is given the number of files that directories hold besides, by ending or reason.
      extensions: of the files that are looked for in directories.

    Returns:
      The files, and the names that were listed more than once.

    Raises:
      NoInputError: an input names nothing.
      UnknownSchemeError: an input has a scheme that is not allowed.
    """
    for given in inputs:
        storage.check_store(given)
    left_out = Counter() if left_out is None else left_out
    return _listed([file for given in inputs for file in _files_of(given, extensions, left_out)], keep_duplicates)


def _listed(found: Sequence[InputFile], keep_duplicates: bool) -> tuple[list[InputFile], list[str]]:
    _refuse_supervisions_alone(found)
    times = Counter(file.place for file in found)
    repeated = sorted(place for place, n in times.items() if n > 1)
    seen: Counter[str] = Counter()
    files = []
    for file in sorted(found, key=lambda file: file.name):
        occurrence = seen[file.place]
        seen[file.place] += 1
        if occurrence == 0:
            files.append(file)
        elif keep_duplicates:
            files.append(replace(file, occurrence=occurrence))
    return files, repeated


def list_recordings(
    inputs: Sequence[str], *, keep_duplicates: bool = False, left_out: Counter[str] | None = None
) -> tuple[list[InputFile], list[str], bool]:
    """List the recordings that the inputs mean, or the manifests that name them.

    A directory stands for the recordings below it; where there are none, for the manifests. A file that is named, also
    by a glob, is a manifest by its extension, else a recording, whatever it is called.

    Returns:
      As `list_inputs`, and whether the files are manifests.

    Raises:
      NoInputError: an input names nothing, or the inputs name both recordings and manifests.
      UnknownSchemeError: an input has a scheme that is not allowed.
    """
    manifests: list[InputFile] = []
    recordings: list[InputFile] = []
    left_out = Counter() if left_out is None else left_out
    for given in inputs:
        storage.check_store(given)
        files = _files_of(given, (*EXTENSIONS, *AUDIO_EXTENSIONS), left_out)
        rows = [file for file in files if file.name.lower().endswith(EXTENSIONS)]
        recordings += [
            replace(file, folder=_folder_below(given, file.name))
            for file in files
            if not file.name.lower().endswith(EXTENSIONS)
        ]
        if len(rows) == len(files) or is_glob(given):
            manifests += rows
        else:
            left_out.update(ending_of(file.name) for file in rows)
    if manifests and recordings:
        raise NoInputError(
            f"the inputs name manifests ({manifests[0].name}) and recordings ({recordings[0].name}): "
            "give one kind at a time"
        )
    return *_listed(manifests or recordings, keep_duplicates), bool(manifests)


def _folder_below(given: str, name: str) -> str:
    """Return the folder of a file below a directory, or below the part of a glob in front of its first wildcard.

    Example:
      >>> _folder_below("in/", "in/monday/am/talk.wav"), _folder_below("in/*/talk.wav", "in/monday/talk.wav")
      ('monday/am', 'monday')
      >>> _folder_below("in/talk.wav", "in/talk.wav")
      ''
    """
    root = given.rstrip("/")
    if is_glob(given):
        first = min(given.find(character) for character in GLOB_CHARACTERS if character in given)
        root = given[:first].rpartition("/")[0]
    prefix = f"{root}/" if root else ""
    return name.removeprefix(prefix).rpartition("/")[0] if name != given and name.startswith(prefix) else ""


def list_manifests_of(
    inputs: Sequence[str], *, keep_duplicates: bool = False, left_out: Counter[str] | None = None
) -> tuple[list[InputFile], list[str]]:
    """List as `list_recordings` does, but only where the inputs mean manifests."""
    files, repeated, are_manifests = list_recordings(inputs, keep_duplicates=keep_duplicates, left_out=left_out)
    return (files, repeated) if are_manifests else ([], [])


def list_either(
    inputs: Sequence[str], *, keep_duplicates: bool = False, left_out: Counter[str] | None = None
) -> tuple[list[InputFile], list[str]]:
    """List as `list_recordings` does."""
    return list_recordings(inputs, keep_duplicates=keep_duplicates, left_out=left_out)[:2]


def with_form(file: InputFile) -> InputFile:
    """Tell whether a file holds lines, turns or, after a look into a `.json` file, one document.

    Unreadable files count as lines. A `.txt` file holds turns if it looks like a label track.
    """
    name = file.name.rpartition("/")[2].lower()
    of = format_of(name)
    if of is not None and (of.name != LABELS or holds_labels(file.name)):
        return replace(file, form=form_of(of.name))
    if ".json" not in name or ".jsonl" in name:
        return file
    try:
        with storage.open_text(file.name) as stream:
            return replace(file, form=sniff_form(file.name, stream.read(CHUNK_BYTES)))
    except (OSError, *storage.DAMAGED):
        return file


def with_forms(files: Sequence[InputFile]) -> list[InputFile]:
    """Tell the form of each file; supervisions of Lhotse stand for their recordings, too, which have no rows then."""
    names = {file.name for file in files}
    partners = {name: partner for name in names if (partner := recordings_beside(name)) in names}
    pairs = {name: partner for name, partner in partners.items() if _holds_supervisions(name)}
    return [
        replace(file, form="supervisions") if file.name in pairs else with_form(file)
        for file in files
        if file.name not in pairs.values()
    ]


def recordings_beside(name: str) -> str | None:
    """Return the manifest of recordings that goes with one of supervisions by its name, as Lhotse names them.

    Example:
      >>> recordings_beside("x/ami_supervisions_dev.jsonl.gz"), recordings_beside("x/cuts.jsonl.gz")
      ('x/ami_recordings_dev.jsonl.gz', None)
    """
    folder, slash, file = name.rpartition("/")
    is_named_so = "supervisions" in file and file.lower().endswith(EXTENSIONS)
    return f"{folder}{slash}{file.replace('supervisions', 'recordings')}" if is_named_so else None


def _holds_supervisions(name: str) -> bool:
    try:
        with storage.open_text(name) as stream:
            head = stream.read(_HEAD_BYTES)
    except (OSError, *storage.DAMAGED):
        return False
    return all(f'"{key}"'.encode() in head for key in ("recording_id", "start", "duration"))


def _refuse_supervisions_alone(files: Sequence[InputFile]) -> None:
    names = {file.name for file in files}
    for name in sorted(names):
        partner = recordings_beside(name)
        if partner is not None and partner not in names and _holds_supervisions(name):
            raise NoInputError(
                f"{name} holds supervisions of Lhotse without their recordings: give {partner}, too, or cuts"
            )


def _files_of(given: str, extensions: tuple[str, ...], left_out: Counter[str]) -> list[InputFile]:
    search = Search(extensions)
    try:
        files = [file for found in _found(given, search) for file in _expanded(found)]
    except (OSError, NotAnOutputSetError) as err:
        raise NoInputError(f"{given} cannot be listed: {err}") from err
    files = of_one_kind(given, files, search.left_out, beside_manifests=set(EXTENSIONS).issubset(extensions))
    left_out.update(search.left_out)
    if not files:
        kind = "glob" if GLOB_CHARACTERS & set(given) else "directory"
        besides = f" ({said_left_out(search.left_out)})" if search.left_out else ""
        raise NoInputError(f"{kind} {given} holds no {_what(extensions)}{besides}")
    return files


def said_left_out(left_out: Mapping[str, int]) -> str:
    """Say how many files a search left out, the most frequent kinds first.

    Example:
      >>> said_left_out({".txt": 2, "hidden": 1, ".pdf": 30})
      'left out: 30 .pdf, 2 .txt, 1 hidden'
    """
    counted = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    more = sum(n for _, n in counted[_KINDS_SAID:])
    named = [f"{n:,} {kind}" for kind, n in counted[:_KINDS_SAID]]
    return "left out: " + ", ".join([*named, *([f"{more:,} of other endings"] if more else [])])


def recordings_below(directory: str) -> dict[str, list[str]]:
    """List the recordings below a directory by their stems, names and ids (`name_below`), as paths relative to it.

    Output sets below it are left out: their files were made from other recordings.

    Raises:
      NoInputError: the directory is not there, or cannot be listed.
      UnknownSchemeError: it has a scheme that is not allowed.
    """
    storage.check_store(directory)
    search, prefix = Search(AUDIO_EXTENSIONS), directory.rstrip("/") + "/"
    try:
        found = list(search.objects(prefix) if storage.is_remote(directory) else search.local(directory))
    except OSError as err:
        raise NoInputError(f"{directory} cannot be listed: {err.strerror or err}") from err
    by_name: dict[str, list[str]] = {}
    for file in found:
        if isinstance(file, InputFile):
            path = file.name.removeprefix(prefix)
            folder, _, own = path.rpartition("/")
            for name in dict.fromkeys((stem_of(path), own, name_below(folder, path))):
                by_name.setdefault(name, []).append(path)
    return by_name


def _what(extensions: tuple[str, ...]) -> str:
    if extensions == MANIFEST_EXTENSIONS:
        return f"manifest: expected files ending in {', '.join(extensions)}"
    return "recording, and no manifest: expected files such as .wav, .flac, .mp3, .m4a, or .jsonl"


def _found(given: str, search: Search) -> Iterator[InputFile | str]:
    """Yield files, and the directories of output sets."""
    if storage.is_remote(given):
        return _found_in_store(given.rstrip("/"), search)
    given = storage.as_on_disk(given)
    if os.path.isdir(given):
        return search.local(given)
    if os.path.lexists(given):
        return iter([_named(given)])
    if not GLOB_CHARACTERS & set(given):
        raise NoInputError(f"file {given} is not there: check the path")
    return search.matches(given)


def _found_in_store(given: str, search: Search) -> Iterator[InputFile | str]:
    found = object_stores.find(set_layers.located(given))
    if found is not None:
        yield remote_file(given, found)
        return
    n_listed = 0
    for file in search.objects(given + "/"):
        n_listed += 1
        yield file
    if not n_listed and not search.left_out and GLOB_CHARACTERS & set(given):
        yield from remote_matches(given)


def _named(name: str) -> InputFile:
    """Return a local file that is named; refuse one that cannot be read twice or named in a result."""
    if not os.path.exists(name):
        raise NoInputError(f"file {name} is not there: check the path")
    if not os.path.isfile(name):
        raise NoInputError(f"{name} is not a regular file: write its contents to one")
    if readable_name(name) != name:
        raise NoInputError(f"the name of {readable_name(name)} is not UTF-8: rename the file")
    return file_of(name)


def _expanded(found: InputFile | str) -> Iterator[InputFile]:
    """Yield the row files of an output set; a set is read by its manifest, so leftovers and dead letters stay out."""
    if isinstance(found, InputFile):
        yield found
        return
    manifest = Manifest.from_json(storage.read_bytes(storage.join(found, MANIFEST_NAME)) or b"")
    rows = SET_KINDS[manifest.command].rows if manifest.command in SET_KINDS else manifest.command
    files = [record for record in manifest.files if record.kind == rows]
    unread = [record.name for record in files if not record.name.lower().endswith(MANIFEST_EXTENSIONS)]
    if unread:
        raise NotAnOutputSetError(
            f"its rows are in {unread[0]}: write the set in a form that is read, such as --row-format jsonl"
        )
    yield from (file_of(storage.join(found, record.name)) for record in files)
