from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from beam_curator.export.envelopes import Envelope, column_starts, mix
from beam_curator.export.labels import plain_label
from beam_curator.export.previews import PreviewSound, Turn, draw_envelope, tick_step
from beam_curator.failures import EntryError, FailureCode
from tests.audio.corpus import speech_like

BLUE, ORANGE, GREY, WAVE, PANEL = (31, 119, 180), (230, 97, 1), (110, 117, 128), (62, 78, 104), (246, 247, 249)
HEADER, LANE, AXIS = 26, 20, 28


def tone(n_samples: int = 8000, level: float = 0.5) -> Any:
    return (level * np.sin(np.arange(n_samples) / 9)).astype(np.float32)[:, None]


def draw_preview(samples: Any, sample_rate: int, turns: Sequence[Turn], **options: Any) -> bytes:
    """Draw a clip that is there as a whole."""
    envelope = Envelope(len(samples))
    envelope.add(samples)
    return draw_envelope(envelope, sample_rate, turns, **options)


def preview_audio(samples: Any, sample_rate: int) -> tuple[Any, int]:
    """Return the sound of a clip that is there as a whole, and its rate."""
    sound = PreviewSound(sample_rate)
    return sound.add(samples, last=True), sound.sample_rate


def pixels_of(png: bytes) -> Any:
    with Image.open(io.BytesIO(png)) as image:
        assert (image.format, image.mode) == ("PNG", "P")
        assert image.info == {}
        return np.asarray(image.convert("RGB"))


def turn(start: float, end: float, speaker: str = "a") -> Turn:
    return Turn(start=start, end=end, speaker=speaker)


def columns_of(pixels: Any, row: int, color: tuple[int, int, int]) -> Any:
    return np.flatnonzero((pixels[row] == color).all(axis=1))


@pytest.mark.parametrize(("n_speakers", "n_lanes"), [(0, 0), (1, 1), (3, 3), (12, 12), (16, 16), (17, 16), (40, 16)])
def test_the_picture_grows_with_its_speakers(n_speakers: int, n_lanes: int) -> None:
    turns = [turn(0.01 * number, 0.5, f"speaker_{number}") for number in range(n_speakers)]
    pixels = pixels_of(draw_preview(tone(), 8000, turns, width=640, height=100))
    assert pixels.shape == (HEADER + 100 + n_lanes * LANE + AXIS, 640, 3)


def test_bars_lie_where_the_turns_do() -> None:
    turns = [turn(0.0, 0.25, "a"), turn(0.5, 1.0, "b"), turn(0.75, 2.0, "a"), turn(-1.0, 0.0, "c"), turn(1.0, 3.0, "d")]
    pixels = pixels_of(draw_preview(tone(), 8000, turns, width=1000, height=100))
    assert len(pixels) == HEADER + 100 + 2 * LANE + AXIS  # c and d do not speak in this second
    first, second = HEADER + 100 + LANE // 2, HEADER + 100 + LANE + LANE // 2
    bars_a, bars_b = columns_of(pixels, first, BLUE), columns_of(pixels, second, ORANGE)
    left, right = int(columns_of(pixels, HEADER + 100 + 2 * LANE, GREY)[0]), 1000 - 16
    last = right - left - 1
    inside_a = bars_a[bars_a >= left] - left
    assert inside_a.tolist() == [*range(round(0.25 * last)), *range(round(0.75 * last), last)]
    assert (bars_b[bars_b >= left] - left).tolist() == list(range(round(0.5 * last), last))


def test_a_turn_of_no_length_is_seen() -> None:
    pixels = pixels_of(draw_preview(tone(), 8000, [turn(0.5, 0.5), turn(0.999999, 1.0)], width=1000, height=100))
    bars = columns_of(pixels, HEADER + 100 + 5, BLUE)
    assert len(bars[bars > 300]) == 3
    assert bars[-1] == 1000 - 16 - 1


