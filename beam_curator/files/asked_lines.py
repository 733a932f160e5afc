"""Lines of manifests that name a recording or a piece of one, and recordings named by themselves, as rows."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.files import storage
from beam_curator.files.opened_recordings import recording_of
from beam_curator.recordings.asked import SESSION_KEY, asked_by
from beam_curator.recordings.recording_ids import name_below
from beam_curator.recordings.tar_members import nemo_member
from beam_curator.sets.asked_rows import AskedRow
from beam_curator.sets.blocks import BlockRef, InputFile, Line, LineBlock
from beam_curator.sets.packed_rows import compressed
from beam_curator.sets.recording_jobs import LinePlace

FILES_A_BLOCK = 1000
"""The number of directly named recordings that count as one block, which decides the number of row files."""


def rows_of_recordings(files: Sequence[InputFile], key: str) -> Iterator[LineBlock]:
    """Yield recordings that are named by themselves as rows, each with its full name under a key.

    One in a folder below the directory that was searched is named by both, so that its id follows from itself alone.
    """
    n_blocks = -(-len(files) // FILES_A_BLOCK)
    for number, file in enumerate(files):
        full = file.name if storage.is_remote(file.name) else os.path.abspath(file.name)
        # one element a recording, so that they spread over workers; ordinal and part keep their order
        ordinal, part = divmod(number, FILES_A_BLOCK)
        ref = BlockRef(source=file.name, occurrence=0, ordinal=ordinal, n_blocks=n_blocks, start=0, stop=0)
        row = {key: full}
        if file.folder:
            row[SESSION_KEY] = name_below(file.folder, file.name)
        yield LineBlock(ref=ref, part=part, lines=(Line(offset=0, raw=encode(row)),))


def asked_row(
    raw: bytes, place: LinePlace, *, key: str, audio_root: str = "", fields: Mapping[str, Any] | None = None
) -> AskedRow:
    """Tell which recording a line of a manifest asks for.

    Args:
      raw: the line.
      place: where it comes from.
      key: that names the recording.
      audio_root: directory for relative names; "" for the manifest's.
      fields: the parsed row, if it differs from the line.

    Raises:
      EntryError: it is no JSON object, or names no recording.
    """
    fields = fields if fields is not None else parse_object(raw)
    asked = asked_by(fields, key, member=nemo_member(place.source, fields))
    return AskedRow(
        name=asked.name,
        recording=recording_of(asked.path, place.source, audio_root),
        start=asked.start,
        end=asked.end,
        channel=asked.channel,
        source=place.source,
        position=place.position,
        n_blocks=place.n_blocks,
        packed=compressed(raw),
    )
