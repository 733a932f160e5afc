from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from beam_curator.diarization.models import NotAModelError, OutOfMemoryError
from beam_curator.models.nemo_backend import load_nemo
from beam_curator.models.onnx_backend import OnnxBackend, checksums_of, load_onnx
from tests.models.conftest import Model, embeddings_of, mel_of

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]
CURE = "export the model again: beam-curator models export MODEL.nemo DIR"


@pytest.fixture(scope="module")
def backend(streaming_model: Model) -> OnnxBackend:
    return load_onnx(str(streaming_model.onnx), n_threads=1, device="cpu")


@pytest.mark.parametrize("n_mel_frames", [(1, 8, 7), (240,), (3008, 1504, 777, 9), (4864, 16)])
def test_it_does_what_nemo_does(n_mel_frames: tuple[int, ...], model: Model) -> None:
    nemo = load_nemo(str(model.nemo), device="cpu", n_threads=1)
    onnx = load_onnx(str(model.onnx), n_threads=2, device="cpu")
    mel, lengths = mel_of(onnx.config.mel.n_mels, *n_mel_frames)
    embeddings, n_frames = onnx.pre_encode(mel, lengths)
    expected, n_expected = nemo.pre_encode(mel, lengths)
    assert (n_frames.tolist(), n_frames.dtype) == (n_expected.tolist(), np.int64)
    assert n_frames.tolist() == [-(-length // 8) for length in n_mel_frames]
    assert (embeddings.shape, embeddings.dtype) == (expected.shape, np.float32)
    assert np.abs(embeddings - expected).max() <= 1e-5
    probabilities = onnx.encode(expected, n_frames).probabilities
    assert probabilities.dtype == np.float32
    assert np.abs(probabilities - nemo.encode(expected, n_frames).probabilities).max() <= 1e-4
    assert all((item[n:] == 0).all() for item, n in zip(probabilities, n_frames, strict=True))


def test_it_knows_what_nemo_knows(model: Model) -> None:
    nemo = load_nemo(str(model.nemo), device="cpu", n_threads=1)
    onnx = load_onnx(str(model.onnx), n_threads=1, device="cpu")
    assert onnx.config == nemo.config == model.exported.config
    assert onnx.mel_filters.dtype == np.float32
    assert (onnx.mel_filters == nemo.mel_filters).all()


def test_the_number_of_threads_changes_nothing(streaming_model: Model, backend: OnnxBackend) -> None:
    mel, lengths = mel_of(128, 1504, 777)
    two = load_onnx(str(streaming_model.onnx), n_threads=2, device="cpu")
    embeddings, n_frames = backend.pre_encode(mel, lengths)
    assert (two.pre_encode(mel, lengths)[0] == embeddings).all()
    assert (two.encode(embeddings, n_frames).probabilities == backend.encode(embeddings, n_frames).probabilities).all()


def test_an_item_does_not_depend_on_the_others(backend: OnnxBackend) -> None:
    embeddings, lengths = embeddings_of(64, 300, 41, 1)
    together = backend.encode(embeddings, lengths).probabilities
    for item, n_frames in enumerate(lengths):
        alone = backend.encode(embeddings[item : item + 1, :n_frames], lengths[item : item + 1]).probabilities
        assert np.abs(alone[0] - together[item, :n_frames]).max() <= 1e-5


def test_input_may_be_longer_than_nemos_table_of_positions(short_table_model: Model) -> None:
    embeddings, lengths = embeddings_of(64, 90, 41)
    nemo = load_nemo(str(short_table_model.nemo), device="cpu", n_threads=1)
    onnx = load_onnx(str(short_table_model.onnx), n_threads=1, device="cpu")
    found, expected = (each.encode(embeddings, lengths).probabilities for each in (onnx, nemo))
    assert np.abs(found - expected).max() <= 1e-4


def test_views_are_taken_too(backend: OnnxBackend) -> None:
    embeddings, lengths = embeddings_of(64, 40, 30)
    found = backend.encode(embeddings[::-1], lengths[::-1]).probabilities
    assert (found == backend.encode(embeddings, lengths).probabilities[::-1]).all()


def test_it_needs_no_torch(streaming_model: Model) -> None:
    script = """
import sys
import numpy as np
from beam_curator.models.onnx_backend import load_onnx
backend = load_onnx(sys.argv[1])
embeddings, n_frames = backend.pre_encode(np.zeros((1, 80, 128), np.float32), np.array([80]))
print(backend.device, backend.encode(embeddings, n_frames).probabilities.shape)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "nemo", "transformers", "onnx"}))
"""
    command = [sys.executable, "-c", script, str(streaming_model.onnx)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("[]", "")


def test_lack_of_memory_has_a_name_and_passes(
    backend: OnnxBackend, little_memory: Callable[[int], AbstractContextManager[None]]
) -> None:
    embeddings, lengths = embeddings_of(64, 20)
    before = backend.encode(embeddings, lengths).probabilities
    with little_memory(1 << 30), pytest.raises(OutOfMemoryError, match=r"^onnxruntime: .*(allocate memory|bad_alloc)"):
        backend.encode(np.zeros((1, 40_000, 64), np.float32), np.array([40_000]))
    assert (backend.encode(embeddings, lengths).probabilities == before).all()


def test_a_gpu_that_is_not_there(streaming_model: Model) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for CUDA")
    with pytest.raises(ValueError, match=r"device cuda asked for, but onnxruntime .* is built without it: .*cpu$"):
        load_onnx(str(streaming_model.onnx), device="cuda")


def remove(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).unlink()


def rewrite(name: str, change: Callable[[bytes], bytes], *, hashed: bool = False) -> Callable[[Path], None]:
    def do(directory: Path) -> None:
        data = (directory / name).read_bytes()
        assert change(data) != data
        (directory / name).write_bytes(change(data))
        if hashed:
            (directory / "SHA256SUMS").write_text(checksums_of(str(directory)), encoding="utf-8")

    return do


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove("encode.onnx"), "is no exported model, encode.onnx missing"),
        (remove("SHA256SUMS"), "is no exported model, SHA256SUMS missing"),
        (
            rewrite("encode.onnx", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
            "encode.onnx was changed or is damaged: its sha256 is not the one in SHA256SUMS (",
        ),
        (rewrite("pre_encode.onnx", lambda data: data[:1000]), "pre_encode.onnx was changed or is damaged"),
        (rewrite("mel_filters.npy", lambda data: b""), "mel_filters.npy was changed or is damaged"),
        (rewrite("SHA256SUMS", lambda data: b"\xff\x00"), "pre_encode.onnx was changed or is damaged"),
        (
            rewrite("encode_unmasked.onnx", lambda data: b"not", hashed=True),
            "encode_unmasked.onnx is no graph for this onnxruntime (",
        ),
        (rewrite("mel_filters.npy", lambda data: b"not", hashed=True), "mel_filters.npy is no array"),
        (
            rewrite("config.json", lambda data: data.replace(b'"n_mels": 128', b'"n_mels": 80'), hashed=True),
            "mel_filters.npy is float32 (128, 257), expected float32 (80, 257)",
        ),
        (
            rewrite("config.json", lambda data: data.replace(b'"format": 2', b'"format": 1'), hashed=True),
            "config.json: the config of the model is of format 1, expected 2: another version of beam-curator exported",
        ),
    ],
)
def test_other_folders_are_refused_in_one_line(
    damage: Callable[[Path], None], said: str, streaming_model: Model, tmp_path: Path
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(streaming_model.onnx, directory)
    damage(directory)
    with pytest.raises(NotAModelError, match=re.escape(said)) as caught:
        load_onnx(str(directory), device="cpu")
    message = str(caught.value)
    assert message.startswith(str(directory))
    assert message.endswith((CURE, "export the model again"))
    assert "\n" not in message


def test_no_folder_at_all(streaming_model: Model, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path / 'gone'} is not there: {CURE}")):
        load_onnx(str(tmp_path / "gone"))
    with pytest.raises(NotAModelError, match=r"model\.nemo is a file, expected the directory of an exported model"):
        load_onnx(str(streaming_model.nemo))
    with pytest.raises(NotAModelError, match=r"is no exported model, pre_encode\.onnx, encode\.onnx, .* missing"):
        load_onnx(str(tmp_path))


def test_frames_of_embeddings_are_nemos(model: Model) -> None:
    nemo, onnx = load_nemo(str(model.nemo), device="cpu", n_threads=1), load_onnx(str(model.onnx), 1, "cpu")
    embeddings, lengths = embeddings_of(nemo.config.embedding_size, 300, 41, 1)
    expected, found = (backend.encode(embeddings, lengths, keeps_frames=True) for backend in (nemo, onnx))
    assert np.array_equal(expected.probabilities, nemo.encode(embeddings, lengths).probabilities)
    assert np.array_equal(found.probabilities, onnx.encode(embeddings, lengths).probabilities)
    assert expected.frames is not None
    assert found.frames is not None
    assert expected.frames.shape == found.frames.shape
    largest = np.abs(expected.frames).max()
    for item, n in enumerate(lengths):
        assert np.abs(expected.frames[item, :n] - found.frames[item, :n]).max() <= 1e-4 * largest
