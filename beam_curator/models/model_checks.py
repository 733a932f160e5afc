"""Checks of the models of a job and notices about them, before it begins and without loading them."""

import os
import warnings
from contextlib import suppress
from dataclasses import replace
from typing import Any

from beam_curator.diarization.diarize_rules import DiarizeRules, ModelOptions, StreamingOptions
from beam_curator.diarization.speaker_counts import CAMPPLUS, OWN_FRAMES, SpeakerCounts
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.diarization.turn_rules import TURN_PRESETS, TurnRules
from beam_curator.files import storage
from beam_curator.model_records import (
    CAMPPLUS_MODEL,
    KNOWN_MODELS,
    RECOMMENDED_MODEL,
    RUNTIMES,
    SILERO_MODEL,
    TITANET_MODEL,
    Family,
    ModelRecord,
    known_model,
    warning_of,
)
from beam_curator.models.checksums import CHECKSUMS
from beam_curator.models.describing import can_run, published_at
from beam_curator.models.embedding_models import check_embedding_files, locate_embedding
from beam_curator.models.model_files import (
    ModelFileError,
    ModelLocation,
    ModelNotFoundError,
    exported_config,
    exported_family,
    locate,
)
from beam_curator.models.onnx_backend import check_files
from beam_curator.models.onnx_sessions import imported_onnxruntime
from beam_curator.models.resolving import default_models, find_model, is_installed
from beam_curator.models.silero import find_silero
from beam_curator.models.sortformer import check_backend, locate_model
from beam_curator.models.wheels import check_made
from beam_curator.rules import config_of
from beam_curator.vad.vad_options import ENERGY, SILERO

CASCADE: Family = "cascade"


def chosen_model(options: ModelOptions) -> ModelOptions:
    """Return which model listens: the one that options name, else the default of this machine.

    A job asks once, before it begins, so that workers elsewhere use the same.
    """
    return options.named(default_models(options.cache_dir or None)[0])


def check_model(options: ModelOptions, parameters: StreamingParameters) -> None:
    """Check that a model exists, that its files look complete, and that it fits the other options.

    Args:
      options: the model, and its backend and device.
      parameters: how a streaming model walks.

    Raises:
      ModelNotFoundError: it is not on this machine and cannot be fetched.
      ModelFileError: it is damaged, another backend's, or no model that tells who speaks when.
      NotAModelError: a file of an exported model was changed.
      ValueError: the parameters do not fit the model.
    """
    known = known_model(options.model_name) if not options.model_path else None
    if known is not None and known.task != "diarization":
        raise ModelFileError(
            f"model {known.name} is no diarization model: give --model-name "
            f"{RECOMMENDED_MODEL}, or another of 'beam-curator models'"
        )
    location = locate_model(options)
    _check_runtime(location, options.device)
    if options.autocast != "none" and location.kind != "nemo":
        raise ValueError(f"autocast {options.autocast} is for .nemo models, and {location.path} is none: leave it out")
    if location.kind == "transformers":
        return
    check_backend(location, options.backend)
    if location.kind == "nemo":
        return
    if exported_family(location.path) == CASCADE:
        check_made(location.path, CASCADE)
        return
    check_files(location.path)
    config = exported_config(location.path)
    if config.is_streaming:
        parameters.check(config.n_speakers, config.cache.spkcache_sil_frames_per_spk)


def check_embedding_model(rules: DiarizeRules, options: ModelOptions) -> None:
    """Check that the model for embeddings exists, and that its files look like one.

    Args:
      rules: which model.
      options: device and directory, shared with the model that listens.

    Raises:
      ModelNotFoundError: it is not on this machine and cannot be fetched.
      ModelFileError: it is damaged, or the library that runs it is not installed.
      NotAModelError: it embeds no voices.
      ValueError: a GPU is asked for, and there is none.
    """
    location = locate_embedding(rules.embedding_model, embedding_path(rules) or None, options.cache_dir or None)
    _check_runtime(location, "cpu" if location.kind == "onnx" else options.device)
    check_embedding_files(location)


def check_embeddings(model: ModelOptions, rules: DiarizeRules) -> None:
    """Check that embeddings, where they are asked for, can be made.

    Raises:
      ModelFileError: the model that listens gives nothing to make embeddings of.
    """
    if rules.pools_embeddings and (is_nemotron(model) or is_cascade(model)):
        raise ModelFileError(
            f"{model.model_path or model.model_name} does not give the frames that embeddings are pooled from: leave "
            f"--embeddings out, take a Sortformer, or give --embedding-model {CAMPPLUS_MODEL} or {TITANET_MODEL} to "
            "make them with a model of their own"
        )


def with_embedding_model(rules: DiarizeRules, model: ModelOptions) -> DiarizeRules:
    """Return rules that name the model for embeddings where the one that listens brings one: a cascade its CAM++.

    Example:
      >>> with_embedding_model(DiarizeRules(embeddings=True), ModelOptions(model_name="cascade")).embedding_model
      'campplus'
      >>> with_embedding_model(DiarizeRules(embeddings=True), ModelOptions(model_name="demo")).embedding_model
      ''
    """
    if not (rules.pools_embeddings and is_cascade(model)):
        return rules
    return replace(rules, embedding_model=model.model_path or CAMPPLUS_MODEL)


