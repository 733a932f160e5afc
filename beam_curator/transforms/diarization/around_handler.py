"""Handlers around those of models, for Beam's RunInference; one loads its model for the first batch only."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from apache_beam.ml.inference.base import ModelHandler, PredictionResult


class AroundHandler(ModelHandler[Any, PredictionResult, Any]):
    """Stands before another handler, and passes on the questions that Beam has.

    Args:
      handler: the other one.
      batch_size: elements that this one gets at once.
    """

    def __init__(self, handler: ModelHandler[Any, Any, Any], batch_size: int = 1) -> None:
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size)
        self._handler = handler
        self._env_vars = getattr(handler, "_env_vars", {})

    def load_model(self) -> Any:
        """Load the model of the other handler."""
        return self._handler.load_model()

    def get_num_bytes(self, batch: Sequence[Any]) -> int:
        """Return the size of a batch in bytes."""
        return self._handler.get_num_bytes(batch)

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


class LateModel:
    """A model that is loaded when it is first asked for."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._lock = Lock()
        self._model: Any = None

    def get(self) -> Any:
        """Return the model."""
        with self._lock:
            if self._model is None:
                self._model = self._load()
        return self._model


class LateHandler(AroundHandler):
    """Loads the model of another handler for the first batch: a job without one needs no model.

    A model that processes share is loaded at once, as Beam shares what `load_model` returns.
    """

    def load_model(self) -> Any:
        """Return the model, or one that is loaded later."""
        load = self._handler.load_model
        return load() if self._handler.share_model_across_processes() else LateModel(load)

    def run_inference(
        self, batch: Sequence[Any], model: Any, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Return the results of a batch, in its order."""
        loaded = model.get() if isinstance(model, LateModel) else model
        return list(self._handler.run_inference(batch, loaded, inference_args))
