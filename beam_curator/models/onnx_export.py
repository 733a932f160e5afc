"""Make ONNX graphs of a Sortformer, so that it runs without torch.

NeMo's own export of streaming Sortformers takes only models of the published size, and one graph with the speaker
cache inside does not go through torch's exporter. Here the cache stays outside, in NumPy, and the graphs are the two
functions of a `Backend`.
"""

import os
import shutil
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from beam_curator.diarization.models import Backend, Floats, Lengths, ModelConfig, NotAModelError
from beam_curator.models import onnx_backend
from beam_curator.models.checksums import CHECKSUMS
from beam_curator.models.model_files import exported_config, put_in_place
from beam_curator.models.nemo_backend import NemoBackend, load_nemo
from beam_curator.models.nemo_files import quiet_nemo
from beam_curator.models.onnx_backend import load_onnx
from beam_curator.models.onnx_unmasking import write_unmasked_graphs

MOST_DIFFERENCE = 1e-4
"""The largest difference from NeMo: absolute for probabilities, relative to the largest value for the rest."""

MOST_ROUNDINGS = 4
"""The limit in units of NeMo's own distance from double precision; the larger of the two limits counts.

Deep models with steep last layers need it: the full size with random weights is 1.0e-4 from itself, its graph 0.8e-4.
"""

_OPSET = 17
_CHECKED_MEL_FRAMES = ((8, 1), (8,), (240, 1504, 777), (777, 777), (4864, 13), (4864,))
"""Mel frames of the items of batches: from one frame of the output to 608, the most that a published preset needs.

Batches of items of the same length go through the graphs without masks.
"""


