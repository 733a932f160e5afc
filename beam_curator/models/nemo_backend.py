"""A Sortformer as NeMo has it, on torch: any `.nemo` file of the offline and the streaming family, on CPU and GPU."""

import os
import threading
from collections.abc import Callable
from typing import Any, Literal, TypeVar

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
from beam_curator.models.nemo_files import Device, NemoClass, restore_nemo
from beam_curator.models.torch_running import computing, with_memory_errors

Autocast = Literal["none", "bfloat16"]

_Result = TypeVar("_Result")

_SORTFORMER = NemoClass("SortformerEncLabelModel", "Sortformer")


class NemoBackend:
    """The two functions of a Sortformer, by NeMo's own modules. `load_nemo` makes one.

    One call runs at a time: NeMo's positional table grows on demand and belongs to the model.

    Args:
      model: NeMo's `SortformerEncLabelModel`, in evaluation mode, on its device.
      config: the model's configuration.
      n_threads: number of torch's threads on CPU; None keeps the current number.
      autocast: "bfloat16" computes in mixed precision: faster on GPUs, less exact.

    Attributes:
      model: NeMo's.
      config: the model's configuration.
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

    def encode(self, embeddings: Floats, lengths: Lengths, *, keeps_frames: bool = False) -> Encoded:
        """Turn embeddings into probabilities of speakers; see `Backend.encode`."""

        def compute() -> Encoded:
            hidden, n_frames = self.model.frontend_encoder(
                processed_signal=self._tensor(embeddings),
                processed_signal_length=self._tensor(lengths),
                bypass_pre_encode=True,
            )
            probabilities = _floats(self.model.forward_infer(hidden, n_frames))
            return Encoded(probabilities, _floats(hidden) if keeps_frames else None)

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
                # the table has grown for this call, and would keep its memory
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
      n_threads: number of torch's threads on CPU, in this process; None keeps the current number.
      autocast: "bfloat16" computes in mixed precision.
      verbose: let NeMo log.

    Raises:
      FileNotFoundError: there is no such file.
      NotAModelError: it is no `.nemo` file of a Sortformer, or a damaged one.
      ValueError: a GPU was asked for, and there is none.
      OutOfMemoryError: the model does not fit into memory.
      ModuleNotFoundError: NeMo is not installed.
    """
    model, sha256 = restore_nemo(path, _SORTFORMER, device, verbose=verbose)
    featurizer = model.preprocessor.featurizer
    # dither is random, and padding adds frames that nobody spoke in
    featurizer.dither, featurizer.pad_to = 0.0, 0
    return NemoBackend(model, _config_of(model, path, sha256), n_threads=n_threads, autocast=autocast)


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
        raise NotAModelError(f"{name} hears with {', '.join(problems)}, which is not known here: {_SORTFORMER.cure}")


def _floats(tensor: Any) -> Floats:
    return np.ascontiguousarray(tensor.float().cpu().numpy())
