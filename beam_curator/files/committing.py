"""The commit of an output set: checked books, no strays, and the manifest in place."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from beam_curator.files import atomic_files, storage
from beam_curator.files.known_files import keep_inputs
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.replacing import change_over, folders_of
from beam_curator.sets.output_set import (
    MANIFEST_NAME,
    Config,
    FileRecord,
    InputRecord,
    render_manifest,
)
from beam_curator.sets.set_kinds import SetKind


def commit(
    target: OutputTarget,
    kind: SetKind,
    config: Config,
    files: Sequence[FileRecord],
    counts: Mapping[str, int],
    inputs: Sequence[InputRecord],
) -> None:
    """Make the set complete; safe to repeat.

    Raises:
      UnbalancedBooksError: rows are missing or too many.
      ForeignRunError: another run has taken over the directory.
      ChangedInputError: a manifest changed while it was read.
    """
    once = {record.name: record for record in files}
    target.check()
    target.check_inputs([record.name for record in inputs if not record.beside])
    kind.check_books(counts, once.values())
    storage.make_directory(target.directory)
    sweep(target.directory, kind, once)
    manifest = render_manifest(command=kind.command, config=config, inputs=inputs, counts=counts, files=once.values())
    with suppress(FileNotFoundError):  # a repeated commit finds its folder gone
        keep_inputs(target, inputs)
    atomic_files.replace_unless_changed(target.directory, MANIFEST_NAME, manifest)
    if target.replaces is not None:
        change_over(target.replaces, target.directory)


def sweep(directory: str, kind: SetKind, own: Collection[str]) -> None:
    """Remove the files of a kind of set that are not its own, and temporary ones."""
    strays = [name for name in storage.names_in(directory) if name not in own and kind.has_row_file(name)]
    storage.delete(directory, strays)
    for folder in folders_of(directory, kind):
        below = storage.join(directory, folder)
        storage.delete(below, list(storage.temporary_below(below)))
