"""Options that all jobs which write sets have: how inputs are read, and how rows are written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from beam_curator.rules import config_of, number_problems, option, option_problems, raise_problems
from beam_curator.sets.blocks import MAX_LINE_BYTES
from beam_curator.sets.output_set import ROW_EXTENSIONS, RowFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """How the inputs are read."""

    audio_root = ""
    """Where relative names of recordings begin; an option of jobs that have no others on recordings."""

    max_line_bytes: int = option(MAX_LINE_BYTES, "longest line to read, in bytes; a longer one is a failure")
    keep_duplicates: bool = option(False, "read a file as often as the inputs name it")

    def __post_init__(self) -> None:
        raise_problems("input", [*number_problems(self, {"max_line_bytes": (1, math.inf)}), *option_problems(self)])


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOutputOptions:
    """The format and number of the files of rows; jobs that write other files, too, have classes of this one."""

    row_format: RowFormat = option("jsonl", "format of the rows", choices=tuple(ROW_EXTENSIONS))
    shards: int = option(0, "merge the rows into at most this many files; 0: one file per block of manifest")

    def __post_init__(self) -> None:
        raise_problems("output", [*option_problems(self), *number_problems(self, {"shards": (0, math.inf)})])


def output_config(output: RowOutputOptions, n_shards: int, *names: str) -> dict[str, Any]:
    """Return the settings of files that decide the rows, in an order that manifests have had since the first.

    Args:
      output: the formats of the files.
      n_shards: as the target says.
      names: of all settings, in their order.
    """
    values = config_of(output) | {"shards": n_shards}
    return {name: values[name] for name in names}
