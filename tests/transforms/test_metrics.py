import gc
import time
from collections.abc import Iterator

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.collector import collector_paused
from beam_curator.sets.blocks import Line, LineBlock
from beam_curator.sets.counting import count_lines
from beam_curator.transforms.metrics import NAMESPACE, CountBlocks, timed
from tests.manifests import whole_file


def block(*lines: bytes) -> LineBlock:
    numbered = tuple(Line(offset=number, raw=line) for number, line in enumerate(lines))
    return LineBlock(ref=whole_file("a.jsonl"), part=0, lines=numbered)


def test_counts_come_as_elements_and_add_up() -> None:
    blocks = [block(b"12", b"345"), block(b"6")]
    with beam.Pipeline("FnApiRunner") as pipeline:
        counts = pipeline | beam.Create(blocks) | CountBlocks(count_lines)
        each = [("read.rows", 2), ("read.bytes", 7), ("read.rows", 1), ("read.bytes", 2)]
        assert_that(counts, equal_to(each), label="each")
        totals = counts | beam.CombinePerKey(sum)
        assert_that(totals, equal_to([("read.rows", 3), ("read.bytes", 9)]), label="totals")


def test_a_count_of_zero_is_no_element() -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        counts = pipeline | beam.Create([block()]) | CountBlocks(count_lines)
        assert_that(counts, equal_to([]))


class _SlowFn(beam.DoFn):
    def process(self, seconds: float) -> Iterator[None]:
        with timed("nap"):
            time.sleep(seconds)
        yield from ()


def test_time_inside_is_a_distribution_in_microseconds() -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    _ = pipeline | beam.Create([0.02, 0.03]) | beam.ParDo(_SlowFn())
    result = pipeline.run()
    (item,) = [
        item
        for item in result.metrics().query()["distributions"]
        if item.key.metric.namespace == NAMESPACE and item.key.metric.name == "nap"
    ]
    assert item.committed.count == 2
    assert 20_000 <= item.committed.min <= item.committed.max
    assert 50_000 <= item.committed.sum < 5_000_000


def test_the_collector_rests_inside_and_is_as_before_behind() -> None:
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), collector_paused():
        raise KeyError
    assert gc.isenabled()
