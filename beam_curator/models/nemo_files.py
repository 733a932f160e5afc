"""Models of NeMo from their files. No pickle in one is run.

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
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, Literal, NamedTuple

from beam_curator.diarization.models import NotAModelError
from beam_curator.models.torch_running import is_memory_error, with_memory_errors

Device = Literal["auto", "cpu", "cuda"]

_CONFIG, _WEIGHTS = "model_config.yaml", "model_weights.ckpt"
_MOST_CONFIG_BYTES = 1 << 24


class NemoClass(NamedTuple):
    """A class of models of NeMo's.

    Attributes:
      target: its name in `nemo.collections.asr.models`.
      what: its name for people.
    """

    target: str
    what: str

    @property
    def cure(self) -> str:
        """Advice for a file that holds a model of another class."""
        return f"give a .nemo file of a {self.what}"


def restore_nemo(path: str, kind: NemoClass, device: Device = "auto", *, verbose: bool = False) -> tuple[Any, str]:
    """Load a model from a `.nemo` file.

    Args:
      path: of the file.
      kind: the class of model expected.
      device: "auto" takes a GPU where there is one.
      verbose: let NeMo log.

    Returns:
      The model in evaluation mode, on its device, and the sha256 of its file.

    Raises:
      FileNotFoundError: there is no such file.
      NotAModelError: it is no `.nemo` file of this kind, or a damaged one.
      ValueError: a GPU was asked for, and there is none.
      OutOfMemoryError: the model does not fit into memory.
      ModuleNotFoundError: NeMo is not installed.
    """
    if os.path.isdir(path):
        raise NotAModelError(f"{path} is a directory: {kind.cure}")
    with open(path, "rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        with quiet_nemo(verbose=verbose):
            place = _place(device)
            model = with_memory_errors(lambda: _restore(stream, path, kind).to(place).eval())
    return model, sha256


def check_nemo(path: str, kind: NemoClass) -> None:
    """Check that the config of a `.nemo` file names a model of this kind, without reading the weights.

    Raises:
      NotAModelError: it is no `.nemo` file of this kind, or a damaged one.
    """
    with open(path, "rb") as stream, _opened_tar(stream, path, kind) as (tar, is_packed):
        _read_config(tar, path, kind, is_packed=is_packed)


@contextmanager
def quiet_nemo(*, verbose: bool = False) -> Iterator[None]:
    """Keep Python's warnings and the logs of NeMo and its telemetry off the terminal. NeMo's errors are still shown.

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


def _restore(stream: BinaryIO, path: str, kind: NemoClass) -> Any:
    """Build the model that a `.nemo` file describes, on CPU, with its weights."""
    with _opened_tar(stream, path, kind) as (tar, is_packed):
        config = _read_config(tar, path, kind, is_packed=is_packed)
        weights = _read_weights(tar, path, kind, is_packed=is_packed)
    from nemo.collections.asr import models

    state = random.getstate()
    try:
        model = getattr(models, kind.target).from_config_dict(config)
        model.load_state_dict(weights, strict=True)
    except Exception as err:
        if is_memory_error(err):
            raise
        raise NotAModelError(
            f"{path} holds a {kind.what} that this version of NeMo cannot build: {_first_line(err)}: "
            "load it with the version that wrote it"
        ) from err
    finally:
        random.setstate(state)
    return model


@contextmanager
def _opened_tar(stream: BinaryIO, path: str, kind: NemoClass) -> Iterator[tuple[tarfile.TarFile, bool]]:
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
        raise NotAModelError(f"{path} {found}: {kind.cure}, or fetch it again") from err


def _member(tar: tarfile.TarFile, name: str, path: str, kind: NemoClass, *, is_packed: bool) -> tuple[IO[bytes], int]:
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
    raise NotAModelError(f"{path} is a tar without {name}, thus no .nemo file: {kind.cure}")


def _read_config(tar: tarfile.TarFile, path: str, kind: NemoClass, *, is_packed: bool) -> Any:
    """Return NeMo's config of the model; data sets named in it are left out: NeMo would open them."""
    from omegaconf import OmegaConf

    stream, size = _member(tar, _CONFIG, path, kind, is_packed=is_packed)
    if size > _MOST_CONFIG_BYTES:
        raise NotAModelError(f"{path} has a {_CONFIG} of {size:,} bytes, expected at most {_MOST_CONFIG_BYTES:,}")
    try:
        config: Any = OmegaConf.load(stream)
    except Exception as err:
        raise NotAModelError(f"{path} has a damaged {_CONFIG} ({_first_line(err)}): fetch it again") from err
    found = str(config.get("target", "a model without a target")) if OmegaConf.is_dict(config) else "a list"
    if found.rpartition(".")[2] != kind.target:
        raise NotAModelError(f"{path} is no {kind.what} but {found}: {kind.cure}")
    for name in ("train_ds", "validation_ds", "test_ds"):
        config.pop(name, None)
    return config


def _read_weights(tar: tarfile.TarFile, path: str, kind: NemoClass, *, is_packed: bool) -> Any:
    """Return the weights by name. Only tensors are made: torch refuses a pickle that would run anything."""
    import torch

    stream, _ = _member(tar, _WEIGHTS, path, kind, is_packed=is_packed)
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
