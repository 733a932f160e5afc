"""Finding rows by names that people give: in the inputs of a set, read again as they were, and in the set itself."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import msgspec

from beam_curator.entries.own_keys import ORIGIN_KEY
from beam_curator.files import storage
from beam_curator.files.annotation_manifests import AnnotationReading
from beam_curator.files.found_sets import possible_places
from beam_curator.files.listing import with_forms
from beam_curator.files.manifest_files import read_rows
from beam_curator.files.opened_recordings import base_of
from beam_curator.files.part_files import rows_of_part
from beam_curator.files.row_tables import read_row_file
from beam_curator.files.searching import file_of
from beam_curator.recordings.channel_files import channel_files, joined_name, path_text
from beam_curator.recordings.row_paths import resolve_recording
from beam_curator.recordings.safe_names import stem_of
from beam_curator.sets.blocks import LineBlock, plan_blocks
from beam_curator.sets.output_set import FAILURES, PART_SUFFIX, InputRecord, Manifest
from beam_curator.sets.set_kinds import SET_KINDS, WINDOWS

_PATH_KEYS = ("source_audio_filepath", "original_file", "audio_filepath")
_base_of = cache(base_of)
_NAME_KEYS = ("recording_id", "span_uuid", "session_name")
Origin = tuple[str, int]
"""Where a row comes from: its manifest, and the byte offset of its line."""


class InputGoneError(ValueError):
    """The rows that a set was made from cannot be read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRow:
    """A row, and the names that it can be found by.

    Attributes:
      origin: manifest and byte offset.
      number: of the row in its manifest, from 1; 0 where it is not known.
      raw: the line; empty for a row of the set.
      fields: its values; empty where it is no object.
      recording: full name of its recording; "" where it names none.
      names: that mean this row: paths, ids, names of its files.
      short_names: that other rows may have, too: file names and stems.
      table: the kind of the rows of a set beside its own; "" for its own, and for those of inputs.
    """

    origin: Origin
    number: int = 0
    raw: bytes = b""
    fields: Mapping[str, Any] = field(default_factory=dict)
    recording: str = ""
    names: frozenset[str] = frozenset()
    short_names: frozenset[str] = frozenset()
    table: str = ""

    def closeness(self, name: str) -> int:
        """Tell how surely a name means this row: 4 its own, 3 its place, 2 a short name, 1 its number, 0 not at all."""
        source, _, offset = name.rpartition(":")
        if name in self.names or os.path.abspath(name) in self.names:
            return 4
        if offset == str(self.origin[1]) and self.origin[0] in (source, os.path.abspath(source)):
            return 3
        if source and offset == str(self.origin[1]) and self.origin[0].endswith(f"/{source}"):
            return 3
        return 2 if name in self.short_names else int(name == str(self.number))


def named_row(
    fields: Mapping[str, Any], origin: Origin, path_key: str = "", audio_root: str = "", **known: Any
) -> NamedRow:
    """Return a row with its names.

    Args:
      fields, origin: of the row.
      path_key: that names its recording, where it is not a usual one.
      audio_root: where relative names of recordings begin; "" for the folder of the manifest.
      known: other attributes of the row.
    """
    paths = [text for key in (path_key, *_PATH_KEYS) if (text := path_text(fields.get(key)))]
    beside = storage.join(storage.plain_path(audio_root), "_") if audio_root else _base_of(origin[0])
    # a recording that was itself an input has no manifest
    full = [path if path == origin[0] else _resolved(path, beside) for path in paths]
    files = [item[0] for item in fields.get("files") or () if isinstance(item, (list, tuple)) and item]
    clips = [text for text in [fields.get("extracted_path"), *files] if isinstance(text, str)]
    ids = [fields[key] for key in _NAME_KEYS if isinstance(fields.get(key), str)]
    exact = {*paths, *full, *map(os.path.abspath, full), *clips, *(clip.rpartition("/")[2] for clip in clips), *ids}
    short = {name for path in full for name in (*map(os.path.basename, channel_files(path)), stem_of(path))}
    recording = full[0] if full else ""
    return NamedRow(
        origin=origin, fields=fields, recording=recording, names=frozenset(exact), short_names=frozenset(short), **known
    )


