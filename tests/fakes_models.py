"""Sortformers whose answers can be worked out by hand, and sounds for them: a speaker is a tone of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from beam_curator.audio import Samples, encode_audio
from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions
from beam_curator.diarization.models import Encoded, Floats, Lengths, MelRules, ModelConfig, OutOfMemoryError
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.diarization.turns import Turn
from beam_curator.models.checksums import CHECKSUMS
from beam_curator.models.onnx_backend import checksums_of
from beam_curator.models.sortformer import SortformerModel
from beam_curator.transforms.diarization.sortformer_handler import SortformerModelHandler

TONES = (500, 1000, 1500, 2000)
"""Hz: speaker k talks with tone k, which is heard as such also at 8 kHz."""

POISON = 4
"""In place of a speaker: a tone of 2500 Hz that the model cannot bear."""

FRAME = 0.08
"""Seconds of a frame: speech that begins and ends on this grid comes back as turns of exactly these times."""

Speech = tuple[float, float, int]
"""Start and end in seconds, and the speaker."""

_N_BINS = 257
_MIDDLE = 4


def config_of(*, streaming: bool = True) -> ModelConfig:
    """Return the config of a model that hears five bands and tells four speakers apart."""
    return ModelConfig(
        n_speakers=len(TONES), embedding_size=5, mel=MelRules(n_mels=5), is_streaming=streaming, name="bands"
    )


def band_filters() -> Floats:
    """Return float32 [5, 257]: seven bins around each tone, and around the one that cannot be borne."""
    filters = np.zeros((5, _N_BINS), np.float32)
    for band, tone in enumerate((*TONES, 2500)):
        middle = round(tone * 512 / 16000)
        filters[band, middle - 3 : middle + 4] = 1.0
    return filters


class ModelFailedError(RuntimeError):
    """What the model says to a sound that it cannot bear."""


@dataclass(slots=True, kw_only=True)
class BandBackend:
    """A backend in NumPy: a speaker talks in a frame if the mel frame in its middle has power above 1 in the band.

    A frame's answer depends on nothing else, so that it is the same streaming or not, alone or in a batch.

    Attributes:
      streaming: whether it keeps a speaker cache.
      most_seconds: more audio than this at once, padding and all, and memory is lacking.
      memory_error: raised then.
      nap: seconds that each answer takes.
    """

    streaming: bool = True
    most_seconds: float = float("inf")
    memory_error: type[BaseException] = OutOfMemoryError
    nap: float = 0.0
    config: ModelConfig = field(init=False)
    mel_filters: Floats = field(init=False)
    batch_sizes: list[int] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.config, self.mel_filters = config_of(streaming=self.streaming), band_filters()

    def pre_encode(self, mel: Floats, lengths: Lengths) -> tuple[Floats, Lengths]:
        if mel.shape[0] * mel.shape[1] * 0.01 > self.most_seconds:
            raise self.memory_error(f"{mel.shape[0] * mel.shape[1] * 0.01:g} s at once")
        if any((item[:n, POISON] > 0).any() for item, n in zip(mel, lengths, strict=True)):
            raise ModelFailedError("a sound that cannot be borne\nand more about it")
        time.sleep(self.nap)
        self.batch_sizes.append(len(mel))
        n_frames = -(-lengths // 8)
        middles = 8 * np.arange(n_frames.max()) + _MIDDLE
        places = np.minimum(middles[np.newaxis], lengths[:, np.newaxis] - 1)
        return np.take_along_axis(mel, places[:, :, np.newaxis], axis=1), n_frames

    def encode(self, embeddings: Floats, lengths: Lengths, *, keeps_frames: bool = False) -> Encoded:
        """The frames are how loud the tones are, of which each speaker has one."""
        with np.errstate(over="ignore"):
            probabilities = (1 / (1 + np.exp(-embeddings[:, :, : len(TONES)]))).astype(np.float32)
        for item, n in zip(probabilities, lengths, strict=True):
            item[n:] = 0
        return Encoded(probabilities, embeddings[:, :, : len(TONES)] if keeps_frames else None)


class BandHandler(SortformerModelHandler):
    """The handler of such a model; `faults` are arguments of `BandBackend`."""

    def __init__(
        self,
        *,
        model: ModelOptions | None = None,
        parameters: StreamingParameters | None = None,
        inference: InferenceOptions | None = None,
        keeps_frames: bool = False,
        **faults: Any,
    ) -> None:
        super().__init__(model, parameters=parameters, inference=inference, keeps_frames=keeps_frames)
        self._faults = faults

    def load_model(self) -> SortformerModel:
        return SortformerModel(BandBackend(**self._faults))


def sound_of(seconds: float, speech: Iterable[Speech] = (), sample_rate: int = 16000, n_channels: int = 1) -> Samples:
    """Return float32 [n_samples, n_channels] in which the speakers talk; all channels are the same.

    Tones begin and end within 10 ms, so that they stay in their band.
    """
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    sound = np.zeros(len(times))
    for start, end, speaker in speech:
        rise = np.clip(np.minimum(times - start, end - times) / 0.01, 0.0, 1.0)
        sound += 0.2 * rise * np.sin(2 * np.pi * (*TONES, 2500)[speaker] * times)
    return np.repeat(sound.astype(np.float32)[:, np.newaxis], n_channels, axis=1)


def write_sound(
    path: Path, seconds: float, speech: Iterable[Speech] = (), sample_rate: int = 16000, n_channels: int = 1
) -> Path:
    """Write such a sound as wav or flac, by the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_audio(sound_of(seconds, speech, sample_rate, n_channels), sample_rate, path.suffix[1:]))
    return path