class ExportError(RuntimeError):
    """A model went through the exporter, but its graphs and the model give different results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedModel:
    """An exported model: its config, its files, and how far its graphs are from NeMo.

    Attributes:
      config: the model's configuration.
      n_bytes: of each file, by name.
      pre_encode_difference: largest of the embeddings to NeMo's, in parts of the largest embedding.
      encode_difference: largest of the probabilities to NeMo's.
      frames_difference: largest of the encoder's frames to NeMo's, in parts of the largest number.
      rounding: how far NeMo's are from its own in double precision; None where the graphs are close enough as it is.
    """

    config: ModelConfig
    n_bytes: dict[str, int]
    pre_encode_difference: float
    encode_difference: float
    frames_difference: float
    rounding: float | None = None


def export_sortformer(
    nemo_path: str, directory: str, *, overwrite: bool = False, verbose: bool = False
) -> ExportedModel:
    """Write a Sortformer as two graphs, its config and its filter bank; compare the graphs with NeMo before they stay.

    The files appear together: they are written beside `directory`, which is put in place at the end. An export of the
    same file is replaced; nothing is removed but an exported model.

    Args:
      nemo_path: a `.nemo` file.
      directory: where the model goes; its parent is made if needed.
      overwrite: replace an exported model that was made of another file.
      verbose: let NeMo log.

    Raises:
      FileNotFoundError: there is no such file.
      NotAModelError: it is no Sortformer.
      FileExistsError: the directory holds something else.
      ExportError: the graphs differ from the model by more than `MOST_DIFFERENCE`, and by more than rounding.
      ModuleNotFoundError: NeMo or onnx is not installed.
    """
    directory = os.path.abspath(directory)
    _refuse_foreign(directory)
    backend = load_nemo(nemo_path, device="cpu", verbose=verbose)
    _refuse_other_model(directory, backend.config, overwrite=overwrite)
    os.makedirs(os.path.dirname(directory), exist_ok=True)
    temporary = f"{directory}.{uuid.uuid4().hex}.tmp"
    os.mkdir(temporary)
    try:
        with quiet_nemo(verbose=verbose):
            _write(backend, temporary)
        exported = _compared(backend, temporary)
        put_in_place(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return exported


def _refuse_foreign(directory: str) -> None:
    if not os.path.lexists(directory):
        return
    if not os.path.isdir(directory) or os.path.islink(directory):
        raise FileExistsError(f"{directory} is not a directory: give another one")
    ours = {*onnx_backend.FILES, *onnx_backend.UNMASKED.values(), CHECKSUMS}
    strays = sorted(set(os.listdir(directory)) - ours)
    if strays:
        raise FileExistsError(
            f"{directory} holds {strays[0]!r}, which belongs to no exported model: give another directory"
        )


def _refuse_other_model(directory: str, config: ModelConfig, *, overwrite: bool) -> None:
    if overwrite or not os.path.exists(os.path.join(directory, onnx_backend.CONFIG)):
        return
    try:
        existing = exported_config(directory)
    except NotAModelError:
        return
    if existing.sha256 != config.sha256:
        raise FileExistsError(
            f"{directory} holds a model that was made of another file ({existing.name}, sha256 "
            f"{existing.sha256[:12]}…): give --overwrite, or another directory"
        )


def _write(backend: NemoBackend, directory: str) -> None:
    import torch

    width, n_mels = backend.config.embedding_size, backend.config.mel.n_mels
    random = torch.Generator().manual_seed(0)
    with _traceable(backend.model):
        _export_graph(
            _pre_encoder(backend.model),
            (torch.randn(2, 240, n_mels, generator=random), torch.tensor([240, 160])),
            os.path.join(directory, onnx_backend.PRE_ENCODE),
            {"mel": ["item", "mel_frame"], "lengths": ["item"]},
            {"embeddings": ["item", "frame"], "n_frames": ["item"]},
        )
        _export_graph(
            _encoder(backend.model),
            (torch.randn(2, 200, width, generator=random), torch.tensor([200, 120])),
            os.path.join(directory, onnx_backend.ENCODE),
            {"embeddings": ["item", "frame"], "lengths": ["item"]},
            {"probabilities": ["item", "frame"], "frames": ["item", "frame"]},
        )
    with open(os.path.join(directory, onnx_backend.CONFIG), "w", encoding="utf-8") as stream:
        stream.write(backend.config.to_json())
    np.save(os.path.join(directory, onnx_backend.MEL_FILTERS), backend.mel_filters, allow_pickle=False)
    write_unmasked_graphs(directory)
    sums = onnx_backend.checksums_of(directory)
    with open(os.path.join(directory, CHECKSUMS), "w", encoding="utf-8") as stream:
        stream.write(sums)


def _export_graph(
    module: Any, example: tuple[Any, ...], path: str, inputs: dict[str, list[str]], outputs: dict[str, list[str]]
) -> None:
    """Trace a module into a graph whose named axes may have any length."""
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            example,
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(enumerate(axes)) for name, axes in (inputs | outputs).items()},
            opset_version=_OPSET,
            dynamo=False,
        )


def _pre_encoder(model: Any) -> Any:
    import torch

    class PreEncoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = model.encoder.pre_encode

        def forward(self, mel: Any, lengths: Any) -> Any:
            embeddings, n_frames = self.layers(x=mel, lengths=lengths)
            return embeddings, n_frames.to(torch.int64)

    return PreEncoder()


def _encoder(model: Any) -> Any:
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, embeddings: Any, lengths: Any) -> Any:
            hidden, n_frames = self.model.frontend_encoder(
                processed_signal=embeddings, processed_signal_length=lengths, bypass_pre_encode=True
            )
            return self.model.forward_infer(hidden, n_frames), hidden

    return Encoder()


@contextmanager
def _traceable(model: Any) -> Iterator[None]:
    """Let the model compute its positions instead of cutting them out of a table of fixed length.

    The graph is smaller by the table (20 MB for 5,000 frames at full size), and takes input of any length.
    """
    encoder = model.encoder
    position_encoding, longest = encoder.pos_enc, encoder.max_audio_length
    encoder.pos_enc = _computed_positions(position_encoding)
    try:
        yield
    finally:
        encoder.pos_enc, encoder.max_audio_length = position_encoding, longest


def _computed_positions(position_encoding: Any) -> Any:
    """Return a stand-in for NeMo's `RelPositionalEncoding`: sines and cosines of T - 1, …, -(T - 1) times rates.

    Raises:
      NotAModelError: the model has positions of another kind.
    """
    import torch

    if type(position_encoding).__name__ != "RelPositionalEncoding":
        raise NotAModelError(f"the model has {type(position_encoding).__name__}, which cannot be exported: use NeMo")
    width, scale = position_encoding.d_model, position_encoding.xscale
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * -(np.log(10000.0) / width))

    class ComputedPositions(torch.nn.Module):
        def extend_pe(self, length: int, device: Any, dtype: Any) -> None:
            del length, device, dtype

        def forward(self, x: Any, cache_len: int = 0) -> Any:
            del cache_len
            n_frames = x.size(1)
            offsets = torch.arange(0, 2 * n_frames - 1).to(torch.float32)
            angles = (n_frames - 1 - offsets).unsqueeze(1) * rates.unsqueeze(0)
            table = torch.stack([torch.sin(angles), torch.cos(angles)], dim=2).reshape(1, -1, width)
            return (x * scale if scale else x), table

    return ComputedPositions()


def _compared(backend: NemoBackend, directory: str) -> ExportedModel:
    """Run the graphs and the model on the same random batches of mixed lengths.

    Raises:
      ExportError: they differ.
    """
    graphs = load_onnx(directory, device="cpu")
    differences = [_differences(backend, graphs, *batch) for batch in _batches(backend.config)]
    exported = ExportedModel(
        config=backend.config,
        n_bytes={name: os.path.getsize(os.path.join(directory, name)) for name in sorted(os.listdir(directory))},
        pre_encode_difference=max(apart.embeddings for apart in differences),
        encode_difference=max(apart.probabilities for apart in differences),
        frames_difference=max(apart.frames for apart in differences),
    )
    if exported.encode_difference > MOST_DIFFERENCE:
        rounding = max(_rounding(backend, *batch) for batch in _batches(backend.config))
        exported = replace(exported, rounding=rounding)
    _refuse_differences(exported)
    return exported


def _refuse_differences(exported: ExportedModel) -> None:
    most = max(MOST_DIFFERENCE, MOST_ROUNDINGS * (exported.rounding or 0.0))
    relative = max(exported.pre_encode_difference, exported.frames_difference)
    if relative <= MOST_DIFFERENCE and exported.encode_difference <= most:
        return
    raise ExportError(
        f"the exported graphs of {exported.config.name} differ from NeMo by {exported.pre_encode_difference:.1e} "
        f"(embeddings; expected at most {MOST_DIFFERENCE:.1e}), {exported.frames_difference:.1e} (frames; expected at "
        f"most {MOST_DIFFERENCE:.1e}) and {exported.encode_difference:.1e} (probabilities; expected at most "
        f"{most:.1e}): try another version of torch or onnxruntime, or use the .nemo file as it is"
    )


def _batches(config: ModelConfig) -> Iterator[tuple[Floats, Lengths]]:
    """Yield mel frames like those of sound, and their lengths."""
    random = np.random.default_rng(0)
    level, deviation = (0.0, 1.0) if config.mel.normalization == "per_feature" else (-8.0, 4.0)
    for lengths in _CHECKED_MEL_FRAMES:
        mel = random.normal(level, deviation, (len(lengths), max(lengths), config.mel.n_mels))
        yield mel.astype(np.float32), np.array(lengths, np.int64)


class _Differences(NamedTuple):
    """How far two backends are apart; embeddings and frames in parts of the largest number."""

    embeddings: float
    probabilities: float
    frames: float


def _differences(first: Backend, second: Backend, mel: Floats, lengths: Lengths) -> _Differences:
    embeddings, n_frames = first.pre_encode(mel, lengths)
    other_embeddings, other_n_frames = second.pre_encode(mel, lengths)
    said, others = (backend.encode(embeddings, n_frames, keeps_frames=True) for backend in (first, second))
    shapes, other_shapes = (
        [made[0].shape, made[1].tolist(), *(part.shape for part in made[2] if part is not None)]
        for made in ((embeddings, n_frames, said), (other_embeddings, other_n_frames, others))
    )
    if said.frames is None or others.frames is None or shapes != other_shapes:
        return _Differences(*[float("inf")] * 3)
    return _Differences(
        embeddings=_apart(embeddings, other_embeddings, n_frames),
        probabilities=float(np.abs(said.probabilities - others.probabilities).max()),
        frames=_apart(said.frames, others.frames, n_frames),
    )


def _apart(values: Floats, others: Floats, lengths: Lengths) -> float:
    """Return the largest difference within the items of two batches, in parts of the largest number, or of 1."""
    pairs = [(one[:n], other[:n]) for one, other, n in zip(values, others, lengths, strict=True)]
    largest = max(1.0, *(float(np.abs(one).max()) for one, _ in pairs))
    return max(float(np.abs(one - other).max()) for one, other in pairs) / largest


def _rounding(backend: NemoBackend, mel: Floats, lengths: Lengths) -> float:
    """Return how far the probabilities are from those in double precision."""
    import torch

    embeddings, n_frames = backend.pre_encode(mel, lengths)
    found = backend.encode(embeddings, n_frames).probabilities
    backend.model.double()
    try:
        with torch.inference_mode():
            exact, _ = _encoder(backend.model)(torch.from_numpy(embeddings).double(), torch.from_numpy(n_frames))
    finally:
        backend.model.float()
    return float(np.abs(found - exact.numpy()).max())
