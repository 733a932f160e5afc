"""The options of the files that a job of clips writes."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.audio_formats import AUDIO_FORMATS, AudioFormat
from beam_curator.clips.packing import PACKS
from beam_curator.rules import option, raise_problems
from beam_curator.sets.set_options import RowOutputOptions

INDEXES = ("csv", "parquet", "huggingface")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOutputOptions(RowOutputOptions):
    """The formats of clips and rows, and how they are indexed, packed and merged."""

    output_format: AudioFormat = option("wav", "format of the clips", choices=AUDIO_FORMATS)
    index: str = option(
        "csv",
        "index of the clips; csv: metadata.csv; parquet: metadata.parquet as well; "
        "huggingface: metadata.csv as datasets' audiofolder reads it",
        choices=INDEXES,
    )
    pack: str = option(
        "none", "none: one file per clip; webdataset, nemo-tar: tar shards, as many as --shards", choices=PACKS
    )

    def __post_init__(self) -> None:
        # by name: a class with slots is made anew, which super() without arguments does not know
        RowOutputOptions.__post_init__(self)
        if self.index == "huggingface" and self.pack != "none":
            raise_problems("output", [f"index huggingface and pack {self.pack} exclude each other: leave one out"])


def why_none_are_kept(output: ClipOutputOptions) -> str | None:
    """Say why an update can keep no clips of a set with these options; None where it can."""
    if output.pack != "none" and not output.shards:
        return "without --shards the number of tars follows from the manifests, and clips move between them"
    return None
