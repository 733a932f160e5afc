"""The descriptions of clips that are written: their rows, metadata.csv, and the summary."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from beam_curator.clips.entry_pieces import milliseconds
from beam_curator.clips.records import Fields
from beam_curator.entries.own_keys import ORIGIN_KEY, UNMIXED_KEY, moved_aside, moved_back
from beam_curator.intervals import Seconds
from beam_curator.recordings.safe_names import speaker_text
from beam_curator.recordings.tar_members import split_locator

STRUCTURAL_KEYS = frozenset(
    {"filename", "original_file", "original_start_ms", "original_end_ms", "duration_ms", "start_sec", "end_sec"}
    | {"duration", "segment_index", "speaker_id", "num_speakers", "speaking_duration", "diar_segments"}
)
"""Keys of a row that are not columns of their own in metadata.csv; the reference's."""

CUT_KEYS = (
    "extracted_path",
    "segment_index",
    "sha256",
    "n_bytes",
    "sample_rate",
    "n_channels",
    "n_samples",
    "real_start_sec",
    "real_end_sec",
    "clamped",
    UNMIXED_KEY,
)
"""What the cut adds to a row, at its end."""


TURNS_KEY = "turns"
"""Under which the row of a training window names who speaks when; no column of metadata.csv, as it may be long."""

Row = TypeVar("Row", bound=Mapping[str, Any])

_CUT = frozenset(CUT_KEYS)
_ALWAYS_THERE = _CUT - {"clamped", UNMIXED_KEY}
_FACTS = tuple(key for key in CUT_KEYS if key in _ALWAYS_THERE - {"segment_index"})
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CutFacts:
    """Facts about a clip that has been written.

    Attributes:
      extracted_path: its path, as rows show it.
      sha256: of the file, hexadecimal.
      n_bytes: size of the file.
      sample_rate: of the clip, Hz.
      n_channels: of the clip.
      n_samples: of the clip, a channel.
      real_start_sec: where in the recording the clip begins, seconds.
      real_end_sec: where in the recording it ends, seconds.
      clamped: whether more was asked for than the recording holds.
      unmixed_channel: the channel taken in place of the mean, which loses sound; None where none was.
    """

    extracted_path: str
    sha256: str
    n_bytes: int
    sample_rate: int
    n_channels: int
    n_samples: int
    real_start_sec: Seconds
    real_end_sec: Seconds
    clamped: bool = False
    unmixed_channel: int | None = None


def clip_row(fields: Mapping[str, Any], index: int, cut: CutFacts) -> Fields:
    """Return the row of a clip: the fields of its request, then those that the cut adds.

    An input's own value under one of `CUT_KEYS` (rows of the reference carry the recording's `sample_rate`) moves, in
    its place, to the same key with `input_` before it: nothing is lost, and `fields_before_cut` brings it back. The
    end of a piece that reaches to the end of its recording is filled in.

    Args:
      fields: of the request.
      index: of the request.
      cut: facts of the clip that was written.

    Example:
      >>> cut = CutFacts(extracted_path="a_segment_000.wav", sha256="00", n_bytes=76, sample_rate=16000, n_channels=1,
      ...                n_samples=16, real_start_sec=0.5, real_end_sec=0.501)
      >>> clip_row({"original_file": "a.wav", "sample_rate": 48000}, 0, cut)
      {'original_file': 'a.wav', 'input_sample_rate': 48000, 'extracted_path': 'a_segment_000.wav',
       'segment_index': 0, 'sha256': '00', 'n_bytes': 76, 'sample_rate': 16000, 'n_channels': 1,
       'n_samples': 16, 'real_start_sec': 0.5, 'real_end_sec': 0.501}
    """
    row = moved_aside(fields, _CUT)
    if row.get("original_end_ms", 0) is None:
        row["original_end_ms"] = milliseconds(cut.real_end_sec)
        row["duration"] = (row["original_end_ms"] - row.get("original_start_ms", 0)) / 1000
    row["extracted_path"], row["segment_index"] = cut.extracted_path, index
    for key in _FACTS:
        row[key] = getattr(cut, key)
    if cut.clamped:
        row["clamped"] = True
    if cut.unmixed_channel is not None:
        row[UNMIXED_KEY] = cut.unmixed_channel
    return row


def fields_before_cut(row: Mapping[str, Any]) -> Fields:
    """Return a row as it was before `clip_row`; one that is no clip's row comes back as a copy.

    Example:
      >>> fields_before_cut({"original_file": "a.wav", "sample_rate": 48000})
      {'original_file': 'a.wav', 'sample_rate': 48000}
    """
    if not _ALWAYS_THERE <= row.keys():
        return dict(row)
    return {key: value for key, value in moved_back(row, _CUT).items() if key != ORIGIN_KEY}


def claimed_duration(fields: Mapping[str, Any]) -> Seconds:
    """Return a clip's duration as its row says it, in seconds; from its times where the row has none.

    Example:
      >>> claimed_duration({"duration": 0.7504}), claimed_duration({"original_start_ms": 250, "original_end_ms": 1000})
      (0.7504, 0.75)
    """
    duration: Seconds | None = fields.get("duration")
    if duration is not None:
        return duration
    return (fields.get("original_end_ms", 0) - fields.get("original_start_ms", 0)) / 1000


