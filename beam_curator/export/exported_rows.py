"""Rows of exported clips: those of cut clips, with the keys that an export adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from beam_curator.clips.records import Fields
from beam_curator.clips.tables import CutFacts, clip_row
from beam_curator.entries.own_keys import moved_aside, moved_back
from beam_curator.sets.output_set import WrittenFile

EXPORT_KEYS = ("span_uuid", "valid", "filtered_by", "files")
"""What an export adds to the row of a clip."""

_ADDED = frozenset(EXPORT_KEYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFacts:
    """The facts that the row of an exported clip states besides those of a cut one.

    Attributes:
      span_uuid: id of the clip.
      filtered_by: rules that rejected it.
      uploaded: whether the clip itself was written.
      files: the other files of the clip.
    """

    span_uuid: str
    filtered_by: tuple[str, ...] = ()
    uploaded: bool = True
    files: tuple[WrittenFile, ...] = ()


def export_row(fields: Mapping[str, Any], index: int, cut: CutFacts, export: ExportFacts) -> Fields:
    """Return the row of an exported clip.

    An input's own value under one of `EXPORT_KEYS` moves to the same key with `input_` before it; what an earlier
    export added is left out. `extracted_path` is null where the clip itself was not written; its size and hash are
    those that it would have.

    Args:
      fields: of the request.
      index: of the request.
      cut: the clip.
      export: what else there is.

    Example:
      >>> cut = CutFacts(extracted_path="clips/60c3.flac", sha256="00", n_bytes=76, sample_rate=16000, n_channels=1,
      ...                n_samples=16, real_start_sec=0.5, real_end_sec=0.501)
      >>> row = export_row({"original_file": "a.wav", "valid": 7}, 0, cut, ExportFacts(span_uuid="60c3"))
      >>> row["input_valid"], [row[key] for key in EXPORT_KEYS]
      (7, ['60c3', True, [], []])
    """
    given = moved_aside(_before_export(fields), _ADDED)
    row = clip_row(given, index, cut)
    if not export.uploaded:
        row["extracted_path"] = None
    row["span_uuid"] = export.span_uuid
    row["valid"] = True
    row["filtered_by"] = list(export.filtered_by)
    row["files"] = [list(file) for file in export.files]
    return row


def files_of_row(row: Mapping[str, Any]) -> Iterator[WrittenFile]:
    """Yield the files that belong to the row of an exported clip, the clip itself first where it was written.

    Example:
      >>> row = {"extracted_path": None, "n_bytes": 76, "sha256": "00", "files": [["metas/v0/60c3.json", 9, "ff"]]}
      >>> list(files_of_row(row))
      [WrittenFile(name='metas/v0/60c3.json', n_bytes=9, sha256='ff')]
    """
    if row["extracted_path"] is not None:
        yield WrittenFile(row["extracted_path"], row["n_bytes"], row["sha256"])
    for name, n_bytes, sha256 in row["files"]:
        yield WrittenFile(name, n_bytes, sha256)


def _before_export(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if not _ADDED <= fields.keys():
        return fields
    return moved_back(fields, _ADDED)