def turns_of(speech: Iterable[Speech]) -> list[Turn]:
    """Return the turns that such a model finds, in order of time."""
    ordered = sorted(speech)
    return [Turn(start=start, end=end, speaker=speaker) for start, end, speaker in ordered]


def segments_of(speech: Iterable[Speech]) -> list[dict[str, Any]]:
    """Return the turns that such a model finds as segments of an entry."""
    return [{"start": turn.start, "end": turn.end, "speaker": turn.label} for turn in turns_of(speech)]


def said(seconds: float, speech: Iterable[Speech], n_speakers: int = 4) -> Probabilities:
    """Return probabilities of 1 where speakers talk, and of 0 elsewhere."""
    frames = np.zeros((-(-round(seconds * 1000) // 80), n_speakers), np.float32)
    for start, end, speaker in speech:
        frames[round(start / 0.08) : round(end / 0.08), speaker] = 1.0
    return Probabilities(frames, 0.08)


def write_band_model(directory: Path, *, streaming: bool = True) -> Path:
    """Write the same model as an exported one, which onnxruntime runs; it bears every sound."""
    import onnx

    directory.mkdir(parents=True, exist_ok=True)
    for name, text in _GRAPHS.items():
        onnx.save(onnx.parser.parse_model(text), directory / name)
    np.save(directory / "mel_filters.npy", band_filters())
    (directory / "config.json").write_text(config_of(streaming=streaming).to_json())
    (directory / CHECKSUMS).write_text(checksums_of(str(directory)))
    return directory


_GRAPHS = {
    "pre_encode.onnx": """
        <ir_version: 8, opset_import: ["": 17]>
        pre_encode (float[n, t, 5] mel, int64[n] lengths) => (float[n, f, 5] embeddings, int64[n] n_frames)
        <int64 zero = {0}, int64 one = {1}, int64 middle = {4}, int64 seven = {7}, int64 eight = {8},
         int64[1] second = {1}, int64[1] third = {2}, int64[3] bands = {1, 1, 5}>
        {
            more = Add(lengths, seven)
            n_frames = Div(more, eight)
            most = ReduceMax<keepdims = 0>(n_frames)
            frames = Range(zero, most, one)
            firsts = Mul(frames, eight)
            middles = Add(firsts, middle)
            lasts = Sub(lengths, one)
            limits = Unsqueeze(lasts, second)
            places = Min(middles, limits)
            indices = Unsqueeze(places, third)
            all_indices = Expand(indices, bands)
            embeddings = GatherElements<axis = 1>(mel, all_indices)
        }
        """,
    "encode.onnx": """
        <ir_version: 8, opset_import: ["": 17]>
        encode (float[n, f, 5] embeddings, int64[n] lengths) => (float[n, f, 4] probabilities, float[n, f, 4] frames)
        <int64 zero = {0}, int64 one = {1}, float nothing = {0},
         int64[1] first = {0}, int64[1] second = {1}, int64[1] third = {2}, int64[1] fifth = {4}>
        {
            frames = Slice(embeddings, first, fifth, third)
            unmasked = Sigmoid(frames)
            shape = Shape<start = 1, end = 2>(embeddings)
            most = Squeeze(shape)
            numbers = Range(zero, most, one)
            limits = Unsqueeze(lengths, second)
            inside = Less(numbers, limits)
            mask = Unsqueeze(inside, third)
            probabilities = Where(mask, unmasked, nothing)
        }
        """,
}
