"""Replacing a complete set: the next one grows in a hidden folder of its directory, and takes its place when whole.

On a disk the change-over removes the old manifest, puts the old files away, moves the new ones in, and puts the new
manifest in place last: a directory with a manifest never holds files of two sets. In a store the next set is a layer
(`sets.layers`), and the change-over is one object that names it. Whoever finds the next set complete in its folder may
begin the change-over, or go on with one that was interrupted: each step may be repeated.
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence

from beam_curator.files import atomic_files, object_stores, set_layers, storage
from beam_curator.files.atomic_files import ForeignRunError
from beam_curator.files.store_patience import StoreError
from beam_curator.sets.layers import FIRST, LAYER, is_layer_of_run, layer_of_run, number_of_layer, render_layers
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


def place_of_next(directory: str, run: RunRecord) -> str:
    """Return the folder in which a run grows the next set of a directory."""
    if not storage.is_remote(directory):
        return storage.join(directory, NEXT_NAME)
    begun = (place for place in places_of_next(directory) if is_layer_of_run(os.path.basename(place), run))
    number = max(map(number_of_layer, map(os.path.basename, _folders_of_layers(directory))), default=0)
    return next(begun, storage.join(directory, layer_of_run(run, number + 1)))


def places_of_next(directory: str) -> list[str]:
    """Return the folders in which next sets of a directory grow: one on a disk, in a store one for each job."""
    if not storage.is_remote(directory):
        return [storage.join(directory, NEXT_NAME)]
    layers = set_layers.layers_of(directory)
    others = [path for path in _folders_of_layers(directory) if os.path.basename(path) not in layers]
    manifest = storage.read_bytes(storage.join(directory, MANIFEST_NAME)) if others else None
    if manifest is None:
        return []
    # one that set out to replace another set is of no use
    runs = {path: run_in(path) for path in others}
    sha256 = hashlib.sha256(manifest).hexdigest()
    return [path for path, run in runs.items() if run is not None and run.replaces == sha256]


def _folders_of_layers(directory: str) -> list[str]:
    return [path for path in object_stores.folders_like(storage.join(directory, "set-")) if LAYER.search(f"{path}/")]


def complete_next(directory: str) -> str | None:
    """Return the folder of a set that waits to take the place of the one in a directory, or is about to; or None."""
    for place in places_of_next(directory):
        if storage.size_of(storage.join(place, MANIFEST_NAME)) is not None:
            return place
    return None


def run_in(directory: str) -> RunRecord | None:
    """Return the mark of the run in a directory; None where there is none, or it is damaged."""
    text = storage.read_bytes(storage.join(directory, RUN_NAME))
    return RunRecord.from_json(text) if text is not None else None


def next_run(directory: str) -> RunRecord | None:
    """Return the mark of the run that makes the next set of a directory; None where there is none."""
    return next(filter(None, map(run_in, places_of_next(directory))), None)


def change_over(directory: str, below: str) -> None:
    """Put the complete set in a folder in the place of the one in a directory; the mark of its run stays.

    Raises:
      ForeignRunError: another run, in a store, has put its own there.
    """
    if storage.is_remote(directory):
        _name_layer(directory, below)
        return
    manifest = storage.read_bytes(storage.join(below, MANIFEST_NAME))
    if manifest is None:
        raise FileNotFoundError(f"{below} holds no complete set")
    if storage.size_of(storage.join(below, _CLEARED)) is None:
        run = run_in(below)
        commands = run.commands if run is not None else ()
        _put_away(directory, below, [SET_KINDS[command] for command in commands if command in SET_KINDS])
        atomic_files.write_bytes(below, _CLEARED, b"")
    elif storage.read_bytes(storage.join(directory, MANIFEST_NAME)) == manifest:
        return
    _move_in(directory, below)
    atomic_files.replace_unless_changed(directory, MANIFEST_NAME, manifest)


def _name_layer(directory: str, below: str) -> None:
    """Name the folder of a complete set as the newest layer of a directory, by putting one object."""
    path, layer = storage.join(directory, MANIFEST_NAME), os.path.basename(below)
    seen = object_stores.find(path)
    layers, run = set_layers.layers_of(directory), run_in(below)
    if layers[:1] == (layer,):
        return
    lost = ForeignRunError(
        f"{directory} was replaced by another run while this one worked, so nothing was committed: "
        "run the same command again"
    )
    if run is None or seen is None or storage.size_of(storage.join(below, MANIFEST_NAME)) is None:
        raise lost
    if storage.hash_file(path)[1] != run.replaces:
        raise lost
    # an update kept files where they were
    older = [old for old in layers or (FIRST,) if old == FIRST or object_stores.has_objects(f"{directory}/{old}/")]
    text = render_layers([layer, *(older if run.updates else ())])
    try:
        object_stores.put_object(path, text, replaces=seen.version)
    except StoreError as err:
        now = set_layers.layers_of(directory)
        if now[:1] != (layer,):  # else the answer to a first request was lost
            raise (err if now == layers else lost) from err
    set_layers.layers_of(directory)


def forget(below: str) -> None:
    """Remove the folder of a next set, with the files that were put away there."""
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
        if complete_next(directory) is None:
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


def _put_away(directory: str, below: str, kinds: Sequence[SetKind]) -> None:
    """Clear a local directory of the old set; folders are only moved, since a million files would take long."""
    away = os.path.join(below, _PUT_AWAY)

    def put_away(folder: str) -> None:
        storage.make_directory(away)
        os.rename(folder, os.path.join(away, f"{os.path.basename(folder)}-{len(os.listdir(away))}"))

    clear_set(directory, kinds, put_away)


def _move_in(directory: str, below: str) -> None:
    """Move the files of the next set in."""
    # an interrupted change-over may have left one of its manifest
    storage.delete(directory, list(filter(is_temporary, storage.names_in(directory))))
    with os.scandir(below) as items:
        names = [item.name for item in items if item.name not in _NOT_MOVED and not is_temporary(item.name)]
    for name in names:
        os.replace(os.path.join(below, name), os.path.join(directory, name))
