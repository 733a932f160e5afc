"""From options to the handlers of models, for Beam's RunInference."""

import os
from typing import Any, cast

from apache_beam.ml.inference.base import ModelHandler

from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions, ModelOptions
from beam_curator.diarization.speaker_counts import OWN_FRAMES, SpeakerCounts
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.model_records import TITANET_MODEL
from beam_curator.models.model_checks import embedding_path, embeds_on_onnx, is_cascade, is_nemotron, with_own_links
from beam_curator.models.nemo_files import Device
from beam_curator.transforms.diarization.cascade_handler import CascadeModelHandler
from beam_curator.transforms.diarization.embedding_handler import EmbeddingModelHandler
from beam_curator.transforms.diarization.linking_handler import with_links
from beam_curator.transforms.diarization.nemotron_handler import NemotronModelHandler
from beam_curator.transforms.diarization.sortformer_handler import SortformerModelHandler


def handler_of(
    model: ModelOptions,
    parameters: StreamingParameters,
    inference: InferenceOptions,
    *,
    counts: SpeakerCounts = SpeakerCounts(),
    keeps_frames: bool = False,
) -> ModelHandler[Any, Any, Any]:
    """Return the handler for a model.

    Args:
      model: which one.
      parameters: how a streaming model walks.
      inference: how many recordings at once, threads, timeout.
      counts: how many people talk, for a cascade, and for pieces that are linked.
      keeps_frames: keep frames to pool embeddings from: see `check_embeddings`.
    """
    if is_cascade(model):
        return CascadeModelHandler(model, counts=counts, inference=inference)
    counts = with_own_links(counts, model)
    if is_nemotron(model):
        return with_links(_nemotron_handler(model, inference), counts, model, inference)
    keeps_any = keeps_frames or counts.link_by == OWN_FRAMES
    sortformer = SortformerModelHandler(model, parameters=parameters, inference=inference, keeps_frames=keeps_any)
    return with_links(sortformer, counts, model, inference, keeps_frames=keeps_frames)


def _nemotron_handler(model: ModelOptions, inference: InferenceOptions) -> NemotronModelHandler:
    return NemotronModelHandler(
        model.model_name,
        model_path=model.model_path or None,
        cache_dir=model.cache_dir or None,
        sha256=model.sha256 or None,
        device=model.device,
        threads=inference.threads or os.cpu_count() or 1,
        max_batch_size=inference.inference_batch_size,
        max_batch_seconds=inference.batch_seconds,
        timeout=inference.timeout,
    )


def embedding_handler_of(
    rules: DiarizeRules, model: ModelOptions, inference: InferenceOptions
) -> EmbeddingModelHandler:
    """Return the handler for the model that makes embeddings, on the device of the model that listens."""
    path = embedding_path(rules)
    return EmbeddingModelHandler(
        TITANET_MODEL if path else rules.embedding_model,
        model_path=path or None,
        cache_dir=model.cache_dir or None,
        device="cpu" if embeds_on_onnx(rules) else cast(Device, model.device),
        threads=inference.threads or os.cpu_count() or 1,
        timeout=inference.timeout,
    )
