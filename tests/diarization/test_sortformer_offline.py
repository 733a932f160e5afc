from pathlib import Path

import numpy as np
import pytest

from beam_curator.diarization.models import Encoded, Floats, OutOfMemoryError
from beam_curator.diarization.sortformer_offline import OfflineSortformer
from benchmarks.random_sortformer import talk
from tests.diarization.backends import NemoBackend, NumpyBackend, TwiceBackend, load_nemo, n_frames_of

pytestmark = pytest.mark.heavy

WAVES = [talk(seconds, seed=number, level=level) for number, (seconds, level) in enumerate(
    ((12.3, 0.3), (7.0, 0.9), (20.05, 0.05), (3.21, 0.5))
)]  # fmt: skip


def offline(**options: object) -> OfflineSortformer:
    return OfflineSortformer(NumpyBackend(is_streaming=False, **options))  # type: ignore[arg-type]


def arrays(results: list[Encoded | Exception]) -> list[Floats]:
    found = [result.probabilities for result in results if not isinstance(result, Exception)]
    assert len(found) == len(results), results
    return found


def test_each_recording_has_its_frames_and_does_not_hear_the_others() -> None:
    engine = offline()
    together = arrays(engine.hear(WAVES))
    assert [found.shape for found in together] == [(n_frames_of(len(wave)), 4) for wave in WAVES]
    for wave, found in zip(WAVES, together, strict=True):
        assert np.array_equal(arrays(engine.hear([wave]))[0], found)


def test_loudness_does_not_matter_but_for_the_guard() -> None:
    engine = offline()
    loud, louder = arrays(engine.hear([WAVES[0] * 500, WAVES[0] * 1000]))
    np.testing.assert_allclose(loud, louder, atol=1e-3)


@pytest.mark.parametrize(("n_samples", "n_frames"), [(0, 0), (159, 0), (160, 1), (1280, 1), (1440, 2)])
def test_short_recordings(n_samples: int, n_frames: int) -> None:
    engine = offline()
    found, other = arrays(engine.hear([np.zeros(n_samples, np.float32), WAVES[3]]))
    assert found.shape == (n_frames, 4)
    assert found.dtype == np.float32
    assert len(other) == 41
    assert arrays(offline().hear([])) == []


def test_what_has_no_frame_never_reaches_the_model() -> None:
    engine = offline()
    engine.hear([np.zeros(100, np.float32)])
    assert engine._backend.calls == []  # type: ignore[attr-defined]


def test_where_memory_lacks_batches_are_halved() -> None:
    engine, careful = offline(), offline(most_frames=400)
    expected = arrays(engine.hear(WAVES))
    found = arrays(careful.hear(WAVES))
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))
    results = offline(most_frames=200).hear(WAVES)
    assert [isinstance(result, OutOfMemoryError) for result in results] == [False, False, True, False]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.float32([0.1] * 500 + [np.nan]), "sample 500 is nan"),
        (np.full(500, -1e-3, np.float32), "sample 0 is -inf"),  # NeMo's scale is 1 / 0
        (np.zeros((2, 500), np.float32), "one channel"),
    ],
)
def test_a_bad_recording_fails_alone(bad: Floats, message: str) -> None:
    first, failure, last = offline().hear([WAVES[3], bad, WAVES[3]])
    assert isinstance(failure, ValueError)
    assert message in str(failure)
    assert np.array_equal(*arrays([first, last]))


def test_what_is_not_finite_is_a_failure() -> None:
    (failure,) = offline(not_finite=True).hear([WAVES[3]])
    assert isinstance(failure, ValueError)
    assert "probabilities that are not finite" in str(failure)


def test_a_model_that_streams_is_refused() -> None:
    with pytest.raises(ValueError, match="model 'random' streams: use StreamingSortformer"):
        OfflineSortformer(NumpyBackend())


def test_probabilities_are_nemos(tiny_offline: Path) -> None:
    model = load_nemo(str(tiny_offline))
    engine = OfflineSortformer(NemoBackend(model, is_streaming=False))
    _, theirs = model.diarize(
        audio=WAVES, sample_rate=16000, batch_size=1, include_tensor_outputs=True, num_workers=0, verbose=False
    )
    together = arrays(engine.hear(WAVES))
    for wave, expected, batched in zip(WAVES, theirs, together, strict=True):
        (alone,) = arrays(engine.hear([wave]))
        assert alone.shape == tuple(expected.shape[1:])
        assert np.abs(alone - expected[0].numpy()).max() <= 1.1e-5
        assert np.abs(alone - batched).max() <= 1e-4


def test_frames_follow_the_probabilities_row_for_row() -> None:
    engine = OfflineSortformer(TwiceBackend(is_streaming=False), keeps_frames=True)
    results = engine.hear([*WAVES, np.zeros(100, np.float32)])
    for result in results[:-1]:
        assert isinstance(result, Encoded)
        assert result.frames is not None
        assert np.array_equal(result.frames, 2 * result.probabilities)
    assert isinstance(results[-1], Encoded)
    assert results[-1].frames is None
    kept, plain = arrays(results[:-1]), arrays(offline().hear(WAVES))
    assert all(np.array_equal(one, other) for one, other in zip(kept, plain, strict=True))
