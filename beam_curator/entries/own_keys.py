"""Keys that a job adds to the rows it reads: an input's own value under one of them moves aside; nothing is lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

ORIGIN_KEY = "_origin"
"""Key of the place that a row comes from: the manifest and the byte offset of its line."""

GIVEN = "input_"
"""What stands before a key of the input that a job has a value of its own for."""

UNMIXED_KEY = "unmixed_channel"
"""Key of the channel that was taken in place of the mean of all, in which the channels cancel each other."""

TRACK_KEYS = frozenset({"separation", "track_duration", "source_audio_filepath"})
"""Keys that tell the row of a speaker's track, as `separate` writes it, from other rows."""

PIECE_KEYS = ("original_file", "original_start_ms", "original_end_ms")
"""Make of a row a piece of another recording, for `extract`: what a job writes as an entry may not have them."""


def moved_aside(fields: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """Return fields with those under a job's own keys moved to the same key with `input_` before it.

    Example:
      >>> moved_aside({"id": 1, "segments": [2], "input_segments": 3}, {"segments"})
      {'id': 1, 'input_segments': [2], 'input_input_segments': 3}
    """
    return {GIVEN + key if _is_taken(key, own) else key: value for key, value in fields.items()}


def moved_back(fields: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """Return the fields of a row as they were before the job that added its own keys.

    Example:
      >>> moved_back({"id": 1, "input_segments": [2], "segments": 3}, {"segments"})
      {'id': 1, 'segments': [2]}
    """
    kept = ((key, value) for key, value in fields.items() if key not in own)
    return {key[len(GIVEN) :] if key.startswith(GIVEN) and _is_taken(key, own) else key: value for key, value in kept}


def _is_taken(key: str, own: Collection[str]) -> bool:
    while key.startswith(GIVEN):
        key = key[len(GIVEN) :]
    return key in own
