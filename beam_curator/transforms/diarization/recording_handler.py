"""The part that the handlers of all models share: the sizes, accelerator and metrics that Beam asks for."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from beam_curator.diarization.models import MODEL_SAMPLE_RATE
from beam_curator.diarization.probabilities import ModelIdentity, Probabilities
from beam_curator.failures import EntryError
from beam_curator.intervals import Seconds
from beam_curator.models.listening import Heard
from beam_curator.models.sources import Waveform, source_of

HeardT = TypeVar("HeardT", bound=Waveform)
ModelT = TypeVar("ModelT")


def predictions(
    batch: Sequence[HeardT],
    heard: Sequence[Heard | EntryError],
    frame_step: Seconds,
    made_by: ModelIdentity,
    model_id: str,
    slots: int | None = None,
) -> list[PredictionResult]:
    """Return the results of a listener as those of a handler.

    Args:
      batch: the handler's elements.
      heard: a result for each, or why there is none.
      frame_step: of the probabilities, in seconds.
      made_by: the model.
      model_id: its name or path, as it was given.
      slots: see `Probabilities`.
    """
    return [
        PredictionResult(
            example=item,
            inference=found
            if isinstance(found, EntryError)
            else Probabilities(
                found.probabilities, frame_step, found.frames, made_by, found.dead_air, found.clipped, slots
            ),
            model_id=model_id,
        )
        for item, found in zip(batch, heard, strict=True)
    ]


class RecordingHandler(ModelHandler[HeardT, PredictionResult, ModelT], Generic[HeardT, ModelT]):
    """A handler of a model that hears recordings.

    Args:
      name: under which RunInference counts, behind ours.
      device: where the model is; "cuda" or "cuda:1" for a GPU.
      accelerator: what a Dataflow worker is asked for; "" for none.
      batch_size: recordings in a batch.
    """

    def __init__(self, name: str, *, device: str, accelerator: str, batch_size: int = 1) -> None:
        # equal bounds keep Beam from measuring time to choose a size
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size)
        self._namespace = f"BeamCurator{name}"
        self._is_on_gpu = device.startswith("cuda")
        self._accelerator = accelerator

    def get_num_bytes(self, batch: Sequence[HeardT]) -> int:
        """Return the size of a batch's samples in bytes. Beam would pickle the samples to find out."""
        return int(sum(source_of(item).seconds for item in batch) * 4 * MODEL_SAMPLE_RATE)

    def get_metrics_namespace(self) -> str:
        """Return where RunInference counts."""
        return self._namespace

    def share_model_across_processes(self) -> bool:
        """Tell whether all processes of a machine use one model: on a GPU they do."""
        return self._is_on_gpu

    def get_resource_hints(self) -> dict[str, Any]:
        """Return the resources that a worker needs."""
        return {"accelerator": self._accelerator} if self._accelerator else {}
