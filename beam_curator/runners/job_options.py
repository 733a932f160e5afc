"""The options of each job: one frozen dataclass per concern."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beam_curator.audio_formats import AUDIO_FORMATS
from beam_curator.clips.cut_rules import INDEXES, CutRules
from beam_curator.clips.packing import PACKS
from beam_curator.diarization.diarize_rules import (
    DiarizeRules,
    InferenceOptions,
    ModelOptions,
    StreamingOptions,
    TurnOptions,
)
from beam_curator.export.export_rules import ExportRules
from beam_curator.rules import option, raise_problems
from beam_curator.runners.options import Sections
from beam_curator.separation.separate_rules import SeparateRules
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.sets.blocks import MAX_LINE_BYTES
from beam_curator.sets.output_set import ROW_EXTENSIONS
from beam_curator.windows.overlap import OVERLAP_SCOPES, OverlapRules
from beam_curator.windows.rendering import LAYOUTS
from beam_curator.windows.window_rules import WindowRules


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """How the inputs are read."""

    max_line_bytes: int = option(MAX_LINE_BYTES, "longest line that is read, bytes; longer ones become failures")
    keep_duplicates: bool = option(False, "read a file each time it is listed")

    def __post_init__(self) -> None:
        raise_problems("input", [] if self.max_line_bytes > 0 else ["max_line_bytes must be positive: raise it"])


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapOptions:
    """Which windows stay; the target follows the window rules unless it is given."""

    overlap_percentage: float = option(50.0, OverlapRules.__dataclass_fields__["overlap_percentage"].metadata["help"])
    target_duration: float | None = option(
        None,
        "the window nearer to this duration stays, seconds (default: the window target)",
        flag="overlap-target-duration",
    )
    scope: str = option(
        "row",
        "row: windows of one entry compete; audio_file: those of all entries of one recording",
        flag="overlap-scope",
        choices=OVERLAP_SCOPES,
    )

    def __post_init__(self) -> None:
        target = self.target_duration if self.target_duration is not None else 1.0
        OverlapRules(overlap_percentage=self.overlap_percentage, target_duration=target)

    def rules(self, windows: WindowRules) -> OverlapRules:
        """Return the rules, with the target of the window rules where none was given."""
        target = self.target_duration if self.target_duration is not None else windows.target_window_duration
        return OverlapRules(overlap_percentage=self.overlap_percentage, target_duration=target)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """The layout, format and number of the files of rows."""

    layout: str = option("full", "full: windows hold their segments; spans: index ranges only", choices=LAYOUTS)
    row_format: str = option("jsonl", "format of the rows", choices=tuple(ROW_EXTENSIONS))
    shards: int = option(0, "merge the rows into at most so many files; 0 leaves one file per block")

    def __post_init__(self) -> None:
        raise_problems("output", [] if self.shards >= 0 else [f"shards {self.shards} is below 0: raise it"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How the job runs; none of it decides the rows."""

    runner: str = option(
        "direct", "where the job runs: direct, prism, flink, dataflow, or Beam's name of another runner"
    )
    jobs: int = option(1, "worker processes; on flink also the parallelism")
    gpu: str | None = option(None, "accelerator of Dataflow's workers, such as nvidia-l4")
    wait: bool = option(True, "wait for the end of the job (dataflow)")
    tolerate: str = option("0", "failures that still count as success: a number, or a percentage of rows, and of clips")
    overwrite: bool = option(False, "replace an output set of other inputs or options")
    plan: bool = option(False, "say what would be read, written and run, and stop")
    show_options: bool = option(False, "print every option as it is resolved, and why, and stop")
    verbose: bool = option(False, "show the log of the engine")

    def __post_init__(self) -> None:
        problems = [] if self.jobs >= 1 else [f"jobs {self.jobs} is below 1: raise it"]
        if not _TOLERATE.fullmatch(self.tolerate):
            problems.append(f"tolerate {self.tolerate!r} is neither a number nor a percentage: write 10 or 0.5%")
        raise_problems("run", problems)

    def tolerates(self, failures: Sequence[tuple[int, int]]) -> bool:
        """Tell whether failures still count as success.

        Args:
          failures: for each kind of thing that failed, how many did and of how many. A percentage holds for each kind
            by itself, a number for all of them together.

        Example:
          >>> RunOptions(tolerate="1%").tolerates([(1, 100), (0, 5)]), RunOptions(tolerate="1").tolerates([(2, 100)])
          (True, False)
        """
        if self.tolerate.endswith("%"):
            return all(n_failed * 100 <= float(self.tolerate[:-1]) * n for n_failed, n in failures)
        return sum(n_failed for n_failed, _ in failures) <= int(self.tolerate)


