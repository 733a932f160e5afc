"""Blocks of entries with their training windows."""

from __future__ import annotations

import os.path
from dataclasses import dataclass

from beam_curator.entries.entry import Entry
from beam_curator.recordings.channel_files import channel_files, joined_name, path_text
from beam_curator.sets.blocks import BlockRef
from beam_curator.windows.rendering import OverlapChoice
from beam_curator.windows.row_limit import DEFAULT_LIMIT, RowLimit
from beam_curator.windows.training_windows import WindowPlan
from beam_curator.windows.window_rules import WindowRules


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEntry:
    """A parsed row with its training windows, and which of them stay once that is decided."""

    offset: int
    entry: Entry
    plan: WindowPlan
    choice: OverlapChoice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryBlock:
    """Planned rows of one block, or of one part of it, and the rules and the limit they were planned by."""

    ref: BlockRef
    part: int
    rules: WindowRules
    limit: RowLimit = DEFAULT_LIMIT
    rows: tuple[PlannedEntry, ...]


def audio_file_of(entry: Entry, source: str, audio_root: str = "") -> str | None:
    """Return the recording of a row, a relative path taken from `audio_root` or its manifest's folder; None without."""
    path = path_text(entry.fields["audio_filepath"])
    folder = audio_root or source.rpartition("/")[0]
    return joined_name([_full_path(each, folder) for each in channel_files(path)]) if path else None


def _full_path(path: str, folder: str) -> str:
    if "://" in path or os.path.isabs(path):
        return path
    return os.path.abspath(os.path.join(folder, path)) if "://" not in folder else f"{folder}/{path}"