def embeds_on_onnx(rules: DiarizeRules) -> bool:
    """Tell whether the model for embeddings is CAM++, which runs on CPUs alone."""
    return _family_of(ModelOptions(model_name=rules.embedding_model, model_path=embedding_path(rules))) in _CAMPPLUS


_CAMPPLUS = ("campplus", CASCADE)


def _check_runtime(location: ModelLocation, device: str) -> None:
    """Look for the library that runs a model, and for a requested GPU. Workers elsewhere check again."""
    if not can_run(location):
        cure = RUNTIMES[location.kind].cure
        if location.kind == "nemo":
            cure += ", or export it where that is installed: beam-curator models export"
        raise ModelFileError(f"{location.path} needs a library that is not installed here: {cure}")
    if device != "cuda":
        return
    if location.kind == "onnx":
        found = "CUDAExecutionProvider" in imported_onnxruntime().get_available_providers()
    else:
        import torch

        found = torch.cuda.is_available()
    if not found:
        runtime = "onnxruntime" if location.kind == "onnx" else "torch"
        raise ValueError(f"device cuda is asked for, but {runtime} sees no GPU here: leave --device out")


def is_nemotron(model: ModelOptions) -> bool:
    """Tell whether options name NVIDIA's model for eight speakers."""
    return _family_of(model) == "nemotron"


def is_cascade(model: ModelOptions) -> bool:
    """Tell whether options name a cascade, which finds any number of speakers."""
    return _family_of(model) == CASCADE


def _family_of(model: ModelOptions) -> Family | None:
    """Return the family of a model, as far as its name, or the files at its path, tell; None for a `.nemo` file.

    Of a folder in an object store its name tells, as nothing is looked up there.
    """
    if not model.model_path:
        known = known_model(model.model_name)
        return None if known is None else known.family
    if storage.is_remote(model.model_path):
        return CASCADE if model.model_path.rstrip("/").rpartition("/")[2] == CASCADE else None
    with suppress(ModelNotFoundError, ModelFileError):
        location = locate(os.path.expanduser(model.model_path), name="")
        if location.kind == "transformers":
            return "nemotron"
        return exported_family(location.path) if location.kind == "onnx" else None
    return None


def turn_preset_of(model: ModelOptions) -> str:
    """Return the name of the thresholds that a model's turns are made with, unless others are asked for.

    Example:
      >>> turn_preset_of(ModelOptions(model_name="cascade")), turn_preset_of(ModelOptions(model_name="demo"))
      ('cascade', 'default')
    """
    if is_cascade(model):
        return KNOWN_MODELS[CASCADE].turn_preset
    known = known_model(model.model_name) if not model.model_path else None
    return known.turn_preset if known is not None else "default"


def turns_or_own(turns: TurnRules | None, model: ModelOptions) -> TurnRules:
    """Return the rules of turns that are given, else the model's own."""
    return turns if turns is not None else TURN_PRESETS[turn_preset_of(model)]


def check_walk(model: ModelOptions, parameters: StreamingParameters, counts: SpeakerCounts) -> None:
    """Check that options of one family are not given for a model of another.

    Raises:
      ValueError: options of streaming models for a cascade, or numbers of speakers for another model.
    """
    name = model.model_path or model.model_name
    if not is_cascade(model):
        given = [field for field, value in config_of(counts).items() if value]
        if given and not counts.link_pieces:
            raise ValueError(
                f"{given[0]} is for --model-name cascade, and {name} has slots for speakers: leave it out, or add "
                "--link-pieces"
            )
        if counts.link_by == OWN_FRAMES and is_nemotron(model):
            raise ValueError(f"link_by frames needs those of the encoder, which {name} does not give: link by campplus")
    elif counts.link_pieces:
        raise ValueError(f"link_pieces is for models with slots for speakers, and {name} has none: leave it out")
    elif parameters != StreamingOptions().parameters():
        raise ValueError(
            f"latency and the other options of streaming Sortformers are not for {name}, which hears windows of 10 s: "
            "leave them out, or name a Sortformer, such as --model-name demo"
        )
    elif model.device == "cuda":
        raise ValueError(f"device cuda is asked for, and {name} runs on CPUs alone: leave --device and --gpu out")


def with_own_links(counts: SpeakerCounts, model: ModelOptions) -> SpeakerCounts:
    """Return counts that say by which voices pieces are linked, where they leave it open."""
    if not counts.link_pieces or counts.link_by is not None:
        return counts
    has_campplus = is_nemotron(model) or is_installed(CASCADE, model.cache_dir or None)
    return replace(counts, link_by=CAMPPLUS if has_campplus else OWN_FRAMES)


