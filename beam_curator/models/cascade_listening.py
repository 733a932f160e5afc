"""The cascade: PyanNet's windows and CAM++'s voices, clustered; loaded, and put before recordings."""

import time
from collections.abc import Sequence

from beam_curator.diarization.cascade import CascadeStream
from beam_curator.diarization.clustering import ClusterRules
from beam_curator.diarization.models import hearing_error
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.diarization.speaker_tracks import speaker_tracks
from beam_curator.failures import EntryError
from beam_curator.models.campplus import SpeakerEmbedding, load_campplus
from beam_curator.models.listening import Heard, deadline
from beam_curator.models.segmentation import Segmentation, load_segmentation
from beam_curator.models.sources import PiecesAhead, Source, too_slow


class CascadeModel:
    """Both models of the cascade. Threads may share them.

    Args:
      segmentation: tells up to three people within 10 s apart.
      embedding: tells how each of them sounds.
      identity: which one it is.
      load_seconds: how long it took to load.
    """

    def __init__(
        self,
        segmentation: Segmentation,
        embedding: SpeakerEmbedding,
        identity: ModelIdentity,
        load_seconds: float = 0.0,
    ) -> None:
        self.segmentation, self.embedding = segmentation, embedding
        self.identity, self.load_seconds = identity, load_seconds


def load_cascade(folder: str, identity: ModelIdentity, n_threads: int) -> CascadeModel:
    """Load both models from a folder with their graphs.

    Raises:
      NotAModelError: a file is no graph, or another one.
      OutOfMemoryError: they do not fit into memory.
    """
    begin = time.perf_counter()
    segmentation, embedding = load_segmentation(folder, n_threads), load_campplus(folder)
    return CascadeModel(segmentation, embedding, identity, time.perf_counter() - begin)


class CascadeListener:
    """Puts recordings before the cascade, one after the other: a batch never changes a result.

    Memory grows by some kilobytes a second, for windows and voices; samples are dropped as soon as they were heard.

    Args:
      model: the cascade.
      rules: how voices become speakers.
      timeout: seconds after which a recording is given up; 0 for never.
    """

    def __init__(self, model: CascadeModel, rules: ClusterRules, *, timeout: float) -> None:
        self._model = model
        self._rules = rules
        self._timeout = timeout

    def hear(self, sources: Sequence[Source]) -> list[Heard | EntryError]:
        """Return the tracks of each recording, in the order given, or why there are none."""
        return [self._heard(source) for source in sources]

    def _heard(self, source: Source) -> Heard | EntryError:
        pieces = PiecesAhead(source, deadline(self._timeout))
        stream = CascadeStream(self._model.segmentation, self._model.embedding)
        is_last = False
        try:
            while not is_last:
                piece, is_last = pieces.take()
                stream.push(piece)
                if pieces.is_late:
                    raise too_slow()
            tracks = speaker_tracks(stream.finish(), stream.n_samples, self._rules)
        except Exception as err:  # whatever a recording or a model raises: it belongs to the recording
            return hearing_error(err)
        finally:
            pieces.close()
        return Heard(tracks, None, pieces.dead_air(), pieces.clipped())