def test_the_waveform_fills_its_height_but_a_quiet_one_stays_small() -> None:
    def rows(level: float) -> Any:
        pixels = pixels_of(draw_preview(tone(level=level), 8000, [], width=400, height=101))
        return np.flatnonzero((pixels[HEADER : HEADER + 101] == WAVE).all(axis=2).any(axis=1))

    assert (rows(0.5)[0], rows(0.5)[-1]) == (3, 97)
    assert (rows(0.02)[0], rows(0.02)[-1]) == (3, 97)
    assert (rows(0.0049)[0], rows(0.0049)[-1]) == (27, 73)  # 47 pixels each way are -40 dB, 0.01
    assert rows(0.0).tolist() == [50]


@pytest.mark.parametrize("n_samples", [1, 7, 300, 100_000])
def test_a_clip_of_any_length_is_drawn_from_left_to_right(n_samples: int) -> None:
    pixels = pixels_of(draw_preview(tone(n_samples), 8000, [], width=320, height=40))
    drawn = (pixels[HEADER : HEADER + 40] == WAVE).all(axis=2).any(axis=0)
    assert np.flatnonzero(drawn).tolist() == list(range(16, 304))


def test_the_same_clip_gives_the_same_bytes() -> None:
    turns = [turn(0.5, 1.0, "b"), turn(0.0, 0.4, "a")]
    first = draw_preview(tone(), 8000, turns, title="a")
    assert draw_preview(tone(), 8000, turns[::-1], title="a") == first
    assert draw_preview(tone(), 8000, turns, title="b") != first
    envelope = Envelope(8000)
    for start in range(0, 8000, 700):
        envelope.add(tone()[start : start + 700])
    assert draw_envelope(envelope, 8000, turns, title="a") == first


@pytest.mark.parametrize("label", ["张三", "Анна", "أحمد", "José", "", "😀", "a\nb", "x" * 500, "\udcff"])
def test_any_label_can_be_drawn(label: str) -> None:
    plain = pixels_of(draw_preview(tone(), 8000, [turn(0, 1, label)], title=label))
    assert plain.shape == (HEADER + 240 + LANE + AXIS, 1200, 3)


@pytest.mark.parametrize(
    ("text", "number", "shown"),
    [
        ("speaker_0", 1, "speaker_0"),
        ("José Núñez", 2, "#2 Jose Nunez"),
        ("张三 2", 3, "#3 U+5F20 U+4E09 2"),
        ("a\nb", 4, "#4 a U+000A b"),
        ("", 5, "#5 no label"),
        ("ﬁn", 6, "#6 fin"),
        ("张", None, "U+5F20"),
        ("", None, ""),
    ],
)
def test_labels_in_plain_letters(text: str, number: int | None, shown: str) -> None:
    assert plain_label(text, number) == shown


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        (np.zeros((0, 1), np.float32), FailureCode.EMPTY_AUDIO),
        (np.float32([[0.0], [np.nan]]), FailureCode.NON_FINITE),
        (np.float32([[0.0, 0.0], [np.inf, -np.inf]]), FailureCode.NON_FINITE),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_cannot_be_drawn_is_refused(samples: Any, code: FailureCode) -> None:
    with pytest.raises(EntryError) as refused:
        draw_preview(samples, 8000, [])
    assert refused.value.code == code


@pytest.mark.parametrize(("width", "height"), [(319, 240), (1200, 39)])
def test_a_picture_has_a_least_size(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=f"{width} x {height} pixels are too few: give at least 320 x 40"):
        draw_preview(tone(), 8000, [], width=width, height=height)


@pytest.mark.parametrize(("start", "end"), [(1.0, 0.5), (math.nan, 1.0), (0.0, math.inf)])
def test_a_turn_has_an_order(start: float, end: float) -> None:
    with pytest.raises(EntryError, match=f"bad_time: a turn lasts from {start} to {end}, expected finite"):
        turn(start, end)


