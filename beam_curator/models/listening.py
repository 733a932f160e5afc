"""From recordings to probabilities by a model: several recordings at once, each of which fails alone."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.batches import plan_batches
from beam_curator.diarization.clipping import NOT_HEARD, Clipped
from beam_curator.diarization.diarize_rules import InferenceOptions
from beam_curator.diarization.models import Backend, Encoded, Floats, hearing_error
from beam_curator.diarization.sortformer_offline import OfflineSortformer
from beam_curator.diarization.sortformer_streaming import StreamingSortformer, StreamState
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Span
from beam_curator.models.sources import PiecesAhead, Source, too_slow

Frames = NDArray[np.float16]
"""The encoder's, [n_frames, width]: half precision holds what a mean of them needs."""


class Heard(NamedTuple):
    """A model's result for a recording.

    Attributes:
      probabilities: float32 [n_frames, n_speakers].
      frames: of the encoder; None where they are not kept, and where there are none.
      dead_air: stretches in seconds where nothing moves.
      clipped: how much of the sound is clipped.
    """

    probabilities: Floats
    frames: Frames | None = None
    dead_air: tuple[Span, ...] = ()
    clipped: Clipped = NOT_HEARD


Samples = Floats | EntryError
"""float32 [n_samples], or why there are none."""


class Listener(Protocol):
    """Puts recordings before a model."""

    def hear(self, sources: Sequence[Source]) -> list[Heard | EntryError]:
        """Return the probabilities of each recording, in the order given, or why there are none."""
        ...


def listener_of(
    backend: Backend,
    parameters: StreamingParameters,
    inference: InferenceOptions,
    free_bytes: int,
    *,
    keeps_frames: bool = False,
) -> Listener:
    """Return a listener that puts recordings before a model of either family.

    Args:
      backend: the model.
      parameters: how a streaming model walks.
      inference: how many recordings at once, and how long they may be and take.
      free_bytes: memory that the model may take for a recording.
      keeps_frames: return the encoder's frames, too.
    """
    if backend.config.is_streaming:
        engine = StreamingSortformer(backend, parameters, keeps_frames=keeps_frames)
        return StreamingListener(engine, timeout=inference.timeout)
    return OfflineListener(
        OfflineSortformer(backend, keeps_frames=keeps_frames),
        timeout=inference.timeout,
        batch_seconds=inference.batch_seconds,
        max_seconds=inference.max_offline_seconds or longest_offline(free_bytes),
    )


class OfflineListener:
    """Puts recordings before a model that hears a recording at once.

    Args:
      engine: the model.
      timeout: seconds after which recordings are given up; 0 for never.
      batch_seconds: the most audio in a batch, in seconds.
      max_seconds: the longest recording.
    """

    def __init__(self, engine: OfflineSortformer, *, timeout: float, batch_seconds: float, max_seconds: float) -> None:
        self._engine = engine
        self._timeout = timeout
        self._batch_seconds = batch_seconds
        self._max_seconds = max_seconds

    def hear(self, sources: Sequence[Source]) -> list[Heard | EntryError]:
        """Return the probabilities of each recording, in the order given, or why there are none."""
        results = {index: err for index, source in enumerate(sources) if (err := self._refused(source)) is not None}
        left = [index for index in range(len(sources)) if index not in results]
        heard: dict[int, Heard | EntryError] = {**results}
        # a limit of 0 items would be refused, where nothing is left
        for batch in plan_batches([sources[index].seconds for index in left], self._batch_seconds, len(left) or 1):
            chosen = [left[place] for place in batch]
            heard |= zip(chosen, self._hear_batch([sources[index] for index in chosen]), strict=True)
        return [heard[index] for index in range(len(sources))]

    def _refused(self, source: Source) -> EntryError | None:
        if source.seconds <= self._max_seconds:
            return None
        return EntryError(
            FailureCode.TOO_LONG,
            f"the recording is {source.seconds:.0f} s long, and this model hears a recording at once: up to "
            f"{self._max_seconds:.0f} s, by --max-offline-seconds or by the memory there is",
            "use a model of the streaming family, or raise --max-offline-seconds",
        )

    def _hear_batch(self, sources: Sequence[Source]) -> list[Heard | EntryError]:
        pieces = [PiecesAhead(source, deadline(self._timeout)) for source in sources]
        waveforms = [whole(each) for each in pieces]
        found = iter(self._engine.hear([item for item in waveforms if not isinstance(item, EntryError)]))
        return [
            item if isinstance(item, EntryError) else _result(next(found), each)
            for item, each in zip(waveforms, pieces, strict=True)
        ]


def deadline(timeout: float) -> float | None:
    """Return when something that begins now is given up, on the monotonic clock; None for never."""
    return time.monotonic() + timeout if timeout else None


def _result(found: Encoded | Exception, pieces: PiecesAhead) -> Heard | EntryError:
    if isinstance(found, Exception):
        return hearing_error(found)
    frames = halved(found.frames) if found.frames is not None else None
    return Heard(found.probabilities, frames, pieces.dead_air(), pieces.clipped())


