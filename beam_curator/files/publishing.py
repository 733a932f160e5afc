"""Recordings as streams: cut into chunks, and put into a folder, as fast as they would be spoken if asked for."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from beam_curator.audio import mix_channels
from beam_curator.files.opened_recordings import open_recording
from beam_curator.intervals import Seconds
from beam_curator.live.messages import Chunk
from beam_curator.live.sound import encoded_chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A recording that is sent as a stream.

    Attributes:
      path: of the recording.
      stream_id, session: of its messages.
      codec: of its chunks.
      chunk_seconds: how long each is.
    """

    path: str
    stream_id: str
    session: str
    codec: str
    chunk_seconds: Seconds

    def chunks(self) -> Iterator[Chunk]:
        """Yield its chunks, of which the last is final.

        Raises:
          EntryError: the recording is not there, is no audio, or is damaged.
        """
        with open_recording(self.path) as reader:
            rate = reader.info.sample_rate
            size = max(1, round(self.chunk_seconds * rate))
            made = Chunk(
                stream_id=self.stream_id,
                session=self.session,
                seq=0,
                sample_rate=rate,
                codec=self.codec,
                data=b"",
                audio_filepath=os.path.abspath(self.path),
            )
            for seq, samples in enumerate(reader.pieces(piece_samples=size)):
                data = encoded_chunk(mix_channels(samples, "mix")[:, 0], rate, self.codec)
                yield replace(made, seq=seq, data=data, final=(seq + 1) * size >= reader.info.n_samples)


def publish(
    publications: Iterable[Publication],
    put: Callable[[Chunk], None],
    seconds_each: Seconds = 0.0,
    wait: Callable[[Seconds], None] = time.sleep,
) -> int:
    """Send recordings side by side; return the number of chunks.

    Args:
      publications: the recordings.
      put: sends a chunk.
      seconds_each: from one chunk of a recording to the next; 0 for no pause.
      wait: lets seconds pass.

    Raises:
      EntryError: a recording cannot be read.
    """
    streams = [publication.chunks() for publication in publications]
    begin, n_sent, n_rounds = time.monotonic(), 0, 0
    while streams:
        # a chunk is sent when its last sound was spoken
        n_rounds += 1
        left = begin + n_rounds * seconds_each - time.monotonic()
        if seconds_each and left > 0:
            wait(left)
        going_on = []
        for stream in streams:
            chunk = next(stream, None)
            if chunk is not None:
                put(chunk)
                n_sent += 1
                going_on.append(stream)
        streams = going_on
    return n_sent
