"""What is known of the published diarization models: whose they are, what they may be used for, what they can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from beam_curator.intervals import Seconds

Family = Literal["sortformer-offline", "sortformer-streaming", "nemotron"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A published model.

    Attributes:
      name: its id on huggingface.co.
      family: which engine runs it.
      licence: as its model card says it.
      non_commercial: the licence forbids commercial use.
      n_speakers: most speakers that it tells apart.
      frame_step: of its probabilities.
      summary: one line for people.
    """

    name: str
    family: Family
    licence: str
    non_commercial: bool
    n_speakers: int
    frame_step: Seconds
    summary: str


_SORTFORMER_STEP = 0.08
_NEMOTRON_STEP = 0.01  # transformers' Nemotron3DiarizationForAudioFrameClassification: "one frame every 10 ms"

_ALL = (
    KnownModel(
        name="nvidia/diar_sortformer_4spk-v1",
        family="sortformer-offline",
        licence="CC-BY-NC-4.0",
        non_commercial=True,
        n_speakers=4,
        frame_step=_SORTFORMER_STEP,
        summary="hears a recording at once, so its length is limited by memory; not for commercial use",
    ),
    KnownModel(
        name="nvidia/diar_streaming_sortformer_4spk-v2",
        family="sortformer-streaming",
        licence="CC-BY-4.0",
        non_commercial=False,
        n_speakers=4,
        frame_step=_SORTFORMER_STEP,
        summary="hears chunk by chunk with a speaker cache: recordings of any length, and live streams",
    ),
    KnownModel(
        name="nvidia/diar_streaming_sortformer_4spk-v2.1",
        family="sortformer-streaming",
        licence="NVIDIA Open Model License",
        non_commercial=False,
        n_speakers=4,
        frame_step=_SORTFORMER_STEP,
        summary="as v2, trained further: fewer errors in meetings",
    ),
    KnownModel(
        name="nvidia/Nemotron-3-Diarization",
        family="nemotron",
        licence="OpenMDW-1.1",
        non_commercial=False,
        n_speakers=8,
        frame_step=_NEMOTRON_STEP,
        summary="up to eight speakers, recordings of any length; runs on transformers instead of NeMo",
    ),
)

KNOWN_MODELS: Mapping[str, KnownModel] = {model.name: model for model in _ALL}
"""Name to what is known, oldest first."""

DEFAULT_MODEL = "nvidia/diar_streaming_sortformer_4spk-v2.1"

NEMOTRON_MODEL = "nvidia/Nemotron-3-Diarization"


def known_model(name: str) -> KnownModel | None:
    """Return what is known of a model, None for a model of somebody else's.

    Args:
      name: `org/name`, or `org/name@revision`.

    Example:
      >>> known_model("nvidia/diar_sortformer_4spk-v1").licence
      'CC-BY-NC-4.0'
      >>> known_model("nvidia/diar_streaming_sortformer_4spk-v2@main").n_speakers
      4
      >>> known_model("somebody/else")
    """
    return KNOWN_MODELS.get(name.partition("@")[0])
