"""The recording that a row names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beam_curator.failures import EntryError, FailureCode
from beam_curator.json_lines import kind_of


def path_in(row: Mapping[str, Any], key: str, cure: str) -> str:
    """Return the path that a row has under a key.

    Args:
      row: of a manifest.
      key: that names the recording.
      cure: what else can be done where the key is absent.

    Raises:
      EntryError: the key is absent, or holds no path.

    Example:
      >>> path_in({"audio_filepath": "a.wav"}, "audio_filepath", "name another key")
      'a.wav'
    """
    if key not in row:
        raise EntryError(
            FailureCode.MISSING_KEY,
            f"key '{key}' is absent, expected the path of the recording",
            f"add '{key}', or {cure}",
        )
    path = row[key]
    if not isinstance(path, str) or not path:
        found = "empty" if path == "" else kind_of(path)
        raise EntryError(
            FailureCode.BAD_TYPE, f"{key} is {found}, expected the path of the recording", "write the path as a string"
        )
    return path
