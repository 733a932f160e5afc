"""The files of a model's folder as they were written: their hashes stand beside them."""

import os
from collections.abc import Sequence

from beam_curator.diarization.models import NotAModelError
from beam_curator.files.storage import hash_file

CHECKSUMS = "SHA256SUMS"
"""Lines of hash, two spaces and name, as `sha256sum` writes and checks them."""


def checksums_text(directory: str, names: Sequence[str]) -> str:
    """Return the text of `SHA256SUMS` for some files of a folder."""
    return "".join(f"{hash_file(os.path.join(directory, name))[1]}  {name}\n" for name in names)


def listed_hashes(directory: str) -> dict[str, str]:
    """Return the hashes in `SHA256SUMS` of a folder by the names of its files."""
    with open(os.path.join(directory, CHECKSUMS), encoding="utf-8", errors="replace") as stream:
        parts = [line.rstrip("\n").partition("  ") for line in stream]
    return {name: sha256 for sha256, _, name in parts}


def check_listed(directory: str, names: Sequence[str], optional: Sequence[str], cure: str) -> None:
    """Check that a folder holds files, each as it was written.

    Args:
      directory: the folder.
      names: of the files that it must hold.
      optional: those that must be there only if they are listed.
      cure: how to get them anew.

    Raises:
      FileNotFoundError: there is no such directory.
      NotAModelError: a file is missing, or was changed.
    """
    if not os.path.isdir(directory):
        if not os.path.exists(directory):
            raise FileNotFoundError(f"{directory} is not there: {cure}")
        raise NotAModelError(f"{directory} is a file, expected the directory of an exported model: {cure}")
    _refuse_missing(directory, (*names, CHECKSUMS), cure)
    expected = listed_hashes(directory)
    names = (*names, *(name for name in optional if name in expected))
    _refuse_missing(directory, names, cure)
    for name in names:
        path = os.path.join(directory, name)
        if expected.get(name) != hash_file(path)[1]:
            raise NotAModelError(
                f"{path} was changed or is damaged: its sha256 is not the one in {CHECKSUMS} "
                f"({os.path.getsize(path):,} bytes): {cure}"
            )


def _refuse_missing(directory: str, names: Sequence[str], cure: str) -> None:
    missing = [name for name in names if not os.path.isfile(os.path.join(directory, name))]
    if missing:
        raise NotAModelError(f"{directory} is no exported model, {', '.join(missing)} missing: {cure}")
