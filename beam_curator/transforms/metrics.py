"""Counts that the books are kept with, and timings for people: the only place that touches Beam's metrics."""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, Literal, TypeVar

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.sets.counting import NAMESPACE, Count

BlockT = TypeVar("BlockT")


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Time the body of a `with` statement for the summary: one value in a distribution of microseconds."""
    begin = time.perf_counter()
    yield
    took(stage, time.perf_counter() - begin)


def took(stage: str, seconds: float) -> None:
    """Note for the summary how long something took that was timed elsewhere."""
    Metrics.distribution(NAMESPACE, stage).update(int(seconds * 1e6))


def counted(name: str, n: int = 1) -> None:
    """Count something for people, who see it in the engine, too."""
    Metrics.counter(NAMESPACE, name).inc(n)


class CountBlocks(beam.PTransform[PCollection[BlockT], PCollection[Count]], Generic[BlockT]):
    """Count the contents of each block; the counts travel as a PCollection, because Beam's metrics are not exact.

    Args:
      count: a pure function from a block to numbers by name.
    """

    def __init__(self, count: Callable[[BlockT], Mapping[str, int]]) -> None:
        super().__init__()
        self._count = count

    def expand(self, blocks: PCollection[Any]) -> PCollection[Count]:
        return blocks | "Count" >> beam.FlatMap(counts_of, self._count)


def counts_of(block: Any, count: Callable[[Any], Mapping[str, int]]) -> Iterable[Count]:
    """Return the counts of a block, less those of nothing."""
    return [(name, n) for name, n in count(block).items() if n]


_NOTE_EVERY = 0.5


Noted = TaggedOutput[Literal["progress"], tuple[str, int]]


def noted(counts: Iterator[Count]) -> Generator[Noted, None, Any]:
    """Send counts to those who watch, added up, twice a second: each one by itself would cost more than its clip.

    No books are kept with them.

    Returns:
      The value that the generator of the counts returns.
    """
    sums: Counter[str] = Counter()
    sent = time.monotonic()
    while True:
        try:
            name, n = next(counts)
        except StopIteration as end:
            yield from map(_noted, sums.items())
            return end.value
        sums[name] += n
        if time.monotonic() - sent > _NOTE_EVERY:
            yield from map(_noted, sums.items())
            sums.clear()
            sent = time.monotonic()


def _noted(count: Count) -> Noted:
    return TaggedOutput("progress", count)
