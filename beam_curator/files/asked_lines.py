"""Lines of manifests that name a recording or a piece of one, as rows that ask for it."""

from collections.abc import Mapping
from typing import Any

from beam_curator.entries.json_lines import parse_object
from beam_curator.files.opened_recordings import recording_of
from beam_curator.recordings.asked import asked_by
from beam_curator.recordings.tar_members import nemo_member
from beam_curator.sets.asked_rows import AskedRow
from beam_curator.sets.packed_rows import compressed
from beam_curator.sets.recording_jobs import LinePlace


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
