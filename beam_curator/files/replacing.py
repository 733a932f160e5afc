"""Replacing a complete set: the next one grows in a hidden folder of its directory, and takes its place when whole.

The change-over removes the old manifest, puts the old files away, moves the new ones in, and puts the new manifest in
place last: a directory with a manifest never holds files of two sets. Whoever finds the next set complete in its folder
may begin the change-over, or go on with one that was interrupted: each step may be repeated.
"""

import os
import time
from collections.abc import Callable, Sequence

from beam_curator.files import atomic_files, object_stores, storage
from beam_curator.sets.output_set import (
    KEPT_FOLDER,
    MANIFEST_NAME,
    NEXT_NAME,
    RUN_NAME,
    SUMMARY_NAME,
    RunRecord,
    is_temporary,
)
from beam_curator.sets.set_kinds import SET_KINDS, SetKind

_CLEARED = ".cleared.beam_curator"
"""In the folder of the next set: the files of the old one are gone."""
_PUT_AWAY = ".old.beam_curator"
_NOT_MOVED = (MANIFEST_NAME, RUN_NAME, _CLEARED, _PUT_AWAY)
_LOOK_EVERY = 0.05


def next_of(directory: str) -> str:
    """Return the hidden folder in which the next set of a directory grows."""
    return storage.join(directory, NEXT_NAME)


def is_next_complete(directory: str) -> bool:
    """Tell whether a set waits to take the place of the one in a directory, or is about to."""
    return storage.size_of(storage.join(next_of(directory), MANIFEST_NAME)) is not None


def next_run(directory: str) -> RunRecord | None:
    """Return the mark of the run that makes the next set of a directory; None where there is none."""
    text = storage.read_bytes(storage.join(next_of(directory), RUN_NAME))
    return RunRecord.from_json(text) if text is not None else None


def change_over(directory: str) -> None:
    """Put the complete next set in the place of the one in a directory; its folder stays, with the mark of its run."""
    below = next_of(directory)
    manifest = storage.read_bytes(storage.join(below, MANIFEST_NAME))
    if manifest is None:
        raise FileNotFoundError(f"{below} holds no complete set")
    if storage.size_of(storage.join(below, _CLEARED)) is None:
        run = next_run(directory)
        commands = run.commands if run is not None else ()
        _put_away(directory, [SET_KINDS[command] for command in commands if command in SET_KINDS])
        atomic_files.write_bytes(below, _CLEARED, b"")
    elif storage.read_bytes(storage.join(directory, MANIFEST_NAME)) == manifest:
        return
    _move_in(directory)
    atomic_files.replace_unless_changed(directory, MANIFEST_NAME, manifest)


def forget_next(directory: str) -> None:
    """Remove the folder of the next set, with the files that were put away there."""
    below = next_of(directory)
    # without its mark nobody goes on with what is left of it
    storage.delete(below, [RUN_NAME])
    if storage.is_remote(below) or os.path.isdir(below):
        storage.delete_folder(below)


class BeingReplacedError(OSError):
    """A directory whose set is being replaced, by a job that takes long or was killed."""

    def __init__(self, directory: str) -> None:
        super().__init__(
            f"{directory} is between two sets, as the job that replaces one was killed or is at it: "
            "wait for it, or run its command again"
        )


def is_output_set(directory: str, patience: float = 30.0) -> bool:
    """Tell whether a directory holds a complete set; wait, for so many seconds, where one takes the place of another.

    Raises:
      BeingReplacedError: that does not end.
    """
    until = time.monotonic() + patience
    while storage.size_of(storage.join(directory, MANIFEST_NAME)) is None:
        if not is_next_complete(directory):
            return False
        if time.monotonic() > until:
            raise BeingReplacedError(directory)
        time.sleep(_LOOK_EVERY)
    return True


def folders_of(directory: str, kind: SetKind) -> list[str]:
    """Return the names of the sub-directories that belong to a set of this kind."""
    return [name for name in storage.folders_in(directory) if kind.has_folder(name)] if kind.folders is not None else []


def clear_set(directory: str, kinds: Sequence[SetKind], remove_folder: Callable[[str], None]) -> None:
    """Remove the files of sets of these kinds from a directory, the manifest first.

    Args:
      directory: that may hold them.
      kinds: of the sets.
      remove_folder: removes a folder of a set, given its path.
    """
    names = storage.list_directory(directory)
    storage.delete(directory, [MANIFEST_NAME] if MANIFEST_NAME in names else [])
    for kind in kinds:
        ours = [name for name in names if kind.has_row_file(name) or kind.has_file_beside(name)]
        storage.delete(directory, [*ours, *([SUMMARY_NAME] if SUMMARY_NAME in names else [])])
        for folder in folders_of(directory, kind):
            remove_folder(storage.join(directory, folder))
    if KEPT_FOLDER in storage.folders_in(directory):
        remove_folder(storage.join(directory, KEPT_FOLDER))


def _put_away(directory: str, kinds: Sequence[SetKind]) -> None:
    """Clear a directory of the old set; local folders are only moved, since a million files would take long."""
    away = storage.join(next_of(directory), _PUT_AWAY)

    def put_away(folder: str) -> None:
        if storage.is_remote(folder):
            storage.delete_folder(folder)
            return
        storage.make_directory(away)
        os.rename(folder, os.path.join(away, f"{os.path.basename(folder)}-{len(os.listdir(away))}"))

    clear_set(directory, kinds, put_away)


def _move_in(directory: str) -> None:
    """Move the files of the next set in; in object stores they are copied, and go with their folder."""
    below = next_of(directory)
    if storage.is_remote(below):
        start = len(below) + 1
        found = (path for path, _ in object_stores.list_objects(f"{below}/"))
        object_stores.copy_objects(
            (path, storage.join(directory, path[start:])) for path in found if path[start:] not in _NOT_MOVED
        )
        return
    # an interrupted change-over may have left one of its manifest
    storage.delete(directory, list(filter(is_temporary, storage.names_in(directory))))
    with os.scandir(below) as items:
        names = [item.name for item in items if item.name not in _NOT_MOVED and not is_temporary(item.name)]
    for name in names:
        os.replace(os.path.join(below, name), os.path.join(directory, name))
