"""Tracks of a recording, read where they lie in it: nothing that was put together ever exists as a whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from beam_curator.audio.reading import PIECE_SAMPLES, AudioReader
from beam_curator.audio.spans import Samples
from beam_curator.timelines import Timeline


def track_pieces(reader: AudioReader, track: Timeline, piece_samples: int = PIECE_SAMPLES) -> Iterator[Samples]:
    """Read a track piece by piece: memory stays flat however long it is.

    Args:
      reader: of the recording.
      track: samples of the recording, and silence.
      piece_samples: the most that a piece has.

    Yields:
      float32 [n, n_channels], all of the recording's channels.

    Raises:
      EntryError, OSError: as `AudioReader.pieces`.
    """
    for n_samples, source in track.pieces:
        if source is not None:
            yield from reader.pieces(source, source + n_samples, piece_samples)
            continue
        for here in range(0, n_samples, piece_samples):
            yield np.zeros((min(piece_samples, n_samples - here), reader.info.n_channels), np.float32)
