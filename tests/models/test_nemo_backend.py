from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_curator.diarization.models import MelRules, ModelConfig, NotAModelError, OutOfMemoryError
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.models.nemo_backend import NemoBackend, load_nemo
from tests.models.conftest import Model, embeddings_of, mel_of

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def backend(streaming_model: Model) -> NemoBackend:
    return load_nemo(str(streaming_model.nemo), device="cpu", n_threads=1)


def config_of(path: Path) -> ModelConfig:
    """What is known of the streaming model."""
    return ModelConfig(
        n_speakers=4,
        embedding_size=64,
        mel=MelRules(n_mels=128),
        is_streaming=True,
        streaming=StreamingParameters(
            chunk_len=188,
            chunk_left_context=1,
            chunk_right_context=1,
            fifo_len=0,
            spkcache_update_period=188,
            spkcache_len=188,
        ),
        name=path.name,
        sha256=sha256(path.read_bytes()).hexdigest(),
    )


def test_the_config_is_read_from_the_model(streaming_model: Model, backend: NemoBackend) -> None:
    assert backend.config == config_of(streaming_model.nemo)


def test_the_offline_family_hears_in_its_own_way(offline_model: Model) -> None:
    expected = replace(
        config_of(offline_model.nemo), mel=MelRules(n_mels=80, normalization="per_feature"), is_streaming=False
    )
    assert load_nemo(str(offline_model.nemo), device="cpu", n_threads=1).config == expected


def test_the_filter_bank_is_the_models_own(backend: NemoBackend) -> None:
    filters = backend.mel_filters
    assert (filters.shape, filters.dtype, filters.flags.c_contiguous) == ((128, 257), np.float32, True)
    assert (filters == backend.model.preprocessor.featurizer.filter_banks[0].numpy()).all()


def test_both_functions_in_turn_are_what_nemo_does_at_once(model: Model) -> None:
    import torch
    from nemo.collections.asr.models import SortformerEncLabelModel

    backend = load_nemo(str(model.nemo), device="cpu", n_threads=1)
    torch.set_num_threads(1)
    mel, lengths = mel_of(backend.config.mel.n_mels, 400, 129)
    restored = SortformerEncLabelModel.restore_from(str(model.nemo), map_location="cpu").eval()
    with torch.inference_mode():
        hidden, n_hidden = restored.frontend_encoder(
            processed_signal=torch.from_numpy(mel).transpose(1, 2), processed_signal_length=torch.from_numpy(lengths)
        )
        expected = restored.forward_infer(hidden, n_hidden).numpy()
    embeddings, n_frames = backend.pre_encode(mel, lengths)
    probabilities = backend.encode(embeddings, n_frames).probabilities
    assert (n_frames.tolist(), n_frames.dtype, embeddings.shape) == ([50, 17], np.int64, (2, 50, 64))
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (2, 50, 4))
    assert np.abs(probabilities - expected).max() == 0.0
    assert probabilities[1, :17].std() > 0.1
    assert (probabilities[1, 17:] == 0).all()


def test_an_item_does_not_depend_on_the_others(backend: NemoBackend) -> None:
    embeddings, lengths = embeddings_of(64, 300, 41, 1)
    together = backend.encode(embeddings, lengths).probabilities
    for item, n_frames in enumerate(lengths):
        alone = backend.encode(embeddings[item : item + 1, :n_frames], lengths[item : item + 1]).probabilities
        assert np.abs(alone[0] - together[item, :n_frames]).max() <= 1e-5


def test_input_may_be_longer_than_the_table_of_positions(short_table_model: Model) -> None:
    backend = load_nemo(str(short_table_model.nemo), device="cpu", n_threads=1)
    embeddings, lengths = embeddings_of(64, 15)
    before = backend.encode(embeddings, lengths).probabilities
    assert backend.encode(*embeddings_of(64, 90)).probabilities.shape == (1, 90, 4)
    assert np.abs(backend.encode(embeddings, lengths).probabilities - before).max() <= 1e-6


