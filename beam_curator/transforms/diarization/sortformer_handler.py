"""Speaker probabilities of recordings by a Sortformer, for Beam's RunInference."""

import time
from collections.abc import Sequence
from typing import Any

from apache_beam.ml.inference.base import PredictionResult

from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions
from beam_curator.diarization.models import Encoded, Floats, Lengths, ModelConfig
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.intervals import Seconds
from beam_curator.model_records import DEMO_MODEL
from beam_curator.models.listening import Listener, listener_of
from beam_curator.models.sortformer import SortformerModel, load_backend, locate_model
from beam_curator.models.sources import Waveform, source_of
from beam_curator.transforms.diarization.recording_handler import RecordingHandler, predictions
from beam_curator.transforms.metrics import timed, took


class _Shared:
    """A backend whose functions are those of a model that may live in another process."""

    def __init__(self, model: SortformerModel, config: ModelConfig, mel_filters: Floats) -> None:
        self._model = model
        self.config = config
        self.mel_filters = mel_filters

    def pre_encode(self, mel: Floats, lengths: Lengths) -> tuple[Floats, Lengths]:
        return self._model.pre_encode(mel, lengths)

    def encode(self, embeddings: Floats, lengths: Lengths, *, keeps_frames: bool = False) -> Encoded:
        return self._model.encode(embeddings, lengths, keeps_frames=keeps_frames)


class SortformerModelHandler(RecordingHandler[Waveform, SortformerModel]):
    """Speaker probabilities of recordings, by a Sortformer on onnxruntime or on NeMo.

    An element is float32 [n_samples] at 16 kHz, or a `Source`, which is decoded where the model is, ahead of it. Its
    inference is `Probabilities`, or an EntryError where it failed: alone, whatever it came with. What else is in its
    batch changes a probability by rounding only.

    A streaming model hears recordings of any length with flat memory. One that hears a recording at once refuses those
    that are too long for the memory there is, as it needs the square of their length.

    Args:
      model: which one; a `.nemo` file or a hub id needs NeMo, an exported folder nothing besides.
      parameters: how a streaming model walks.
      inference: how many recordings at once, threads, timeout.
      accelerator: of Dataflow's workers, such as "type:nvidia-l4;count:1;install-nvidia-driver"; "" for none.
      keeps_frames: return what embeddings are pooled from, too: two bytes a number, 17 MB an hour at full size, held
        until the recording has ended.

    Example:
      >>> handler = SortformerModelHandler(ModelOptions(model_path="model/", device="cuda"))
      >>> handler.share_model_across_processes(), handler.get_resource_hints()
      (True, {})
    """

    def __init__(
        self,
        model: ModelOptions | None = None,
        *,
        parameters: StreamingParameters | None = None,
        inference: InferenceOptions | None = None,
        accelerator: str = "",
        keeps_frames: bool = False,
    ) -> None:
        self._inference = inference if inference is not None else InferenceOptions()
        self._model = (model if model is not None else ModelOptions()).named(DEMO_MODEL)
        size = self._inference.inference_batch_size
        super().__init__("Sortformer", device=self._model.device, accelerator=accelerator, batch_size=size)
        self._parameters = parameters if parameters is not None else StreamingParameters()
        self._keeps_frames = keeps_frames
        self._listener: tuple[SortformerModel, Listener, Seconds, ModelIdentity] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_listener": None}

    def load_model(self) -> SortformerModel:
        """Find the model, download it where it has to be, and load it.

        Raises:
          ModelNotFoundError: it is not on this machine and cannot be fetched.
          ModelFileError: it is damaged, or what is needed to run it is not installed.
          NotAModelError: it is no Sortformer.
        """
        begin = time.perf_counter()
        location = locate_model(self._model)
        backend = load_backend(location, self._model, self._inference.threads or None)
        identity = location.identity(backend.config.sha256, made_of=backend.config.name)
        return SortformerModel(backend, time.perf_counter() - begin, identity)

    def run_inference(
        self, batch: Sequence[Waveform], model: SortformerModel, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Return the results of a batch, in its order."""
        listener, frame_step, made_by = self._listening(model)
        sources = [source_of(item) for item in batch]
        with timed("listen"):
            heard = listener.hear(sources)
        return predictions(batch, heard, frame_step, made_by, self._model.model_path or self._model.model_name)

    def _listening(self, model: SortformerModel) -> tuple[Listener, float, ModelIdentity]:
        if self._listener is None or self._listener[0] is not model:
            facts = model.describe()
            took("load", facts.load_seconds)
            backend = _Shared(model, facts.config, facts.mel_filters)
            listener = listener_of(
                backend, self._parameters, self._inference, facts.free_bytes, keeps_frames=self._keeps_frames
            )
            self._listener = model, listener, facts.config.frame_step, facts.identity
        return self._listener[1:]