def halved(frames: Floats) -> Frames:
    """Return frames in half precision. Numbers beyond its range are clipped.

    Example:
      >>> halved(np.float32([[0.5, -1e9]])).tolist()
      [[0.5, -65504.0]]
    """
    # beyond it a cast gives infinity, which would spoil the mean of all frames
    most = np.finfo(np.float16).max
    return np.clip(frames, -most, most).astype(np.float16)


class StreamingListener:
    """Puts recordings before a streaming model, side by side.

    Args:
      engine: the model.
      timeout: seconds after which recordings are given up; 0 for never.
    """

    def __init__(self, engine: StreamingSortformer, *, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout

    def hear(self, sources: Sequence[Source]) -> list[Heard | EntryError]:
        """Return the probabilities of each recording, in the order given, or why there are none."""
        until = deadline(self._timeout)
        streams = [_Stream(pieces=PiecesAhead(source, until), state=self._engine.new_state()) for source in sources]
        try:
            while active := [stream for stream in streams if stream.result is None]:
                self._step(active)
        finally:
            for stream in streams:
                stream.pieces.close()
        return [stream.result for stream in streams if stream.result is not None]

    def _step(self, streams: Sequence["_Stream"]) -> None:
        """Take a piece of each stream, and put all of them before the model."""
        for stream in streams:
            _take(stream, streams)
        ready = [stream for stream in streams if stream.result is None and stream.piece is not None]
        decided = self._engine.push(
            [stream.state for stream in ready],
            [stream.piece for stream in ready if stream.piece is not None],
            [stream.is_last for stream in ready],
        )
        for stream, new in zip(ready, decided, strict=True):
            if isinstance(new, Exception):
                stream.fail(new)
                continue
            stream.decided.append(new)
            stream.frames += map(halved, stream.state.take_frames())
            if stream.is_last:
                stream.finish()


def whole(pieces: PiecesAhead) -> Samples:
    """Return all samples of a recording, float32 [n_samples], or why there are none."""
    parts: list[Floats] = []
    is_last = False
    try:
        while not is_last:
            part, is_last = pieces.take()
            parts.append(part)
    except (EntryError, OSError) as err:
        return hearing_error(err)
    finally:
        pieces.close()
    return np.concatenate(parts)


@dataclass(slots=True)
class _Stream:
    """One recording on its way."""

    pieces: PiecesAhead
    state: StreamState
    decided: list[Floats] = field(default_factory=list)
    frames: list[Frames] = field(default_factory=list)
    result: Heard | EntryError | None = None
    piece: Floats | None = None
    is_last: bool = False

    def finish(self) -> None:
        frames = np.concatenate(self.frames) if self.frames else None
        self.result = Heard(np.concatenate(self.decided), frames, self.pieces.dead_air(), self.pieces.clipped())
        self.decided, self.frames = [], []

    def fail(self, err: Exception) -> None:
        self.result = hearing_error(err)
        self.decided, self.frames = [], []
        self.pieces.close()


def _take(stream: _Stream, streams: Sequence[_Stream]) -> None:
    """Take the next piece of a stream; the time that it is waited for is its own, and no other's."""
    begin = time.monotonic()
    try:
        stream.piece, stream.is_last = stream.pieces.take()
    except (EntryError, OSError) as err:
        stream.fail(err)
    else:
        if stream.pieces.is_late:
            stream.fail(too_slow())
    # a slow recording must not use up the time of the others
    waited = time.monotonic() - begin
    for other in streams:
        if other is not stream:
            other.pieces.wait_longer(waited)


def longest_offline(free_bytes: int) -> float:
    """Return the longest recording in seconds that fits an offline model into the free memory.

    Attention of a full-size offline Sortformer takes about 256 bytes for each pair of frames of 80 ms (measured: 300 s
    take 4.5 GiB, 600 s 14.7 GiB, weights and all), beside 1.5 GiB that are there anyway. Half of what is free is used.

    Example:
      >>> round(longest_offline(16 << 30))
      418
    """
    # solved for the length: bytes = 256 * (seconds / 0.08) ** 2
    room = max(free_bytes / 2 - 1.5 * (1 << 30), 1 << 28)
    return float((room / 256) ** 0.5 * 0.08)


def free_memory(root: str = "/") -> int:
    """Return how many bytes of memory this process may still take, by the limits of the machine and its control group.

    Memory that a group holds for files that were read and are not in use counts as free, as the kernel releases it.
    Where there is no /proc, half of the machine's memory is taken for free.

    Args:
      root: where /proc and /sys lie.
    """
    try:
        free = _numbers_in(f"{root}proc/meminfo")["MemAvailable:"] * 1024
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    group = f"{root}sys/fs/cgroup/memory."
    with suppress(OSError, ValueError, KeyError):
        with open(f"{group}max", encoding="ascii") as limit, open(f"{group}current", encoding="ascii") as current:
            # a group without a limit says max, which is no number: the machine's value stands then
            left = int(limit.read()) - int(current.read())
        return max(0, min(free, left + _numbers_in(f"{group}stat")["inactive_file"]))
    return free


def _numbers_in(path: str) -> dict[str, int]:
    with open(path, encoding="ascii") as stream:
        pairs = (line.split() for line in stream)
        return {words[0]: int(words[1]) for words in pairs if len(words) > 1}
