"""Recordings, rows that ask for pieces of them, and what a job made of these."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from beam_curator.audio import AudioInfo, Samples, encode_audio, open_audio
from beam_curator.clips.records import ClipRequest
from beam_curator.sets.output_set import RunRecord
from tests.audio.corpus import decode_audio, in_16_bits, speech_like
from tests.manifests import assert_nothing_left_over, failures_in, line_of, lines_in, manifest_of, run, write_lines

INFO = AudioInfo(sample_rate=8000, n_samples=8000, n_channels=1, container="wav", codec="pcm_16")


def write_recording(
    path: Path, seconds: float = 3.0, sample_rate: int = 8000, n_channels: int = 1, seed: int = 0
) -> Samples:
    """Write speech-like tones as wav or flac, by the name; return the samples, which 16 bits hold exactly."""
    samples = in_16_bits(speech_like(int(seconds * sample_rate), sample_rate, n_channels, seed))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_audio(samples, sample_rate, path.suffix[1:]))
    return samples


def piece(path: object, start_ms: float, end_ms: float, **fields: Any) -> dict[str, Any]:
    """Make a row of the reference that asks for a piece."""
    return {"original_file": str(path), "original_start_ms": start_ms, "original_end_ms": end_ms} | fields


def request(start: float, end: float | None, unit: Any = "ms", combo: int = 2, **fields: Any) -> ClipRequest:
    """Make the request of a piece."""
    return ClipRequest(fields=fields, combo=combo, index=0, start=start, end=end, unit=unit)


def mark_run(directory: Path, token: str) -> None:
    """Mark a directory as that of a run, as a launcher does."""
    record = RunRecord(token=token, config_sha256="", inputs={}, cleared=True, commands=("extract",))
    (directory / "_RUN.json").write_bytes(record.to_json())


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a manifest."""
    return write_lines(path, map(line_of, rows))


def extract(inputs: object, output: Path, *options: object, code: int = 0) -> Path:
    """Run the command, check its exit code and the set it leaves, and return the set."""
    assert run("extract", inputs, "--output", output, *options) == code
    assert run("verify", output) == 0
    assert_books_balance(output)
    assert_nothing_left_over(output)
    return output


def assert_books_balance(directory: Path) -> None:
    """Compare what was read and planned with what lies in the files, counted here."""
    counts, letters = manifest_of(directory)["counts"], failures_in(directory)
    of_rows = sum(letter["stage"] in ("file", "read", "plan") for letter in letters)
    unread = counts.get("file.failures", 0) + counts.get("read.failures", 0)
    given = counts.get("plan.rows", 0) + counts.get("plan.dropped", 0)
    assert counts.get("read.rows", 0) + unread == given + of_rows
    assert counts.get("plan.clips", 0) == counts.get("cut.clips", 0) + len(letters) - of_rows
    row_files = [file for file in manifest_of(directory)["files"] if file["kind"] == "clips"]
    assert counts.get("cut.clips", 0) == sum(file["rows"] for file in row_files)


def clip_rows(directory: Path) -> list[dict[str, Any]]:
    """Return the rows of all clips, in order."""
    return [json.loads(line) for line in lines_in(directory, "clips-*.jsonl")]


def clip_names(directory: Path) -> list[str]:
    """Return the names of the clips that are there, sorted."""
    return sorted(path.name for path in directory.iterdir() if path.suffix in (".wav", ".flac", ".ogg"))


def metadata_of(directory: Path) -> list[dict[str, str]]:
    """Return the rows of metadata.csv."""
    return list(csv.DictReader(io.StringIO((directory / "metadata.csv").read_bytes().decode(), newline="")))


def summary_of(directory: Path) -> dict[str, Any]:
    """Return what extraction_summary.json holds."""
    summary: dict[str, Any] = json.loads((directory / "extraction_summary.json").read_bytes())
    return summary


def samples_in(path: Path) -> Samples:
    """Decode a file."""
    return decode_audio(path.read_bytes())[0]


def info_of(path: Path) -> AudioInfo:
    """Return what a file is."""
    with open_audio(path.read_bytes()) as reader:
        return reader.info


def codes_of(directory: Path) -> list[str]:
    """Return the codes of all dead letters."""
    return [letter["code"] for letter in failures_in(directory)]
