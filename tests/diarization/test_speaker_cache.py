from importlib.util import find_spec

import numpy as np
import pytest

from beam_curator.diarization.models import CacheRules, Floats
from beam_curator.diarization.speaker_cache import compress, highest, silence_profile, speaker_scores

pytestmark = pytest.mark.heavy

needs_nemo = pytest.mark.skipif(find_spec("nemo") is None, reason="NeMo is not installed")
ONE_SILENT = CacheRules(spkcache_sil_frames_per_spk=1)


def frames(*values: float) -> Floats:
    """Make embeddings of width 1."""
    return np.array(values, dtype=np.float32)[:, None]


def test_silence_is_what_nobody_is_heard_in() -> None:
    predictions = np.float32([[0.1, 0.05], [0.2, 0.0], [0.0, 0.0], [0.9, 0.0]])
    mean, count = silence_profile(np.float32([10.0]), 2, frames(1, 2, 3, 4), predictions, 0.2)
    assert (mean.tolist(), count) == ([6.0], 4)  # (2 * 10 + 1 + 3) / 4; a sum of exactly 0.2 is no silence


def test_without_silence_the_profile_stays() -> None:
    mean = np.float32([10.0])
    assert silence_profile(mean, 2, frames(1), np.float32([[0.9, 0.0]]), 0.2) == (mean, 2)


def test_a_cache_is_ordered_by_speaker_and_time_and_closed_by_silence() -> None:
    speaker = [1, 0, 0, 1, 0, 1, 1, 0, 0, 1]
    predictions = np.where(np.arange(2) == np.array(speaker)[:, None], 0.9, 0.0).astype(np.float32)
    for frame, probability in ((0, 0.99), (4, 0.99), (5, 0.99), (7, 0.95), (8, 0.99)):
        predictions[frame, speaker[frame]] = probability
    cache, kept = compress(frames(*range(10)), predictions, np.float32([-1.0]), ONE_SILENT, 8)
    # Six places for frames: two of each speaker get the strong boost; then 7 is surer than 1 and 2, and 9 is as sure
    # as 3 and 6, but new: +0.05.
    assert cache[:, 0].tolist() == [4, 7, 8, -1, 0, 5, 9, -1]
    assert kept.T.round(2).tolist() == [
        [pytest.approx(value) for value in row]
        for row in ([0.99, 0.95, 0.99, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0.99, 0.99, 0.9, 0])
    ]


def test_places_that_nobody_fills_are_silence() -> None:
    predictions = np.zeros((9, 2), np.float32)
    predictions[4, 1] = 0.9
    cache, kept = compress(frames(*range(9)), predictions, np.float32([-1.0]), ONE_SILENT, 8)
    assert cache[:, 0].tolist() == [-1, 4, -1, -1, -1, -1, -1, -1]
    assert np.count_nonzero(kept) == 1


def test_overlapped_speech_goes_where_there_is_enough_else() -> None:
    predictions = np.float32([[0.9, 0.0], [0.9, 0.8], [0.8, 0.0], [0.4, 0.0]])
    assert np.isfinite(speaker_scores(predictions, CacheRules(), n_enough=2)).tolist() == [
        [True, False, True, False],
        [False, True, False, False],
    ]
    assert np.isfinite(speaker_scores(predictions, CacheRules(), n_enough=3))[0].tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (1, [2]), (3, [0, 2, 3]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])]
)
def test_the_highest_are_taken(count: int, expected: list[int]) -> None:
    assert sorted(highest(np.float32([1, -np.inf, 4, 1]), count).tolist()) == expected


def test_of_equal_scores_the_first_go_where_torch_sorts_in_part() -> None:
    assert sorted(highest(np.zeros(200, np.float32), 2).tolist()) == [0, 1]


@needs_nemo
def test_of_equal_scores_those_are_taken_that_torch_takes() -> None:
    import torch

    random = np.random.default_rng(0)
    for trial in range(500):
        n = int(random.integers(20, 700))
        count = int(random.integers(n // 64 + 1, n))
        scores = random.integers(0, int(random.integers(1, 12)), n).astype(np.float32)
        if trial % 2:
            scores[random.random(n) < 0.5] = -np.inf
        expected = torch.topk(torch.from_numpy(scores)[None], count, dim=1, sorted=False)[1][0].numpy()
        kept, taken = np.sort(highest(scores, count)), np.sort(expected)
        assert np.array_equal(kept[scores[kept] > -np.inf], taken[scores[taken] > -np.inf])


@needs_nemo
@pytest.mark.parametrize("n_frames", [7, 16, 144, 256, 340, 1000])
def test_silence_is_nemos_to_the_bit(n_frames: int) -> None:
    import torch
    from nemo.collections.asr.modules.sortformer_modules import SortformerModules

    random = np.random.default_rng(n_frames)
    embeddings = random.standard_normal((n_frames, 64)).astype(np.float32)
    predictions = random.uniform(0, 0.12, (n_frames, 4)).astype(np.float32)
    mean = random.standard_normal(64).astype(np.float32)
    theirs = SortformerModules()._get_silence_profile(
        *(torch.from_numpy(array)[None] for array in (mean, np.array(17), embeddings, predictions))
    )
    found, count = silence_profile(mean, 17, embeddings, predictions, 0.2)
    assert count == int(theirs[1])
    assert np.array_equal(found, theirs[0][0].numpy())


@needs_nemo
@pytest.mark.parametrize("sharpness", [2.0, 8.0, 40.0])  # 40: nearly all probabilities are 0 or 1, scores are equal
@pytest.mark.parametrize(("length", "n_speakers"), [(188, 4), (64, 2), (66, 3)])
def test_caches_are_nemos(length: int, n_speakers: int, sharpness: float) -> None:
    import torch
    from nemo.collections.asr.modules.sortformer_modules import SortformerModules

    modules = SortformerModules(num_spks=n_speakers, fc_d_model=64, tf_d_model=32, spkcache_len=length).eval()
    random = np.random.default_rng(0)
    for trial in range(20):
        n_frames = length + int(random.integers(1, 380))
        logits = sharpness * np.repeat(random.standard_normal((n_frames, n_speakers)), 1 + trial % 5, axis=0)[:n_frames]
        predictions = (1 / (1 + np.exp(sharpness * 0.5 - logits))).astype(np.float32)
        embeddings = random.standard_normal((n_frames, 64)).astype(np.float32)
        silence = random.standard_normal(64).astype(np.float32)
        theirs = modules._compress_spkcache(
            *(torch.from_numpy(array)[None] for array in (embeddings, predictions, silence))
        )
        ours = compress(embeddings, predictions, silence, CacheRules(), length)
        assert np.array_equal(ours[0], theirs[0][0].numpy())
        assert np.array_equal(ours[1], theirs[1][0].numpy())