def test_threads_may_share_it(backend: NemoBackend) -> None:
    inputs = [embeddings_of(64, n_frames) for n_frames in (10, 120, 60, 200)] * 3
    expected = [backend.encode(*each).probabilities for each in inputs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: backend.encode(*each).probabilities, inputs))
    assert all((one == other).all() for one, other in zip(expected, found, strict=True))


def test_the_number_of_threads_is_kept_in_any_thread(streaming_model: Model) -> None:
    import torch

    before = torch.get_num_threads()
    two = load_nemo(str(streaming_model.nemo), device="cpu", n_threads=2)
    torch.set_num_threads(1)
    try:
        two.encode(*embeddings_of(64, 5))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_mixed_precision_gives_single_precision_numbers(streaming_model: Model, backend: NemoBackend) -> None:
    mixed = load_nemo(str(streaming_model.nemo), device="cpu", n_threads=1, autocast="bfloat16")
    embeddings, lengths = embeddings_of(64, 100)
    probabilities = mixed.encode(embeddings, lengths).probabilities
    assert probabilities.dtype == np.float32
    assert 0 < np.abs(probabilities - backend.encode(embeddings, lengths).probabilities).max() < 0.5


def test_loading_changes_neither_folder_nor_random_numbers(streaming_model: Model) -> None:
    random.seed(5)
    folder, state = os.getcwd(), random.getstate()
    load_nemo(str(streaming_model.nemo), device="cpu")
    assert (os.getcwd(), random.getstate()) == (folder, state)


@pytest.mark.slow
def test_loading_is_silent(streaming_model: Model) -> None:
    script = "import sys; from beam_curator.models.nemo_backend import load_nemo; load_nemo(sys.argv[1], device='cpu')"
    command = [sys.executable, "-W", "default", "-c", script, str(streaming_model.nemo)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_lack_of_memory_has_a_name_and_passes(
    backend: NemoBackend, little_memory: Callable[[int], AbstractContextManager[None]]
) -> None:
    embeddings, lengths = embeddings_of(64, 20)
    before = backend.encode(embeddings, lengths).probabilities
    table = backend.model.encoder.pos_enc.pe.shape
    much = np.zeros((1, 40_000, 64), np.float32)
    with little_memory(1 << 30), pytest.raises(OutOfMemoryError, match=r"torch: .*allocate"):
        backend.encode(much, np.array([40_000]))
    assert backend.model.encoder.pos_enc.pe.shape == table
    assert (backend.encode(embeddings, lengths).probabilities == before).all()


def test_a_gpu_that_is_not_there(streaming_model: Model) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match=r"device cuda asked for, but torch sees no GPU: .*give device cpu"):
        load_nemo(str(streaming_model.nemo), device="cuda")


@pytest.mark.gpu
def test_a_gpu_gives_the_same(streaming_model: Model, backend: NemoBackend) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    on_gpu = load_nemo(str(streaming_model.nemo), device="cuda")
    mel, lengths = mel_of(128, 1504, 700)
    embeddings, n_frames = on_gpu.pre_encode(mel, lengths)
    assert np.abs(embeddings - backend.pre_encode(mel, lengths)[0])[0].max() <= 1e-4
    found, expected = (each.encode(embeddings, n_frames).probabilities for each in (on_gpu, backend))
    assert np.abs(found - expected).max() <= 1e-4


def members_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {
            os.path.normpath(member.name): stream.read()
            for member in tar
            if (stream := tar.extractfile(member)) is not None
        }


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as tar:
        for name, data in members.items():
            information = tarfile.TarInfo(f"./{name}")
            information.size = len(data)
            tar.addfile(information, io.BytesIO(data))
    return buffer.getvalue()


class Payload:
    def __reduce__(self) -> Any:
        return (os.mkdir, ("executed",))


def with_weights(weights: bytes) -> Callable[[dict[str, bytes]], bytes]:
    return lambda members: packed({**members, "model_weights.ckpt": weights})


def with_config(old: bytes, new: bytes) -> Callable[[dict[str, bytes]], bytes]:
    def change(members: dict[str, bytes]) -> bytes:
        config = members["model_config.yaml"]
        assert old in config
        return packed({**members, "model_config.yaml": config.replace(old, new)})

    return change


