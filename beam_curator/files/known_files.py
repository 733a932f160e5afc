"""Whether files are those that an earlier run saw, told by their stamps, or else by their bytes."""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import zstandard

from beam_curator.entries.json_lines import encode
from beam_curator.failures import readable_name
from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.output_set import KEPT_FOLDER, MANIFEST_NAME, InputRecord

INPUTS_NAME = "inputs.zst"
"""In the hidden folder of a set: the hashes of its inputs, by name, with their stamps."""

_SECOND_NS = 10**9
_SLOW_TICK_NS = 2 * _SECOND_NS
_TICK_NS = 20_000_000

_Inputs = Mapping[str, InputRecord]
_NONE_KNOWN: _Inputs = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A recording as a run saw it.

    Attributes:
      stamp: see `stamp_of`; "" where that does not tell.
      content: sha256 of the bytes; "" where they were not read, as those of objects in a store are not.
    """

    stamp: str = ""
    content: str = ""

    def __bool__(self) -> bool:
        return bool(self.stamp or self.content)


NOT_SEEN = Seen()


def stamp_of(path: str) -> str:
    """Return a text that changes when a file does; "" where it might not.

    Of an object it is size and generation or ETag. Of a local file it is size, time of change of its bytes, and time of
    change of its status, which no tool sets. A file that was written a moment ago has none, as in git's index, since
    the clock of its disk may not tell the next change apart.

    Raises:
      OSError: it is not there.
    """
    if storage.is_remote(path):
        return storage.identity_of(path)
    status = os.stat(path)
    latest = max(status.st_mtime_ns, status.st_ctime_ns)
    # some disks count seconds, or two of them; others ticks of the system
    tick = _TICK_NS if status.st_ctime_ns % _SECOND_NS else _SLOW_TICK_NS
    is_recent = time.time_ns() - latest < tick
    return "" if is_recent else f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def keeps(target: OutputTarget) -> bool:
    """Tell whether a set has a hidden folder for later updates: those of runs of a command do."""
    return target.token is not None


def hash_input(name: str, known: _Inputs = _NONE_KNOWN) -> InputRecord:
    """Return the record of an input, which is read unless it is known.

    Args:
      name: of the input.
      known: records of inputs as an earlier run saw them.
    """
    try:
        stamp = stamp_of(name)
        record = known.get(name)
        if record is not None and record.stamp and record.stamp == stamp:
            return record
        n_bytes, sha256, _ = storage.hash_file(name)
    except OSError:
        return InputRecord(name=name, n_bytes=None, sha256=None)
    # the stamp was taken before: one of a file that changed since says so
    return InputRecord(name=name, n_bytes=n_bytes, sha256=sha256, stamp=stamp)


def keep_inputs(target: OutputTarget, inputs: Iterable[InputRecord]) -> None:
    """Keep the hashes of a set's inputs in its hidden folder, where sets do."""
    if not keeps(target):
        return
    records = {
        record.name: (record.stamp, record.n_bytes, record.sha256)
        for record in inputs
        if record.stamp and readable_name(record.name) == record.name
    }
    directory = storage.join(target.directory, KEPT_FOLDER)
    storage.make_directory(directory)
    with AtomicFile(directory, INPUTS_NAME, target.check) as file:
        file.write_pieces([zstandard.ZstdCompressor(level=1, write_checksum=True).compress(encode(records))])


def known_inputs(directory: str) -> _Inputs:
    """Return the inputs of the complete set in a directory as it saw them; none where it keeps no hashes."""
    return _known_inputs(directory, storage.identity_of(storage.join(directory, MANIFEST_NAME)))


@lru_cache(maxsize=2)
def _known_inputs(directory: str, identity: str) -> _Inputs:
    del identity
    path = storage.join(storage.join(directory, KEPT_FOLDER), INPUTS_NAME)
    # one that is damaged keeps nothing
    with suppress(OSError, zstandard.ZstdError, msgspec.MsgspecError), storage.open_raw(path) as stream:
        text = zstandard.ZstdDecompressor().decompress(stream.read())
        found = msgspec.json.decode(text, type=dict[str, tuple[str, int, str]])
        return {
            name: InputRecord(name=name, n_bytes=n_bytes, sha256=sha256, stamp=stamp)
            for name, (stamp, n_bytes, sha256) in found.items()
        }
    return {}
