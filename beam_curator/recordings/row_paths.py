"""The recording that a row names."""

from __future__ import annotations

import os.path
import posixpath
from collections.abc import Mapping
from typing import Any

from beam_curator.entries.json_lines import kind_of
from beam_curator.failures import EntryError, FailureCode
from beam_curator.recordings.channel_files import MAX_FILES, channel_files, joined_name
from beam_curator.recordings.tar_members import member_locator, split_locator


def path_in(row: Mapping[str, Any], key: str, cure: str) -> str:
    """Return the path that a row has under a key; of an array of files, a channel each, their `joined_name`.

    Args:
      row: of a manifest.
      key: that names the recording.
      cure: what else can be done where the key is absent.

    Raises:
      EntryError: the key is absent, or holds no path.

    Example:
      >>> path_in({"audio_filepath": "a.wav"}, "audio_filepath", "name another key")
      'a.wav'
      >>> path_in({"audio_filepath": ["a_0.wav", "a_1.wav"]}, "audio_filepath", "name another key")
      '["a_0.wav", "a_1.wav"]'
    """
    if key not in row:
        raise EntryError(
            FailureCode.MISSING_KEY,
            f"key '{key}' is absent, expected the path of the recording",
            f"add '{key}', or {cure}",
        )
    path = row[key]
    if isinstance(path, (list, tuple)) and path:
        paths = tuple(_path(each, f"{key}[{number}]", "a file") for number, each in enumerate(path))
    else:
        paths = channel_files(_path(path, key, "the recording"))
    if len(paths) > MAX_FILES:
        raise EntryError(
            FailureCode.BAD_TYPE,
            f"{key} is an array of {len(paths)}, expected at most {MAX_FILES} files, a channel each",
            "join them into one file, as `sox -M left.wav right.wav joined.wav` does, and name it",
        )
    return joined_name(paths)


def _path(path: Any, where: str, of: str) -> str:
    if isinstance(path, str) and path:
        return path
    found = "empty" if path == "" else kind_of(path)
    raise EntryError(
        FailureCode.BAD_TYPE, f"{where} is {found}, expected the path of {of}", "write the path as a string"
    )


def named_in_set(given: Any, recording: str) -> Any:
    """Return how the rows of a set name a recording: as its row did, but a member of a tar in full.

    Args:
      given: as the row has it; rows of a tarred dataset name the member alone.
      recording: its full name.

    Example:
      >>> named_in_set("a.wav", "/x/a.wav"), named_in_set("a.wav", "/x/audio_0.tar::a.wav")
      ('a.wav', '/x/audio_0.tar::a.wav')
    """
    is_member = len(channel_files(recording)) == 1 and split_locator(recording)[1] is not None
    return recording if is_member else given


def resolve_recording(path: str, source: str) -> str:
    """Return the path of a recording, a relative one taken from the folder of its manifest, never from the cwd.

    A pure matter of text: nothing is looked up, and of `PATH.tar::MEMBER` the member stays. Absolute paths and such
    with a scheme stay as they are. `..` goes up a folder, in a store not above its bucket. The rule is NeMo's for
    relative paths in manifests.

    Args:
      path: as the row has it.
      source: path or uri of the manifest.

    Example:
      >>> resolve_recording("../audio/a.wav", "/data/lists/m.jsonl"), resolve_recording("a.wav", "gs://b/m/x.jsonl")
      ('/data/audio/a.wav', 'gs://b/m/a.wav')
      >>> resolve_recording("/x/../a.wav", "/data/m.jsonl"), resolve_recording("audio/a.wav", "lists/m.jsonl")
      ('/x/../a.wav', 'lists/audio/a.wav')
    """
    archive, member = split_locator(path)
    if "://" in archive or os.path.isabs(archive):
        return path
    scheme, mark, place = source.partition("://")
    if mark:
        bucket, _, name = place.partition("/")
        folder = posixpath.join("/", posixpath.dirname(name))
        full = f"{scheme}://{bucket}" + posixpath.normpath(posixpath.join(folder, archive))
    else:
        full = os.path.normpath(os.path.join(os.path.dirname(source), archive))
    return full if member is None else member_locator(full, member)
