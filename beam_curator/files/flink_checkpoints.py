"""Checkpoints that Flink keeps below a folder, `JOB/chk-N`, of which a job can go on."""

import re

from beam_curator.files import storage

_CHECKPOINT = re.compile(r"chk-([0-9]+)")
_METADATA = "_metadata"
"""Is written when all else of a checkpoint is there."""


def latest_checkpoint(folder: str) -> str | None:
    """Return the latest checkpoint below a folder, a path or a URL; None where there is none.

    A job that goes on from a checkpoint counts on from it, so the highest number is the latest.

    Raises:
      UnknownSchemeError: the folder is in a store that cannot be read.
    """
    place = storage.plain_path(folder)
    found = []
    for job in storage.folders_in(place):
        for name in storage.folders_in(storage.join(place, job)):
            match = _CHECKPOINT.fullmatch(name)
            path = storage.join(storage.join(place, job), name)
            if match and storage.size_of(storage.join(path, _METADATA)) is not None:
                found.append((int(match[1]), f"{folder.rstrip('/')}/{job}/{name}"))
    return max(found, default=(0, None))[1]
