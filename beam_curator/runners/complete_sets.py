"""Whether a directory holds the complete set of a job, and whether it may be updated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

from beam_curator.files import storage
from beam_curator.files.kept_parts import PACKAGE, kept_parts
from beam_curator.files.known_files import hash_input, known_inputs
from beam_curator.files.moved_inputs import Moved, moved_of
from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.options import UsageError
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import (
    MANIFEST_NAME,
    Config,
    FileRecord,
    InputRecord,
    Manifest,
    NotAnOutputSetError,
    differences,
    other_options,
)
from beam_curator.sets.set_kinds import SetKind

_KEEPS = "an update keeps the options: "


def is_complete(directory: str, kind: SetKind, config: Config, files: Sequence[InputFile], run: RunOptions) -> bool:
    """Tell whether a directory holds the complete set of a job, and there is nothing to do.

    Args:
      directory: that may hold a set.
      kind: of the job's set.
      config: its options that decide the rows.
      files: its inputs, and the files beside them.
      run: may ask for an update of a set of other inputs, or of one with failures.

    Raises:
      UsageError: it holds the set of another job, or one that is no longer whole.
    """
    text = storage.read_bytes(storage.join(directory, MANIFEST_NAME))
    if text is None:
        return False
    try:
        manifest = Manifest.from_json(text)
    except NotAnOutputSetError as err:
        raise UsageError(f"{directory}: {err}, with --overwrite") from err
    names = sorted({file.name for file in files if file.occurrence == 0})
    known = {} if run.rehash else known_inputs(directory)
    inputs = [hash_input(name, known) for name in names]
    found = differences(manifest, kind.command, config, inputs)
    if found and run.update:
        others = _other_job(_moved(manifest, moved_of(run.moved)), kind, config, inputs)
        where = "an update keeps the options (of recordings that were moved --moved OLD=NEW says where they went): "
        _refuse(directory, others, where if any("audio_root" in other for other in others) else _KEEPS)
    elif found:
        _refuse(directory, found, "--update keeps what is unchanged; " if _are_inputs(manifest, kind, config) else "")
    damaged = [file.name for file in manifest.files if _is_damaged(directory, file)]
    if damaged and not run.update:
        raise UsageError(
            f"{directory} is complete, but {damaged[0]} was changed or removed: --update makes it again from what is "
            "unchanged, --overwrite from nothing"
        )
    has_changed = bool(found or damaged or manifest.n_failures)
    return not run.update or _is_up_to_date(directory, has_changed=has_changed, rehash=run.rehash)


def _is_up_to_date(directory: str, *, has_changed: bool, rehash: bool) -> bool:
    """Tell whether an update has nothing to do, neither for inputs or files that have changed nor for recordings.

    Raises:
      UsageError: it has, but the set was made by another version.
    """
    kept = kept_parts(directory)
    if not has_changed and kept.are_unchanged(rehash=rehash):
        return True
    _refuse_versions(directory, kept.made_by - {version(PACKAGE)})
    return False


def _is_damaged(directory: str, file: FileRecord) -> bool:
    return storage.size_of(storage.join(directory, file.name)) != file.n_bytes


def _refuse_versions(directory: str, others: set[str]) -> None:
    if others:
        raise UsageError(
            f"{directory} was made by version {min(others)}, and this is {version(PACKAGE)}: an update would mix rows "
            "of both: add --overwrite to make all of them again"
        )


def _refuse(directory: str, found: Sequence[str], why: str) -> None:
    if found:
        listed = "; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else "")
        raise UsageError(
            f"{directory} holds a complete set of another job ({listed}): {why}add --overwrite to replace it"
        )


def _are_inputs(manifest: Manifest, kind: SetKind, config: Config) -> bool:
    """Tell whether a set differs from that of a job in its inputs alone."""
    return not other_options(manifest, kind.command, config)


def _moved(manifest: Manifest, moved: Moved) -> Manifest:
    """Return a manifest as if it had named the present place of a directory that was moved."""
    config = {
        section: options | {name: moved.directory_now(options[name]) for name in options.keys() & {"audio_root"}}
        for section, options in manifest.config.items()
    }
    return replace(manifest, config=config)


def _other_job(manifest: Manifest, kind: SetKind, config: Config, inputs: Sequence[InputRecord]) -> list[str]:
    """Say in which options, or files beside the inputs, a set differs from that of a job."""
    found = other_options(manifest, kind.command, config)
    now = {record.name: record.sha256 for record in inputs}
    found += [
        f"{record.name} has changed"
        for record in manifest.inputs
        if record.beside and now.get(record.name) != record.sha256
    ]
    return found


def _n_failures(manifest: Manifest) -> int:
    return sum(n for name, n in manifest.counts.items() if name.endswith(".failures"))
