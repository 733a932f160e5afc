"""Recordings whose channels are files, one each: their name is the JSON array of the paths."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

MAX_FILES = 64
"""Most files of one recording: all of them are open at once."""


def joined_name(paths: Sequence[str]) -> str:
    """Return the name of a recording whose channels are files, one each; one file alone goes by its path.

    Example:
      >>> joined_name(["a_0.wav", "a_1.wav"]), joined_name(["a.wav"])
      ('["a_0.wav", "a_1.wav"]', 'a.wav')
    """
    return paths[0] if len(paths) == 1 else json.dumps(list(paths), ensure_ascii=False)


def channel_files(recording: str) -> tuple[str, ...]:
    """Return the files that are the channels of a recording, the inverse of `joined_name`.

    Example:
      >>> channel_files('["a_0.wav", "a_1.wav"]'), channel_files("a.wav")
      (('a_0.wav', 'a_1.wav'), ('a.wav',))
    """
    if not (recording.startswith('["') and recording.endswith('"]')):
        return (recording,)
    try:
        paths = json.loads(recording)
    except (ValueError, RecursionError):
        return (recording,)
    several = len(paths) > 1 and all(isinstance(path, str) and path for path in paths)
    return tuple(paths) if several else (recording,)


def path_text(path: Any) -> str | None:
    """Return the path or the paths that a row names its recording by as text, None for anything else.

    Example:
      >>> path_text("a.wav"), path_text(["a_0.wav", "a_1.wav"]), path_text(7)
      ('a.wav', '["a_0.wav", "a_1.wav"]', None)
    """
    if isinstance(path, (list, tuple)) and path and all(isinstance(each, str) and each for each in path):
        return joined_name(path)
    return path if isinstance(path, str) else None