def check_links(counts: SpeakerCounts, model: ModelOptions) -> None:
    """Check that the model of voices is there, if pieces are linked by it.

    Raises:
      ModelNotFoundError: it is not on this machine.
      NotAModelError: a file of it was changed.
    """
    if counts.link_by == CAMPPLUS:
        check_embedding_files(locate_embedding(CAMPPLUS_MODEL, None, model.cache_dir or None))


def with_own_vad(rules: DiarizeRules, model: ModelOptions, *, is_elsewhere: bool = False) -> DiarizeRules:
    """Return rules that say how speech is told from everything else, where they leave it to the model.

    Args:
      rules: the options.
      model: which one listens; of one that is not listed it is not known whether it needs a detector of speech.
      is_elsewhere: workers have other models installed than this machine.
    """
    if rules.vad is not None:
        return rules
    known = _record_of(model)
    wanted = rules.vad_path or (known is not None and known.vad == SILERO and not is_elsewhere)
    is_there = rules.vad_path or (wanted and is_installed(SILERO_MODEL, model.cache_dir or None))
    return replace(rules, vad=SILERO if is_there else ENERGY)


def check_vad(rules: DiarizeRules, model: ModelOptions) -> None:
    """Check that the detector of speech is there, if it is to be used.

    Raises:
      ModelNotFoundError, ModelFileError, NotAModelError: see `find_silero`.
    """
    if rules.vad == SILERO:
        find_silero(rules.vad_path, model.cache_dir)


def embedding_path(rules: DiarizeRules) -> str:
    """Return where the model that makes embeddings lies; "" for one that is named, and for none.

    Example:
      >>> embedding_path(DiarizeRules(embeddings=True, embedding_model="gs://bucket/titanet.nemo"))
      'gs://bucket/titanet.nemo'
      >>> embedding_path(DiarizeRules(embeddings=True, embedding_model="nvidia/speakerverification_en_titanet_large"))
      ''
    """
    given = rules.embedding_model
    is_path = given.endswith(".nemo") or storage.is_remote(given) or os.path.exists(os.path.expanduser(given))
    return given if given and is_path else ""


def config_of_model(model: ModelOptions) -> dict[str, Any]:
    """Return the settings of a model that decide the rows; the files of a local one are hashed beside them.

    A model of this package is identified by the hash of its checksums, as its path says nothing, and one that is made
    of another package by the hash of that.
    """
    known = None if model.model_path else known_model(model.model_name)
    packaged = find_model(model.model_name, None) if known is not None and known.packaged else None
    name = os.path.basename(model.model_path.rstrip("/")) if model.model_path else model.model_name
    pinned = known.sha256 if known is not None and known.wheel is not None else None
    sha256 = (
        (pinned or model.sha256) if packaged is None else storage.hash_file(os.path.join(packaged.path, CHECKSUMS))[1]
    )
    return {"name": name, "backend": model.backend, "sha256": sha256, "autocast": model.autocast}


def files_beside(model: ModelOptions, rules: DiarizeRules) -> tuple[str, ...]:
    """Return the files of all models of a job that are named by their paths: they decide the rows as the inputs do."""
    return tuple(dict.fromkeys(files_at(model.model_path) + files_at(embedding_path(rules))))


def files_at(model_path: str) -> tuple[str, ...]:
    """Return the files of a model.

    Of a folder in an object store it is the file of checksums that an exported model has; nothing is looked up.
    """
    path = os.path.expanduser(model_path)
    if not path:
        return ()
    if storage.is_remote(path):
        return (path if path.endswith(".nemo") else storage.join(path, CHECKSUMS),)
    if os.path.isdir(path):
        return tuple(sorted(item.path for item in os.scandir(path) if item.is_file() and item.name[0] not in "._"))
    return (path,)


class ModelUseWarning(UserWarning):
    """A model must not, or should not, be used for everything: its licence or its maker says so."""


def notices_of(options: ModelOptions, *, look_up: bool = True) -> list[str]:
    """Return the notices about a chosen model: a warning if its uses are restricted.

    Args:
      options: which model.
      look_up: look into a model in an object store, too.
    """
    text = _warning(options, look_up=look_up)
    return [] if text is None else [f"warning: {text}"]


def warn_of_models(options: ModelOptions) -> None:
    """Warn of a chosen model that must not be used for everything; nothing is looked up in a store."""
    text = _warning(options, look_up=False)
    if text is not None:
        warnings.warn(text, ModelUseWarning, stacklevel=3)


def _warning(options: ModelOptions, *, look_up: bool) -> str | None:
    path, known = options.model_path, _record_of(options)
    if known is None and path and look_up and storage.is_remote(path):
        known = published_at(locate_model(options).path)
    return None if known is None else warning_of(known)


def _record_of(options: ModelOptions) -> ModelRecord | None:
    """Return the record of a chosen model, as far as its name, its hash, or the files at a local path tell."""
    if options.model_path:
        return published_at(options.model_path, options.sha256)
    return published_at("", options.sha256) or known_model(options.model_name)
