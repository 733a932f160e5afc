"""Rows of clips as parts of their set: their files and their counts."""

from collections.abc import Iterator
from typing import Any

from beam_curator.clips.tables import metadata_of_clip_row
from beam_curator.output_set import WrittenFile
from beam_curator.transforms.metrics import Count
from beam_curator.transforms.parts import PartKind


def clip_file(row: dict[str, Any]) -> tuple[WrittenFile, ...]:
    """Return the one file of a row: its clip."""
    return (WrittenFile(row["extracted_path"], row["n_bytes"], row["sha256"]),)


def count_clip(row: dict[str, Any]) -> Iterator[Count]:
    """Yield the counts of a clip's row: microseconds of audio, bytes, and whether it was clamped."""
    yield "audio_us", round(row["n_samples"] * 1e6 / row["sample_rate"])
    yield "bytes", row["n_bytes"]
    if row.get("clamped"):
        yield "clamped", 1


CLIPS = PartKind(rows="clips", stage="cut", count=count_clip, files_of=clip_file, columns_of=metadata_of_clip_row)
"""Rows of clips, each with its clip."""