TARGET = b"nemo.collections.asr.models.sortformer_diar_models.SortformerEncLabelModel"
PREPROCESSOR = b"nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda members: b"", "is empty: give a .nemo file of a Sortformer, or fetch it again"),
        (lambda members: b"RIFF....WAVE" * 100, "is no .nemo file, or a damaged one (1,200 bytes, "),
        (lambda members: packed({"readme.txt": b"hello"}), "is a tar without model_config.yaml, thus no .nemo file"),
        (lambda members: packed(members)[:300_000], "ends too early (300,000 bytes): fetch it again"),
        (
            lambda members: packed({"model_config.yaml": members["model_config.yaml"]}),
            "is a tar without model_weights.ckpt, thus no .nemo file",
        ),
        (
            with_config(TARGET, b"nemo.collections.asr.models.EncDecCTCModel"),
            "is no Sortformer but nemo.collections.asr.models.EncDecCTCModel: give a .nemo file of a Sortformer",
        ),
        (with_config(b"sample_rate", b"'sample_rate"), "has a damaged model_config.yaml ("),
        (with_config(PREPROCESSOR, b"os.mkdir"), "holds a Sortformer that this version of NeMo cannot build: "),
        (with_config(b"num_layers: 2", b"num_layers: 3"), "holds a Sortformer that this version of NeMo cannot build"),
        (
            with_config(b"  window: hann", b"  mag_power: 1.0\n  window: hann"),
            "hears with magnitudes to the power of 1.0",
        ),
        (with_config(b"normalize: NA", b"normalize: all_features"), "hears with normalization 'all_features'"),
        (with_weights(b"PK\x03\x04 not really"), "has a damaged model_weights.ckpt, or one with more than weights"),
        (with_weights(pickle.dumps(Payload())), "has a damaged model_weights.ckpt, or one with more than weights"),
        (with_config(b"spkcache_len: 188", b"spkcache_len: 3"), "this version of NeMo cannot build: "),
    ],
)
def test_other_files_are_refused_in_one_line(
    make: Callable[[dict[str, bytes]], bytes],
    said: str,
    streaming_model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = tmp_path / "other.nemo"
    path.write_bytes(make(members_of(streaming_model.nemo)))
    with pytest.raises(NotAModelError, match=re.escape(said)) as caught:
        load_nemo(str(path), device="cpu")
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_a_payload_in_a_checkpoint_of_torch_is_not_run(
    streaming_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(1), "more": Payload()}, buffer)
    path = tmp_path / "other.nemo"
    path.write_bytes(with_weights(buffer.getvalue())(members_of(streaming_model.nemo)))
    with pytest.raises(NotAModelError, match="or one with more than weights in it"):
        load_nemo(str(path), device="cpu")
    assert not (tmp_path / "executed").exists()


def test_data_sets_named_in_a_model_are_not_opened(streaming_model: Model, tmp_path: Path) -> None:
    path = tmp_path / "trained.nemo"
    train = b"train_ds:\n  manifest_filepath: /not/there\n  sample_rate: 16000\npil_weight"
    path.write_bytes(with_config(b"pil_weight", train)(members_of(streaming_model.nemo)))
    assert load_nemo(str(path), device="cpu").config.is_streaming


def test_gzipped_files_of_older_versions_are_read(streaming_model: Model, backend: NemoBackend, tmp_path: Path) -> None:
    path = tmp_path / "old.nemo"
    path.write_bytes(gzip.compress(streaming_model.nemo.read_bytes()))
    embeddings, lengths = embeddings_of(64, 20)
    old = load_nemo(str(path), device="cpu", n_threads=1)
    assert (old.encode(embeddings, lengths).probabilities == backend.encode(embeddings, lengths).probabilities).all()
    path.write_bytes(path.read_bytes()[:-50_000])
    with pytest.raises(NotAModelError, match=r"old\.nemo ends too early .*: fetch it again"):
        load_nemo(str(path), device="cpu")


def test_a_directory_and_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(NotAModelError, match=f"{tmp_path} is a directory: give a .nemo file of a Sortformer"):
        load_nemo(str(tmp_path), device="cpu")
    with pytest.raises(FileNotFoundError):
        load_nemo(str(tmp_path / "gone.nemo"), device="cpu")
