"""The options of a job of training windows, besides the window rules."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.recordings.recording_options import RecordingOptions
from beam_curator.rules import config_of, option, same_option
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_options import InputOptions, RowOutputOptions, output_config
from beam_curator.windows.overlap import OverlapRules, OverlapScope
from beam_curator.windows.rendering import LAYOUTS, Layout
from beam_curator.windows.window_rules import WindowRules


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapOptions:
    """Which windows stay; the target follows the window rules unless it is given."""

    overlap_percentage: float = same_option(OverlapRules, "overlap_percentage")
    target_duration: float | None = same_option(
        OverlapRules,
        "target_duration",
        default=None,
        note=" (default: the window target)",
        flag="overlap-target-duration",
    )
    scope: OverlapScope = same_option(OverlapRules, "scope", flag="overlap-scope")

    def __post_init__(self) -> None:
        self.rules(WindowRules())

    def rules(self, windows: WindowRules) -> OverlapRules:
        """Return the rules, with the target of the window rules where none was given."""
        target = self.target_duration if self.target_duration is not None else windows.target_window_duration
        return OverlapRules(overlap_percentage=self.overlap_percentage, target_duration=target, scope=self.scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowInputOptions(InputOptions):
    """How the inputs are read, and where the recordings of an RTTM are."""

    audio_root: str = same_option(RecordingOptions, "audio_root")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOutputOptions(RowOutputOptions):
    """The layout, format and number of the files of windows."""

    layout: Layout = option("full", "full: windows hold their segments; spans: only index ranges", choices=LAYOUTS)


def names_source(output: WindowOutputOptions) -> bool:
    """Tell whether each row names the manifest that it comes from."""
    return output.layout == "spans" or output.row_format != "jsonl"


def why_none_are_kept(scope: OverlapScope, output: RowOutputOptions) -> str | None:
    """Say why an update can keep no windows of a set with these options; None where it can."""
    if scope == "audio_file":
        return "with --overlap-scope audio_file the windows of all rows of a recording compete"
    if output.shards and output.row_format != "jsonl":
        return "files of Parquet or Avro that were merged are not taken apart"
    return None


def window_config(
    windows: WindowRules, overlap: OverlapRules, reading: InputOptions, output: WindowOutputOptions, n_shards: int
) -> Config:
    """Return the settings that decide the rows of a set of windows, as its manifest records them."""
    return {
        "input": config_of(reading),
        "windows": config_of(windows),
        "overlap": config_of(overlap),
        "output": output_config(output, n_shards, "row_format", "layout", "shards"),
    }
