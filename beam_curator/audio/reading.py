"""Opening recordings, and reading them whole or in spans; asking for missing samples is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import BinaryIO, NoReturn, Self

from beam_curator.audio.files import SourceFile, as_source
from beam_curator.audio.formats import DEMUXERS, HEAD_BYTES, SOUND_FILES, container_of, id3_bytes
from beam_curator.audio.information import AudioInfo, not_audio, truncated_audio
from beam_curator.audio.open_rules import WHOLE, Opening
from beam_curator.audio.spans import Samples, Spans, check_finite
from beam_curator.failures import EntryError, FailureCode

PIECE_SAMPLES = 1 << 18
"""How many samples a piece of a long span has, unless told otherwise."""

_PIECE_VALUES = 1 << 22
_MAX_SAMPLE_RATE = 10_000_000
_MAX_CHANNELS = 1024
# integer codecs cannot hold NaN, so the check of each sample is spared
_ALWAYS_FINITE = frozenset({"pcm_u8", "pcm_s8", "pcm_16", "pcm_24", "pcm_32", "ulaw", "alaw"})


class AudioReader:
    """An open recording.

    Whatever the codec and the order of reading, `read(a, b)` equals `read()[a:b]` bit for bit. Spans of wav, flac and
    their like are sought; other codecs are decoded forward, so that spans in ascending order of their starts cost one
    pass, overlapping or not, and a span far behind the one before costs a new beginning.

    Attributes:
      info: properties of the recording.
      version: tells the recording from a changed one; "" where its opener cannot tell.
    """

    def __init__(self, info: AudioInfo, spans: Spans) -> None:
        self.info = info
        self.version = ""
        self._spans = spans
        self._check_version: Callable[[], None] | None = None
        self._is_checked = True

    def watch(self, version: str, check: Callable[[], None]) -> None:
        """Tell the recording's version, and how to find out that it has changed since: `check` raises an EntryError."""
        self.version, self._check_version = version, check

    def check_unchanged(self) -> None:
        """Check that the recording has not changed since it was opened; nothing is asked if nothing was read since.

        Raises:
          EntryError: it has (`changed_while_read`).
        """
        if self._check_version is not None and not self._is_checked:
            # an error is raised once, to whoever asks first
            self._is_checked = True
            self._check_version()

    @contextmanager
    def part(self) -> Iterator[None]:
        """Read a part that stays although the recording may change later, and be told of a change at once.

        Raises:
          EntryError: it has changed (`changed_while_read`).
        """
        try:
            yield
        except EntryError:
            # of a recording that changes, any error is told as that
            self.check_unchanged()
            raise
        self.check_unchanged()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the decoder; the file stays open."""
        self._spans.close()

    def read(self, start: int = 0, stop: int | None = None) -> Samples:
        """Read samples `[start, stop)`.

        Args:
          start: first sample, from 0.
          stop: sample behind the last one; None for the end.

        Returns:
          float32 [stop - start, n_channels].

        Raises:
          EntryError: the span is empty or lies outside (`out_of_range`), is claimed by the header but not there, or
            cannot be decoded (`truncated_audio`), or holds NaN or infinite samples (`non_finite`).
          OSError: the file cannot be read.
        """
        stop = self.info.n_samples if stop is None else stop
        self._check(start, stop)
        return self._read(start, stop)

    def pieces(self, start: int = 0, stop: int | None = None, piece_samples: int = PIECE_SAMPLES) -> Iterator[Samples]:
        """Read samples `[start, stop)` piece by piece: memory stays flat however long the span is.

        Yields:
          float32 [n, n_channels] with n at most `piece_samples`, fewer where there are many channels.

        Raises:
          EntryError, OSError: as `read`; that of a damaged place when it is reached.
        """
        stop = self.info.n_samples if stop is None else stop
        self._check(start, stop)
        # many channels make a piece larger, so it takes fewer samples
        step = max(1, min(piece_samples, _PIECE_VALUES // self.info.n_channels))
        for here in range(start, stop, step):
            yield self._read(here, min(stop, here + step))

    def _check(self, start: int, stop: int) -> None:
        if 0 <= start < stop <= self.info.n_samples:
            return
        claimed = self.info.n_claimed
        # behind what the header claims, a span is wrong in itself
        cut_here = self.info.truncated and stop > self.info.n_samples and (claimed is None or stop <= claimed)
        if cut_here and 0 <= start < stop:
            promise = "its end is missing" if claimed is None else f"its header claims {claimed}"
            raise truncated_audio(
                f"samples {start} to {stop} of a recording of {self.info.n_samples} samples; {promise}",
                "copy the file again from its source, or cut within what is there",
            )
        raise EntryError(
            FailureCode.OUT_OF_RANGE,
            f"samples {start} to {stop} of a recording of {self.info.n_samples} samples",
            "give a start from 0 on, before the stop, and a stop within the recording",
        )

    def _read(self, start: int, stop: int) -> Samples:
        self._is_checked = False
        samples = self._spans.read(start, stop)
        if len(samples) < stop - start:
            self._raise_short(start, stop, len(samples))
        if self.info.codec not in _ALWAYS_FINITE:
            check_finite(samples, start)
        return samples

    def _raise_short(self, start: int, stop: int, n_read: int) -> NoReturn:
        reason = f": {self._spans.damage}" if self._spans.damage else ""
        raise truncated_audio(
            f"samples {start} to {stop} gave {n_read} of {stop - start}; the file ends early or is damaged{reason}",
            "copy the file again from its source, or cut before the damage",
        )


def open_audio(source: bytes | BinaryIO, opening: Opening = WHOLE) -> AudioReader:
    """Open a recording for reading.

    The format follows from the bytes, not from a name. No memory is allocated on the header's word.

    Args:
      source: the bytes of a file, or an open seekable binary file, which stays its owner's and open.
      opening: what is asked while it is counted, and how much of it stays in memory.

    Raises:
      EntryError: it is no audio that can be decoded here (`not_audio`), holds no samples (`empty_audio`), lacks what
        is needed to decode any (`truncated_audio`), or is refused by `opening`.
      OSError: the file cannot be read.

    Example:
      >>> try:
      ...     open_audio(b"<html>")
      ... except EntryError as err:
      ...     err.message
      'a file of 6 bytes that begins like no audio format known here'
    """
    file = as_source(source)
    if file.size == 0:
        raise EntryError(FailureCode.EMPTY_AUDIO, "the file has 0 bytes, expected audio", "copy the file again")
    tag = id3_bytes(file.read_at(0, 10))
    body = file.behind(tag) if tag else file
    head = body.read_at(0, HEAD_BYTES)
    # padding may separate an ID3 tag from the first frame
    container = container_of(head) or ("mp3" if tag else None)
    if container is None:
        # none of its bytes: a row may name any file, and dead letters are read by others
        raise not_audio(f"a file of {file.size} bytes that begins like no audio format known here")
    info, spans = _open(body, container, opening)
    try:
        _check_information(info)
    except EntryError:
        spans.close()
        raise
    return AudioReader(info, spans)


def _open(source: SourceFile, container: str, opening: Opening) -> tuple[AudioInfo, Spans]:
    """Open a recording with libsndfile, and with PyAV where libsndfile does not know it."""
    from beam_curator.audio.containers import open_container

    if container not in SOUND_FILES:
        return open_container(source, container, opening)
    from beam_curator.audio.sound_files import NotSoundFileError, open_sound_file

    try:
        return open_sound_file(source, container, opening)
    except NotSoundFileError as err:
        if container not in DEMUXERS:
            raise
        try:
            return open_container(source, container, opening)
        except EntryError:
            # FFmpeg could not help, so the first error says more
            raise err from None


def _check_information(info: AudioInfo) -> None:
    if info.n_samples <= 0:
        raise EntryError(
            FailureCode.EMPTY_AUDIO, f"the {info.container} file holds no samples", "record or copy the file again"
        )
    if not (0 < info.sample_rate <= _MAX_SAMPLE_RATE and 0 < info.n_channels <= _MAX_CHANNELS):
        raise not_audio(f"the header claims {info.n_channels} channels at {info.sample_rate} Hz")
