from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.diarization.bandwidth import estimate_bandwidth
from beam_curator.quality.segment_meters import SegmentMeters, SegmentSpan

RATE = 16000
RNG = np.random.default_rng(5)
WIDE = RNG.standard_normal(30_000)
NARROW = np.convolve(WIDE, np.hanning(60), "same")
STEREO = np.stack([WIDE, NARROW], axis=1).astype(np.float32)
SPANS = {
    "all": SegmentSpan(first=0, stop=30_000),
    "left": SegmentSpan(first=100, stop=9000, channels=0),
    "right": SegmentSpan(first=100, stop=9000, channels=1),
    "one": SegmentSpan(first=29_999, stop=30_000),
    "inside": SegmentSpan(first=4000, stop=4001),
}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30_000), max_size=8))
def test_each_span_is_measured_as_if_it_were_alone(cuts: list[int]) -> None:
    meters = SegmentMeters(SPANS, RATE)
    for piece in np.split(STEREO, sorted(cuts)):
        meters.add(piece)
    found = meters.bandwidths()
    for name, span in SPANS.items():
        part = STEREO[span.first : span.stop]
        mono = part.mean(axis=1, dtype=np.float32) if span.channels == "mix" else part[:, int(span.channels)]
        assert found[name] == estimate_bandwidth(mono, RATE), name
    assert found["right"] < 2000 < found["left"]


def test_pieces_may_begin_within_the_recording() -> None:
    meters = SegmentMeters({0: SegmentSpan(first=5000, stop=6000)}, RATE, first=4500)
    meters.add(STEREO[4500:5500, 1:])
    meters.add(STEREO[5500:7000, 1:])
    assert meters.bandwidths() == {0: estimate_bandwidth(STEREO[5000:6000, 1], RATE)}


def test_what_did_not_come_counts_as_far_as_it_came() -> None:
    meters = SegmentMeters({0: SegmentSpan(first=0, stop=900), 1: SegmentSpan(first=800, stop=900)}, RATE)
    meters.add(STEREO[:500, 1:])
    assert meters.bandwidths() == {0: estimate_bandwidth(STEREO[:500, 1], RATE)}
