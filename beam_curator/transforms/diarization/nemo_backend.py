"""A Sortformer as NeMo has it, on torch: any `.nemo` file of the offline and the streaming family, on CPU and GPU.

A `.nemo` file is a tar of a YAML config and a checkpoint of torch's. It is read here instead of by NeMo's
`restore_from`, which changes the working directory of the process, unpacks into a temporary folder, and leaves it to
an environment variable (`TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD`) whether pickles in the checkpoint are run.
"""

import hashlib
import io
import logging
import os
import random
import tarfile
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, Literal, TypeVar

import numpy as np

from beam_curator.diarization.models import (
    MODEL_SAMPLE_RATE,
    CacheRules,
    Encoded,
    Floats,
    Lengths,
    MelRules,
    ModelConfig,
    Normalization,
    NotAModelError,
    OutOfMemoryError,
)
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.transforms.diarization.torch_running import computing, is_memory_error, with_memory_errors

Autocast = Literal["none", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]

_Result = TypeVar("_Result")

_CONFIG, _WEIGHTS = "model_config.yaml", "model_weights.ckpt"
_MODEL_CLASS = "SortformerEncLabelModel"
_MOST_CONFIG_BYTES = 1 << 24
_CURE = "give a .nemo file of a Sortformer"


class NemoBackend:
    """The two functions of a Sortformer, by NeMo's own modules. `load_nemo` makes one.

    One call runs at a time: NeMo's positional table grows on demand and belongs to the model.

    Args:
      model: NeMo's `SortformerEncLabelModel`, in evaluation mode, on its device.
      config: of the model.
      n_threads: for torch on CPU; None leaves them as they are.
      autocast: "bfloat16" computes in mixed precision: faster on GPUs, less exact.

    Attributes:
      model: NeMo's.
      config: of the model.
      mel_filters: float32 [n_mels, n_fft // 2 + 1].
      device: where the model is, as torch names it.
    """

    def __init__(
        self, model: Any, config: ModelConfig, *, n_threads: int | None = None, autocast: Autocast = "none"
    ) -> None:
        self.model = model
        self.config = config
        self.mel_filters: Floats = np.ascontiguousarray(model.preprocessor.featurizer.fb[0].cpu().numpy())
        self.device = str(next(model.parameters()).device)
        self._n_threads = n_threads
        self._autocast = autocast
        self._lock = threading.Lock()

    def pre_encode(self, mel: Floats, lengths: Lengths) -> tuple[Floats, Lengths]:
        """Turn mel frames into embeddings; see `Backend.pre_encode`."""

        def compute() -> tuple[Floats, Lengths]:
            embeddings, n_frames = self.model.encoder.pre_encode(x=self._tensor(mel), lengths=self._tensor(lengths))
            return _floats(embeddings), np.ascontiguousarray(n_frames.cpu().numpy(), np.int64)

        return self._run(compute)

    def encode(self, embeddings: Floats, lengths: Lengths) -> Floats:
        """Turn embeddings into probabilities of speakers; see `Backend.encode`."""
        return self.encode_with_frames(embeddings, lengths).probabilities

    def encode_with_frames(self, embeddings: Floats, lengths: Lengths) -> Encoded:
        """Turn embeddings into probabilities of speakers, and frames; see `Backend.encode_with_frames`."""

        def compute() -> Encoded:
            hidden, n_frames = self.model.frontend_encoder(
                processed_signal=self._tensor(embeddings),
                processed_signal_length=self._tensor(lengths),
                bypass_pre_encode=True,
            )
            return Encoded(_floats(self.model.forward_infer(hidden, n_frames)), _floats(hidden))

        return self._run(compute)

    def _tensor(self, values: Floats | Lengths) -> Any:
        import torch

        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def _run(self, compute: Callable[[], _Result]) -> _Result:
        encoder = self.model.encoder
        with self._lock, computing(self.device, self._n_threads, self._autocast):
            table, longest = encoder.pos_enc.pe, encoder.max_audio_length
            try:
                return with_memory_errors(compute)
            except OutOfMemoryError:
                encoder.pos_enc.pe, encoder.max_audio_length = table, longest
                raise


