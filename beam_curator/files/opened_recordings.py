"""Opening the recordings that rows name: local files, objects of a store, members of tar files."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from typing import Any, BinaryIO, cast

from beam_curator.audio import AudioReader, open_audio
from beam_curator.audio.joined import join_channels
from beam_curator.audio.open_rules import Opening
from beam_curator.audio.spans import KEPT_VALUES
from beam_curator.failures import EntryError, FailureCode, readable_name
from beam_curator.files import storage
from beam_curator.files.known_files import NOT_SEEN, Seen, stamp_of
from beam_curator.files.storage import UnknownSchemeError
from beam_curator.files.store_patience import StoreError
from beam_curator.recordings.channel_files import channel_files, joined_name
from beam_curator.recordings.recording_options import DecodedLimits
from beam_curator.recordings.row_paths import resolve_recording
from beam_curator.recordings.tar_members import MemberFile, MemberSpan, find_member, read_index, split_locator
from beam_curator.sets.output_set import MANIFEST_NAME, Manifest, NotAnOutputSetError
from beam_curator.sets.set_kinds import SET_KINDS

_MAX_LINEAGE = 16
_NEXT_VERSION = "\n"


@contextmanager
def open_recording(
    name: str, allowed_root: Sequence[str] = (), version: str = "", limits: DecodedLimits | None = None
) -> Iterator[AudioReader]:
    """Open a recording for reading.

    Whoever keeps a part of what was read although the recording may fail later reads it in `AudioReader.part`.

    Args:
      name: a path, local or in an object store, or `PATH.tar::MEMBER`; or several, a channel each: see `joined_name`.
      allowed_root: directories below which it must lie, links followed; none for anywhere.
      limits: the most that it may decode to; None where that was checked before.
      version: of an earlier reading, whose recording it must be still; "" for any.

    Raises:
      EntryError: it may not be read, is not there, is not audio, is too long or large, or has changed meanwhile.
    """
    files = channel_files(name)
    check = partial(limits.check, counted=True) if limits is not None else None
    opening = Opening(check=check, kept_values=KEPT_VALUES // len(files))
    with ExitStack() as stack:
        if len(files) == 1:
            reader = stack.enter_context(_open_file(name, allowed_root, version, opening))
        else:
            reader = _open_files(stack, files, allowed_root, version, opening)
        if limits is not None:
            _check_limits(limits, reader)
        with reader.part():
            yield reader


def version_of(name: str) -> str:
    """Return the version of a recording that is not open; "" where it has none."""
    try:
        return _NEXT_VERSION.join(storage.identity_of(_place_of(file)[0]) for file in channel_files(name))
    except (OSError, ValueError):
        return ""


def seen_now(name: str) -> Seen:
    """Return a recording as a later run may know it again; nothing where it is not there.

    Objects of a store and members of tar files are told by their stamps alone.
    """
    stamp = stamps_of(name)
    try:
        places = [_place_of(file) for file in channel_files(name)]
        is_read = not any(member is not None or storage.is_remote(path) for path, member in places)
        contents = [_content_of(path, stamp_of(path)) for path, _ in places] if is_read else []
    except (OSError, ValueError):
        return NOT_SEEN
    return Seen(stamp=stamp, content=_NEXT_VERSION.join(contents))


def is_unchanged(name: str, seen: Seen, *, rehash: bool = False) -> bool:
    """Tell whether a recording is the one that was seen before.

    Args:
      name: as `open_recording` takes it.
      seen: by an earlier run.
      rehash: compare the bytes, also where the stamps are equal.
    """
    if seen.stamp and seen.stamp == stamps_of(name) and not (rehash and seen.content):
        return True
    return bool(seen.content) and seen_now(name).content == seen.content


def stamps_of(name: str) -> str:
    """Return the stamp of a recording; "" where it is not there, or does not tell."""
    try:
        stamps = [stamp_of(_place_of(file)[0]) for file in channel_files(name)]
    except (OSError, ValueError):
        return ""
    return _NEXT_VERSION.join(stamps) if all(stamps) else ""


def _content_of(path: str, stamp: str) -> str:
    """Return the hash of a file, which is read once: it may have a task for each of its pieces."""
    return _known_content_of(path, stamp) if stamp else storage.hash_file(path)[1]


@lru_cache(maxsize=256)
def _known_content_of(path: str, stamp: str) -> str:
    del stamp
    return storage.hash_file(path)[1]


def sample_rate_of(name: str) -> int:
    """Return the sample rate of a recording in Hz; one that does not say its length is not counted.

    Raises:
      EntryError: it is not there, or is not audio.
    """
    with _open_file(name, (), "", Opening(counts=False)) as reader:
        return reader.info.sample_rate


def _open_files(
    stack: ExitStack, files: Sequence[str], allowed_root: Sequence[str], version: str, opening: Opening
) -> AudioReader:
    """Open files as the channels of one recording; its version is that of all."""
    versions = version.split(_NEXT_VERSION) if version else [""] * len(files)
    readers = []
    for file, before in zip(files, versions, strict=True):
        try:
            readers.append(stack.enter_context(_open_file(file, allowed_root, before, opening)))
        except EntryError as err:
            raise err.about(file) from err

    def check() -> None:
        for reader in readers:
            reader.check_unchanged()

    joined = stack.enter_context(join_channels(readers, files))
    joined.watch(_NEXT_VERSION.join(reader.version for reader in readers), check)
    return joined


@contextmanager
def _open_file(name: str, allowed_root: Sequence[str], version: str, opening: Opening) -> Iterator[AudioReader]:
    path, member = _place_of(name)
    _check_place(path, allowed_root)
    with _opened(path) as (stream, found):
        version = version or found
        _check_version(path, version, found)
        if member is None:
            source = stream
        else:
            with _reading(path):
                index = _tar_index(path, version)
            span = find_member(index, member)
            source = cast(BinaryIO, MemberFile(stream, span.offset, span.size))
        with open_audio(source, opening) as reader:
            reader.watch(version, lambda: _check_version(path, version, _version_now(path)))
            yield reader


def _check_limits(limits: DecodedLimits, reader: AudioReader) -> None:
    """Refuse a recording that decodes to more than the limits."""
    try:
        limits.check(reader.info)
    except EntryError:
        # a FLAC header may claim any number of samples, and a span of those that are there is read all the same
        if reader.info.container != "flac" or _has_sample(reader, limits.most_samples(reader.info)):
            raise


def _has_sample(reader: AudioReader, sample: int) -> bool:
    try:
        return len(reader.read(sample, sample + 1)) > 0
    except EntryError:
        return False


def _version_now(path: str) -> str:
    with _reading(path):
        return storage.identity_of(path)


def _check_version(path: str, before: str, after: str) -> None:
    if before != after:
        raise EntryError(
            FailureCode.CHANGED_WHILE_READ,
            f"{readable_name(path)} is not the file any more that was opened (by size and time of change: {before}, "
            f"now {after})",
            "wait until it is complete, and run again",
        )


def _place_of(name: str) -> tuple[str, str | None]:
    """Return the file that a recording lies in, as the disk spells it, and the member of a tar."""
    path, member = split_locator(name)
    if "://" in path:
        return path, member
    # a file whose own name has `.tar::` in it
    if member is not None and os.path.isfile(whole := storage.as_on_disk(name)):
        return whole, None
    return storage.as_on_disk(path), member


def _check_place(path: str, allowed_root: Sequence[str]) -> None:
    with _known_scheme(path):
        storage.check_store(path)
    if not allowed_root:
        return
    remote = storage.is_remote(path)
    # realpath refuses a NUL; opening the file will say what is wrong
    where = path if remote or "\0" in path else os.path.realpath(path)
    roots = [root if "://" in root else os.path.realpath(_local(root)) for root in allowed_root]
    inside = any(where.startswith(root.rstrip("/") + "/") for root in roots)
    # stores do not resolve .., but what serves them might
    if not inside or (remote and ".." in path.split("/")):
        raise EntryError(
            FailureCode.PATH_OUTSIDE_ROOT,
            f"{readable_name(path)} lies outside of {', '.join(allowed_root)}",
            "name a recording below, or extend --allowed-root",
        )


def _local(path: str) -> str:
    return storage.as_on_disk(storage.plain_path(path))


@contextmanager
def _known_scheme(path: str) -> Iterator[None]:
    try:
        yield
    except UnknownSchemeError as err:
        plain = path.removeprefix("file://")
        cure = f"write the path alone: {plain}" if plain != path else "copy the recording to such a place"
        raise EntryError(FailureCode.SCHEME_NOT_ALLOWED, str(err), cure) from err


@contextmanager
def _opened(path: str) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file, and tell its version from before that; a failure to open it becomes an error of the row."""
    try:
        version = storage.identity_of(path)
        if version == "absent":
            raise FileNotFoundError(path)
        is_file = storage.is_remote(path) or stat.S_ISREG(os.stat(path).st_mode)
        stream = storage.open_raw(path) if is_file else None
    except (FileNotFoundError, NotADirectoryError, ValueError) as err:
        cure = "relative names begin at the folder of their manifest, or at --audio-root; check the path"
        if "~" in path.split("/"):
            cure = "~ stands for no folder in a row, as workers have other homes: write the whole path"
        raise EntryError(FailureCode.NOT_FOUND, f"there is no file {readable_name(path)}", cure) from err
    except OSError as err:
        raise _unreadable(path, err) from err
    if stream is None:
        raise EntryError(FailureCode.NOT_READABLE, f"{readable_name(path)} is not a regular file", "name an audio file")
    with stream:
        yield cast(BinaryIO, _Recording(stream, path)), version


