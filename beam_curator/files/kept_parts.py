"""The outcomes of recordings that a set keeps, in a hidden folder, for a run that updates it.

For each file of rows, and of tables, there is an archive: the hidden files that it was merged from, each a Zstandard
frame, then an index of them as a last frame, and its length in eight bytes.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import version
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import zstandard

from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.entries.own_keys import ORIGIN_KEY
from beam_curator.failures import EntryError, readable_name
from beam_curator.files import object_stores, set_layers, storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.fetching import copy_file
from beam_curator.files.known_files import NOT_SEEN, Seen, keeps
from beam_curator.files.moved_inputs import Moved
from beam_curator.files.opened_recordings import is_unchanged, stamps_of
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, PartHead, PartWriter, key_of_requests, part_file_name
from beam_curator.sets.output_set import KEPT_FOLDER, MANIFEST_NAME
from beam_curator.sets.recording_jobs import Request, RowKind, Task

PACKAGE = "beam-curator"
_LENGTH_BYTES = 8
_N_LOOKING = 16
"""Recordings that are looked at a time, as a store answers slowly."""

_Places = Mapping[tuple[str, int], Request]
_Where = tuple[int, int, str, str, Seen, tuple[str, ...], int]


class KeptPart(NamedTuple):
    """A hidden file in an archive.

    Attributes:
      archive: path of that.
      offset, n_bytes: of its frame.
      key: of the requests for its recording; "" for the file of a table, or of dead letters.
      recording: full name.
      seen: the recording as it was opened.
      codes: of its dead letters, where these do not follow from lines alone.
      n_equal: how many blocks of the set it stands for, as those of the same lines are kept once.
    """

    archive: str
    offset: int
    n_bytes: int
    key: str
    recording: str
    seen: Seen
    codes: tuple[str, ...]
    n_equal: int


def write_archive(target: OutputTarget, name: str, parts: Iterable[tuple[str, bytes]]) -> None:
    """Keep hidden files, by their names, in the archive of a name, where sets keep them; of one name the first.

    A step that is done once more, when its hidden files are gone, leaves the archive as it is.
    """
    if not keeps(target):
        return
    directory = storage.join(target.directory, KEPT_FOLDER)
    storage.make_directory(directory)
    packer = zstandard.ZstdCompressor(level=1, write_checksum=True)
    index: dict[str, _Where] = {}
    position = 0
    with suppress(FileNotFoundError), AtomicFile(directory, name, target.check) as file:
        for part, text in parts:
            if part in index:
                *where, n_equal = index[part]
                index[part] = *where, n_equal + 1  # type: ignore[assignment]  # mypy takes the rest for a list
                continue
            frame = packer.compress(text)
            file.write_pieces([frame])
            index[part] = position, len(frame), *_about(text), 1
            position += len(frame)
        frame = packer.compress(encode({"made_by": version(PACKAGE), "parts": index}))
        file.write_pieces([frame, len(frame).to_bytes(_LENGTH_BYTES, "big")])


def read_parts(directory: str, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the hidden files of these names."""
    for name in names:
        with storage.open_raw(storage.join(directory, name)) as stream:
            yield name, stream.read()


def _about(text: bytes) -> tuple[str, str, Seen, tuple[str, ...]]:
    """Return key, recording, its state, and codes of failures in the head of a file of rows; of others nothing."""
    with suppress(msgspec.MsgspecError):
        head = msgspec.json.decode(text.partition(b"\n")[0], type=PartHead)
        names = [name.partition(".failures.") for name, _ in head.counts] if head.recording else []
        return head.key, head.recording, head.seen, tuple(code for _, _, code in names if code)
    return "", "", NOT_SEEN, ()


