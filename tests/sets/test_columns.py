from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.sets.columns import ColumnKinds, common_kind, kind_of_value

KINDS = [None, "bool", "int", "float", "text"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, None),
        (True, "bool"),
        (0, "int"),
        (2**63 - 1, "int"),
        (-(2**63), "int"),
        (2**63, "text"),
        (-(2**63) - 1, "text"),
        (0.5, "float"),
        ("1", "text"),
        ([1], "text"),
        ({}, "text"),
    ],
)
def test_kind_of_a_value(value: Any, kind: str | None) -> None:
    assert kind_of_value(value) == kind


def test_kinds_of_two_values_meet() -> None:
    table = {
        ("int", "float"): "float",
        ("bool", "int"): "text",
        ("bool", "float"): "text",
        ("int", "text"): "text",
        ("bool", "text"): "text",
        ("float", "text"): "text",
    }
    for (one, other), kind in table.items():
        assert common_kind(one, other) == common_kind(other, one) == kind  # type: ignore[arg-type]  # literals of a table
    for each in KINDS:
        assert common_kind(each, each) == common_kind(None, each) == common_kind(each, None) == each  # type: ignore[arg-type]  # as above


@given(*[st.sampled_from(KINDS)] * 3)
def test_the_order_of_values_does_not_matter(a: Any, b: Any, c: Any) -> None:
    assert common_kind(common_kind(a, b), c) == common_kind(a, common_kind(b, c))


def test_columns_come_in_order_of_their_first_appearance() -> None:
    kinds = ColumnKinds()
    kinds.add({"b": 1, "a": None})
    kinds.add({"c": "x", "a": 2, "b": 0.5})
    assert kinds.columns() == (("b", "float"), ("a", "int"), ("c", "text"))
    assert ColumnKinds().columns() == ()
    assert ColumnKinds([("a", None)]).columns() == (("a", None),)


ROWS = st.lists(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.sampled_from([None, True, 0, 7, 1 << 70, 0.5, "", "x"]),
    ),
    max_size=6,
)


@given(ROWS, st.integers(0, 6))
def test_parts_merged_in_order_are_the_whole(rows: list[dict[str, Any]], cut: int) -> None:
    whole, first, second = ColumnKinds(), ColumnKinds(), ColumnKinds()
    for number, row in enumerate(rows):
        whole.add(row)
        (first if number < cut else second).add(row)
    merged = ColumnKinds(first.columns())
    merged.merge(second.columns())
    assert merged.columns() == whole.columns()