class _Recording:
    """An open recording; an error of the disk or of the store, at whatever byte, is one of its rows."""

    def __init__(self, stream: BinaryIO, path: str) -> None:
        self._stream = stream
        self._path = path
        self._readinto: Callable[[Any], int] = stream.readinto  # type: ignore[attr-defined]  # all that are opened here
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, n_bytes: int = -1) -> bytes:
        with _reading(self._path):
            return self._stream.read(n_bytes)

    def readinto(self, buffer: Any) -> int:
        try:
            return self._readinto(buffer)
        except OSError as err:
            raise _unreadable(self._path, err) from err


@contextmanager
def _reading(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise _unreadable(path, err) from err


def _unreadable(path: str, err: OSError) -> EntryError:
    why = os.strerror(err.errno) if err.errno else str(err)
    cure = err.cure if isinstance(err, StoreError) else "check that you may read it"
    return EntryError(FailureCode.NOT_READABLE, f"{readable_name(path)} cannot be read: {why}", cure)


@lru_cache(maxsize=2)
def _tar_index(path: str, identity: str) -> dict[str, MemberSpan]:
    """Read where the members of a tar file lie; `identity` makes a changed file another one."""
    del identity
    with storage.open_raw(path) as stream:
        return read_index(stream)


@lru_cache(maxsize=1024)
def base_of(source: str) -> str:
    """Return the manifest whose folder relative paths of a file's rows begin at.

    That is the file itself; but rows of an output set came from elsewhere, and their paths begin where they began in
    the manifests that its job read, if those all lie in one folder; those of tracks lie in their set.
    """
    for _ in range(_MAX_LINEAGE):
        folder = source.rpartition("/")[0] or "."
        try:
            manifest = Manifest.from_json(storage.read_bytes(storage.join(folder, MANIFEST_NAME)) or b"")
        except (NotAnOutputSetError, OSError):  # a store may refuse to say whether an object is there
            break
        if manifest.command in SET_KINDS and SET_KINDS[manifest.command].own_recordings:
            break
        inputs = [record for record in manifest.inputs if not record.beside]
        if len({record.name.rpartition("/")[0] for record in inputs}) != 1:
            break
        source = inputs[0].name
    return source


def recording_of(path: str, source: str, audio_root: str = "") -> str:
    """Return the full name of a recording of a row; relative names begin at `audio_root`, or where `base_of` says.

    Raises:
      EntryError: its scheme is not read (`scheme_not_allowed`): a recording that can never be opened takes no name
        from another.
    """
    return joined_name([_file_of(each, source, audio_root) for each in channel_files(path)])


def _file_of(path: str, source: str, audio_root: str) -> str:
    if os.path.isabs(path):
        return path
    with _known_scheme(path):
        storage.is_remote(split_locator(path)[0])
    root = storage.plain_path(audio_root)
    return resolve_recording(path, storage.join(root, "_") if root else base_of(source))
