"""One manifest line in, its result line out: the whole job for a single entry."""

from __future__ import annotations

import warnings

from beam_curator.entries.entry import Entry
from beam_curator.windows.overlap import OverlapRules, same_times, survivors
from beam_curator.windows.rendering import OverlapChoice, render_row, spans_of
from beam_curator.windows.row_limit import DEFAULT_LIMIT, check_row_size
from beam_curator.windows.training_windows import WindowPlan, plan_entry
from beam_curator.windows.window_rules import WindowRules


def choose_in_row(plan: WindowPlan, rules: OverlapRules) -> OverlapChoice:
    """Let the windows of one entry compete with each other only: the reference's behaviour."""
    spans = spans_of(plan)
    kept = survivors(spans, rules)
    return OverlapChoice(survivors=kept, kept=same_times(spans, kept))


def windows_of_line(line: bytes, window_rules: WindowRules, overlap_rules: OverlapRules) -> bytes:
    """Turn one manifest line into its result line: training windows, and those of them that do not overlap.

    Args:
      line: one JSON object, UTF-8.
      window_rules: what makes a training window.
      overlap_rules: which windows stay.

    Returns:
      Compact UTF-8 JSON with the reference's keys in its order, without a newline.

    Raises:
      EntryError: the line cannot be processed; code, message and cure say why.

    Example:
      >>> line = b'{"audio_filepath":"a.wav","audio_sample_rate":8000,"segments":[]}'
      >>> windows_of_line(line, WindowRules(), OverlapRules())[:59]
      b'{"audio_filepath":"a.wav","windows":[],"stats":{"total_segm'
    """
    entry = Entry.from_json(line, strict=window_rules.strict)
    plan = plan_entry(entry, window_rules)
    check_row_size(entry, plan, window_rules.drop_fields, DEFAULT_LIMIT, len(line))
    return render_row(entry, plan, choose_in_row(plan, overlap_rules), window_rules, "full")


def curate_entry(line: bytes, window_rules: WindowRules, overlap_rules: OverlapRules) -> bytes:
    """Call `windows_of_line`: its former name, which goes with the next release."""
    warnings.warn("curate_entry is now called windows_of_line", DeprecationWarning, stacklevel=2)
    return windows_of_line(line, window_rules, overlap_rules)
