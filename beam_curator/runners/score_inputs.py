"""The inputs of `beam-curator score`: turns and UEM in files, globs, directory trees, and output sets of `diarize`."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Annotated, NamedTuple, TypeVar

import msgspec

from beam_curator.diarization.rttm import (
    LATEST,
    LineError,
    RttmTurn,
    channel_field,
    name_of,
    parse_rttm,
    parse_uem,
)
from beam_curator.failures import EntryError
from beam_curator.files import storage
from beam_curator.files.listing import list_inputs
from beam_curator.files.replacing import is_output_set
from beam_curator.files.row_tables import read_row_file
from beam_curator.files.searching import NoInputError, is_glob, remote_matches
from beam_curator.files.set_layers import list_located
from beam_curator.files.storage import UnknownSchemeError
from beam_curator.files.turn_files import SeveralFormatsError
from beam_curator.formats.audacity import looks_like_labels
from beam_curator.formats.decoding import text_of
from beam_curator.formats.registry import LABELS, RTTM, SPEAKER_ENDINGS, format_of, read_annotations
from beam_curator.intervals import Span
from beam_curator.recordings.safe_names import stem_of
from beam_curator.runners.options import UsageError
from beam_curator.runners.stages import number_of
from beam_curator.scoring.pairing import Speakers, recordings_of
from beam_curator.sets.output_set import MANIFEST_NAME, RUN_NAME, Manifest
from beam_curator.sets.set_kinds import DIARIZE, SET_KINDS

UEM = (".uem",)

T = TypeVar("T")

File = tuple[str, dict[str, T]]
"""A file by its name, and what it says of each recording."""

_Time = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]


class _Segment(msgspec.Struct, frozen=True):
    start: _Time
    end: _Time
    speaker: str
    channel: int | None = None

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"end {self.end:g}, expected more than the start {self.start:g}")


class _Row(msgspec.Struct, frozen=True):
    """The parts of a row of `diarize` that scoring reads."""

    recording_id: str
    segments: list[_Segment]
    files: list[tuple[str, int, str]]
    rttm_filepath: str | None = None


class Turns(NamedTuple):
    """The turns of one side: speakers of each recording or channel, by `name_of`, the files, and lines of no length."""

    recordings: dict[str, Speakers]
    files: list[str]
    n_empty: int


def read_turns(given: str, *, by_channel: bool = False) -> Turns:
    """Read who speaks when in the recordings of one side.

    Args:
      given: a file of turns, a glob, a directory tree with such files, or an output set of `diarize`.
      by_channel: tell the channels of a recording apart; one without turns has a first channel.

    Raises:
      UsageError: something is missing or broken, or two files have the same recording.
    """
    given = storage.plain_path(given)
    _check(given)
    n_empty: Counter[str] = Counter()
    if is_output_set(given):
        recordings, files = _gathered(_turns_of_set(given, n_empty, by_channel=by_channel), "turns")
    else:
        found = ((path, _turns_of(path, n_empty, by_channel=by_channel)) for path in _listed(given, SPEAKER_ENDINGS))
        recordings, files = _gathered(found, "turns")
    return Turns(recordings, files, n_empty.total())


def read_uem(given: str, *, by_channel: bool = False) -> tuple[dict[str, tuple[Span, ...]], list[str]]:
    """Read which parts of recordings are scored.

    Args:
      given: a UEM, a glob, a directory tree with .uem files, or an output set of `diarize --uem`.
      by_channel: tell the channels of a recording apart.

    Returns:
      Parts of each recording or channel, by `name_of`, and the files that were read.

    Raises:
      UsageError: something is missing or broken, or two files have the same recording.
    """
    given = storage.plain_path(given)
    _check(given)
    if not is_output_set(given):
        paths = _listed(given, UEM)
    else:
        names = {name: None for row in _rows_of_set(given) for name, _, _ in row.files}
        paths = [storage.join(given, name) for name in names if name.endswith(UEM)]
        if not paths:
            raise UsageError(f"{given} holds no {UEM[0]} file: run diarize with --uem, or give another UEM")
    parse = partial(parse_uem, by_channel=by_channel)
    return _gathered(((path, _read(path, parse)) for path in paths), "lines")


def _check(given: str) -> None:
    try:
        storage.check_store(given)
    except UnknownSchemeError as err:
        raise UsageError(str(err)) from err
    unfinished = storage.size_of(storage.join(given, RUN_NAME)) is not None
    if unfinished and not is_output_set(given):
        raise UsageError(f"{given} has no {MANIFEST_NAME}: its job did not finish: run the same command again")


def _listed(given: str, endings: tuple[str, ...]) -> list[str]:
    """List the files of an input: a single file by any name, in globs and directories only those with an ending."""
    # a listing knows of output sets by nothing but their rows
    kinds = " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))
    record = next(_remote_records(given) if storage.is_remote(given) else _local_records(given), None)
    if record is not None:
        nested = record.rpartition("/")[0] or "."
        raise UsageError(f"{given} holds the output set {nested}: give that set by itself, or a glob of its files")
    try:
        names = [file.name for file in list_inputs([given], extensions=endings)[0]]
    except NoInputError as err:
        is_empty = err.__cause__ is None and _names_many(given) and not isinstance(err, SeveralFormatsError)
        if not is_empty:
            raise UsageError(str(err)) from err
        names = []
    if names == [given]:
        _check_no_rows(given, kinds)
        return names
    found = [name for name in names if name.lower().endswith(endings) and not _file_name(name).startswith(".")]
    if names and not found:
        raise UsageError(
            f"{given} matches {number_of(len(names), 'files')}, but no {kinds} file: of a glob only names that end "
            f"in {kinds} and do not begin with a dot are taken: rename them, or name one of them"
        )
    if not found:
        raise UsageError(f"{given} holds no {kinds} file: give one, a directory or glob, or a set of diarize")
    return found


def _names_many(given: str) -> bool:
    return storage.is_remote(given) or os.path.isdir(given) or is_glob(given)


def _check_no_rows(given: str, kinds: str) -> None:
    name = _file_name(given)
    if name in (MANIFEST_NAME, RUN_NAME) or any(kind.has_row_file(name) for kind in SET_KINDS.values()):
        raise UsageError(f"{given} is a file of an output set, expected {kinds}: give the directory of the set")


def _remote_records(given: str) -> Iterator[str]:
    """Yield the records of the output sets that a tree or a glob reaches."""
    given = given.rstrip("/")
    if is_glob(given):
        yield from (file.name for file in remote_matches(given) if _is_record(file.name, ""))
    else:
        yield from (path for path, _ in list_located(f"{given}/") if _is_record(path, given))


def _local_records(given: str) -> Iterator[str]:
    for root in [given] if os.path.exists(given) else glob.glob(given, recursive=True):
        if not os.path.isdir(root):
            if root != given and _is_record(root, ""):
                yield root
            continue
        for name in (MANIFEST_NAME, RUN_NAME):
            found = glob.iglob(os.path.join(glob.escape(root), "**", name), recursive=True)
            yield from (path for path in found if _is_record(path, root))


def _is_record(path: str, root: str) -> bool:
    """Tell whether a path is that of a set's record, in no directory below the root that a tree leaves out."""
    *folders, name = path.removeprefix(root).split("/")
    return name in (MANIFEST_NAME, RUN_NAME) and not (root and any(folder.startswith(".") for folder in folders))


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]


