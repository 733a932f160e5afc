"""Blocks of entries with their training windows."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.entries.entry import Entry
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
