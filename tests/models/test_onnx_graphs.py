"""Graphs that are put together from weights give the numbers of torch, and are the same bytes every time."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from beam_curator.diarization.models import Floats, NotAModelError
from beam_curator.models.campplus import EMBEDDING_FRAMES, EMBEDDING_HEAD, SpeakerEmbedding, load_campplus
from beam_curator.models.campplus_graph import campplus_graphs, campplus_shapes
from beam_curator.models.pyannet_graph import pyannet_graphs, pyannet_shapes
from beam_curator.models.segmentation import (
    SEGMENTATION,
    SEGMENTATION_FILTERS,
    WINDOW_SAMPLES,
    Segmentation,
    load_segmentation,
)
from beam_curator.models.torch_tensors import Tensor
from tests.models.published_models import CamplusInTorch, pyannet_in_torch, random_weights


@cache
def pyannet() -> dict[str, Tensor]:
    return random_weights(pyannet_shapes())


@cache
def campplus() -> dict[str, Tensor]:
    return random_weights(campplus_shapes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder with the graphs of random weights."""
    made = tmp_path_factory.mktemp("graphs")
    (made / SEGMENTATION_FILTERS).write_bytes(pyannet_graphs(pyannet())[0])
    (made / SEGMENTATION).write_bytes(pyannet_graphs(pyannet())[1])
    for name, content in zip((EMBEDDING_FRAMES, EMBEDDING_HEAD), campplus_graphs(campplus()), strict=True):
        (made / name).write_bytes(content)
    return str(made)


@pytest.fixture(scope="module")
def segmentation(folder: str) -> Segmentation:
    return load_segmentation(folder)


@pytest.fixture(scope="module")
def embedding(folder: str) -> SpeakerEmbedding:
    return load_campplus(folder)


def sound(n_samples: int, offset: float = 0.0) -> Floats:
    """Return a noise that grows and fades, with an offset."""
    random = np.random.default_rng(n_samples)
    fading = np.abs(np.sin(np.arange(n_samples) / 9000))
    return (random.standard_normal(n_samples) * 0.1 * fading + offset).astype(np.float32)


def banks_of(n_frames: int) -> Floats:
    return np.random.default_rng(n_frames).standard_normal((n_frames, 80)).astype(np.float32) * 2


@pytest.mark.heavy
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_segmentation_is_that_of_torch(segmentation: Segmentation, offset: float) -> None:
    pytest.importorskip("torch")
    windows = np.stack([sound(WINDOW_SAMPLES, offset), sound(WINDOW_SAMPLES + 1, offset)[1:] * 3])
    found, expected = segmentation.log_probabilities(windows), pyannet_in_torch(pyannet(), windows)
    assert found.shape == expected.shape == (2, 589, 7)
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.heavy
@pytest.mark.parametrize("n_frames", [1, 2, 3, 199, 200, 201, 777])
def test_embeddings_are_those_of_torch(embedding: SpeakerEmbedding, n_frames: int) -> None:
    pytest.importorskip("torch")
    banks = banks_of(n_frames)
    assert embedding.frames(banks).shape == (-(-n_frames // 2), 512)
    found, expected = embedding.embed(banks), CamplusInTorch(campplus())(banks)
    assert found.shape == (192,)
    assert np.abs(found - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())


def test_windows_that_share_audio_are_heard_as_alone(segmentation: Segmentation) -> None:
    samples = sound(WINDOW_SAMPLES + 40_001)
    starts = [0, 30, 16_200, 39_990, 270]
    together = segmentation.log_probabilities_at(samples, starts)
    alone = segmentation.log_probabilities(np.stack([samples[start : start + WINDOW_SAMPLES] for start in starts]))
    assert np.abs(together - alone).max() < 1e-4
    # alone or with others, a window has the same bytes
    assert np.array_equal(together[3:], segmentation.log_probabilities_at(samples, np.array(starts[3:])))


def test_windows_elsewhere_are_refused(segmentation: Segmentation) -> None:
    samples = sound(WINDOW_SAMPLES + 100)
    for start in (-30, 29, 120):
        with pytest.raises(ValueError, match=f"a window starts at sample {start} of 160100, expected a multiple of 30"):
            segmentation.log_probabilities_at(samples, [start])
    with pytest.raises(ValueError, match=r"windows are \[1, 160100\], expected \[n_windows, 160000\]: pad them"):
        segmentation.log_probabilities(samples[None])
    assert segmentation.log_probabilities(np.empty((0, WINDOW_SAMPLES), np.float32)).shape == (0, 589, 7)
    assert segmentation.log_probabilities_at(samples[:10], []).shape == (0, 589, 7)


@pytest.mark.parametrize("banks", [np.zeros((0, 80), np.float32), np.zeros((5, 79), np.float32)])
def test_banks_of_another_width_are_refused(embedding: SpeakerEmbedding, banks: Floats) -> None:
    with pytest.raises(ValueError, match=r"expected \[n_frames, 80\], one at least"):
        embedding.embed(banks)


def test_graphs_are_the_same_bytes_every_time(folder: str) -> None:
    assert Path(folder, SEGMENTATION).read_bytes() == pyannet_graphs(pyannet())[1]
    assert Path(folder, EMBEDDING_FRAMES).read_bytes() == campplus_graphs(dict(reversed(campplus().items())))[0]


def test_other_weights_are_refused() -> None:
    with pytest.raises(NotAModelError, match=r"weight classifier.bias of a PyanNet is nothing, expected float32 \[7\]"):
        pyannet_graphs({name: values for name, values in pyannet().items() if name != "classifier.bias"})
    with pytest.raises(NotAModelError, match=r"head.conv1.weight of a CAM\+\+ is float32 \[3\], expected float32 \[32"):
        campplus_graphs({**campplus(), "head.conv1.weight": np.zeros(3, np.float32)})
