"""Checks of the models of a job of curation before it begins, and its settings as manifests hold them."""

import os

from beam_curator.curate.curate_rules import CurateOptions, CurateOutputOptions
from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions
from beam_curator.diarization.speaker_counts import SpeakerCounts
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.model_records import KNOWN_MODELS, SILERO_MODEL
from beam_curator.models.curate_job import Models, curate_config
from beam_curator.models.model_checks import config_of_model, with_own_links
from beam_curator.models.model_files import ModelNotFoundError
from beam_curator.models.silero import find_silero
from beam_curator.models.sound_scoring import hash_of_scorer, load_scorers
from beam_curator.quality.scorers import SCORERS
from beam_curator.rules import config_of
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_options import InputOptions, output_config


def check_weights(options: CurateOptions) -> None:
    """Check that there are weights for all that is asked for, as far as that shows without looking for files.

    Raises:
      ModelNotFoundError: a score is asked for whose weights are in no package, and no file is given.
    """
    for name, path in options.scorers.items():
        if not path and SCORERS[name].sha256 is None:
            raise ModelNotFoundError(
                f"{name} is asked for, and its weights are in no package: give a graph of it as {name}.path "
                f"(--{name}-path FILE.onnx), or set {name}.enable to false"
            )


def check_scorers(options: CurateOptions) -> None:
    """Check that the models that score clips are there, and keep to their contracts: each hears noise.

    Raises:
      ModelNotFoundError, ModelFileError, NotAModelError, OutOfMemoryError: see `load_scorers`.
    """
    load_scorers(options.scorers, options.dnsmos.hop)


def check_speech_model(options: CurateOptions) -> None:
    """Check that the model that finds speech is there, if it is to be used.

    Raises:
      ModelNotFoundError, ModelFileError, NotAModelError: see `find_silero`.
    """
    if options.vad.needs_model:
        find_silero(options.vad.vad_path)


def models_of(options: CurateOptions, model: ModelOptions) -> Models:
    """Return name and hash of the models that decide the clips, by task.

    Raises:
      ModelNotFoundError: a file of a user's is not there.
    """
    found: dict[str, dict[str, str]] = {}
    if options.vad.needs_model:
        found["vad"] = {"name": SILERO_MODEL, "sha256": KNOWN_MODELS[SILERO_MODEL].sha256 or ""}
    if options.speaker_separation.enable:
        known = config_of_model(model)
        found["diarization"] = {"name": known["name"], "sha256": known["sha256"] or ""}
    for name, path in options.scorers.items():
        found[name] = {"name": os.path.basename(path) or name, "sha256": hash_of_scorer(name, path)}
    return found


def curate_set_config(
    options: CurateOptions,
    model: ModelOptions,
    walk: StreamingParameters,
    turns: TurnRules,
    speakers: SpeakerCounts,
    inference: InferenceOptions,
    *,
    reading: InputOptions,
    output: CurateOutputOptions,
    n_shards: int,
) -> Config:
    """Return the settings that decide the rows of a set of clips, as its manifest records them.

    Raises:
      ModelNotFoundError: a file of a user's is not there.
    """
    listening = {
        "model": config_of_model(model),
        "streaming": config_of(walk),
        "turns": config_of(turns),
        "speakers": config_of(with_own_links(speakers, model)),
        "inference": {"inference_batch_size": inference.inference_batch_size},
    }
    return {
        **curate_config(options),
        "speech": {"vad_sha256": KNOWN_MODELS[SILERO_MODEL].sha256 if options.vad.needs_model else ""},
        "scorers": {name: hash_of_scorer(name, path) for name, path in options.scorers.items()},
        **(listening if options.speaker_separation.enable else {}),
        "input": config_of(reading),
        "output": output_config(output, n_shards, "output_format", "row_format", "shards"),
    }
