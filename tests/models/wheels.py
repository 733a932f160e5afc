"""A small package on this machine that carries a model, as pip takes it, and the record of it."""

import base64
import hashlib
from pathlib import Path
from zipfile import ZipFile

from beam_curator.model_records import ModelRecord
from beam_curator.model_wheels import Member, Wheel

WEIGHTS, LICENCE = b"a graph of speech", b"Do as you like."
NAME = "tiny_vad-1.0-py3-none-any.whl"


def member(path: str, content: bytes) -> Member:
    return Member(path=path, n_bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), about=f"{path}, MIT")


WHEEL = Wheel(
    package="tiny-vad",
    version="1.0",
    weights=(member("tiny_vad/data/vad.onnx", WEIGHTS),),
    licences=(member("tiny_vad-1.0.dist-info/LICENSE", LICENCE),),
)


def record_of(wheel: Path) -> ModelRecord:
    """Return the record of a model whose wheel is this one."""
    content = wheel.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return ModelRecord(name="silero-vad", family="silero-vad", wheel=WHEEL, n_bytes=len(content), sha256=sha256)


def write_wheel(folder: Path, weights: bytes = WEIGHTS, licence: bytes = LICENCE) -> Path:
    """Write a wheel that pip takes, and whose code must never run."""
    info = "tiny_vad-1.0.dist-info"
    files = {
        "tiny_vad/__init__.py": b"raise SystemExit('imported')\n",
        "tiny_vad/data/vad.onnx": weights,
        f"{info}/LICENSE": licence,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-vad\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    with ZipFile(path, "w") as archive:
        for name, content in {**files, f"{info}/RECORD": "".join([*lines, f"{info}/RECORD,,\n"]).encode()}.items():
            archive.writestr(name, content)
    return path