def _resolved(path: str, beside: str) -> str:
    return joined_name([resolve_recording(each, beside) for each in channel_files(path)])


def input_rows(
    manifest: Manifest, directory: str, annotations: AnnotationReading, max_line_bytes: int, path_key: str = ""
) -> Iterator[NamedRow]:
    """Read the rows again that a set was made from, in order.

    Raises:
      InputGoneError: a file of them is gone, or has changed.
    """
    # of an input that could not be read there are no rows, but a dead letter
    known = [record for record in manifest.inputs if not record.beside and record.sha256 is not None]
    records = {_place_of(record, directory): record for record in known}
    numbers: Counter[str] = Counter()
    for ref in plan_blocks(with_forms([file_of(place) for place in records])):
        for part in read_rows(ref, max_line_bytes, annotations):
            for line in part.lines if isinstance(part, LineBlock) else ():
                numbers[ref.source] += 1
                origin, number = (records[ref.source].name, line.offset), numbers[ref.source]
                yield named_row(
                    _object(line.raw), origin, path_key, annotations.audio_root, number=number, raw=line.raw
                )


@cache
def _place_of(record: InputRecord, directory: str) -> str:
    """Return where an input lies.

    Raises:
      InputGoneError: it is gone, or has changed.
    """
    sizes = {place: storage.size_of(place) for place in possible_places(record.name, directory)}
    for place, size in sizes.items():
        if size == record.n_bytes and storage.hash_file(place)[1] == record.sha256:
            return place
    problem = "has changed since" if any(size is not None for size in sizes.values()) else "is no longer there"
    raise InputGoneError(
        f"{directory} was made from {record.name}, which {problem}: restore it, or run the job again with --update"
    )


def _object(raw: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


class _Window(msgspec.Struct):
    pass


class _Losses(msgspec.Struct):
    lost_bw: int = 0
    lost_sr: int = 0
    lost_spk: int = 0
    lost_win: int = 0


class _WindowsRow(msgspec.Struct):
    """A row of windows as far as it is read: most of its bytes are segments."""

    stats: _Losses
    windows: list[_Window]
    filtered_windows: list[_Window]
    audio_filepath: Any = None
    source_audio_filepath: Any = None


def set_rows(
    manifest: Manifest, directory: str, *, whole: bool = False, tables: Sequence[str] = ()
) -> Iterator[NamedRow]:
    """Read the rows of a set, whatever their format; of windows their recordings, their number and the losses alone.

    Args:
      manifest, directory: of the set.
      whole: read rows of windows as they are, too.
      tables: further kinds of files to read.
    """
    kind = _WindowsRow if manifest.command == WINDOWS.command and not whole else Any
    for record in manifest.files:
        if record.kind in (SET_KINDS[manifest.command].rows, *tables):
            path = storage.join(directory, record.name)
            table = record.kind if record.kind in tables else ""
            is_part = record.name.endswith(PART_SUFFIX)
            for read in rows_of_part(path, has_head=True) if is_part else read_row_file(path, kind):
                row = msgspec.to_builtins(read) if isinstance(read, _WindowsRow) else read
                origin = row.get(ORIGIN_KEY) or {}
                yield named_row(row, (origin.get("source", path), origin.get("offset", 0)), table=table)


def dead_letters(manifest: Manifest, directory: str) -> Iterator[NamedRow]:
    """Read the dead letters of a set: `fields` are theirs, the names those of the rows that failed."""
    for record in manifest.files:
        if record.kind.startswith(f"{FAILURES}-"):
            for letter in read_row_file(storage.join(directory, record.name)):
                payload = letter["payload"].encode()
                row = named_row(_object(payload), (letter["source"], letter["offset"]), raw=payload)
                yield replace(row, fields=letter)
