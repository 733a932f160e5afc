from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from beam_curator.entries.own_keys import GIVEN, moved_aside, moved_back

OWN = frozenset({"segments", "duration"})


def test_values_under_own_keys_move_aside_in_their_place() -> None:
    fields = {"duration": 2, "id": "a", "input_duration": 1, "input_id": 3}
    assert list(moved_aside(fields, OWN).items()) == [
        ("input_duration", 2),
        ("id", "a"),
        ("input_input_duration", 1),
        ("input_id", 3),
    ]


KEYS = st.builds(
    lambda times, name: GIVEN * times + name, st.integers(0, 3), st.sampled_from(["segments", "duration", "id", ""])
)


@given(st.dictionaries(KEYS, st.integers()))
def test_what_moved_aside_comes_back(fields: dict[str, int]) -> None:
    written = moved_aside(fields, OWN) | {"segments": -1, "duration": -2}
    assert list(moved_back(written, OWN).items()) == list(fields.items())
