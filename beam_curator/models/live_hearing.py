"""The model of live streams: found, checked, and loaded."""

from dataclasses import dataclass

from beam_curator.diarization.diarize_rules import ModelOptions
from beam_curator.diarization.sortformer_streaming import StreamingSortformer
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.live.session_state import HearingRules
from beam_curator.model_records import DEMO_MODEL
from beam_curator.models.model_checks import check_model, is_cascade, is_nemotron
from beam_curator.models.model_files import ModelFileError, exported_config
from beam_curator.models.sortformer import load_backend, locate_model


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveModel:
    """How sessions are heard, before the model is loaded.

    Attributes:
      model: which one; where it names none, demo.
      walk: how it goes through a stream.
      turns: how its probabilities become turns.
      dead_air_gate: nobody talks where nothing moves.
      threads: of the model; 0 for as many as there are cores.
    """

    model: ModelOptions
    walk: StreamingParameters
    turns: TurnRules
    dead_air_gate: bool = True
    threads: int = 0

    def __post_init__(self) -> None:
        # the default of recordings may be one that cannot stream
        object.__setattr__(self, "model", self.model.named(DEMO_MODEL))

    def check(self) -> None:
        """Check that the model exists, and that it streams.

        Raises:
          ValueError: it does not.
        """
        name = self.model.model_path or self.model.model_name
        if is_cascade(self.model) or is_nemotron(self.model):
            raise ModelFileError(
                f"{name} hears whole recordings, and live streams need a Sortformer: give --model-name demo, or a "
                "streaming Sortformer of 'beam-curator models'"
            )
        check_model(self.model, self.walk)
        location = locate_model(self.model)
        if location.kind == "onnx" and not exported_config(location.path).is_streaming:
            raise ModelFileError(f"{name} hears a recording at once: give a Sortformer that streams")

    def load(self) -> HearingRules:
        """Load the model.

        Raises:
          ModelNotFoundError: it is not on this machine and cannot be fetched.
          ModelFileError: it is damaged, or what is needed to run it is not installed.
          ValueError: it does not stream, or the walk does not suit it.
        """
        backend = load_backend(locate_model(self.model), self.model, self.threads or None)
        engine = StreamingSortformer(backend, self.walk)
        return HearingRules(engine, self.turns, self.dead_air_gate)
