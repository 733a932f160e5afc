"""Where encoded clips go: a file each, whole or not at all."""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, cast

from beam_curator.audio import AudioEncoder, AudioReader, Samples, encode_audio
from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import Cut, channels_of, is_long, pieces_of, rate_of, samples_of
from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.output_set import RUN_NAME, WrittenFile
from beam_curator.sets.recording_events import Body

N_UPLOADS = 8
"""Clips that a worker puts into an object store at a time: one alone waits for the network most of the time."""

_CHECK_EVERY = 1.0
_COPY_BYTES = 1 << 20
_SPOOL_BYTES = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedClip:
    """The bytes of a clip, in memory, or in a temporary file where it is long.

    Attributes:
      body: bytes, or an open file.
      n_bytes: size.
      sha256: hexadecimal.
      n_samples: samples of each channel.
    """

    body: bytes | BinaryIO
    n_bytes: int
    sha256: str
    n_samples: int

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order; may be called again."""
        if isinstance(self.body, bytes):
            yield self.body
            return
        self.body.seek(0)
        while chunk := self.body.read(_COPY_BYTES):
            yield chunk

    def close(self) -> None:
        """Give a temporary file back."""
        if not isinstance(self.body, bytes):
            self.body.close()


def encode_clip(
    reader: AudioReader,
    cut: Cut,
    rules: CutRules,
    output_format: AudioFormat,
    listen: Callable[[Samples], None] | None = None,
) -> EncodedClip:
    """Read a piece of a recording and encode it.

    Args:
      reader: the recording.
      cut: the piece.
      rules: for its channels and its sample rate.
      output_format: of the clip.
      listen: is given the samples of the clip, float32 [n, n_channels], in pieces where it is long.

    Raises:
      EntryError: it cannot be read, or the format cannot hold it.
    """
    rate = rate_of(reader.info, rules)
    if is_long(cut, reader.info):
        pieces = pieces_of(reader, cut, rules)
        heard = pieces if listen is None else _heard(pieces, listen)
        return encode_long(heard, rate, channels_of(reader.info, rules), output_format)
    samples = samples_of(reader, cut, rules)
    if listen is not None:
        listen(samples)
    return in_memory(encode_audio(samples, rate, output_format), len(samples))


def in_memory(data: bytes, n_samples: int = 0) -> EncodedClip:
    """Return bytes as an encoded clip."""
    return EncodedClip(body=data, n_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), n_samples=n_samples)


def encode_long(pieces: Iterable[Samples], rate: int, n_channels: int, output_format: AudioFormat) -> EncodedClip:
    """Encode a clip that comes in pieces, float32 [n, n_channels], into a temporary file once memory would be large.

    Raises:
      EntryError: a piece cannot be read, or the format cannot hold it.
    """
    encoder = SpooledEncoder(rate, n_channels, output_format)
    try:
        for piece in pieces:
            encoder.write(piece)
        return encoder.finish()
    except BaseException:
        encoder.close()
        raise


class SpooledEncoder:
    """Encodes a clip that is given piece by piece; it goes into a temporary file once memory would be large.

    Args:
      rate: sample rate, Hz.
      n_channels: number of channels of every piece.
      output_format: of the clip.
      subtype: of the samples; None for the format's default.
      max_memory: bytes that are held in memory.

    Raises:
      EntryError: the format does not allow this number of channels or this sample rate.
    """

    def __init__(
        self,
        rate: int,
        n_channels: int,
        output_format: AudioFormat,
        subtype: str | None = None,
        max_memory: int = _SPOOL_BYTES,
    ) -> None:
        spool = tempfile.SpooledTemporaryFile(max_size=max_memory, prefix="beam_curator-")  # noqa: SIM115
        self._file = cast(BinaryIO, spool)
        try:
            self._encoder = AudioEncoder(rate, n_channels, output_format, self._file, subtype)
        except BaseException:
            self._file.close()
            raise

    def write(self, samples: Samples) -> None:
        """Take the next samples, float32 [n, n_channels].

        Raises:
          EntryError: the format cannot hold them.
        """
        self._encoder.write(samples)

    def finish(self) -> EncodedClip:
        """Return the whole clip, which has the temporary file now.

        Raises:
          EntryError: no samples were written, or the format cannot hold them.
        """
        n_samples = self._encoder.finish()
        digest, n_bytes = hashlib.sha256(), 0
        clip = EncodedClip(body=self._file, n_bytes=0, sha256="", n_samples=n_samples)
        for chunk in clip.chunks():
            digest.update(chunk)
            n_bytes += len(chunk)
        return EncodedClip(body=self._file, n_bytes=n_bytes, sha256=digest.hexdigest(), n_samples=n_samples)

    def close(self) -> None:
        """Give up: the temporary file goes, also that of a whole clip."""
        try:
            self._encoder.close()
        finally:
            self._file.close()


def _heard(pieces: Iterable[Samples], listen: Callable[[Samples], None]) -> Iterator[Samples]:
    for piece in pieces:
        listen(piece)
        yield piece


class ClipFiles:
    """Writes each clip into a file of its own: a temporary name, then a rename; in object stores one upload.

    There is no fsync: the index holds the hash of every clip, and a clip is only known to be whole by it.

    Args:
      target: where to write.
      n_uploads: how many at a time in an object store.
    """

    def __init__(self, target: OutputTarget, n_uploads: int = N_UPLOADS) -> None:
        self._target = target
        self._directory = target.directory
        self._remote = storage.is_remote(target.directory)
        self._compares = target.resume or target.token is None
        self._uploads = ThreadPoolExecutor(n_uploads, "beam_curator_upload") if self._remote else None
        self._in_flight: list[Future[None]] = []
        self._limit = 2 * n_uploads
        self._run_path = storage.join(target.directory, RUN_NAME)
        self._seen = ""

    def put(self, name: str, clip: Body) -> None:
        """Put a clip in place, and give its memory back; one that is there already, byte for byte, stays as it is.

        Args:
          name: below the target's directory; its folder must exist.
          clip: the bytes.

        Raises:
          ForeignRunError: another run has taken over the directory.
        """
        if self._uploads is None:
            self._put(name, clip)
            return
        if len(self._in_flight) >= self._limit:
            self._in_flight.pop(0).result()
        self._in_flight.append(self._uploads.submit(self._put, name, clip))

    def remove(self, name: str) -> None:
        """Remove the file that an earlier attempt may have left under the name of a clip that has failed now.

        Raises:
          ForeignRunError: another run has taken over the directory.
        """
        if self._compares:
            self._check()
            storage.delete(self._directory, [name])

    def delete(self, names: list[str]) -> None:
        """Delete files that this attempt has put in place.

        Raises:
          ForeignRunError: another run has taken over the directory.
        """
        self._target.check()
        storage.delete(self._directory, names)

    def flush(self) -> None:
        """Wait until all clips are in place."""
        while self._in_flight:
            self._in_flight.pop(0).result()

    def close(self) -> None:
        """Give threads back."""
        if self._uploads is not None:
            self._uploads.shutdown(cancel_futures=True)

    def _check(self) -> None:
        """Look whether the directory is still ours: on a local disk whenever the mark of the run is another file.

        Asking a store takes longer than putting a clip, so that is done once a second.
        """
        seen = f"{time.monotonic() // _CHECK_EVERY}" if self._remote else storage.identity_of(self._run_path)
        if seen != self._seen:
            self._target.check()
            self._seen = seen

    def _put(self, name: str, clip: Body) -> None:
        folder, last = os.path.split(storage.join(self._directory, name))
        try:
            if self._compares and storage.is_whole(self._directory, WrittenFile(name, clip.n_bytes, clip.sha256)):
                return
            with AtomicFile(folder, last, self._check, sync=False, hashed=False) as file:
                for chunk in clip.chunks():
                    file.write_pieces([chunk])
        finally:
            clip.close()
