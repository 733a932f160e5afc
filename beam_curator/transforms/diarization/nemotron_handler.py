"""Speaker probabilities of recordings by NVIDIA's model for eight speakers, for Beam's RunInference."""

import re
from collections.abc import Sequence
from typing import Any

from apache_beam.ml.inference.base import PredictionResult

from beam_curator.diarization.batches import plan_batches
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.failures import EntryError
from beam_curator.intervals import Seconds
from beam_curator.model_records import NEMOTRON_MODEL
from beam_curator.models.listening import Samples, deadline, whole
from beam_curator.models.nemotron_backend import FRAME_STEP, NemotronModel, load_nemotron
from beam_curator.models.resolving import resolve_model
from beam_curator.models.sources import PiecesAhead, Source, Waveform, source_of
from beam_curator.transforms.diarization.recording_handler import RecordingHandler
from beam_curator.transforms.metrics import timed

DEFAULT_ACCELERATOR = "type:nvidia-l4;count:1;install-nvidia-driver"

_HANDLER_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


class NemotronModelHandler(RecordingHandler[Waveform, NemotronModel]):
    """Speaker probabilities of recordings, by transformers' Nemotron-3 diarization model.

    An element is float32 [n_samples] at 16 kHz, or a `Source`. Its inference is `Probabilities` with a frame for 10 ms,
    or an EntryError where it failed: alone, whatever it came with. What a recording gives does not depend on what is in
    its batch, up to rounding. The model walks through a recording by itself, but its samples are held whole.

    Args:
      model_name: a hub id, used where there is no `model_path`.
      model_path: a folder that transformers saved.
      cache_dir: directory for downloads.
      sha256: the weights file's hash, checked before loading.
      device: "auto" for a GPU where there is one, "cpu", "cuda" or "cuda:1".
      threads: of torch, in each worker process.
      max_batch_size: most recordings in a batch.
      max_batch_seconds: recordings times the length of the longest; a longer one is heard alone.
      timeout: seconds after which the reading of a recording is given up; 0 for never.
      accelerator: what a Dataflow worker with a GPU is asked for.

    Example:
      >>> handler = NemotronModelHandler(model_path="model/", device="cuda")
      >>> handler.share_model_across_processes(), sorted(handler.get_resource_hints())
      (True, ['accelerator'])
    """

    def __init__(
        self,
        model_name: str = NEMOTRON_MODEL,
        *,
        model_path: str | None = None,
        cache_dir: str | None = None,
        sha256: str | None = None,
        device: str = "cpu",
        threads: int = 1,
        max_batch_size: int = 1,
        max_batch_seconds: Seconds = 1800.0,
        timeout: Seconds = 0.0,
        accelerator: str = DEFAULT_ACCELERATOR,
    ) -> None:
        if not _HANDLER_DEVICE.fullmatch(device):
            raise ValueError(f"device {device!r} is not known: give auto, cpu, cuda or cuda:N")
        for name, value in (("threads", threads), ("max_batch_size", max_batch_size)):
            if value < 1:
                raise ValueError(f"{name} {value} is below 1: raise it")
        if not max_batch_seconds > 0:
            raise ValueError(f"max_batch_seconds {max_batch_seconds:g} is not above 0: raise it")
        asked = accelerator if device.startswith("cuda") else ""
        super().__init__("Nemotron", device=device, accelerator=asked, batch_size=max_batch_size)
        self._model_name, self._model_path, self._cache_dir, self._sha256 = model_name, model_path, cache_dir, sha256
        self._device, self._threads = device, threads
        self._max_batch_size, self._max_batch_seconds, self._timeout = max_batch_size, max_batch_seconds, timeout

    def load_model(self) -> NemotronModel:
        """Find the model, download it where it has to be, and load it.

        Raises:
          ModelNotFoundError: it is not on this machine and cannot be fetched.
          ModelFileError: it is no model of this kind, or damaged.
        """
        location = resolve_model(self._model_name, self._model_path, self._cache_dir, sha256=self._sha256)
        return load_nemotron(location, device=self._device, threads=self._threads)

    def run_inference(
        self, batch: Sequence[Waveform], model: NemotronModel, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Return the results of a batch, in its order."""
        sources = [source_of(item) for item in batch]
        heard: dict[int, Probabilities | EntryError] = {}
        with timed("listen"):
            seconds = [source.seconds for source in sources]
            for positions in plan_batches(seconds, self._max_batch_seconds, self._max_batch_size):
                heard |= self._hear({position: sources[position] for position in positions}, model)
        return [
            PredictionResult(
                example=item,
                inference=found,
                model_id=self._model_path or self._model_name,
            )
            for item, found in ((batch[position], heard[position]) for position in range(len(batch)))
        ]

    def _hear(self, sources: dict[int, Source], model: NemotronModel) -> dict[int, Probabilities | EntryError]:
        pieces = {position: PiecesAhead(source, deadline(self._timeout)) for position, source in sources.items()}
        read = {position: whole(each) for position, each in pieces.items()}
        waveforms = {position: samples for position, samples in read.items() if not isinstance(samples, EntryError)}
        heard = read | dict(zip(waveforms, model.infer(list(waveforms.values())), strict=True))
        return {position: _result(found, pieces[position]) for position, found in heard.items()}


def _result(found: Samples, pieces: PiecesAhead) -> Probabilities | EntryError:
    if isinstance(found, EntryError):
        return found
    return Probabilities(found, FRAME_STEP, dead_air=pieces.dead_air(), clipped=pieces.clipped())
