"""Jobs over rows, as data and functions: a line in, a line out or none. `transforms.jobs.line_sets` does the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from beam_curator.failures import EntryError, Failure
from beam_curator.sets.blocks import BlockRef, FailureBlock, Line, LineBlock
from beam_curator.sets.counting import Count
from beam_curator.sets.set_kinds import SetKind


class LineJob(ABC):
    """A job whose rows are those of manifests, one by one.

    Objects cross to workers by pickling, so they hold options alone.

    Attributes:
      kind: of its sets, with the equations of their books.
      stage: that makes its rows; it begins the names of their counts, and is that of the dead letters.
    """

    kind: ClassVar[SetKind]
    stage: ClassVar[str]

    @abstractmethod
    def line_of(self, raw: bytes, counts: Counter[str]) -> bytes | None:
        """Return the line that is made of one; None where there is none. Count for the books.

        Raises:
          EntryError: it cannot be processed, and becomes a dead letter.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkedBlock:
    """The lines that were made of a block; each has the offset of the one that it comes from."""

    ref: BlockRef
    part: int
    lines: tuple[Line, ...]
    counts: tuple[Count, ...]


def work_on_block(job: LineJob, block: LineBlock) -> tuple[WorkedBlock, FailureBlock | None]:
    """Do a job on the lines of a block; return its lines and counts, and dead letters where there are any."""
    lines: list[Line] = []
    failures: list[Failure] = []
    counts: Counter[str] = Counter()
    for line in block.lines:
        try:
            made = job.line_of(line.raw, counts)
        except EntryError as err:
            source = block.ref.source
            letter = Failure.from_error(err, stage=job.stage, source=source, offset=line.offset, payload=line.raw)
            failures.append(letter)
            continue
        if made is not None:
            lines.append(Line(offset=line.offset, raw=made))
    worked = WorkedBlock(ref=block.ref, part=block.part, lines=tuple(lines), counts=tuple(sorted(counts.items())))
    if not failures:
        return worked, None
    return worked, FailureBlock(ref=block.ref, part=block.part, stage=job.stage, failures=tuple(failures))
