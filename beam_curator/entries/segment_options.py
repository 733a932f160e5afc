"""The option that jobs over entries have in common."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.rules import option

BAD_SEGMENTS_KEY = "bad_segments"
"""Says of a row how many of its segments were left out; absent where none was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOptions:
    """How bad segments of a row are treated."""

    strict: bool = option(False, "refuse a row for one bad segment; otherwise such segments are left out and counted")