@pytest.mark.parametrize(
    ("duration", "step"),
    [
        (0.0001, 0.00001),
        (0.2, 0.02),
        (1.0, 0.1),
        (5.0, 0.5),
        (29.0, 5.0),
        (180.0, 20.0),
        (290.0, 30.0),
        (3600.0, 500.0),
    ],
)
def test_ticks_are_round(duration: float, step: float) -> None:
    assert tick_step(duration, 10) == step


def test_pieces_of_an_envelope() -> None:
    envelope = Envelope(6, n_columns=3)
    assert [levels.tolist() for levels in envelope.levels()] == [[0, 0, 0], [0, 0, 0]]
    envelope.add(np.float32([[0.5, 0.25], [-0.5, -0.25], [1.0, -1.0]]))
    envelope.add(np.zeros((0, 2), np.float32))
    assert [levels.tolist() for levels in envelope.levels()] == [[-0.375, 0, 0], [0.375, 0, 0]]
    envelope.add(np.float32([[-0.25, -0.25], [0.125, 0.125], [0.5, 0.5]]))
    assert [levels.tolist() for levels in envelope.levels()] == [[-0.375, -0.25, 0.125], [0.375, 0, 0.5]]
    assert [levels.tolist() for levels in envelope.levels(1)] == [[-0.375], [0.5]]
    with pytest.raises(ValueError, match="7 samples are more than the 6 of the clip"):
        envelope.add(np.zeros((1, 2), np.float32))


@given(st.integers(1, 60), st.integers(1, 25), st.lists(st.integers(0, 60), max_size=6))
def test_an_envelope_does_not_depend_on_the_pieces(n_samples: int, n_columns: int, cuts: list[int]) -> None:
    samples = np.random.default_rng(n_samples).uniform(-1, 1, (n_samples, 1)).astype(np.float32)
    envelope = Envelope(n_samples, n_columns)
    edges = [0, *sorted(min(cut, n_samples) for cut in cuts), n_samples]
    for start, stop in itertools.pairwise(edges):
        envelope.add(samples[start:stop])
    starts = column_starts(n_samples, n_columns).tolist()
    columns = [samples[a : max(a + 1, b), 0] for a, b in zip(starts, [*starts[1:], n_samples], strict=True)]
    minima, maxima = envelope.levels()
    assert minima.tolist() == [float(column.min()) for column in columns]
    assert maxima.tolist() == [float(column.max()) for column in columns]
    assert envelope.n_added == n_samples


def test_channels_are_mixed() -> None:
    assert mix(np.float32([[0.75, 0.0, 0.0], [0.5, 0.5, 0.5]])).tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("sample_rate", "n_channels", "expected"),
    [(8000, 1, (8000, 8000)), (16000, 2, (16000, 16000)), (44100, 2, (16000, 16000)), (48000, 8, (16000, 16000))],
)
def test_what_a_preview_lets_one_hear(sample_rate: int, n_channels: int, expected: tuple[int, int]) -> None:
    second = np.sin(2 * np.pi * 440 * np.arange(sample_rate) / sample_rate)
    samples = np.repeat(second.astype(np.float32)[:, None], n_channels, axis=1)
    heard, heard_rate = preview_audio(samples, sample_rate)
    assert (len(heard), heard_rate) == expected
    assert (heard.shape[1], heard.dtype) == (1, np.float32)
    middle = slice(1000, heard_rate - 1000)
    wanted = np.sin(2 * np.pi * 440 * np.arange(heard_rate) / heard_rate)
    assert np.abs(heard[middle, 0] - wanted[middle]).max() < 1e-3
    assert np.abs(heard).max() <= 1.0


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100])
def test_a_low_rate_copy_made_in_pieces_is_the_same(sample_rate: int) -> None:
    samples = speech_like(sample_rate + 77, sample_rate, 2)
    sound = PreviewSound(sample_rate)
    pieces = [sound.add(piece) for piece in np.split(samples, [100, 5000])]
    pieces.append(sound.add(samples[:0], last=True))
    whole, rate = preview_audio(samples, sample_rate)
    assert (sound.sample_rate, np.concatenate(pieces).tobytes()) == (rate, whole.tobytes())