def load_nemo(
    path: str,
    device: Device = "auto",
    n_threads: int | None = None,
    autocast: Autocast = "none",
    *,
    verbose: bool = False,
) -> NemoBackend:
    """Load a Sortformer from a `.nemo` file. No pickle in it is run.

    Args:
      path: of the file.
      device: "auto" takes a GPU where there is one.
      n_threads: for torch on CPU, in this process; None leaves them as they are.
      autocast: "bfloat16" computes in mixed precision.
      verbose: let NeMo log.

    Raises:
      FileNotFoundError: there is no such file.
      NotAModelError: it is no `.nemo` file of a Sortformer, or a damaged one.
      ValueError: a GPU was asked for, and there is none.
      OutOfMemoryError: the model does not fit into memory.
      ModuleNotFoundError: NeMo is not installed.
    """
    if os.path.isdir(path):
        raise NotAModelError(f"{path} is a directory: {_CURE}")
    with open(path, "rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        with quiet_nemo(verbose=verbose):
            place = _place(device)
            model = with_memory_errors(lambda: _restore(stream, path).to(place).eval())
    featurizer = model.preprocessor.featurizer
    featurizer.dither, featurizer.pad_to = 0.0, 0
    return NemoBackend(model, _config_of(model, path, sha256), n_threads=n_threads, autocast=autocast)


@contextmanager
def quiet_nemo(*, verbose: bool = False) -> Iterator[None]:
    """Keep what NeMo and its telemetry say below errors off the terminal, and Python's warnings meanwhile.

    Raises:
      ModuleNotFoundError: NeMo is not installed.
    """
    with warnings.catch_warnings():
        if verbose:
            yield
            return
        warnings.simplefilter("ignore")
        logging.getLogger("nv_one_logger").setLevel(logging.CRITICAL)
        from nemo.utils import logging as nemo_logging

        nemo_logging.setLevel(logging.ERROR)
        yield


def _place(device: Device) -> str:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        kind = f"was built for CUDA {torch.version.cuda}" if torch.version.cuda else "was built without CUDA"
        raise ValueError(
            f"device cuda asked for, but torch sees no GPU: torch {torch.__version__} {kind}; "
            "check nvidia-smi, or give device cpu"
        )
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def _restore(stream: BinaryIO, path: str) -> Any:
    """Build the model that a `.nemo` file describes, on CPU, with its weights."""
    with _opened_tar(stream, path) as (tar, is_packed):
        config = _read_config(tar, path, is_packed=is_packed)
        weights = _read_weights(tar, path, is_packed=is_packed)
    from nemo.collections.asr.models import SortformerEncLabelModel

    state = random.getstate()
    try:
        model = SortformerEncLabelModel.from_config_dict(config)
        model.load_state_dict(weights, strict=True)
    except Exception as err:
        if is_memory_error(err):
            raise
        raise NotAModelError(
            f"{path} holds a Sortformer that this version of NeMo cannot build: {_first_line(err)}: "
            "load it with the version that wrote it"
        ) from err
    finally:
        random.setstate(state)
    return model


@contextmanager
def _opened_tar(stream: BinaryIO, path: str) -> Iterator[tuple[tarfile.TarFile, bool]]:
    """Open a tar, plain or gzipped as older files are; yield it and whether it is gzipped."""
    is_packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    try:
        with tarfile.open(fileobj=stream, mode="r:gz" if is_packed else "r:") as tar:
            yield tar, is_packed
    except EOFError as err:
        raise NotAModelError(f"{path} ends too early ({os.path.getsize(path):,} bytes): fetch it again") from err
    except (tarfile.TarError, zlib.error) as err:
        size = os.path.getsize(path)
        found = "is empty" if size == 0 else f"is no .nemo file, or a damaged one ({size:,} bytes, {err})"
        raise NotAModelError(f"{path} {found}: {_CURE}, or fetch it again") from err


def _member(tar: tarfile.TarFile, name: str, path: str, *, is_packed: bool) -> tuple[IO[bytes], int]:
    """Return a file of the tar, and its size.

    Raises:
      EOFError: the tar ends inside of it.
      NotAModelError: it is not there.
    """
    for member in tar:
        stream = tar.extractfile(member) if os.path.normpath(member.name) == name and member.isfile() else None
        if stream is None:
            continue
        if not is_packed and member.offset_data + member.size > os.path.getsize(path):
            raise EOFError(name)
        return (io.BytesIO(stream.read()) if is_packed else stream), member.size
    raise NotAModelError(f"{path} is a tar without {name}, thus no .nemo file: {_CURE}")


def _read_config(tar: tarfile.TarFile, path: str, *, is_packed: bool) -> Any:
    """Return NeMo's config of the model; data sets named in it are left out: NeMo would open them."""
    from omegaconf import OmegaConf

    stream, size = _member(tar, _CONFIG, path, is_packed=is_packed)
    if size > _MOST_CONFIG_BYTES:
        raise NotAModelError(f"{path} has a {_CONFIG} of {size:,} bytes, expected at most {_MOST_CONFIG_BYTES:,}")
    try:
        config: Any = OmegaConf.load(stream)
    except Exception as err:
        raise NotAModelError(f"{path} has a damaged {_CONFIG} ({_first_line(err)}): fetch it again") from err
    found = str(config.get("target", "a model without a target")) if OmegaConf.is_dict(config) else "a list"
    if found.rpartition(".")[2] != _MODEL_CLASS:
        raise NotAModelError(f"{path} is no Sortformer but {found}: {_CURE}")
    for name in ("train_ds", "validation_ds", "test_ds"):
        config.pop(name, None)
    return config


def _read_weights(tar: tarfile.TarFile, path: str, *, is_packed: bool) -> Any:
    """Return the weights by name. Only tensors are made: torch refuses a pickle that would run anything."""
    import torch

    stream, _ = _member(tar, _WEIGHTS, path, is_packed=is_packed)
    try:
        return torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as err:
        if is_memory_error(err):
            raise
        raise NotAModelError(
            f"{path} has a damaged {_WEIGHTS}, or one with more than weights in it ({_first_line(err)}): fetch it again"
        ) from err


def _first_line(err: Exception) -> str:
    lines = str(err).strip().splitlines()
    return lines[0][:200] if lines else type(err).__name__


def _config_of(model: Any, path: str, sha256: str) -> ModelConfig:
    modules = model.sortformer_modules
    names = set(StreamingParameters.__dataclass_fields__) - {"asynchronous"}
    parameters = {field: getattr(modules, field) for field in names}
    name = os.path.basename(path)
    try:
        return ModelConfig(
            n_speakers=int(modules.n_spk),
            embedding_size=int(modules.fc_d_model),
            mel=_mel_rules(model.preprocessor.featurizer, name),
            is_streaming=bool(model.streaming_mode),
            subsampling_factor=int(modules.subsampling_factor),
            cache=CacheRules(**{field: getattr(modules, field) for field in CacheRules.__dataclass_fields__}),
            streaming=StreamingParameters(**parameters, asynchronous=bool(model.async_streaming)),
            name=name,
            sha256=sha256,
        )
    except NotAModelError:
        raise
    except (ValueError, TypeError) as err:
        raise NotAModelError(f"{path} holds a Sortformer with settings that are not known here: {err}") from err


def _mel_rules(featurizer: Any, name: str) -> MelRules:
    """Read how a model hears from NeMo's `FilterbankFeatures`.

    Raises:
      NotAModelError: in a way that the front end here does not know.
    """
    _refuse_other_hearing(featurizer, name)
    guard = featurizer.log_zero_guard_value
    if isinstance(guard, str):
        guard = getattr(np.finfo(np.float32), guard)
    normalization: Normalization = "per_feature" if featurizer.normalize == "per_feature" else "none"
    return MelRules(
        n_mels=int(featurizer.nfilt),
        n_fft=int(featurizer.n_fft),
        hop_length=int(featurizer.hop_length),
        win_length=int(featurizer.win_length),
        preemphasis=float(featurizer.preemph or 0.0),
        log_guard=float(guard),
        normalization=normalization,
    )


def _refuse_other_hearing(featurizer: Any, name: str) -> None:
    import torch

    hann = torch.hann_window(featurizer.win_length, periodic=False)
    window = featurizer.window
    known = {
        f"a sample rate of {featurizer.sample_rate}": featurizer.sample_rate == MODEL_SAMPLE_RATE,
        "another shape than Hann's to cut frames": window is not None and torch.allclose(window.cpu().float(), hann),
        f"magnitudes to the power of {featurizer.mag_power}": featurizer.mag_power == 2.0,
        "mel bands without a logarithm": featurizer.log and featurizer.log_zero_guard_type == "add",
        f"frames spliced by {featurizer.frame_splicing}": featurizer.frame_splicing == 1,
        "frames that are not centred (exact_pad)": not featurizer.exact_pad,
        f"normalization {featurizer.normalize!r}": featurizer.normalize in ("per_feature", "NA", "", None),
    }
    problems = [what for what, is_known in known.items() if not is_known]
    if problems:
        raise NotAModelError(f"{name} hears with {', '.join(problems)}, which is not known here: {_CURE}")


def _floats(tensor: Any) -> Floats:
    return np.ascontiguousarray(tensor.float().cpu().numpy())
