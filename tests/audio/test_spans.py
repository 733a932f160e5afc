from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.audio.spans import ForwardSpans, Samples, SeekingSpans

N_SAMPLES = 200_000


class Counter:
    """Decodes sample i to the number i, and counts what it decoded and how often it was opened."""

    def __init__(self) -> None:
        self.opened = self.decoded = self.sought = self.position = 0
        self.damage: str | None = None

    def open(self) -> Counter:
        self.opened += 1
        self.position = 0
        return self

    def read(self, n_samples: int) -> Samples:
        stop = min(N_SAMPLES, self.position + n_samples)
        made = np.arange(self.position, stop, dtype=np.float32)[:, None]
        self.decoded += len(made)
        self.position = stop
        return made

    def seek(self, sample: int) -> bool:
        self.sought += 1
        self.position = sample
        return sample < N_SAMPLES

    def close(self) -> None:
        pass


SPANS = st.lists(st.tuples(st.integers(0, N_SAMPLES - 1), st.integers(1, 90_000)), max_size=8)


@settings(max_examples=60, deadline=None)
@given(SPANS, st.sampled_from([1, 70_000, 1 << 24]), st.booleans())
def test_any_order_gives_the_samples_asked_for(asked: list[tuple[int, int]], kept_values: int, forward: bool) -> None:
    counter = Counter()
    spans = (
        ForwardSpans(counter.open, n_channels=1, kept_values=kept_values)
        if forward
        else SeekingSpans(counter.open, n_channels=1, probe_above=kept_values)
    )
    for start, length in asked:
        stop = min(start + length, N_SAMPLES)
        assert spans.read(start, stop)[:, 0].tolist() == list(range(start, stop))


def test_ascending_spans_that_overlap_cost_one_pass() -> None:
    counter = Counter()
    spans = ForwardSpans(counter.open, n_channels=1, kept_values=200_000)
    for start in range(0, 120_000, 500):
        assert spans.read(start, start + 70_000)[0, 0] == start
    assert (counter.opened, counter.decoded) == (1, 196_608)  # three blocks of 65,536


def test_a_short_recording_is_decoded_once_whatever_the_order() -> None:
    counter = Counter()
    spans = ForwardSpans(counter.open, n_channels=1)
    assert spans.count() == N_SAMPLES
    for start in (150_000, 0, 90_000, 10):
        assert spans.read(start, start + 10)[0, 0] == start
    assert (counter.opened, counter.decoded) == (1, N_SAMPLES)


def test_what_is_kept_has_a_limit() -> None:
    counter = Counter()
    spans = ForwardSpans(counter.open, n_channels=1, kept_values=100_000)
    spans.count()
    assert spans.read(70_000, 70_010)[0, 0] == 70_000
    assert counter.opened == 2


def test_spans_that_follow_each_other_are_not_sought() -> None:
    counter = Counter()
    spans = SeekingSpans(counter.open, n_channels=1, probe_above=1 << 40)
    for start in range(0, 50_000, 5000):
        spans.read(start, start + 5000)
    assert (counter.sought, counter.decoded) == (0, 50_000)
    spans.read(100_000, 100_001)
    assert counter.sought == 1


def test_the_last_sample_of_a_long_span_is_looked_for_first() -> None:
    counter = Counter()
    spans = SeekingSpans(counter.open, n_channels=1, probe_above=1000)
    assert len(spans.read(0, 1 << 40)) == 0
    assert counter.decoded == 0
    assert len(spans.read(0, 2000)) == 2000
