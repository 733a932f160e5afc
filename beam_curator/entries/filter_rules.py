"""The options of a job that keeps rows, and segments of rows, by their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from beam_curator.entries.conditions import Condition, parse_conditions
from beam_curator.rules import option, option_problems, raise_problems

Of = Literal["auto", "rows", "segments"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterRules:
    """Which rows and segments are kept."""

    where: tuple[str, ...] = option(
        (),
        "condition that all kept ones fulfil, such as 'metrics.bandwidth >= 7000'; signs are == != < <= > >=, or eq ne "
        "lt le gt ge; several with 'and' between them",
        repeats=True,
    )
    of: Of = option(
        "auto",
        "the things that conditions are about: rows, or segments of rows; auto: segments where the row does not have "
        "the key and a segment has it",
        choices=("auto", "rows", "segments"),
    )
    segments_key: str = option("segments", "key of the list of segments")
    keep_missing: bool = option(False, "keep what does not have the key of a condition")
    drop_empty: bool = option(False, "drop rows that lose all of their segments")

    def __post_init__(self) -> None:
        problems = option_problems(self)
        if not problems:
            problems += [] if self.segments_key else ["segments_key is empty: name a key"]
            for text in self.where:
                try:
                    parse_conditions(text)
                except ValueError as err:
                    problems.append(str(err))
        raise_problems("filter", problems)

    def conditions(self) -> tuple[Condition, ...]:
        """Return all conditions, in their order."""
        return tuple(condition for text in self.where for condition in parse_conditions(text))
