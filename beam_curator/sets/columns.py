"""Columns: those of an index, in order of first appearance, and those of a table of rows, fixed beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from beam_curator.entries.json_lines import encode
from beam_curator.entries.own_keys import ORIGIN_KEY

Kind = Literal["bool", "int", "float", "text"]
RowColumns = Mapping[str, Any]
"""Values of one row by column."""

_KINDS: dict[type, Kind] = {bool: "bool", int: "int", float: "float"}
_NUMBERS = {"int", "float"}
_MAX_INT = 1 << 63


def kind_of_value(value: Any) -> Kind | None:
    """Return the kind of a JSON value; None where it is null. Lists, objects and huge integers count as text."""
    if value is None:
        return None
    kind = _KINDS.get(type(value), "text")
    return "text" if kind == "int" and not -_MAX_INT <= value < _MAX_INT else kind


def common_kind(one: Kind | None, other: Kind | None) -> Kind | None:
    """Return the kind that holds the values of both.

    Example:
      >>> common_kind("int", "float"), common_kind("bool", "int"), common_kind(None, "int")
      ('float', 'text', 'int')
    """
    if one is None or other is None or one == other:
        return one if one is not None else other
    return "float" if {one, other} == _NUMBERS else "text"


class ColumnKinds:
    """The columns of the rows seen so far, in order of first appearance, with their kinds."""

    def __init__(self, columns: Iterable[tuple[str, Kind | None]] = ()) -> None:
        self._kinds: dict[str, Kind | None] = {}
        self.merge(columns)

    def add(self, row: Mapping[str, Any]) -> None:
        """Take the columns of a row along."""
        self.merge((name, kind_of_value(value)) for name, value in row.items())

    def merge(self, columns: Iterable[tuple[str, Kind | None]]) -> None:
        """Take the columns of other rows along, which come after those seen so far."""
        kinds = self._kinds
        for name, kind in columns:
            kinds[name] = common_kind(kinds.get(name), kind)

    def columns(self) -> tuple[tuple[str, Kind | None], ...]:
        """Return all columns; a kind is None where every value is null."""
        return tuple(self._kinds.items())


class Column(NamedTuple):
    """A column of a table: its name, the kind of its values, and whether one may be missing."""

    name: str
    kind: Kind
    nullable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The columns of a job's rows in Parquet and Avro.

    The place that a row comes from stands before them, as `source` and `offset`, and the whole row as JSON behind them.

    Attributes:
      name: of the record in Avro.
      columns: that people query.
      computed: returns the values of a row that it does not hold under the names of their columns.
    """

    name: str
    columns: tuple[Column, ...]
    computed: Callable[[dict[str, Any]], RowColumns]

    def values(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row as columns."""
        origin = row[ORIGIN_KEY]
        place = {"source": origin["source"], "offset": origin["offset"]}
        own = {name: row.get(name) for name, *_ in self.columns}
        return {**place, **own, **self.computed(row), "row": encode(row).decode()}
