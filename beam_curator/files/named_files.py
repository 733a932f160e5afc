"""The files beside the rows of a set, as its rows name them, and those that a store still holds without being named."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from beam_curator.clips.clip_rows import clip_file
from beam_curator.diarization.turn_entries import files_of_entry
from beam_curator.export.exported_rows import files_of_row
from beam_curator.files import object_stores, set_layers, storage
from beam_curator.files.output_target import is_of_a_set
from beam_curator.files.replacing import places_of_next
from beam_curator.files.row_tables import read_row_file
from beam_curator.recordings.tar_members import split_locator
from beam_curator.sets.layers import FIRST
from beam_curator.sets.output_set import (
    KEPT_FOLDER,
    MANIFEST_NAME,
    RUN_NAME,
    SUMMARY_NAME,
    FileRecord,
    Manifest,
    WrittenFile,
)
from beam_curator.sets.set_kinds import CURATE, DIARIZE, EXPORT, EXTRACT, SEPARATE, SET_KINDS


def _clips_outside_of_tars(row: dict[str, Any]) -> tuple[WrittenFile, ...]:
    """Return the clip of a row, unless it is inside of a tar file: the hash of that covers it."""
    return clip_file(row) if split_locator(row["extracted_path"])[1] is None else ()


_FILES_OF_ROW: Mapping[str, Callable[[dict[str, Any]], Iterable[WrittenFile]]] = {
    EXTRACT.command: _clips_outside_of_tars,
    EXPORT.command: files_of_row,
    DIARIZE.command: files_of_entry,
    SEPARATE.command: files_of_entry,
    CURATE.command: files_of_entry,
}


def files_named_in(directory: str, record: FileRecord, command: str) -> Iterator[WrittenFile]:
    """Yield the files that the rows in a file of a set name; none where that holds other rows."""
    if command in _FILES_OF_ROW and record.kind == SET_KINDS[command].rows:
        for row in read_row_file(storage.join(directory, record.name)):
            yield from _FILES_OF_ROW[command](row)


def sweep_layers(directory: str, commands: Collection[str]) -> None:
    """Remove the objects below a directory of a store that the set there does not name; safe to repeat.

    Args:
      directory: of a complete set.
      commands: of the sets whose files may lie in the directory itself.
    """
    layers = set_layers.layers_of(directory)
    if not layers:
        return
    manifest = Manifest.from_json(storage.read_bytes(storage.join(directory, MANIFEST_NAME)) or b"")
    named = {record.name for record in manifest.files}
    for record in manifest.files if len(layers) > 1 else ():
        named.update(file.name for file in files_named_in(directory, record, manifest.command))
    newest = {name: layer for name, (layer, _) in set_layers.files_in(directory).items()}
    growing = [place.rpartition("/")[2] for place in places_of_next(directory)]
    kinds = [SET_KINDS[command] for command in {manifest.command, *commands} if command in SET_KINDS]

    def is_dead(path: str) -> bool:
        layer, name = set_layers.split_layer(path[len(directory) + 1 :])
        if layer in (layers[0], *growing):
            return False
        is_ours = name.startswith(f"{KEPT_FOLDER}/") or name in (SUMMARY_NAME, RUN_NAME) or is_of_a_set(name, kinds)
        return (layer != FIRST or is_ours) and not (name in named and newest.get(name) == layer)

    object_stores.delete_objects([path for path, _ in object_stores.list_objects(f"{directory}/") if is_dead(path)])
