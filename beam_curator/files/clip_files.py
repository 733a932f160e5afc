"""Encoded clips: their bytes in memory, or in a temporary file where they are long."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO, cast

from beam_curator.audio import AudioEncoder, AudioReader, Samples, encode_audio
from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import Cut, is_long, n_channels_of, pieces_of, rate_of, samples_of, unmixed
from beam_curator.clips.tables import CutFacts
from beam_curator.files.atomic_files import errors_with_path

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CutClip:
    """A clip that was cut, and where from."""

    clip: EncodedClip
    cut: Cut
    source_rate: int
    sample_rate: int
    n_channels: int

    def facts(self, path: str) -> CutFacts:
        """Return the properties of the clip that its row records."""
        return CutFacts(
            extracted_path=path,
            sha256=self.clip.sha256,
            n_bytes=self.clip.n_bytes,
            sample_rate=self.sample_rate,
            n_channels=self.n_channels,
            n_samples=self.clip.n_samples,
            real_start_sec=self.cut.first / self.source_rate,
            real_end_sec=self.cut.stop / self.source_rate,
            clamped=self.cut.clamped,
            unmixed_channel=self.cut.channel if self.cut.unmixed else None,
        )


def encode_clip(
    reader: AudioReader,
    cut: Cut,
    rules: CutRules,
    output_format: AudioFormat,
    listen: Callable[[Samples], None] | None = None,
) -> CutClip:
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
    rate, n_channels = rate_of(reader.info, rules), n_channels_of(reader.info, cut, rules)
    with ExitStack() as undone:
        with reader.part():
            cut = unmixed(reader, cut, rules)
            clip = _encoded(reader, cut, rules, output_format, listen)
            undone.callback(clip.close)
        undone.pop_all()
    return CutClip(clip=clip, cut=cut, source_rate=reader.info.sample_rate, sample_rate=rate, n_channels=n_channels)


def _encoded(
    reader: AudioReader,
    cut: Cut,
    rules: CutRules,
    output_format: AudioFormat,
    listen: Callable[[Samples], None] | None,
) -> EncodedClip:
    rate = rate_of(reader.info, rules)
    if is_long(cut, reader.info):
        pieces = pieces_of(reader, cut, rules)
        heard = pieces if listen is None else _heard(pieces, listen)
        return encode_long(heard, rate, n_channels_of(reader.info, cut, rules), output_format)
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
        with errors_with_path(tempfile.gettempdir()):
            self._encoder.write(samples)

    def finish(self) -> EncodedClip:
        """Return the whole clip, which has the temporary file now.

        Raises:
          EntryError: no samples were written, or the format cannot hold them.
        """
        with errors_with_path(tempfile.gettempdir()):
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
