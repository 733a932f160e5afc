"""The rows that a job has made so far, in a directory that holds no complete set yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from beam_curator.files import storage
from beam_curator.files.found_sets import look_at
from beam_curator.files.part_files import PartHead
from beam_curator.sets.output_set import FAILURES, PART_SUFFIX, FileRecord, Manifest
from beam_curator.sets.set_kinds import SET_KINDS, SetKind


def unfinished_set(directory: str) -> Manifest | None:
    """Return the manifest that a set would have if its job ended now; None where no job of one command is unfinished.

    Its files have no hashes, and its counts are those of recordings that are done.
    """
    found = look_at(directory)
    if found is None or found.state != "unfinished" or len(found.commands) != 1:
        return None
    kind = SET_KINDS.get(found.commands[0])
    if kind is None:
        return None
    found_files = list(_files_in(directory, kind))
    # rows that are being merged are still in the hidden files of their recordings
    in_parts = {file.kind for file in found_files if file.name.endswith(PART_SUFFIX)}
    files = tuple(file for file in found_files if file.name.endswith(PART_SUFFIX) or file.kind not in in_parts)
    counts: Counter[str] = Counter()
    for file in files:
        if file.kind == kind.rows and file.name.endswith(PART_SUFFIX):
            counts.update(_counts_in(storage.join(directory, file.name)))
    return Manifest(command=kind.command, config={}, config_sha256="", inputs=(), counts=dict(counts), files=files)


def _files_in(directory: str, kind: SetKind) -> Iterator[FileRecord]:
    for name in sorted(storage.names_in(directory)):
        is_part = name.startswith(".") and name.endswith(f".jsonl{PART_SUFFIX}")
        if is_part or (not name.startswith(".") and kind.has_row_file(name)):
            # a part is named by its kind and a key, a file of a block by its kind, its number and their number
            own = name[1:].rpartition("-")[0] if is_part else _kind_in(name, kind)
            size = storage.size_of(storage.join(directory, name))
            if size is not None:  # it may be merged at this moment
                yield FileRecord(name=name, n_bytes=size, sha256="", n_rows=0, kind=own)


def _kind_in(name: str, kind: SetKind) -> str:
    begin = name.partition("-0")[0]
    return begin if begin.startswith(FAILURES) or begin in kind.tables else kind.rows


def _counts_in(path: str) -> dict[str, int]:
    with storage.open_raw(path) as stream:
        return dict(msgspec.json.decode(stream.readline(), type=PartHead).counts)
