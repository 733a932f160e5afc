"""The events of a recording: everything that may come of the work on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from beam_curator.failures import Failure
from beam_curator.sets.output_set import WrittenFile


class Body(Protocol):
    """The bytes of a file before it is in place."""

    @property
    def n_bytes(self) -> int:
        """Size."""

    @property
    def sha256(self) -> str:
        """Hash of the bytes, hexadecimal."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order; may be called again."""

    def close(self) -> None:
        """Give memory and temporary files back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFile:
    """A file that was made of a recording.

    Attributes:
      name: below the directory of the set.
      body: its bytes.
    """

    name: str
    body: Body

    @property
    def written(self) -> WrittenFile:
        """The file as a row names it."""
        return WrittenFile(self.name, self.body.n_bytes, self.body.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The recording as it was opened: size and time of change of its files, or their generations in a store."""

    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A row that was made of a recording.

    Attributes:
      row: JSON values by key.
      order: its place among the rows of the recording, which may come in any order.
      files: its files, in place before it; consecutive rows may share them.
      counts: for the books, in the stage of the job.
    """

    row: dict[str, Any]
    order: tuple[int, ...] = ()
    files: tuple[MadeFile, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A dead letter.

    Attributes:
      failure: what went wrong.
      order: its place among the dead letters of the recording.
      names: of files that an earlier attempt may have left.
      counts: for the books, in the stage of the job.
    """

    failure: Failure
    order: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """Something that no row says.

    Attributes:
      counts: for the books, in the stage of the job.
      progress: for people, while a long recording is worked on.
      names: of files that an earlier attempt may have left, and that are not made this time.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    progress: Mapping[str, int] = field(default_factory=dict)
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A file about the recording or a part of it, which the manifest of the set lists by itself.

    Attributes:
      file: the file.
      kind: of it.
      n_rows: rows in it.
    """

    file: MadeFile
    kind: str
    n_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """A row of a table beside the rows of the set; None where one is missing that was asked for."""

    table: str
    row: dict[str, Any] | None


Event = Opened | Made | Missed | Noticed | Described | TableRow
"""Everything that may come of the work on a recording."""
