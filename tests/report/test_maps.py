from __future__ import annotations

import numpy as np

from beam_curator.report.maps import map_of


def test_voices_that_sound_alike_lie_beside_each_other() -> None:
    draw = np.random.default_rng(3)
    voices = draw.standard_normal((3, 64))
    vectors = [np.float32(voices[n % 3] + 0.05 * draw.standard_normal(64)) for n in range(30)]
    places = np.array(map_of(vectors))
    assert np.abs(places).max() == 1
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    same = np.equal.outer(np.arange(30) % 3, np.arange(30) % 3)
    assert distances[same].max() < 0.3
    assert distances[~same].min() > 0.5


def test_few_and_strange_embeddings_have_places_too() -> None:
    assert map_of([]) == []
    assert map_of([np.float32([1, 2])]) == [(0.0, 0.0)]
    assert map_of([np.float32([2]), np.float32([-3])]) == [(1.0, 0.0), (-1.0, 0.0)]
    assert map_of([np.zeros(4, np.float32)] * 3) == [(0.0, 0.0)] * 3
