"""Speech in recordings by Silero VAD, for Beam's RunInference: by itself, or while another model hears them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions, ModelOptions
from beam_curator.diarization.models import hearing_error
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.failures import EntryError
from beam_curator.models.silero import SpeechDetector, SpeechListening, find_silero, load_silero
from beam_curator.models.sources import RecordingSource, Waveform, source_of
from beam_curator.transforms.diarization.around_handler import AroundHandler, LateModel
from beam_curator.transforms.diarization.recording_handler import RecordingHandler
from beam_curator.transforms.metrics import timed
from beam_curator.vad.speech_rules import GATE_RULES, SpeechRules
from beam_curator.vad.speech_spans import Speech
from beam_curator.vad.vad_options import SILERO


class SileroModelHandler(RecordingHandler[Waveform, SpeechDetector]):
    """Speech in recordings, by Silero VAD on onnxruntime and one thread of a CPU.

    An element is float32 [n_samples] at 16 kHz, or a `Source`, which is decoded in pieces. Its inference is `Speech`,
    from which rules make spans, or an EntryError where it failed. Recordings are heard one after the other.

    Args:
      folder: of the model, local or in an object store; "" for the installed one.
      cache_dir: directory of models; "" for the usual one.

    Example:
      >>> SileroModelHandler("silero-vad/").get_metrics_namespace()
      'BeamCuratorSilero'
    """

    def __init__(self, folder: str = "", cache_dir: str = "") -> None:
        super().__init__("Silero", device="cpu", accelerator="")
        self._folder, self._cache_dir = folder, cache_dir

    def load_model(self) -> SpeechDetector:
        """Find the model and load it.

        Raises:
          ModelNotFoundError: it is not on this machine.
          ModelFileError: it is another one.
          NotAModelError: it is damaged.
        """
        return load_silero(find_silero(self._folder, self._cache_dir))

    def run_inference(
        self, batch: Sequence[Waveform], model: SpeechDetector, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Return the results of a batch, in its order."""
        with timed("vad"):
            return [PredictionResult(example=item, inference=_heard(item, model)) for item in batch]


def _heard(item: Waveform, detector: SpeechDetector) -> Speech | EntryError:
    try:
        return detector.hear(source_of(item).pieces())
    except Exception as err:  # whatever a recording or a model raises: it belongs to the recording
        return hearing_error(err)


class SpeechHandler(AroundHandler):
    """Finds the speech in recordings on their way to the model of another handler: each is decoded once.

    Elements are `RecordingSource`. The inference is that handler's, and `Probabilities` have `speech`.

    Args:
      handler: the other one.
      load: loads the detector, once a process.
      rules: how its probabilities become spans.
      batch_size: elements at once.
    """

    def __init__(
        self,
        handler: ModelHandler[Any, Any, Any],
        load: Callable[[], SpeechDetector],
        rules: SpeechRules = GATE_RULES,
        batch_size: int = 1,
    ) -> None:
        super().__init__(handler, batch_size)
        self._load, self._rules = load, rules
        self._detector = LateModel(load)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_detector"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._detector = LateModel(self._load)

    def run_inference(
        self, batch: Sequence[RecordingSource], model: Any, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Return the results of a batch, in its order."""
        detector = self._detector.get()
        listening = [SpeechListening(detector) for _ in batch]
        passed = [replace(item, passing=each.passed_on) for item, each in zip(batch, listening, strict=True)]
        results = self._handler.run_inference(passed, model, inference_args)
        return [
            PredictionResult(
                example=item,
                inference=self._with_speech(result.inference, source, each),
                model_id=result.model_id,
            )
            for item, source, each, result in zip(batch, passed, listening, results, strict=True)
        ]

    def _with_speech(
        self, found: Probabilities | EntryError, source: RecordingSource, listening: SpeechListening
    ) -> Probabilities | EntryError:
        if isinstance(found, EntryError):
            return found
        try:
            # a handler may read the recording in its own way
            for _ in () if listening.is_done else source.pieces():
                pass
        except Exception as err:  # whatever a recording or a model raises: it belongs to the recording
            return hearing_error(err)
        return replace(found, speech=listening.speech.seconds(self._rules))


def with_speech(
    handler: ModelHandler[Any, Any, Any], rules: DiarizeRules, model: ModelOptions, inference: InferenceOptions
) -> ModelHandler[Any, Any, Any]:
    """Return a handler whose results tell where anybody speaks, if the rules want that; else the same."""
    if rules.vad != SILERO:
        return handler
    load = SileroModelHandler(rules.vad_path, model.cache_dir).load_model
    return SpeechHandler(handler, load, batch_size=inference.inference_batch_size)
