"""Embeddings of speakers and of turns by a model of their own, for Beam's RunInference."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from apache_beam.ml.inference.base import PredictionResult

from beam_curator.diarization.batches import BatchLimit, in_halves, padded, plan_batches
from beam_curator.diarization.models import Floats, hearing_error
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.diarization.solo_speech import SoloPart, cut_solo_parts, joined_embeddings, plan_solo_parts
from beam_curator.diarization.speaker_embeddings import EmbeddingModel
from beam_curator.diarization.turns import Turn
from beam_curator.failures import EntryError
from beam_curator.intervals import Seconds
from beam_curator.model_records import TITANET_MODEL
from beam_curator.models.embedding_models import load_embedding, locate_embedding
from beam_curator.models.listening import deadline
from beam_curator.models.nemo_files import Device
from beam_curator.models.sources import PiecesAhead, Source
from beam_curator.transforms.diarization.recording_handler import RecordingHandler
from beam_curator.transforms.metrics import timed, took

BATCH_SECONDS = 60.0
"""Seconds of speech per batch. Batches do not mix recordings, so a recording always has the same ones."""


class SpokenTurns(Source, Protocol):
    """A recording whose turns are known.

    Attributes:
      turns: the recording's turns.
      begin: when the decoded part begins, on the clock of the turns.
    """

    @property
    def turns(self) -> Sequence[Turn]: ...

    @property
    def begin(self) -> Seconds: ...


class EmbeddingModelHandler(RecordingHandler[SpokenTurns, EmbeddingModel]):
    """Embeddings of the speakers and turns of recordings, by CAM++ on onnxruntime, or a TitaNet on NeMo.

    An element is a recording whose turns are known, such as `Diarized`. It is decoded where the model is, and speech of
    one speaker alone goes to the model, up to 20 s at once; below 0.1 s it has no embedding. The inference is
    `SpeakerEmbeddings`, or an EntryError where it failed: alone, whatever it came with.

    Args:
      model_name: campplus, or a hub id; used where there is no `model_path`.
      model_path: a `.nemo` file, a folder with one, or the folder of a cascade.
      cache_dir: directory for downloads.
      device: of a TitaNet: "auto" for a GPU where there is one, "cpu" or "cuda".
      threads: of the model, in each worker process; 0 leaves them as they are.
      timeout: seconds after which a recording is given up; 0 for never.
      accelerator: of Dataflow's workers; "" for none.

    Example:
      >>> EmbeddingModelHandler(model_path="titanet.nemo", device="cuda").share_model_across_processes()
      True
    """

    def __init__(
        self,
        model_name: str = TITANET_MODEL,
        *,
        model_path: str | None = None,
        cache_dir: str | None = None,
        device: Device = "auto",
        threads: int = 0,
        timeout: Seconds = 0.0,
        accelerator: str = "",
    ) -> None:
        super().__init__("Embedding", device=device, accelerator=accelerator)
        self._model_name, self._model_path, self._cache_dir = model_name, model_path, cache_dir
        self._device: Device = device
        self._threads, self._timeout = threads, timeout
        self._limit = BatchLimit()
        self._known: EmbeddingModel | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_known": None, "_limit": BatchLimit()}

    def load_model(self) -> EmbeddingModel:
        """Find the model, download it where it has to be, and load it; see `locate_embedding`, `load_embedding`."""
        location = locate_embedding(self._model_name, self._model_path, self._cache_dir)
        return load_embedding(location, self._device, self._threads or None)

    def run_inference(
        self, batch: Sequence[SpokenTurns], model: EmbeddingModel, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Return the results of a batch, in its order."""
        identity, load_seconds = model.describe()
        if self._known is not model:
            took("load", load_seconds)
            self._known = model
        with timed("embed"):
            return [
                PredictionResult(example=item, inference=self._embedded(item, model, identity), model_id=identity.name)
                for item in batch
            ]

    def _embedded(self, item: SpokenTurns, model: EmbeddingModel, identity: ModelIdentity) -> Any:
        parts = plan_solo_parts(item.turns, item.begin)
        if not parts:
            return joined_embeddings(item.turns, [], identity)
        pieces = PiecesAhead(item, deadline(self._timeout))
        try:
            embedded = [found for batch in _batches(pieces, parts) for found in self._ask(batch, model)]
        except (EntryError, OSError) as err:
            return hearing_error(err)
        except _PartFailedError as err:
            return hearing_error(err.reason)
        finally:
            pieces.close()
        return joined_embeddings(item.turns, embedded, identity)

    def _ask(self, parts: "_Parts", model: EmbeddingModel) -> Iterator[tuple[SoloPart, Floats]]:
        """Yield the embeddings of parts, which are put before the model with others of like length."""

        def ask(items: list[Floats]) -> list[Floats]:
            waveforms, lengths = padded([[samples[:, np.newaxis]] for samples in items])
            return list(model.embed(waveforms[:, :, 0], lengths))

        for positions in plan_batches([part.seconds for part, _ in parts], BATCH_SECONDS, len(parts)):
            found = in_halves(ask, [parts[position][1] for position in positions], self._limit)
            for position, vector in zip(positions, found, strict=True):
                if isinstance(vector, Exception):
                    raise _PartFailedError(vector)
                yield parts[position][0], vector


_Parts = list[tuple[SoloPart, Floats]]


class _PartFailedError(Exception):
    """The model failed on a part alone."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _batches(pieces: PiecesAhead, parts: Sequence[SoloPart]) -> Iterator[_Parts]:
    """Yield parts with their samples, so many at a time as stay in memory: some batches of the model."""
    held: _Parts = []
    for part, samples in cut_solo_parts(_taken(pieces), parts):
        held.append((part, samples.copy()))
        if sum(other.seconds for other, _ in held) >= _HELD_SECONDS:
            yield held
            held = []
    if held:
        yield held


_HELD_SECONDS = 10 * BATCH_SECONDS


def _taken(pieces: PiecesAhead) -> Iterator[Floats]:
    is_last = False
    while not is_last:
        piece, is_last = pieces.take()
        yield piece