def metadata_row(filename: str, fields: Mapping[str, Any], index: int) -> Fields:
    """Return a clip's row of metadata.csv, as the reference has it: times as asked for, rounded.

    Args:
      filename: of the clip.
      fields: of its request, or the clip's row.
      index: of its request.

    Example:
      >>> metadata_row("a_segment_000.wav", {"original_file": "a.wav", "original_end_ms": 1500, "mos": 3.14159}, 0)
      {'filename': 'a_segment_000.wav', 'original_file': 'a.wav', 'segment_index': 0,
       'start_sec': 0.0, 'end_sec': 1.5, 'duration': 1.5, 'mos': 3.1416}
    """
    fields = fields_before_cut(fields)
    row = {
        "filename": filename,
        "original_file": fields.get("original_file", ""),
        "segment_index": index,
        "start_sec": round(fields.get("original_start_ms", 0) / 1000, 3),
        "end_sec": round(fields.get("original_end_ms", 0) / 1000, 3),
        "duration": round(claimed_duration(fields), 3),
    }
    row |= {key: fields[key] for key in ("speaker_id", "num_speakers") if fields.get(key) is not None}
    for key, value in fields.items():
        if key not in STRUCTURAL_KEYS and key != TURNS_KEY:
            row[key] = round(value, 4) if isinstance(value, float) else value
    return row


def metadata_of_clip_row(row: Mapping[str, Any]) -> Fields:
    """Return the row of metadata.csv of a clip from its own row; the file name is the last part of `extracted_path`.

    Raises:
      KeyError: the row is no clip's row.
    """
    path, member = split_locator(row["extracted_path"])
    filename = (path if member is None else member).rpartition("/")[2]
    return metadata_row(filename, row, row["segment_index"])


def audiofolder_names(columns: Iterable[str]) -> dict[str, str]:
    """Return the names that columns have for Hugging Face `audiofolder`, in which `file_name` names the clip.

    It reads columns named `file_name`, `file_names` or with such an end as paths of audio, and makes a column `audio`;
    of a row's own keys of that kind, the names get `_input` behind them.

    Example:
      >>> audiofolder_names(["filename", "audio", "file_name", "ref_file_name", "text"])
      {'filename': 'file_name', 'audio': 'audio_input', 'file_name': 'file_name_input',
       'ref_file_name': 'ref_file_name_input', 'text': 'text'}
    """
    names = {name: "file_name" if name == "filename" else name for name in columns}
    for name in names.keys() - {"filename"}:
        if name == "audio" or f"_{name}".endswith(("_file_name", "_file_names")):
            while names[name] in names or names[name] == "file_name":
                names[name] += "_input"
    return names


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    r"""Yield a table as CSV in UTF-8, a piece at a time: as Python's csv module writes it, as the reference does.

    Lines end in \r\n, missing values and null are empty, lists and booleans are Python's text of them. Values are not
    altered: one that begins with =, +, - or @ is a formula to a spreadsheet, so import untrusted tables as text.

    Args:
      columns: the header; has every key of the rows.
      rows: one mapping a line.

    Example:
      >>> list(csv_text(["a", "b"], [{"b": [0.5, None]}, {"a": "x,y"}]))
      [b'a,b\r\n,"[0.5, None]"\r\n"x,y",\r\n']
    """
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(columns))
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
        if buffer.tell() > _CHUNK_BYTES:
            yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8", "backslashreplace")


@dataclass(slots=True, kw_only=True)
class ExtractionTotals:
    """Sums over clips, which are added one after the other.

    Attributes:
      n_clips: how many.
      duration_sec: summed durations, as their rows say them.
      by_speaker: clips by speaker id as text, in order of the first; clips without a speaker are not in it.

    Example:
      >>> totals = ExtractionTotals()
      >>> _ = list(totals.of([{"duration": 1.5, "speaker_id": "ana"}, {"duration": 2, "speaker_id": ""}]))
      >>> totals
      ExtractionTotals(n_clips=2, duration_sec=3.5, by_speaker={'ana': 1})
    """

    n_clips: int = 0
    duration_sec: Seconds = 0.0
    by_speaker: dict[str, int] = field(default_factory=dict)

    def of(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield rows of clips, or fields of their requests, and add each up as it passes by."""
        for row in rows:
            self.n_clips += 1
            self.duration_sec += claimed_duration(row)
            speaker = row.get("speaker_id")
            if speaker is not None and speaker != "":
                text = speaker_text(speaker)
                self.by_speaker[text] = self.by_speaker.get(text, 0) + 1
            yield row


def extraction_summary(totals: ExtractionTotals, *, manifest_path: str, output_dir: str, output_format: str) -> Fields:
    """Return the contents of extraction_summary.json, in the reference's order.

    Example:
      >>> extraction_summary(ExtractionTotals(n_clips=1, duration_sec=1.005), manifest_path="m.jsonl",
      ...                    output_dir="out", output_format="wav")
      {'manifest_path': 'm.jsonl', 'output_dir': 'out', 'total_segments': 1, 'total_duration_sec': 1.0,
       'output_format': 'wav'}
    """
    summary = {
        "manifest_path": manifest_path,
        "output_dir": output_dir,
        "total_segments": totals.n_clips,
        "total_duration_sec": round(totals.duration_sec, 2),
        "output_format": output_format,
    }
    return summary | ({"segments_by_speaker": totals.by_speaker} if totals.by_speaker else {})


def summary_text(summary: Mapping[str, Any]) -> bytes:
    """Render extraction_summary.json as the reference does: indented by two, ASCII, without a newline at the end."""
    return json.dumps(summary, indent=2).encode("ascii")
