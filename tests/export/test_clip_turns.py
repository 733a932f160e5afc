from __future__ import annotations

from typing import Any

import pytest

from beam_curator.export.clip_turns import turns_of
from beam_curator.export.previews import Turn

WHOLE = [Turn(start=0.0, end=2.0, speaker="ana")]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, []),
        ({"speaker_id": None}, []),
        ({"speaker_id": ""}, []),
        ({"speaker_id": "ana"}, WHOLE),
        ({"speaker_id": 0}, [Turn(start=0.0, end=2.0, speaker="0")]),
        ({"speaker_id": ["a", 1]}, [Turn(start=0.0, end=2.0, speaker='["a",1]')]),
        ({"turns": [], "speaker_id": "ana"}, WHOLE),
        ({"turns": 7, "speaker_id": "ana"}, WHOLE),
        ({"turns": [[10.5, 11, "bob"]], "speaker_id": "ana"}, [Turn(start=0.5, end=1.0, speaker="bob")]),
        ({"turns": [[0, 99, ""]]}, [Turn(start=0.0, end=2.0, speaker="unknown")]),
        ({"turns": [[8.0, 10.0, "bob"], [12.0, 13.0, "bob"]]}, []),
        ({"turns": [[10, 10, "bob"], [12, 11, "x"], ["1", 2, "x"], [True, 12, "x"], [1, 2], None]}, []),
        ({"turns": [[10, 10**400, 5]]}, [Turn(start=0.0, end=2.0, speaker="5")]),
    ],
    ids=str,
)
def test_turns(row: dict[str, Any], expected: list[Turn]) -> None:
    assert turns_of(row, (10.0, 12.0)) == expected
