"""The job that keeps rows, and segments of rows, by their values."""

from collections import Counter

from beam_curator.entries.filter_rules import FilterRules
from beam_curator.entries.filtering import ROWS, filter_line
from beam_curator.rules import config_of
from beam_curator.sets.line_jobs import LineJob
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_kinds import FILTER
from beam_curator.sets.set_options import InputOptions, RowOutputOptions, output_config


class FilterLines(LineJob):
    """Rows to those that fulfil conditions.

    Args:
      rules: the conditions.
    """

    kind = FILTER
    stage = ROWS

    def __init__(self, rules: FilterRules) -> None:
        self._rules = rules
        self._conditions = rules.conditions()

    def line_of(self, raw: bytes, counts: Counter[str]) -> bytes | None:
        return filter_line(raw, self._rules, self._conditions, counts)


def filter_config(rules: FilterRules, reading: InputOptions, output: RowOutputOptions, n_shards: int) -> Config:
    """Return the settings that decide the rows of a filtered set, as its manifest records them."""
    return {
        "filter": config_of(rules),
        "input": config_of(reading),
        "output": output_config(output, n_shards, "row_format", "shards"),
    }
