"""A model that hears each channel of a recording by itself, for Beam's RunInference."""

from collections.abc import Sequence
from typing import Any, Protocol

from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from beam_curator.transforms.diarization.around_handler import AroundHandler


class Streamed(Protocol):
    """Something of which a model hears one stream or several, such as `Ready` and `Diarized`."""

    @property
    def streams(self) -> Sequence[Any]:
        """The streams, each as the model takes it."""


class StreamsHandler(AroundHandler):
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
        super().__init__(handler, batch_size)
        self._batch_size = batch_size

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
            joined.append(
                PredictionResult(example=item, inference=inference, model_id=own[0].model_id if own else None)
            )
        return joined

    def get_num_bytes(self, batch: Sequence[Streamed]) -> int:
        """Return the size of all streams of a batch in bytes."""
        return self._handler.get_num_bytes([stream for item in batch for stream in item.streams])
