from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.audio import encode_audio, open_audio
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import (
    LONG_CLIP,
    Cut,
    cut_of,
    is_long,
    n_channels_of,
    pieces_of,
    rate_of,
    samples_of,
)
from beam_curator.failures import EntryError
from tests.audio.corpus import in_16_bits, speech_like
from tests.transforms.clips.clip_sets import INFO, request

CLAMPED = CutRules()
FAILING = CutRules(on_overrun="fail")
WHOLE = Cut(first=0, stop=8000)


@pytest.mark.parametrize(
    ("start", "end", "unit", "rate", "first", "stop"),
    [
        (0, 1000, "ms", 8000, 0, 8000),
        (1, 999, "ms", 11025, 11, 11013),  # 11.025 and 11013.975, cut off
        (0.5, 0.75, "s", 8000, 4000, 6000),
        (0.1, 0.3, "s", 11025, 1102, 3308),  # 1102.5 to the even one, 3307.5 likewise
        (333.4, 333.6, "ms", 8000, 2667, 2668),  # 2667.2 and 2668.8
    ],
)
def test_samples_of_times_inside(start: float, end: float, unit: str, rate: int, first: int, stop: int) -> None:
    info = replace(INFO, sample_rate=rate, n_samples=2 * rate)
    for rules in (CLAMPED, FAILING):
        assert cut_of(request(start, end, unit), info, rules) == Cut(first=first, stop=stop)


@pytest.mark.parametrize(
    ("start", "end", "first", "stop"),
    [(-100, 100, 0, 800), (900, 1100, 7200, 8000), (-1e9, 1e9, 0, 8000), (999.9, 1000.2, 7999, 8000)],
)
def test_overruns_are_cut_short_or_refused(start: float, end: float, first: int, stop: int) -> None:
    asked = request(start, end)
    assert cut_of(asked, INFO, CLAMPED) == Cut(first=first, stop=stop, clamped=True)
    with pytest.raises(EntryError, match=r"out_of_range.*lasts 1\.000 s.*--on-overrun clamp cuts what is there"):
        cut_of(asked, INFO, FAILING)


@pytest.mark.parametrize(("start", "end"), [(1000, 1100), (-200, -100), (5000, 6000), (-1, 0)])
def test_what_lies_outside_is_refused_always(start: float, end: float) -> None:
    for rules in (CLAMPED, FAILING):
        with pytest.raises(EntryError) as caught:
            cut_of(request(start, end), INFO, rules)
        assert caught.value.code == "out_of_range"
        assert caught.value.cure == "mend the times; rows are in milliseconds, entries in seconds"


def test_a_piece_without_an_end_reaches_to_that_of_its_recording() -> None:
    info = replace(INFO, sample_rate=8000, n_samples=16000)
    for rules in (CLAMPED, FAILING):
        assert cut_of(request(0.5, None, "s"), info, rules) == Cut(first=4000, stop=16000)
        assert cut_of(request(500, None, "ms"), info, rules) == Cut(first=4000, stop=16000)
    for start, recording, code in ((2, info, "out_of_range"), (0.5, replace(info, truncated=True), "truncated_audio")):
        with pytest.raises(EntryError) as caught:
            cut_of(request(start, None, "s"), recording, CLAMPED)
        assert caught.value.code == code


def test_less_than_a_sample_is_empty() -> None:
    with pytest.raises(
        EntryError, match=r"empty_audio: 0\.01-0\.02 ms holds no sample at 8000 Hz: ask for a longer piece"
    ):
        cut_of(request(0.01, 0.02), INFO, CLAMPED)


def test_what_was_cut_off_is_never_made_up_for() -> None:
    cut_off = INFO.with_samples(4000, n_claimed=8000)
    assert cut_off.truncated
    assert cut_of(request(0, 500), cut_off, CLAMPED) == Cut(first=0, stop=4000)
    for start, end in ((400, 600), (600, 700), (0, 9000)):
        with pytest.raises(EntryError, match=r"truncated_audio.*lasts 0\.500 s and was cut off: restore the recording"):
            cut_of(request(start, end), cut_off, CLAMPED)


@given(
    st.floats(-1e7, 1e7),
    st.floats(0, 1e7, exclude_min=True),
    st.sampled_from(["ms", "s"]),
    st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 192000]),
    st.integers(1, 10**7),
    st.booleans(),
)
def test_a_cut_lies_inside_its_recording(
    start: float, length: float, unit: Any, rate: int, n_samples: int, clamps: bool
) -> None:
    info = replace(INFO, sample_rate=rate, n_samples=n_samples)
    asked = request(start, start + length, unit)
    try:
        cut = cut_of(asked, info, CLAMPED if clamps else FAILING)
    except EntryError:
        return
    assert 0 <= cut.first < cut.stop <= n_samples
    if not cut.clamped:
        assert (cut.first, cut.stop) == asked.sample_range(rate)
    assert clamps or not cut.clamped


