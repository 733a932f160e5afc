"""Speaker probabilities of recordings by the cascade, for Beam's RunInference."""

import os
from collections.abc import Sequence
from typing import Any

from apache_beam.ml.inference.base import PredictionResult

from beam_curator.diarization.clustering import ClusterRules
from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions
from beam_curator.diarization.speaker_counts import MOST_SPEAKERS, SpeakerCounts
from beam_curator.diarization.speaker_tracks import TRACK_STEP
from beam_curator.files.storage import hash_file
from beam_curator.model_records import HUMAN_SPEECH_MODEL
from beam_curator.models.cascade_listening import CascadeListener, CascadeModel, load_cascade
from beam_curator.models.checksums import CHECKSUMS
from beam_curator.models.sortformer import locate_model
from beam_curator.models.sources import Waveform, source_of
from beam_curator.models.wheels import check_made
from beam_curator.transforms.diarization.recording_handler import RecordingHandler, predictions
from beam_curator.transforms.metrics import timed, took


class CascadeModelHandler(RecordingHandler[Waveform, CascadeModel]):
    """Speaker probabilities of recordings, by the cascade on onnxruntime and CPUs.

    Elements and inferences are those of `SortformerModelHandler`, with as many tracks as there are speakers, and a
    frame for each 0.02 s. Recordings are heard one after the other, so batches do not change a result.

    Args:
      model: which one.
      counts: how many people talk, where that is known.
      inference: threads, timeout.

    Example:
      >>> CascadeModelHandler(ModelOptions(model_path="cascade/")).share_model_across_processes()
      False
    """

    def __init__(
        self,
        model: ModelOptions | None = None,
        *,
        counts: SpeakerCounts | None = None,
        inference: InferenceOptions | None = None,
    ) -> None:
        self._inference = inference if inference is not None else InferenceOptions()
        self._model = (model if model is not None else ModelOptions()).named(HUMAN_SPEECH_MODEL)
        self._rules = ClusterRules(counts=counts if counts is not None else SpeakerCounts())
        super().__init__("Cascade", device="cpu", accelerator="", batch_size=self._inference.inference_batch_size)
        self._known: CascadeModel | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_known": None}

    def load_model(self) -> CascadeModel:
        """Find the model and load it.

        Raises:
          ModelNotFoundError: it is not on this machine.
          ModelFileError: it is damaged.
          NotAModelError: it is no cascade.
        """
        location = locate_model(self._model)
        check_made(location.path, "cascade")
        sha256 = hash_file(os.path.join(location.path, CHECKSUMS))[1]
        return load_cascade(location.path, location.identity(sha256), self._inference.threads or os.cpu_count() or 1)

    def run_inference(
        self, batch: Sequence[Waveform], model: CascadeModel, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Return the results of a batch, in its order."""
        if self._known is not model:
            took("load", model.load_seconds)
            self._known = model
        listener = CascadeListener(model, self._rules, timeout=self._inference.timeout)
        with timed("listen"):
            heard = listener.hear([source_of(item) for item in batch])
        model_id = self._model.model_path or self._model.model_name
        return predictions(batch, heard, TRACK_STEP, model.identity, model_id, MOST_SPEAKERS)
