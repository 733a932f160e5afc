"""A model that hears each channel of a recording by itself, for Beam's RunInference."""

from collections.abc import Sequence
from typing import Any, Protocol

from apache_beam.ml.inference.base import ModelHandler, PredictionResult


class Streamed(Protocol):
    """Something of which a model hears one stream or several, such as `Ready` and `Diarized`."""

    @property
    def streams(self) -> Sequence[Any]:
        """The streams, each as the model takes it."""


class StreamsHandler(ModelHandler[Streamed, PredictionResult, Any]):
    """Puts the streams of recordings before the model of another handler, and joins its results for each recording.

    The inference is a tuple of that handler's, one for each stream, so that nothing has to meet again behind the model.

    Args:
      handler: takes a stream.
      batch_size: streams that it gets at once.

    Example:
      >>> from beam_curator.transforms.diarization.sortformer_handler import SortformerModelHandler
      >>> StreamsHandler(SortformerModelHandler(), 1).get_metrics_namespace()
      'BeamCuratorSortformer'
    """

    def __init__(self, handler: ModelHandler[Any, Any, Any], batch_size: int) -> None:
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size)
        self._handler = handler
        self._batch_size = batch_size
        self._env_vars = getattr(handler, "_env_vars", {})

    def load_model(self) -> Any:
        """Load the model of the other handler."""
        return self._handler.load_model()

    def run_inference(
        self, batch: Sequence[Streamed], model: Any, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Return the results of a batch, in its order."""
        streams = [stream for item in batch for stream in item.streams]
        results: list[PredictionResult] = []
        for first in range(0, len(streams), self._batch_size):
            some = streams[first : first + self._batch_size]
            results += self._handler.run_inference(some, model, inference_args)
        waiting = iter(results)
        joined = []
        for item in batch:
            own = [next(waiting) for _ in item.streams]
            inference = tuple(result.inference for result in own)
            joined.append(PredictionResult(example=item, inference=inference, model_id=own[0].model_id))
        return joined

    def get_num_bytes(self, batch: Sequence[Streamed]) -> int:
        """Return the size of all streams of a batch in bytes."""
        return self._handler.get_num_bytes([stream for item in batch for stream in item.streams])

    def get_metrics_namespace(self) -> str:
        """Return where RunInference counts."""
        return self._handler.get_metrics_namespace()

    def get_resource_hints(self) -> dict[str, Any]:
        """Return the resources that a worker needs."""
        return self._handler.get_resource_hints()

    def validate_inference_args(self, inference_args: dict[str, Any] | None) -> None:
        """Check further arguments as the other handler does."""
        self._handler.validate_inference_args(inference_args)

    def update_model_path(self, model_path: str | None = None) -> None:
        """Take another model from now on, where the other handler can."""
        self._handler.update_model_path(model_path)

    def share_model_across_processes(self) -> bool:
        """Tell whether all processes of a machine use one model."""
        return self._handler.share_model_across_processes()

    def model_copies(self) -> int:
        """Return how many copies of the model a process has."""
        return self._handler.model_copies()
