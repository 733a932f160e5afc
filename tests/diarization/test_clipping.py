from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.audio import encode_audio, open_audio
from beam_curator.diarization.clipping import Clipped, ClippingMeter, clipped_ratio, full_scale_of
from beam_curator.diarization.hearing import heard_pieces
from tests.audio.corpus import Recipe, write_sound

FULL = full_scale_of("pcm_16")


def clipped(samples: Any, cuts: Sequence[int] = (), full_scale: float = FULL) -> int:
    """Count what is clipped in samples that come in pieces."""
    whole = np.float32(samples)
    whole = whole[:, None] if whole.ndim == 1 else whole
    meter = ClippingMeter()
    for piece in np.split(whole, sorted(cuts)):
        meter.add(piece, full_scale)
    assert meter.clipped.n_samples == whole.size
    return meter.clipped.n_clipped


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([0, 1, 1, 0], 0),
        ([0, 1, 1, 1, 0], 3),
        ([1, 1, 1, 1], 4),
        ([1, 1, 0.9, 1, 1], 0),
        ([1, 1, -1, -1], 0),
        ([1, 1, 1, -1, -1, -1, -1], 7),
        ([1, 1, 0, -1, -1, -1], 3),
        ([0.9] * 9, 0),
        ([1.4, 1.2, 3.0], 3),
        ([32767 / 32768, 32767 / 32768, 1.0], 3),
        ([32766 / 32768] * 5, 0),
        ([0.0] * 9, 0),
    ],
)
def test_three_samples_in_a_row_on_one_side(samples: list[float], expected: int) -> None:
    assert clipped(samples) == expected


def test_channels_do_not_join_and_each_counts() -> None:
    assert clipped([[1, 0], [1, 1], [0, 1], [0, 1]]) == 3
    assert clipped([[1, -1]] * 3) == 6


LEVELS = st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, 1.0, -1.0])] * 2), min_size=1, max_size=30)


def by_hand(samples: Sequence[float]) -> int:
    """Count run by run."""
    total, run, last = 0, 0, 0.0
    for sample in [*samples, 0.0]:
        if sample == last and sample:
            run += 1
        else:
            total += run if run >= 3 else 0
            run, last = int(bool(sample)), sample
    return total


@given(LEVELS, st.lists(st.integers(0, 30), max_size=6))
def test_pieces_do_not_matter(samples: list[tuple[float, float]], cuts: list[int]) -> None:
    expected = sum(by_hand([values[channel] for values in samples]) for channel in (0, 1))
    assert clipped(samples, cuts) == expected


def test_a_run_may_go_on_through_several_pieces() -> None:
    assert clipped([1] * 7, [1, 2, 3, 5]) == 7
    assert clipped([1, 1, 0, 1, 1], [2, 3]) == 0
    assert clipped([1, 1, 1, 1], [2, 2]) == 4


@pytest.mark.parametrize(
    "recipe",
    [Recipe("WAV", "PCM_U8"), Recipe("WAV", "ULAW", 8000), Recipe("WAV", "ALAW", 8000), Recipe("WAV", "PCM_24"),
     Recipe("FLAC", "PCM_16"), Recipe("WAV", "FLOAT")],
)  # fmt: skip
def test_full_scale_is_the_largest_number_of_the_codec(recipe: Recipe) -> None:
    samples = np.float32([[0.0]] * 10 + [[1.0]] * 5 + [[0.0]] * 10 + [[-1.0]] * 4 + [[0.0]] * 10)
    with open_audio(write_sound(samples, recipe)) as reader:
        meter = ClippingMeter()
        for _ in heard_pieces(reader, 0, reader.info.n_samples, "mix", meter):
            pass
    assert meter.clipped == Clipped(9, 39)


@pytest.mark.parametrize(("channels", "expected"), [("mix", Clipped(4, 16)), (0, Clipped(4, 8)), (1, Clipped(0, 8))])
def test_the_channels_that_are_heard_count_before_they_are_mixed(channels: Any, expected: Clipped) -> None:
    samples = np.float32([[1.0, -0.5]] * 4 + [[0.25, 0.25]] * 4)
    meter = ClippingMeter()
    with open_audio(encode_audio(samples, 16000, "wav")) as reader:
        heard = [list(heard_pieces(reader, 0, 8, channels, *given)) for given in ((), (meter,))]
    assert meter.clipped == expected
    np.testing.assert_array_equal(*map(np.concatenate, heard))


def test_the_share_has_six_digits() -> None:
    assert clipped_ratio([Clipped(1, 3)]) == 0.333333
    assert clipped_ratio([Clipped(3, 3_000_000_007)]) == 1e-09
    assert clipped_ratio([Clipped(), Clipped()]) is None
