"""The commands that keep the values on one side of a threshold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SMALL_IS_GOOD = re.compile(r".*(clipped_ratio|crosstalk_seconds|non_speech_seconds)")
_KEY = re.compile(r"[^\s=!<>\"']+")
"""Keys that a condition can name."""


def sign_of(key: str) -> str:
    """Return the side of a threshold that is kept: ">=", or "<" for values of which little is good."""
    return "<" if _SMALL_IS_GOOD.fullmatch(key) else ">="


def filter_command(of_set: Mapping[str, Any], of: str, key: str) -> list[str]:
    """Return the words of the command that keeps rows or segments by a value, with "{}" for it; none where none does.

    Example:
      >>> " ".join(filter_command({"command": "diarize", "directory": "turns"}, "segments", "metrics.bandwidth"))
      'beam-curator filter turns --of segments --where metrics.bandwidth >= {} --output turns-filtered'
    """
    if of_set["command"] == "windows" or of == "windows" or not _KEY.fullmatch(key):
        return []
    directory = str(of_set["directory"])
    which = "segments" if of == "segments" else "rows"
    where = f"{key} {sign_of(key)} {{}}"
    return ["beam-curator", "filter", directory, "--of", which, "--where", where,
            "--output", f"{directory.rstrip('/')}-filtered"]  # fmt: skip
