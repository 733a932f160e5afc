from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.report import distributions
from beam_curator.report.distributions import MOST_EDGES, Distribution, edges_of, kept_from

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False) | st.integers(-100, 100)


def filled(values: list[float], limits: tuple[float, ...] = ()) -> Distribution:
    found = Distribution(limits)
    for value in values:
        found.add(value, 0.25)
    return found


@given(values=st.lists(NUMBERS, min_size=1, max_size=600), limit=NUMBERS)
def test_each_edge_keeps_exactly_the_values_from_it_on(values: list[float], limit: float) -> None:
    found = filled(values, (limit,))
    kept = kept_from(found.bars())
    assert len(found.edges) == len(kept)
    assert kept[0] == (len(values), 250_000 * len(values))
    for edge, (n, us) in zip(found.edges, kept, strict=True):
        assert (n, us) == (sum(value >= edge for value in values), 250_000 * n)


def test_values_beyond_the_number_that_is_held_are_counted_exactly_too(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [float(n * 7919 % 5003) for n in range(5003)] + [-5.0, 9999.5, 0.0]
    monkeypatch.setattr(distributions, "MOST_EXACT", 500)
    found = filled(values)
    kept = kept_from(found.bars())
    assert found.edges[0] == -5.0
    assert [n for n, _ in kept] == [sum(value >= edge for value in values) for edge in found.edges]


def test_edges_are_round_and_few() -> None:
    edges = edges_of([n / 1000 for n in range(100_000)], [12.345])
    assert len(edges) <= MOST_EDGES + 3
    assert edges[:3] == [0.0, 1.0, 2.0]
    assert 12.345 in edges


def test_of_nothing_there_is_no_bar() -> None:
    assert filled([]).bars() == []
