"""Packs of clips: append-only tar shards that are the same bytes every time, and names that are safe inside them."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterable, Mapping

from beam_curator.entries.channel_key import CHANNEL_KEY, channel_in
from beam_curator.recordings.tar_members import MemberSpan

PACKS = ("none", "webdataset", "nemo-tar")
"""Containers of clips: plain files, WebDataset shards, or a NeMo tarred dataset."""

MAX_STEM_BYTES = 200
"""Longest stem of a member in UTF-8; with its extension it stays below the 255 bytes that file systems take."""

_EXTENSION = re.compile(r"(?P<stem>.+)(?P<extension>\.[A-Za-z0-9]{1,16})", re.DOTALL)
_UNSAFE = re.compile(r"[./\\\x00-\x1f\x7f\ud800-\udfff]")
_HASHED = re.compile(r".*~[0-9a-f]{16}", re.DOTALL)
_MOVED_KEYS = {"offset": "source_audio_offset", "audio_filename": "source_audio_filename"}


def pack_member_name(clip_name: str, pack: str) -> str:
    """Return the name of a clip inside a pack; in the pack `none` it keeps its own.

    Members are flat and hold one dot, the one before the extension: WebDataset takes what precedes the first dot as
    the key of a sample (its wiki and `base_plus_ext`), and NeMo reads its tars by that rule. In a NeMo tar `-sub` is
    reserved as well (https://github.com/NVIDIA-NeMo/Speech/issues/8568: training hangs). A name that has to change
    for this gets a hash of the old one, and so does one that looks as if it had, so that two clips never meet.

    Raises:
      ValueError: the clip's name has no extension, or the pack is not known.

    Example:
      >>> pack_member_name("talk_segment_000.flac", "nemo-tar"), pack_member_name("a.b/c.flac", "none")
      ('talk_segment_000.flac', 'a.b/c.flac')
      >>> pack_member_name("a-sub.b_segment_000.flac", "nemo-tar")
      'a_sub_b_segment_000~0e6108f9b140bd63.flac'
    """
    _check_pack(pack)
    if pack == "none":
        return clip_name
    stem, extension = _split_name(clip_name)
    return _safe_stem(stem, pack) + extension


def shard_name(pack: str, shard: int) -> str:
    """Return the file name of a shard, numbered from 0, relative to the output directory.

    Example:
      >>> shard_name("webdataset", 7), shard_name("nemo-tar", 7)
      ('shard-000007.tar', 'audio_7.tar')
    """
    _check_pack(pack)
    if pack == "none":
        raise ValueError("the pack 'none' has no shards: choose webdataset or nemo-tar")
    return f"shard-{shard:06d}.tar" if pack == "webdataset" else f"audio_{shard}.tar"


def nemo_manifest_name(shard: int) -> str:
    """Return the file name of the manifest of a NeMo shard, relative to the output directory.

    Example:
      >>> nemo_manifest_name(7)
      'sharded_manifests/manifest_7.json'
    """
    return f"sharded_manifests/manifest_{shard}.json"


def nemo_row(
    row: Mapping[str, object], *, member: str, n_samples: int, sample_rate: int, shard: int
) -> dict[str, object]:
    """Return the row of a clip in NeMo's manifest of its shard; the row given is not changed.

    `audio_filepath` (the member), `duration` in seconds and `text` where there is one come first, then what else
    the row holds, `shard_id` last. Keys that would make a reader take something else than the clip are moved:
    `offset` (NeMo would cut the clip again) to `source_audio_offset`, as NeMo's script does when it slices,
    `audio_filename` (it wins over `audio_filepath`) to `source_audio_filename`, and a `channel` of the recording (the
    clip has one) to `source_audio_channel`.

    Args:
      row: the clip's row; its own `audio_filepath`, `duration` and `shard_id` are replaced.
      member: the clip's name in the tar.
      n_samples: length of the clip in samples of one channel.
      sample_rate: in Hz.
      shard: number of the shard.

    Example:
      >>> nemo_row({"offset": 9.5, "text": "hi"}, member="a.flac", n_samples=24000, sample_rate=16000, shard=0)
      {'audio_filepath': 'a.flac', 'duration': 1.5, 'text': 'hi', 'source_audio_offset': 9.5, 'shard_id': 0}
    """
    made: dict[str, object] = {"audio_filepath": member, "duration": n_samples / sample_rate}
    if "text" in row:
        made["text"] = row["text"]
    moves = _MOVED_KEYS if channel_in(row) is None else _MOVED_KEYS | {CHANNEL_KEY: "source_audio_channel"}
    moved = {moves[key]: value for key, value in row.items() if key in moves}
    for key, value in row.items():
        if key in moves:
            made[moves[key]] = value
        elif key not in made and key not in moved and key != "shard_id":
            made[key] = value
    made["shard_id"] = shard
    return made


class TarWriter:
    """Write a tar to a sink that only appends: same members, same bytes.

    POSIX.1-2001 (PAX) as the standard library's tarfile renders it: plain ustar headers, and an extended one where a
    name is longer than 100 bytes or not ASCII. Times and owners are 0, modes 0644. Members come in ascending order
    of their names. A writer that raised has left a piece of a member behind: throw its output away.

    Args:
      write: takes the next pieces of the archive, in order.

    Attributes:
      members: where the data of each member lies, by name.
      n_bytes: length of the archive so far.

    Example:
      >>> pieces: list[bytes] = []
      >>> writer = TarWriter(pieces.extend)
      >>> writer.add("a.txt", b"hello")
      >>> writer.close()
      >>> writer.members, writer.n_bytes == len(b"".join(pieces))
      ({'a.txt': MemberSpan(offset=512, size=5)}, True)
    """

    def __init__(self, write: Callable[[list[bytes]], None]) -> None:
        self.members: dict[str, MemberSpan] = {}
        self.n_bytes = 0
        self._write = write
        self._last_name = ""
        self._ready = True

    def add(self, name: str, data: bytes) -> None:
        """Append one member from its bytes.

        Raises:
          ValueError: the name is not a plain relative path, or does not come after the one before.
        """
        self.add_pieces(name, len(data), [data])

    def add_pieces(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        """Append one member in pieces; memory never holds it whole.

        Args:
          name: the member's name.
          size: length of all pieces in bytes; the header in front of them holds it.
          pieces: the data.

        Raises:
          ValueError: as for `add`, or the pieces are not of that length.
        """
        header = self._begin(name, size)
        self._write([header])
        n_left = size
        for piece in pieces:
            n_left -= len(piece)
            if n_left < 0:
                break
            self._write([piece])
        if n_left:
            found = f"{size - n_left} bytes" if n_left > 0 else "more bytes"
            raise ValueError(f"the pieces of {name!r} hold {found}, expected {size}: write the archive again")
        self._write([bytes(-size % tarfile.BLOCKSIZE)])
        self.members[name] = MemberSpan(offset=self.n_bytes + len(header), size=size)
        self.n_bytes += len(header) + size + -size % tarfile.BLOCKSIZE
        self._last_name = name
        self._ready = True

    def close(self) -> None:
        """Append the end marker: two blocks of zeros, and zeros up to a record of 10,240 bytes, as tar does.

        Raises:
          ValueError: the writer is closed, or the last member is not whole.
        """
        self._check_ready()
        self._ready = False
        n_zeros = -(self.n_bytes + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE + 2 * tarfile.BLOCKSIZE
        self._write([bytes(n_zeros)])
        self.n_bytes += n_zeros

    def _begin(self, name: str, size: int) -> bytes:
        self._check_ready()
        _check_member_name(name)
        if name <= self._last_name:
            raise ValueError(f"member {name!r} comes after {self._last_name!r}: add members once, sorted by name")
        self._ready = False
        info = tarfile.TarInfo(name)
        info.size = size
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")

    def _check_ready(self) -> None:
        if not self._ready:
            raise ValueError("the archive is closed, or its last member is not whole: write it again")


def _check_member_name(name: str) -> None:
    """Raise where unpacking a member of this name could leave the directory, or would give another name."""
    steps = name.split("/")
    if "\0" in name or not {"", ".", ".."}.isdisjoint(steps):
        raise ValueError(f"member {name!r} is not a plain relative path: leave out '..', '.', doubled slashes and NUL")
    try:
        name.encode()
    except UnicodeEncodeError as err:
        raise ValueError(f"member {name!r} cannot be written as UTF-8: replace its lone surrogates") from err


def _split_name(clip_name: str) -> tuple[str, str]:
    """Split a clip's name into stem and extension; the extension holds the last dot."""
    found = _EXTENSION.fullmatch(clip_name)
    if found is None:
        raise ValueError(f"clip {clip_name!r} has no extension: name it as in 'talk_segment_000.flac'")
    return found["stem"], found["extension"]


def _safe_stem(stem: str, pack: str) -> str:
    """Make a stem that a pack can hold; two stems never give one result (64 bits of hash)."""
    safe = _UNSAFE.sub("_", stem)
    if pack == "nemo-tar":
        safe = safe.replace("-sub", "_sub")
    if safe == stem and len(safe.encode()) <= MAX_STEM_BYTES and not _HASHED.fullmatch(safe):
        return stem
    digest = hashlib.blake2b(stem.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    kept = safe.encode()[: MAX_STEM_BYTES - 17].decode("utf-8", "ignore")
    return f"{kept}~{digest}"


def _check_pack(pack: str) -> None:
    if pack not in PACKS:
        raise ValueError(f"pack {pack!r} is not known: choose one of {', '.join(PACKS)}")