@given(st.integers(1, 384000), st.lists(st.integers(0, 10**8), min_size=2, max_size=20, unique=True))
def test_pieces_that_touch_share_no_sample_and_leave_none(rate: int, times: list[int]) -> None:
    for unit in ("ms", "s"):
        edges = sorted(times) if unit == "ms" else [time / 1000 for time in sorted(times)]
        ranges = [request(*edges[at : at + 2], unit).sample_range(rate) for at in range(len(edges) - 1)]
        assert all(one[1] == following[0] for one, following in pairwise(ranges))


def test_clips_take_rate_and_channels_of_their_recording_unless_told_otherwise() -> None:
    stereo = replace(INFO, n_channels=2)
    assert (rate_of(stereo, CutRules()), n_channels_of(stereo, WHOLE, CutRules())) == (8000, 2)
    told = CutRules(sample_rate=16000, mono="mix")
    assert (rate_of(stereo, told), n_channels_of(stereo, WHOLE, told)) == (16000, 1)
    assert n_channels_of(stereo, WHOLE, CutRules(mono="first")) == 1


def test_a_request_that_names_a_channel_is_cut_from_it_whatever_the_rules_say() -> None:
    stereo, asked = replace(INFO, n_channels=2), replace(request(0, 500), channel=1)
    assert cut_of(asked, stereo, CLAMPED) == Cut(first=0, stop=4000, channel=1)
    assert cut_of(replace(asked, end=2000), stereo, CLAMPED) == Cut(first=0, stop=8000, clamped=True, channel=1)
    samples = in_16_bits(speech_like(8000, 8000, 2))
    with open_audio(encode_audio(samples, 8000, "wav")) as reader:
        for mono in ("keep", "mix", "first"):
            cut = Cut(first=10, stop=900, channel=1)
            assert n_channels_of(stereo, cut, CutRules(mono=mono)) == 1
            np.testing.assert_array_equal(samples_of(reader, cut, CutRules(mono=mono)), samples[10:900, 1:])
    with pytest.raises(EntryError, match="out_of_range: channel 1 of a recording that has only channel 0"):
        cut_of(asked, INFO, CLAMPED)


def test_a_clip_is_long_by_all_its_channels() -> None:
    stereo = replace(INFO, n_channels=2)
    assert not is_long(Cut(first=0, stop=LONG_CLIP), INFO)
    assert is_long(Cut(first=0, stop=LONG_CLIP + 1), INFO)
    assert not is_long(Cut(first=10, stop=LONG_CLIP // 2 + 10), stereo)
    assert is_long(Cut(first=0, stop=LONG_CLIP // 2 + 1), stereo)


@pytest.mark.parametrize("mono", ["keep", "mix", "first"])
@pytest.mark.parametrize("sample_rate", [None, 16000, 44100])
def test_pieces_of_a_clip_are_the_clip(mono: str, sample_rate: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_curator.audio.reading._PIECE_VALUES", 3000)
    samples = in_16_bits(speech_like(20000, 44100, 2))
    rules = CutRules(mono=mono, sample_rate=sample_rate)
    cut = Cut(first=123, stop=19000)
    with open_audio(encode_audio(samples, 44100, "wav")) as reader:
        whole = samples_of(reader, cut, rules)
        pieces = list(pieces_of(reader, cut, rules))
    assert len(pieces) > 10
    np.testing.assert_array_equal(np.concatenate(pieces), whole, strict=True)
    assert whole.shape[1] == (2 if mono == "keep" else 1)
    assert abs(len(whole) - 18877 * (sample_rate or 44100) / 44100) <= 1
    if sample_rate != 16000 and mono == "keep":
        np.testing.assert_array_equal(whole, samples[123:19000])


@pytest.mark.parametrize(
    ("start", "end", "unit", "said"),
    [
        (2.5, 3, "s", "2.5-3 s"),
        (2.5, None, "s", "2.5 s to the end"),
        (3600123, 3601000, "ms", "3600123-3601000 ms"),
        (0.1 + 0.2, 5, "ms", "0.3-5 ms"),
    ],
)
def test_a_request_says_what_it_asked_for(start: float, end: float | None, unit: Any, said: str) -> None:
    with pytest.raises(EntryError) as caught:
        cut_of(request(start, end, unit), replace(INFO, n_samples=1), FAILING)
    assert caught.value.message == f"{said}, but the recording lasts 0.000 s"