_TOLERATE = re.compile(r"[0-9]+|([0-9]*\.)?[0-9]+%")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOutputOptions:
    """The formats of clips and rows, and how they are indexed, packed and merged."""

    output_format: str = option("wav", "format of the clips", choices=AUDIO_FORMATS)
    row_format: str = option("jsonl", "format of the rows", choices=tuple(ROW_EXTENSIONS))
    shards: int = option(
        0, "merge the rows (and packed clips) into at most so many files; 0: one per block of manifest"
    )
    index: str = option("csv", "csv: metadata.csv; parquet: metadata.parquet besides", choices=INDEXES)
    pack: str = option("none", "plain files, or tar shards for WebDataset or NeMo", choices=PACKS)

    def __post_init__(self) -> None:
        raise_problems("output", [] if self.shards >= 0 else [f"shards {self.shards} is below 0: raise it"])


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackOutputOptions:
    """The formats of tracks and rows, and the number of the files of rows."""

    output_format: str = option(
        "wav", "format of the tracks; wav and flac keep the bit depth of the recording", choices=AUDIO_FORMATS
    )
    row_format: str = option("jsonl", "format of the rows", choices=tuple(ROW_EXTENSIONS))
    shards: int = option(0, "merge the rows into at most so many files; 0: one per block of manifest")

    def __post_init__(self) -> None:
        raise_problems("output", [] if self.shards >= 0 else [f"shards {self.shards} is below 0: raise it"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOutputOptions:
    """The format and number of the files of rows."""

    row_format: str = option("jsonl", "format of the rows", choices=tuple(ROW_EXTENSIONS))
    shards: int = option(0, "merge the rows into at most so many files; 0: one per block of manifest")

    def __post_init__(self) -> None:
        raise_problems("output", [] if self.shards >= 0 else [f"shards {self.shards} is below 0: raise it"])


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The command line of one job.

    Attributes:
      sections: option classes by section, as in `--config` and `--set`.
      output: where the set goes by default.
      inputs: what INPUT may be.
      help: one line.
    """

    sections: Sections
    output: str
    inputs: str
    help: str


_PLACES = "glob, directory tree or output set; .jsonl and .json, plain, .gz or .zst; local, gs:// or s3://"

JOBS: Mapping[str, JobOptions] = {
    "windows": JobOptions(
        sections={
            "windows": WindowRules,
            "overlap": OverlapOptions,
            "input": InputOptions,
            "output": OutputOptions,
            "run": RunOptions,
        },
        output="./windows_output",
        inputs=f"manifest, {_PLACES}",
        help="build training windows from diarized manifests",
    ),
    "extract": JobOptions(
        sections={
            "clips": CutRules,
            "input": InputOptions,
            "output": ClipOutputOptions,
            "run": RunOptions,
        },
        output="./clips_output",
        inputs=f"manifest of pieces or of entries, {_PLACES}",
        help="cut clips out of recordings",
    ),
    "export": JobOptions(
        sections={
            "export": ExportRules,
            "clips": CutRules,
            "input": InputOptions,
            "output": RowOutputOptions,
            "run": RunOptions,
        },
        output="./export_output",
        inputs=f"manifest of pieces or of entries, {_PLACES}",
        help="save clips with metadata, previews and embeddings as a tree",
    ),
    "diarize": JobOptions(
        sections={
            "model": ModelOptions,
            "streaming": StreamingOptions,
            "turns": TurnOptions,
            "diarization": DiarizeRules,
            "inference": InferenceOptions,
            "input": InputOptions,
            "output": RowOutputOptions,
            "run": RunOptions,
        },
        output="./diarize_output",
        inputs="recording, glob or directory tree of recordings, or a manifest that names them; local, gs:// or s3://",
        help="tell who speaks when in recordings",
    ),
    "separate": JobOptions(
        sections={
            "separation": SeparationRules,
            "rows": SeparateRules,
            "input": InputOptions,
            "output": TrackOutputOptions,
            "run": RunOptions,
        },
        output="./separate_output",
        inputs=f"manifest of diarized entries, {_PLACES}",
        help="give each speaker of a recording a track of their own",
    ),
}
"""Command to its options."""
