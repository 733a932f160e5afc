"""Facts about published models: their owners, their permitted and intended uses, and their abilities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS
from beam_curator.intervals import Seconds

Family = Literal["sortformer-offline", "sortformer-streaming", "nemotron", "titanet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A published model, or one of this package.

    Attributes:
      name: its id on huggingface.co, or, of a packaged one, its own.
      family: which engine runs it.
      licence: as its model card says it.
      non_commercial: the licence forbids commercial use.
      n_speakers: most speakers that it tells apart; None where it tells none apart.
      frame_step: of its probabilities; None where it has none.
      summary: one line for people.
      n_bytes: size of its file on the hub; None where it is not known.
      sha256: of that file; None where it is not known.
      embedding_size: numbers of the embedding that it makes of a speaker; None where that is not its work.
      packaged: it lies in this package, in `models/NAME`, and nothing is fetched.
      only_for: what it is good for, if that is less than its family promises; "" where it is not.
    """

    name: str
    family: Family
    licence: str
    non_commercial: bool
    n_speakers: int | None
    frame_step: Seconds | None
    summary: str
    n_bytes: int | None = None
    sha256: str | None = None
    embedding_size: int | None = None
    packaged: bool = False
    only_for: str = ""


_SORTFORMER_STEP = 0.08
_NEMOTRON_STEP = 0.01  # transformers' Nemotron3DiarizationForAudioFrameClassification: "one frame every 10 ms"
_NEMOTRON_LATENCY = 30.4  # transformers' Nemotron3DiarizationConfig: 340 embeddings a chunk, 40 ahead, of 80 ms each

