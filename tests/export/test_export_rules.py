from __future__ import annotations

from typing import Any

import pytest

from beam_curator.export.export_rules import ExportRules


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_algorithm": "a/b"}, "embedding_algorithm 'a/b' must be of up to 64"),
        ({"embedding_algorithm": "a" * 65}, "must be of up to 64"),
        ({"embedding_algorithm": ""}, "must be of up to 64"),
        ({"clips_per_chunk": 0}, "clips_per_chunk 0 is below 1"),
        ({"max_workers": 0}, "max_workers 0 is below 1"),
        ({"score_keys": ("snr", "windows")}, "score_keys: 'windows' is a key that a clip's document has already"),
        ({"caption_models": ("",)}, "caption_models has an empty name"),
    ],
    ids=str,
)
def test_options_that_cannot_hold(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExportRules(**options)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"clips_per_chunk 0 .*; max_workers 0 "):
        ExportRules(clips_per_chunk=0, max_workers=0)
