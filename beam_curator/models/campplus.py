"""Embeddings of speakers by CAM++, on onnxruntime."""

import os
from typing import Any

from beam_curator.diarization.models import Floats
from beam_curator.diarization.pooling import pooled_statistics
from beam_curator.models.campplus_graph import FRAMES_GIVEN, FRAMES_MADE, HEAD_GIVEN, HEAD_MADE, N_BANDS
from beam_curator.models.onnx_graphs import End
from beam_curator.models.onnx_sessions import EndNames, open_session, run_session

EMBEDDING_FRAMES, EMBEDDING_HEAD = "embedding_frames.onnx", "embedding_head.onnx"

FRAME_BANKS = 2
"""Filter banks for each frame of the model, thus 20 ms: frame k is about filter banks 2 k and 2 k + 1."""


class SpeakerEmbedding:
    """A model that embeds voices. Threads may share it.

    `embed` embeds audio in which one person speaks. Where several speak in turn, one pass of `frames` over all of it
    serves all: `pooled_statistics` with a mask for each, then `head`. That is not the same as an embedding of the cut
    audio: a frame hears about a second around it, and the masks of the model follow the mean over all frames and over
    each two seconds, whoever speaks in them.

    Args:
      frames: session of the graph of frames.
      head: session of the graph of the head.
    """

    def __init__(self, frames: Any, head: Any) -> None:
        self._frames = frames
        self._head = head

    def embed(self, banks: Floats) -> Floats:
        """Embed a voice.

        Args:
          banks: float32 [n_frames, 80] of `filter_banks`, the mean of each band subtracted; at least one.

        Returns:
          float32 [192], of any length: similar voices have a small cosine distance.

        Raises:
          ValueError: there is none, or they have another width.
          OutOfMemoryError: memory is lacking.
        """
        embedding: Floats = self.head(pooled_statistics(self.frames(banks)))[0]
        return embedding

    def frames(self, banks: Floats) -> Floats:
        """Return the frames of the model before it pools them.

        Args:
          banks: as for `embed`; 1,000 of them need 35 MB of memory meanwhile.

        Returns:
          float32 [ceil(n_frames / 2), 512].

        Raises:
          ValueError: there is none, or they have another width.
          OutOfMemoryError: memory is lacking.
        """
        if banks.ndim != 2 or banks.shape[1] != N_BANDS or not len(banks):
            raise ValueError(f"filter banks are {list(banks.shape)}, expected [n_frames, {N_BANDS}], one at least")
        made: Floats = run_session(self._frames, (FRAMES_MADE.name,), {FRAMES_GIVEN.name: banks})[0]
        return made

    def head(self, statistics: Floats) -> Floats:
        """Turn statistics of frames, float32 [n_items, 1024], into embeddings, float32 [n_items, 192]."""
        made: Floats = run_session(self._head, (HEAD_MADE.name,), {HEAD_GIVEN.name: statistics})[0]
        return made


def load_campplus(folder: str) -> SpeakerEmbedding:
    """Load the model from a folder with its graphs. Nothing is hashed: see `check_made`.

    It runs on one thread: on more, frames of some seconds of audio round differently.

    Raises:
      NotAModelError: a file is no graph, or another one.
      OutOfMemoryError: the model does not fit into memory.
    """

    def opened(name: str, given: End, made: End) -> Any:
        names = EndNames((given.name,), (made.name,))
        return open_session(os.path.join(folder, name), names, 1, ["CPUExecutionProvider"], _CURE)

    return SpeakerEmbedding(
        opened(EMBEDDING_FRAMES, FRAMES_GIVEN, FRAMES_MADE), opened(EMBEDDING_HEAD, HEAD_GIVEN, HEAD_MADE)
    )


_CURE = "install it again: beam-curator models install cascade"