class KeptParts:
    """The hidden files that a set keeps, by name.

    Attributes:
      directory: of the set.
      index: the files.
      made_by: versions of this package that made them.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        folder = storage.join(storage.home_of(directory), KEPT_FOLDER)
        self.index: dict[str, KeptPart] = {}
        self.made_by: set[str] = set()
        if storage.is_remote(folder):  # each part would be a request, and a large one
            self._fetched = TemporaryDirectory(prefix="beam_curator-")
        for name in storage.list_directory(folder):
            # one that is damaged keeps nothing
            with suppress(OSError, ValueError, zstandard.ZstdError, msgspec.MsgspecError):
                path = storage.join(folder, name)
                if storage.is_remote(folder):
                    path = copy_file(path, self._fetched.name)
                found = _index_of(path)
                before = {part: self.index[part].n_equal for part in self.index.keys() & found.parts.keys()}
                self.index |= {part: KeptPart(path, *where) for part, where in found.parts.items()}
                for part, n in before.items():
                    self.index[part] = self.index[part]._replace(n_equal=self.index[part].n_equal + n)
                self.made_by.add(found.made_by)

    def find(self, name: str) -> bytes | None:
        """Return a hidden file; None where there is none, or it is damaged."""
        kept = self.index.get(name)
        if kept is None:
            return None
        with suppress(OSError, zstandard.ZstdError), storage.open_raw(kept.archive) as stream:
            stream.seek(kept.offset)
            return zstandard.ZstdDecompressor().decompress(stream.read(kept.n_bytes))
        return None

    def are_unchanged(self, *, rehash: bool = False) -> bool:
        """Tell whether all recordings are as they were when they were opened."""
        seen = {(kept.recording, kept.seen) for kept in self.index.values() if kept.seen and not kept.codes}
        with ThreadPoolExecutor(_N_LOOKING) as threads:
            return all(threads.map(lambda of: is_unchanged(*of, rehash=rehash), seen))


class _Index(msgspec.Struct):
    made_by: str
    parts: dict[str, _Where]


def _index_of(path: str) -> _Index:
    with storage.open_raw(path) as stream:
        end = stream.seek(-_LENGTH_BYTES, os.SEEK_END)
        n_bytes = int.from_bytes(stream.read(_LENGTH_BYTES), "big")
        stream.seek(end - n_bytes)
        text = zstandard.ZstdDecompressor().decompress(stream.read(n_bytes))
    return msgspec.json.decode(text, type=_Index)


def kept_parts(directory: str) -> KeptParts:
    """Return the hidden files that the complete set in a directory keeps; they are looked up once."""
    return _kept_parts(directory, storage.identity_of(storage.join(directory, MANIFEST_NAME)))


@lru_cache(maxsize=2)
def _kept_parts(directory: str, identity: str) -> KeptParts:
    del identity
    return KeptParts(directory)


def is_tried_again(known: KeptPart, codes: Collection[str]) -> bool:
    """Tell whether a recording failed in a way that is tried again; without codes every one is."""
    return bool(known.codes) and (not codes or not set(codes).isdisjoint(known.codes))


def is_kept(
    known: KeptPart | None,
    recording: str,
    asked: Sequence[Request],
    *,
    rehash: bool = False,
    codes: Collection[str] = (),
) -> bool:
    """Tell whether an update keeps the outcome of a recording: the same requests meet the same recording again.

    Args:
      known: the outcome, if there is one.
      recording: full name.
      asked: the requests for it.
      rehash: compare the bytes of recordings whatever their times say.
      codes: of failures to try again, where not all are.
    """
    if known is None or not known.recording or known.key != key_of_requests(asked):
        return False
    if is_tried_again(known, codes):
        return False
    # one that could not be opened is left as it is
    was_opened = bool(known.seen) or not known.codes
    return not was_opened or is_unchanged(recording, known.seen, rehash=rehash)


class Taken(NamedTuple):
    """The outcome of a recording in another set, with the present places of the lines that ask for it.

    Attributes:
      head: first line of its hidden file.
      rows: the others.
      others: lines of its tables and dead letters, by kind.
      files: names and sizes of the files that it names.
      has_moved: some lines that ask for it have other places now.
    """

    head: PartHead
    rows: list[bytes]
    others: dict[str, list[bytes]]
    files: list[tuple[str, int]]
    has_moved: bool


def take_over(kept: KeptParts, writer: PartWriter, task: Task) -> Part | None:
    """Take the outcome of a recording over from another set, as the target of the writer has it.

    Its files are linked, not copied, where the disk can do that.
    """
    taken = find_outcome(kept, writer, task)
    if taken is None or not all(link(kept.directory, writer.target, *file) for file in taken.files):
        return None
    return writer.write_again(taken.head, taken.rows, taken.others)


def find_outcome(kept: KeptParts, writer: PartWriter, task: Task) -> Taken | None:
    """Return the outcome of a recording in another set; None where it is to be worked on."""
    kind, target, moved = writer.kind, writer.target, writer.target.moved
    name, asked = moved.before(task.name), tuple(task.requests())
    known = kept.index.get(part_file_name(kind.rows, name))
    if known is None:
        return None
    # a recording that has only been touched is known by its new times from now on; if it changes now, by none
    stamp = stamps_of(task.recording)
    before = moved.requests_before(asked)
    if before is None or not is_kept(known, task.recording, before, rehash=target.rehash, codes=target.codes):
        return None
    outcome = _outcome(kept.find(part_file_name(kind.rows, name)), kind, moved)
    if outcome is None:
        return None
    head, lines, rows, files = outcome
    places = _moved(head.places, asked)
    has_letters = bool(known.codes)
    # dead letters and rows beside the rows name the place of their line, and ids in other tables may follow from names
    has_places = has_letters or any(head.tables.get(table) for table in kind.tables_of_rows)
    has_ids = any(n for table, n in head.tables.items() if table not in kind.tables_of_rows)
    if places is None or (has_places and places) or (moved and (has_letters or has_ids)):
        return None
    others = [*head.tables, *([kind.letters] if has_letters else [])]
    beside = {other: kept.find(part_file_name(other, name)) for other in others}
    if None in beside.values():
        return None
    lines = [_in_place(line, row, places) for line, row in zip(lines, rows, strict=True)]
    now = tuple((request.source, request.offset) for request in asked)
    head = replace(head, places=now, seen=replace(head.seen, stamp=stamp) if head.seen else NOT_SEEN)
    head = replace(head, key=key_of_requests(asked), recording=readable_name(task.recording))
    texts = {other: moved.now(text or b"").splitlines() for other, text in beside.items()}
    return Taken(head, lines, texts, files, bool(places or moved))


class _Outcome(NamedTuple):
    head: PartHead
    lines: list[bytes]
    rows: list[dict[str, Any]]
    files: list[tuple[str, int]]


def _outcome(text: bytes | None, kind: RowKind, moved: Moved) -> _Outcome | None:
    """Return the contents of a hidden file of rows, with names and sizes of their files; None if it was edited."""
    first, _, body = moved.now(text or b"").partition(b"\n")
    lines = body.splitlines()
    try:
        head = msgspec.json.decode(first, type=PartHead)
        rows = list(map(parse_object, lines))
        files = [(file.name, file.n_bytes) for row in rows for file in kind.files_of(row)]
    except (msgspec.MsgspecError, EntryError, KeyError, TypeError, ValueError):
        return None
    files += [(file.name, file.n_bytes) for file in head.documents]
    return _Outcome(head, lines, rows, files) if head.n_rows == len(rows) else None


def _moved(places: Sequence[tuple[str, int]], requests: Sequence[Request]) -> _Places | None:
    """Return the present request for each place of a line that has moved; None where lines were divided or joined."""
    now: dict[tuple[str, int], Request] = {}
    for place, request in zip(places, requests, strict=False):
        known = now.setdefault((place[0], place[1]), request)
        if (known.source, known.offset) != (request.source, request.offset):
            return None
    moved = {place: request for place, request in now.items() if place != (request.source, request.offset)}
    return moved if len(places) == len(requests) else None


def _in_place(line: bytes, row: dict[str, Any], moved: _Places) -> bytes:
    """Return a row with the present place of the line that it comes from."""
    origin = row.get(ORIGIN_KEY)
    request = moved.get((origin["source"], origin["offset"])) if moved and origin else None
    if request is None:
        return line
    return encode(row | {ORIGIN_KEY: {"source": request.source, "offset": request.offset}})


def is_inside(directory: str, name: str) -> bool:
    """Tell whether a name is that of a file of a set: one that comes from anywhere may lead out of it."""
    path = storage.join(directory, name)
    is_below = not os.path.isabs(name) and ".." not in name.split("/")
    return is_below and (storage.is_remote(path) or (os.path.isfile(path) and not os.path.islink(path)))


def link(directory: str, target: OutputTarget, name: str, n_bytes: int, new_name: str | None = None) -> bool:
    """Give a file of a set its name, or a new one, in another set; tell whether it is there in its size.

    In a store it stays where it is, in a layer of both; under a new name it is copied.
    """
    source, place = storage.join(directory, name), storage.join(target.directory, new_name or name)
    if not is_inside(directory, name) or storage.size_of(source) != n_bytes:
        return False
    if storage.is_remote(directory):
        _leave(source, place, target, is_named_so=new_name in (None, name))
        return True
    storage.make_directory(os.path.dirname(place))
    try:
        os.link(source, place)
    except FileExistsError:
        pass
    except OSError:  # not all disks have links
        copy_file(source, *os.path.split(place))
    return storage.size_of(place) == n_bytes


def _leave(source: str, place: str, target: OutputTarget, *, is_named_so: bool) -> None:
    if not is_named_so:
        object_stores.copy_objects([(set_layers.located(source), place)])
    elif target.resume:  # an earlier attempt, which saw another recording, may have made one of this name
        storage.delete(os.path.dirname(place), [os.path.basename(place)])
