"""Files that look like models, as far as can be told without loading them."""

import hashlib
import io
import tarfile


def nemo_bytes(content: bytes = b"weights") -> bytes:
    """Make an archive as NeMo's are: a tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("model_weights.ckpt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


NEMO = nemo_bytes()
ONNX = {
    "config.json": b'{"format": 1}',
    "pre_encode.onnx": b"p",
    "encode.onnx": b"e",
    "mel_filters.npy": b"m",
}
TRANSFORMERS = {
    "config.json": b'{"model_type": "nemotron3_diarization"}',
    "processor_config.json": b"{}",
    "model.safetensors": b"w",
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
