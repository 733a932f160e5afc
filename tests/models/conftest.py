from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from beam_curator.diarization.models import Floats, Lengths
from benchmarks.random_sortformer import SIZES, config_of, quieten_nemo
from tests.sortformers import Model, exported_model, need_nemo


@pytest.fixture(scope="session", params=["streaming", "offline"])
def model(request: pytest.FixtureRequest) -> Model:
    """One of each family after the other."""
    made: Model = request.getfixturevalue(f"{request.param}_model")
    return made


@pytest.fixture(scope="session")
def short_table_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model whose table of positions ends after 20 frames."""
    need_nemo()
    quieten_nemo()
    from nemo.collections.asr.models import SortformerEncLabelModel
    from omegaconf import OmegaConf

    config = config_of(SIZES["tiny"], streaming=True)
    config["encoder"]["pos_emb_max_len"] = 20
    directory = tmp_path_factory.mktemp("short_table")
    SortformerEncLabelModel(cfg=OmegaConf.create(config), trainer=None).save_to(str(directory / "model.nemo"))
    return exported_model(directory / "model.nemo")


def mel_of(n_mels: int, *lengths: int) -> tuple[Floats, Lengths]:
    """Return random mel frames, float32 [n_items, longest, n_mels], and their lengths."""
    mel = np.random.default_rng(1).normal(-8.0, 4.0, (len(lengths), max(lengths), n_mels))
    return mel.astype(np.float32), np.array(lengths, np.int64)


def embeddings_of(width: int, *lengths: int) -> tuple[Floats, Lengths]:
    """Return random embeddings, float32 [n_items, longest, width], and their lengths."""
    embeddings = np.random.default_rng(2).normal(0.0, 0.1, (len(lengths), max(lengths), width))
    return embeddings.astype(np.float32), np.array(lengths, np.int64)


@pytest.fixture
def little_memory() -> Callable[[int], AbstractContextManager[None]]:
    """Return what lets this process have no more than some bytes beyond those it has, for a while."""

    @contextmanager
    def limit(n_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + n_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    return limit
