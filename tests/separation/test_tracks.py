from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.audio import Samples, encode_audio, open_audio
from beam_curator.audio_formats import kept_subtype
from beam_curator.clips.records import ClipRequest
from beam_curator.clips.requests import requests_of_row
from beam_curator.intervals import Span
from beam_curator.separation.tracks import TrackPlan, pieces_of_tracks, track_plan
from tests.audio.corpus import decode_audio, encode_pieces, speech_like

RATES = st.sampled_from([8000, 11025, 16000, 44100, 48000])


def recording(n_samples: int, n_channels: int = 1) -> Samples:
    """Return samples none of which is 0."""
    return 1 + np.arange(n_samples * n_channels, dtype=np.float32).reshape(n_samples, n_channels)


def pieces_of_track(pieces: Iterable[Samples], plan: TrackPlan) -> Iterator[Samples]:
    return (samples for _, samples in pieces_of_tracks(pieces, [plan]))


def joined(samples: list[Samples], n_channels: int = 1) -> Samples:
    return np.concatenate([np.empty((0, n_channels), np.float32), *samples])


def test_samples_are_those_of_clips() -> None:
    spans = [(0.1, 0.33333), (1.000011, 2.5)]
    plan = track_plan(spans, 44100, 100_000)
    requests = requests_of_row({"audio_filepath": "a.wav", "diar_segments": spans}, "diar_segments")
    asked = [request.sample_range(44100) for request in requests if isinstance(request, ClipRequest)]
    assert list(plan.kept) == [asked[0], (asked[1][0], 100_000)] == [(4410, 14700), (44100, 100_000)]


def test_a_span_without_a_sample_is_not_on_the_track() -> None:
    plan = track_plan([(0.0, 0.00001), (1, 1.5), (3, 4)], 8000, 16000)
    assert (plan.kept, plan.spans, plan.n_kept) == (((8000, 12000),), ((1, 1.5),), 4000)
    assert track_plan([], 8000, 16000, compact=True).n_track_samples == 0
    assert track_plan([], 8000, 16000).n_track_samples == 16000


@pytest.mark.parametrize("spans", [[(2, 1)], [(-1, 1)], [(0, 2), (1, 3)], [(4, 5), (0, 1)], [(float("nan"), 1)]])
def test_spans_out_of_order_are_a_mistake_of_the_caller(spans: list[Span]) -> None:
    with pytest.raises(ValueError, match="give spans in order, without overlap"):
        track_plan(spans, 8000, 80_000)


def test_a_full_track_is_silent_elsewhere() -> None:
    plan = track_plan([(1, 2), (3, 4)], 2, 10)
    track = joined(list(pieces_of_track([recording(10)], plan)))
    assert track[:, 0].tolist() == [0, 0, 3, 4, 0, 0, 7, 8, 0, 0]


def test_a_compact_track_is_one_piece_after_the_other() -> None:
    plan = track_plan([(1, 2), (3, 4)], 2, 10, compact=True)
    track = joined(list(pieces_of_track([recording(10)], plan)))
    assert (track[:, 0].tolist(), plan.n_track_samples) == ([3, 4, 7, 8], 4)
    assert plan.track_spans == ((0, 1), (1, 2))


@st.composite
def _spans(draw: st.DrawFn) -> list[Span]:
    times = sorted(draw(st.lists(st.integers(0, 400_000), max_size=8, unique=True)))
    return [(a / 1e6, b / 1e6) for a, b in zip(times[::2], times[1::2], strict=False)]


LENGTHS = st.lists(st.integers(0, 2000), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(_spans(), st.booleans()), max_size=4), RATES, LENGTHS, st.sampled_from([1, 2]))
def test_tracks_equal_the_recording_inside_of_spans_and_are_0_elsewhere(
    wanted: list[tuple[list[Span], bool]], sample_rate: int, lengths: list[int], n_channels: int
) -> None:
    source = recording(sum(lengths), n_channels)
    plans = [track_plan(spans, sample_rate, len(source), compact=compact) for spans, compact in wanted]
    tracks: list[list[Samples]] = [[] for _ in plans]
    for index, samples in pieces_of_tracks(np.split(source, np.cumsum(lengths)), plans):
        assert len(samples) and samples.dtype == np.float32
        tracks[index].append(samples)
    for (spans, compact), plan, pieces in zip(wanted, plans, tracks, strict=True):
        inside = np.zeros(len(source), np.bool_)
        for start, end in spans:
            inside[round(start * sample_rate) : round(end * sample_rate)] = True
        expected = source[inside] if compact else np.where(inside[:, None], source, np.float32(0))
        np.testing.assert_array_equal(joined(pieces, n_channels), expected, strict=True)
        assert (plan.n_kept, plan.n_track_samples) == (inside.sum(), len(expected))


