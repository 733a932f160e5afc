"""Keeping rows, and segments of rows, by their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from beam_curator.entries.conditions import Condition, value_at
from beam_curator.entries.filter_rules import FilterRules, Of
from beam_curator.entries.json_lines import encode, kind_of, parse_object
from beam_curator.failures import EntryError, FailureCode

ROWS, SEGMENTS = "filter", "segments"
"""Stages, whose names begin their counts."""
NO_SEGMENTS = "no_segments"


def filter_line(raw: bytes, rules: FilterRules, conditions: Sequence[Condition], counts: Counter[str]) -> bytes | None:
    """Return the line that is kept of a line of a manifest: the same bytes, unless a segment went; None for none.

    Args:
      raw: the line, one JSON object.
      rules: how conditions are applied.
      conditions: of the rules, parsed.
      counts: takes what was kept, and what was dropped by reason: the first condition that does not hold.

    Raises:
      EntryError: the line is no object, or its segments are no list of objects.

    Example:
      >>> counts, rules = Counter(), FilterRules(where=("n > 1",))
      >>> [filter_line(raw, rules, rules.conditions(), counts) for raw in (b'{"n": 2}', b"{}")]
      [b'{"n": 2}', None]
      >>> dict(counts)
      {'filter.rows': 1, 'filter.dropped': 1, 'filter.dropped.missing n': 1}
    """
    fields = parse_object(raw)
    segments = _segments_of(fields, rules)
    of_rows, of_segments = _shared_out(fields, segments, conditions, rules.of)
    reason = _reason(fields, of_rows, rules)
    if reason is None and of_segments:
        kept = [segment for segment in segments if _is_kept(segment, of_segments, rules, counts)]
        if rules.drop_empty and segments and not kept:
            reason = NO_SEGMENTS
        elif len(kept) < len(segments):
            raw = encode(fields | {rules.segments_key: kept})
    counts.update({f"{ROWS}.rows": 1} if reason is None else _dropped(ROWS, reason))
    return raw if reason is None else None


def _segments_of(fields: Mapping[str, Any], rules: FilterRules) -> list[dict[str, Any]]:
    found = fields.get(rules.segments_key)
    if rules.of == "rows" or found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(segment, dict) for segment in found):
        wrong = kind_of(found) if not isinstance(found, list) else "an array of something else"
        raise EntryError(
            FailureCode.BAD_TYPE,
            f"{rules.segments_key} is {wrong}, expected an array of objects",
            "mend the row, or give --of rows",
        )
    return found


def _shared_out(
    fields: Mapping[str, Any], segments: Sequence[Mapping[str, Any]], conditions: Sequence[Condition], of: Of
) -> tuple[list[Condition], list[Condition]]:
    """Return the conditions on a row, and those on its segments."""
    of_segments = {
        condition.key
        for condition in conditions
        if of == "segments"
        or (
            of == "auto"
            and value_at(fields, condition.key) is None
            and any(value_at(segment, condition.key) is not None for segment in segments)
        )
    }
    return (
        [condition for condition in conditions if condition.key not in of_segments],
        [condition for condition in conditions if condition.key in of_segments],
    )


def _is_kept(
    segment: Mapping[str, Any], conditions: Sequence[Condition], rules: FilterRules, counts: Counter[str]
) -> bool:
    reason = _reason(segment, conditions, rules)
    counts[f"{SEGMENTS}.in"] += 1
    counts.update({f"{SEGMENTS}.kept": 1} if reason is None else _dropped(SEGMENTS, reason))
    return reason is None


def _reason(fields: Mapping[str, Any], conditions: Sequence[Condition], rules: FilterRules) -> str | None:
    """Return why an object is dropped; None where it is kept."""
    for condition in conditions:
        verdict = condition.judge(fields)
        if verdict == "fails":
            return str(condition)
        if verdict == "not_comparable" or (verdict == "missing" and not rules.keep_missing):
            return f"{verdict} {condition.key}"
    return None


def _dropped(stage: str, reason: str) -> dict[str, int]:
    return {f"{stage}.dropped": 1, f"{stage}.dropped.{reason}": 1}
