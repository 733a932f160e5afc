from __future__ import annotations

import numpy as np
import pytest

from beam_curator.diarization.dead_air import DeadAirGate, DeadAirMeter, without_dead_air
from beam_curator.diarization.models import Floats
from beam_curator.intervals import Span
from tests.audio.corpus import speech_like

RATE = 16000
ZEROS = np.zeros(2 * RATE, np.float32)
VOICE = speech_like(4 * 1280, RATE)[:, 0]
"""Four frames of 80 ms."""


def spans(*parts: Floats, piece: int = 10**9) -> tuple[Span, ...]:
    meter, samples = DeadAirMeter(), np.concatenate(parts)
    for here in range(0, len(samples), piece):
        meter.add(samples[here : here + piece])
    return meter.spans()


@pytest.mark.parametrize("level", [0.0, 0.5, -1.0])
def test_zeros_constants_and_what_is_stuck_at_full_scale(level: float) -> None:
    assert spans(ZEROS + np.float32(level)) == ((0.0, 2.0),)


def test_an_edge_beside_sound_is_left_to_the_model() -> None:
    # sound up to 0.32 s, and again from 2.32 s on
    assert spans(VOICE, ZEROS, VOICE) == (pytest.approx((0.56, 2.08)),)
    assert spans(ZEROS, VOICE) == (pytest.approx((0.0, 1.76)),)
    assert spans(VOICE, ZEROS) == (pytest.approx((0.56, 2.32)),)


def test_a_pause_below_a_second_is_speech_s_own() -> None:
    pause = np.zeros(12 * 1280, np.float32)
    assert spans(VOICE, pause, VOICE) == ()
    assert spans(VOICE, pause, ZEROS[:1280], VOICE) == (pytest.approx((0.56, 1.12)),)


def test_a_frame_of_two_levels_moves() -> None:
    # 25 frames and a half of each
    assert spans(np.repeat(np.float32([0.0, 0.5]), 32_640)) == (pytest.approx((0.0, 1.76)), pytest.approx((2.32, 4.08)))


def test_noise_of_a_room_is_no_dead_air_and_that_of_16_bits_is() -> None:
    random = np.random.default_rng(0)
    bits = random.integers(-1, 2, 2 * RATE).astype(np.float32) / 32768
    room = (random.standard_normal(2 * RATE) * 2e-4).astype(np.float32)
    assert spans(bits) == ((0.0, 2.0),)
    assert spans(room) == ()
    assert spans(np.float32(0.5) + room) == ()


@pytest.mark.parametrize("piece", [1000, 1280, 7777])
def test_pieces_do_not_matter(piece: int) -> None:
    parts = (ZEROS[:30_001], VOICE, ZEROS[:20_000], VOICE[:999], ZEROS[:17_000])
    assert spans(*parts, piece=piece) == spans(*parts)


def test_a_last_part_of_a_frame_belongs_to_the_stretch_or_ends_it() -> None:
    assert spans(ZEROS, ZEROS[:640]) == ((0.0, 2.04),)
    assert spans(ZEROS, VOICE[:640]) == (pytest.approx((0.0, 1.76)),)
    assert spans(ZEROS[:0]) == ()


def test_nobody_talks_in_dead_air() -> None:
    talk = np.full((10, 2), 0.75, np.float32)
    gated = without_dead_air(talk, 0.08, ((0.0, 0.16), (0.3, 0.57)))
    # frames 4 to 6 lie in the second span: 0.32 s to 0.56 s
    assert gated[:, 0].tolist() == [0, 0, 0.75, 0.75, 0, 0, 0, 0.75, 0.75, 0.75]
    assert (talk == 0.75).all()


@pytest.mark.parametrize("piece", [700, 1280, 9999])
@pytest.mark.parametrize(
    "parts",
    [(ZEROS, VOICE, ZEROS, VOICE), (VOICE, ZEROS[: 12 * 1280], VOICE, ZEROS[:1270]), (VOICE, ZEROS, ZEROS[:1275])],
)
def test_a_gate_of_a_stream_gives_the_frames_of_the_whole(parts: tuple[Floats, ...], piece: int) -> None:
    samples = np.concatenate(parts)
    talk = np.random.default_rng(1).random((-(-len(samples) // 1280), 2)).astype(np.float32)
    gate, given = DeadAirGate(n_speakers=2, frame_step=0.08), []
    for here in range(0, len(samples), piece):
        gate.hear(samples[here : here + piece])
        # a model decides a frame once it is heard
        n_decided = min(here + piece, len(samples)) // 1280
        given.append(gate.gated(talk[gate.n_given + len(gate.held) : n_decided]))
        kept, held, n_given = gate.meter.to_dict(), gate.held, gate.n_given
        rest, gate = gate.meter.rest, DeadAirGate(n_speakers=2, frame_step=0.08)
        gate.meter.restore(kept, rest)
        gate.held, gate.n_given = held, n_given
        # frames wait only in a pause, and not longer than it takes to tell that it is one
        assert len(held) <= 13
    given.append(gate.gated(talk[gate.n_given + len(gate.held) :], is_last=True))
    assert np.array_equal(np.concatenate(given), without_dead_air(talk, 0.08, spans(*parts)))


def test_a_gate_of_a_long_stream_forgets() -> None:
    gate = DeadAirGate(n_speakers=1, frame_step=0.08)
    for _ in range(50):
        gate.hear(np.concatenate([ZEROS, VOICE]))
        gate.gated(np.ones((29, 1), np.float32))
    assert len(gate.meter.to_dict()["found"]) <= 1