# Sizes and hashes are those of the hub's file pages, or what several projects that pin the files agree on. Of Nemotron
# none was found for the file that is used here, its safetensors.
_ALL = (
    KnownModel(
        name="demo",
        family="sortformer-streaming",
        licence="Apache-2.0",
        non_commercial=False,
        n_speakers=4,
        frame_step=_SORTFORMER_STEP,
        summary="small, in this package, trained on synthetic voices: needs neither a download nor torch",
        packaged=True,
        only_for="demonstration and tests",
    ),
    KnownModel(
        name="nvidia/diar_sortformer_4spk-v1",
        family="sortformer-offline",
        licence="CC-BY-NC-4.0",
        non_commercial=True,
        n_speakers=4,
        frame_step=_SORTFORMER_STEP,
        summary="hears a recording at once, so its length is limited by memory",
        n_bytes=493_434_880,
        sha256="bc74dfd8ca314240abcdc7e2949901eeaa72947a04ce1fab893e373d81f1e689",
    ),
    KnownModel(
        name="nvidia/diar_streaming_sortformer_4spk-v2",
        family="sortformer-streaming",
        licence="CC-BY-4.0",
        non_commercial=False,
        n_speakers=4,
        frame_step=_SORTFORMER_STEP,
        summary="hears chunk by chunk with a speaker cache: recordings of any length, and live streams",
        n_bytes=471_367_680,
        sha256="b371afce2c4958186469df33d939936b9746c89f38b10a69cfd2c61254e83329",
    ),
    KnownModel(
        name="nvidia/diar_streaming_sortformer_4spk-v2.1",
        family="sortformer-streaming",
        licence="NVIDIA Open Model License",
        non_commercial=False,
        n_speakers=4,
        frame_step=_SORTFORMER_STEP,
        summary="as v2, trained further: fewer errors in meetings",
        n_bytes=471_367_680,
        sha256="8abd32832159c6ac1148c926b7276f35ba34582c444e559dce1f1253fea42ef8",
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
    KnownModel(
        name="nvidia/speakerverification_en_titanet_large",
        family="titanet",
        licence="CC-BY-4.0",
        non_commercial=False,
        n_speakers=None,
        frame_step=None,
        summary="TitaNet: an embedding of a speaker; it gives no turns",
        n_bytes=101_621_760,
        sha256="e838520693f269e7984f55bc8eb3c2d60ccf246bf4b896d4be9bcabe3e4b0fe3",
        embedding_size=192,
    ),
)

KNOWN_MODELS: Mapping[str, KnownModel] = {model.name: model for model in _ALL}
"""Name to what is known: the one of this package, published ones that tell who speaks when, oldest first, others."""

RECOMMENDED_MODEL = "nvidia/diar_streaming_sortformer_4spk-v2.1"
"""What to use in place of a model that is not for one's purpose."""

DEFAULT_MODEL = "demo"
"""What listens where no model is named."""

NEMOTRON_MODEL = "nvidia/Nemotron-3-Diarization"

NEMOTRON_TYPE = "nemotron3_diarization"
"""What the `config.json` of such a model calls it (`model_type`): transformers saves many others in such folders."""

TITANET_MODEL = "nvidia/speakerverification_en_titanet_large"


def known_model(name: str) -> KnownModel | None:
    """Return the known facts about a model, None for a model that is not listed here.

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


_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[A-Za-z0-9][\w./-]*)?", re.ASCII)


def name_problem(name: str) -> str | None:
    """Explain why no model can have a name; None if one can.

    Example:
      >>> print(name_problem("demo@v2"))
      model demo@v2 is not there, expected demo, which lies in this package and has no revisions: leave @v2 out
      >>> print(name_problem("auto"))
      'auto' is no model name, expected demo or org/name[@revision] of the hub: see 'beam-curator models', or give a \
file or folder as --model-path
      >>> name_problem("demo"), name_problem("nvidia/diar_streaming_sortformer_4spk-v2@main")
      (None, None)
    """
    known = known_model(name)
    if known is None or not known.packaged:
        if _HUB_NAME.fullmatch(name) and ".." not in name:
            return None
        return (
            f"{name!r} is no model name, expected {DEFAULT_MODEL} or org/name[@revision] of the hub: see 'beam-curator "
            "models', or give a file or folder as --model-path"
        )
    if name == known.name:
        return None
    return (
        f"model {name} is not there, expected {known.name}, which lies in this package and has no revisions: leave "
        f"{name.removeprefix(known.name)} out"
    )


def latencies_of(family: Family) -> Mapping[str, Seconds]:
    """Return the latencies that models of a family can be run with, by the name of their preset.

    A model that hears a recording at once has none. Nemotron walks by its own configuration; this is the published one.

    Example:
      >>> dict(latencies_of("sortformer-streaming"))
      {'very-high': 30.4, 'high': 10.0, 'low': 1.04, 'ultra-low': 0.32}
      >>> dict(latencies_of("nemotron")), dict(latencies_of("sortformer-offline"))
      ({'default': 30.4}, {})
    """
    if family == "sortformer-streaming":
        return {name: round(walk.latency, 2) for name, walk in LATENCY_PRESETS.items()}
    return {"default": _NEMOTRON_LATENCY} if family == "nemotron" else {}


def warning_of(model: KnownModel) -> str | None:
    """Return the warning to give before a model is used, which names a model to take instead; None if it needs none.

    Example:
      >>> print(warning_of(KNOWN_MODELS["nvidia/diar_sortformer_4spk-v1"]))
      model nvidia/diar_sortformer_4spk-v1 is under CC-BY-NC-4.0, which forbids commercial use: for that take \
nvidia/diar_streaming_sortformer_4spk-v2.1 (NVIDIA Open Model License)
      >>> warning_of(KNOWN_MODELS["nvidia/diar_streaming_sortformer_4spk-v2"])
    """
    other = f"{RECOMMENDED_MODEL} ({KNOWN_MODELS[RECOMMENDED_MODEL].licence})"
    if model.non_commercial:
        return f"model {model.name} is under {model.licence}, which forbids commercial use: for that take {other}"
    if model.only_for:
        return f"model {model.name} is for {model.only_for} only: for real speech take {other}"
    return None