def _turns_of(path: str, n_empty: Counter[str], name: str = "", *, by_channel: bool) -> dict[str, Speakers]:
    """Read a file; one without turns is that of a recording of its own name, in which nobody talks."""
    turns = _read(path, partial(_parsed, path=path))
    n_empty[path] = sum(turn.start == turn.end for turn in turns)
    return _recordings(turns, name or _file_name(path).rpartition(".")[0] or _file_name(path), by_channel=by_channel)


def _parsed(text: str, path: str) -> list[RttmTurn]:
    """Return the turns of a file, which is an RTTM unless its name says otherwise."""
    of = format_of(path)
    if of is None or of.name == RTTM or (of.name == LABELS and not looks_like_labels(text)):
        return parse_rttm(text)
    return [
        RttmTurn(
            recording_id=stem_of(name),
            start=segment.start,
            end=segment.end,
            speaker=segment.speaker,
            channel=channel_field(segment.channel),
        )
        for name, segments in read_annotations(of, text, stem_of(path)).items()
        for segment in segments
    ]


def _recordings(turns: Iterable[RttmTurn], name: str, *, by_channel: bool) -> dict[str, Speakers]:
    """Group turns by recording or channel; without any, the recording has a name, and nobody talks in it."""
    found = recordings_of(turns, by_channel=by_channel)
    return found or {name_of(name, channel_field(None), by_channel=by_channel): {}}


def _turns_of_set(directory: str, n_empty: Counter[str], *, by_channel: bool) -> Iterator[File[Speakers]]:
    """Yield the turns of each recording of a set: from its RTTM, or from its segments where it has none."""
    seen = set()
    for row in _rows_of_set(directory):
        name = row.recording_id
        if name in seen:  # several rows may ask for one recording: their turns are the same
            continue
        seen.add(name)
        if row.rttm_filepath is not None:
            path = storage.join(directory, row.rttm_filepath)
            yield path, _turns_of(path, n_empty, name, by_channel=by_channel)
        else:
            turns = (
                RttmTurn(
                    recording_id=name,
                    start=turn.start,
                    end=turn.end,
                    speaker=turn.speaker,
                    channel=channel_field(turn.channel),
                )
                for turn in row.segments
            )
            yield directory, _recordings(turns, name, by_channel=by_channel)


def _rows_of_set(directory: str) -> Iterator[_Row]:
    try:
        manifest = Manifest.from_json(storage.read_bytes(storage.join(directory, MANIFEST_NAME)) or b"")
        is_known = manifest.command == DIARIZE.command
        for record in manifest.files if is_known else ():
            if record.kind == DIARIZE.rows:
                for row in read_row_file(storage.join(directory, record.name)):
                    yield msgspec.convert(row, _Row)
    except (FileNotFoundError, msgspec.MsgspecError, ValueError, KeyError) as err:
        raise UsageError(f"{directory}: {err}: beam-curator verify says what is wrong with it") from err
    if not is_known:
        raise UsageError(f"{directory} was written by {manifest.command}: give a set of diarize, or RTTM")


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
        raise UsageError(f"file {path} cannot be read: {err.strerror or err}: check who may read it") from err
    if data is None:
        raise UsageError(f"file {path} is not there: check the path")
    try:
        return parse(text_of(data))
    except EntryError as err:
        raise UsageError(f"{path}: {err.message}: {err.cure}") from err
    except LineError as err:
        raise UsageError(f"{path}, {err}") from err
