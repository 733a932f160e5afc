"""Recordings as a model listens to them: opened where it is, and decoded ahead of it in a thread of their own."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beam_curator.audio_formats import Channels
from beam_curator.diarization.clipping import Clipped, ClippingMeter
from beam_curator.diarization.dead_air import DeadAirMeter
from beam_curator.diarization.hearing import PIECE_SECONDS, heard_pieces, heard_track
from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.opened_recordings import open_recording
from beam_curator.intervals import Span
from beam_curator.timelines import Timeline

PIECES_AHEAD = 2


class Source(Protocol):
    """A source of samples for a model.

    Attributes:
      seconds: its length, as known before decoding.
    """

    @property
    def seconds(self) -> float: ...

    def pieces(self) -> Iterator[Floats]:
        """Yield float32 [n_samples] at 16 kHz, in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSource:
    """A recording, or samples `[first, stop)` of it.

    Attributes:
      name: full name, local or in an object store, or a member of a tar.
      first: first sample, at its own sample rate.
      stop: sample behind the last one.
      sample_rate: its own, Hz.
      channels: "mix" for the mean of all, or the number of the one that is heard, from 0.
      allowed_root: directories below which it must lie.
      version: that it had when it was looked into; "" for any.
      passing: something that its pieces pass on their way, such as a detector of speech; it yields them as they are.
    """

    name: str
    first: int
    stop: int
    sample_rate: int
    channels: Channels = "mix"
    allowed_root: tuple[str, ...] = ()
    version: str = ""
    passing: Callable[[Iterator[Floats]], Iterator[Floats]] | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.stop - self.first) / self.sample_rate

    def pieces(self, clipping: ClippingMeter | None = None) -> Iterator[Floats]:
        """Decode it.

        Args:
          clipping: counts what is clipped.

        Yields:
          float32 [n_samples] at 16 kHz.

        Raises:
          EntryError: it is not there any more, has changed, or is damaged.
        """
        with open_recording(self.name, self.allowed_root, self.version) as reader:
            pieces = heard_pieces(reader, self.first, self.stop, self.channels, clipping)
            yield from pieces if self.passing is None else self.passing(pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSource:
    """A track of a recording: spans of it, and silence.

    Attributes:
      name: full name, local or in an object store, or a member of a tar.
      track: in samples of the recording, at its own sample rate.
      sample_rate: its own, Hz.
      channels: "mix" for the mean of all, or the number of the one that is heard, from 0.
      allowed_root: directories below which it must lie.
      version: that it had when it was looked into; "" for any.
    """

    name: str
    track: Timeline
    sample_rate: int
    channels: Channels = "mix"
    allowed_root: tuple[str, ...] = ()
    version: str = ""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.track.n_samples / self.sample_rate

    def pieces(self) -> Iterator[Floats]:
        """Decode it: float32 [n_samples] at 16 kHz.

        Raises:
          EntryError: the recording is not there any more, has changed, or is damaged.
        """
        with open_recording(self.name, self.allowed_root, self.version) as reader:
            yield from heard_track(reader, self.track, self.channels)


@dataclass(frozen=True, slots=True, eq=False)
class WaveformSource:
    """Samples that are at hand: float32 [n_samples] at 16 kHz."""

    samples: NDArray[np.float32]

    @property
    def seconds(self) -> float:
        """How long they are."""
        return len(self.samples) / MODEL_SAMPLE_RATE

    def pieces(self) -> Iterator[Floats]:
        """Yield them in pieces of equal length, as a recording comes.

        Raises:
          EntryError: they are of another shape or type, or not finite.
        """
        self._check()
        step = PIECE_SECONDS * MODEL_SAMPLE_RATE
        # at least one piece: without samples, an empty one
        for start in range(0, max(len(self.samples), 1), step):
            yield self.samples[start : start + step]

    def _check(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise EntryError(
                FailureCode.BAD_TYPE,
                f"the waveform is {self.samples.dtype} of shape {self.samples.shape}, expected float32 [n_samples] "
                f"at {MODEL_SAMPLE_RATE} Hz",
                "mix the channels and resample it first",
            )
        if not np.isfinite(self.samples).all():
            at = int(np.flatnonzero(~np.isfinite(self.samples))[0])
            raise EntryError(FailureCode.NON_FINITE, f"sample {at} of the waveform is not finite", "mend the recording")


Waveform = Floats | Source
"""What handlers take: float32 [n_samples] at 16 kHz, or a source of them."""


def source_of(item: Waveform) -> Source:
    """Return an element of a handler as a source."""
    return WaveformSource(item) if isinstance(item, np.ndarray) else item


class PiecesAhead:
    """Takes pieces of a source in a thread, a few ahead, so that decoding goes on while the model works.

    Args:
      source: the samples to take.
      deadline: when it is given up, on the monotonic clock; None for never.
    """

    def __init__(self, source: Source, deadline: float | None = None) -> None:
        self._queue: queue.Queue[Floats | Exception | None] = queue.Queue(PIECES_AHEAD)
        self._deadline = deadline
        self._closed = threading.Event()
        self._next: Floats | None = None
        self._dead_air = DeadAirMeter()
        self._clipping = ClippingMeter()
        # a daemon: a decoder that hangs must not keep the process alive
        self._thread = threading.Thread(target=self._fill, args=(source,), name="beam_curator_decode", daemon=True)
        self._thread.start()

    def take(self) -> tuple[Floats, bool]:
        """Return the next piece, and whether it is the last one.

        Raises:
          EntryError: the recording is damaged, or too slow.
          OSError: it cannot be read.
        """
        # one piece is held back, since only the end of the source tells that it was the last
        piece = self._next if self._next is not None else self._taken()
        if piece is None:
            return np.empty(0, np.float32), True
        self._next = self._taken()
        return piece, self._next is None

    @property
    def is_late(self) -> bool:
        """Whether it took longer than it may."""
        return self._deadline is not None and time.monotonic() > self._deadline

    def dead_air(self) -> tuple[Span, ...]:
        """Return the dead air among all pieces, in seconds, once the last one is taken."""
        return self._dead_air.spans()

    def clipped(self) -> Clipped:
        """Return how much of a recording is clipped, once the last piece is taken; other sources are not measured."""
        return self._clipping.clipped

    def wait_longer(self, seconds: float) -> None:
        """Put the deadline off by the time spent waiting for others."""
        if self._deadline is not None:
            self._deadline += seconds

    def close(self) -> None:
        """Stop decoding."""
        self._closed.set()
        # makes room for a piece that waits to be put, so that its thread sees the event at once
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()

    def _fill(self, source: Source) -> None:
        try:
            pieces = source.pieces(self._clipping) if isinstance(source, RecordingSource) else source.pieces()
            for piece in pieces:
                if not self._put(piece):
                    return
            self._put(None)
        except Exception as err:  # it is raised again where the pieces are taken
            self._put(err)

    def _put(self, item: Floats | Exception | None) -> bool:
        # with a timeout, so that a thread whose pieces nobody takes any more can end
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=0.1)
                return True
        return False

    def _taken(self) -> Floats | None:
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            item = self._queue.get(timeout=left)
        except queue.Empty:
            raise too_slow() from None
        if isinstance(item, Exception):
            raise item
        if item is not None:
            self._dead_air.add(item)
        return item


def too_slow() -> EntryError:
    """Make the error for a recording that took longer than it may."""
    return EntryError(
        FailureCode.TIMEOUT,
        "the recording was not heard to its end in the time that --timeout allows",
        "raise --timeout, or look why it is slow",
    )
