"""Speech-data curation: the pure core. Transforms are in `beam_curator.transforms`."""

from beam_curator.entries.entry import Entry
from beam_curator.failures import EntryError, Failure, FailureCode
from beam_curator.windows.line_windows import curate_entry, windows_of_line
from beam_curator.windows.overlap import OverlapRules, keep_non_overlapping
from beam_curator.windows.rendering import expand_window
from beam_curator.windows.training_windows import build_training_windows
from beam_curator.windows.window_rules import WindowRules

__all__ = [
    "Entry",
    "EntryError",
    "Failure",
    "FailureCode",
    "OverlapRules",
    "WindowRules",
    "build_training_windows",
    "curate_entry",
    "expand_window",
    "keep_non_overlapping",
    "windows_of_line",
]