@settings(max_examples=100, deadline=None)
@given(_spans(), RATES, st.booleans())
def test_segments_cut_out_of_a_track_are_the_spans(spans: list[Span], sample_rate: int, compact: bool) -> None:
    source = recording(20_000)
    plan = track_plan(spans, sample_rate, len(source), compact=compact)
    track = joined(list(pieces_of_track([source], plan)))
    for (start, end), (first, stop) in zip(plan.track_spans, plan.kept, strict=True):
        cut = track[round(start * sample_rate) : round(end * sample_rate)]
        np.testing.assert_array_equal(cut, source[first:stop])


@pytest.mark.parametrize("n_samples", [9, 11])
def test_a_recording_of_another_length_is_noticed(n_samples: int) -> None:
    plan = track_plan([(1, 2)], 2, 10)
    with pytest.raises(ValueError, match=f"the pieces hold {n_samples} samples.*, the plan is for 10: give all"):
        list(pieces_of_track([recording(n_samples)], plan))


def test_the_recording_is_not_changed_and_silence_cannot_be() -> None:
    source = recording(10)
    pieces = [
        samples for _, samples in pieces_of_tracks([source], [track_plan([(1, 2)], 2, 10), track_plan([], 2, 10)])
    ]
    assert not pieces[1].flags.writeable
    np.testing.assert_array_equal(source, recording(10))


def test_memory_is_that_of_a_piece() -> None:
    n_pieces, n = 200, 1 << 14
    plans = [track_plan([(at / 10, at / 10 + 0.05)], 8000, n_pieces * n, compact=at % 2 == 0) for at in range(40)]

    def pieces() -> Iterator[Samples]:
        for _ in range(n_pieces):
            yield np.ones((n, 1), np.float32)

    tracemalloc.start()
    for _ in pieces_of_tracks(pieces(), plans):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 4 * n


def test_thousands_of_speakers_in_one_pass() -> None:
    plans = [track_plan([(at / 1000, (at + 1) / 1000)], 1000, 5000, compact=True) for at in range(5000)]
    found = list(pieces_of_tracks(np.split(recording(5000), 10), plans))
    assert [(index, samples[:, 0].tolist()) for index, samples in found] == [(at, [at + 1]) for at in range(5000)]


def whole_values(n_bits: int, n_samples: int) -> Samples:
    top = 1 << (n_bits - 1)
    return (np.random.default_rng(n_bits).integers(-top, top, (n_samples, 2)) / top).astype(np.float32)


SOURCES = [
    ("WAV", "PCM_U8", 8),
    ("WAV", "PCM_16", 16),
    ("WAV", "PCM_24", 24),
    ("FLAC", "PCM_S8", 8),
    ("FLAC", "PCM_16", 16),
    ("FLAC", "PCM_24", 24),
    ("AIFF", "PCM_24", 24),
]


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
@pytest.mark.parametrize(("container", "subtype", "n_bits"), SOURCES)
def test_a_track_keeps_the_depth_of_its_recording(container: str, subtype: str, n_bits: int, audio_format: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, whole_values(n_bits, 20_000), 22050, format=container, subtype=subtype)
    check_round_trip(file.getvalue(), audio_format, f"PCM_{'U8' if audio_format == 'wav' else 'S8'}|PCM_{n_bits}")


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE", "PCM_32"])
def test_floats_beyond_full_scale_too(subtype: str) -> None:
    samples = 5 * speech_like(20_000, 22050, 2)
    file = io.BytesIO()
    soundfile.write(file, samples.astype(np.float64), 22050, format="WAV", subtype=subtype)
    check_round_trip(file.getvalue(), "wav", "FLOAT")


def check_round_trip(data: bytes, audio_format: str, subtypes: str) -> None:
    """Decode, lay on a track, encode in pieces, and decode again: bit for bit what it was, and silence."""
    with open_audio(data) as reader:
        info, source = reader.info, reader.read()
        plan = track_plan([(0.1, 0.3), (0.5, 0.8)], info.sample_rate, info.n_samples)
        out = io.BytesIO()
        track = pieces_of_track(reader.pieces(piece_samples=3000), plan)
        chosen = kept_subtype(info.codec, audio_format)
        assert encode_pieces(track, info.sample_rate, info.n_channels, audio_format, out, chosen) == info.n_samples
    decoded, sample_rate = decode_audio(out.getvalue())
    expected = np.zeros_like(source)
    for first, stop in plan.kept:
        expected[first:stop] = source[first:stop]
    np.testing.assert_array_equal(decoded, expected, strict=True)
    assert sample_rate == 22050
    assert soundfile.info(io.BytesIO(out.getvalue())).subtype in subtypes.split("|")


def test_the_pieces_do_not_change_the_bytes() -> None:
    source = speech_like(50_000, 16000)
    plan: TrackPlan = track_plan([(0.5, 1.25)], 16000, len(source), compact=True)
    file = io.BytesIO()
    encode_pieces(pieces_of_track(np.split(source, [7, 9000, 13_001]), plan), 16000, 1, "flac", file, "pcm_24")
    assert file.getvalue() == encode_audio(source[8000:20_000], 16000, "flac", "pcm_24")
