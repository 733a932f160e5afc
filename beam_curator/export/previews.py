"""Previews of clips: a picture of the waveform with its turns, and the samples of a low-rate copy."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from beam_curator.audio import Resampler
from beam_curator.export.envelopes import Envelope, mix
from beam_curator.export.labels import fit_text, plain_label
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Samples = NDArray[np.float32]
"""Audio, float32 [n_samples, n_channels], full scale at 1."""

Pixels = NDArray[np.uint8]
"""A picture, uint8 [height, width], numbers of the palette."""

PREVIEW_SAMPLE_RATE = 16_000
MAX_LANES = 16
"""Speakers that have a lane of their own; those who come later share the last one."""

MIN_WIDTH = 320
MIN_HEIGHT = 40

_HEADER, _LANE, _BAR, _AXIS, _MARGIN, _GAP = 26, 20, 12, 28, 16, 10
_MIN_TICK_PIXELS = 72
_TEXT_SIZE = 13
_QUIETEST_FULL_HEIGHT = 0.01
_COMPRESSION = 5

_SURFACES = ((255, 255, 255), (246, 247, 249), (250, 250, 252), (222, 225, 230), (62, 78, 104))
_WHITE, _PANEL, _STRIPE, _GRID, _WAVE = range(len(_SURFACES))
_INKS = (
    *((40, 44, 52), (110, 117, 128)),
    *((31, 119, 180), (230, 97, 1), (44, 145, 60), (148, 80, 180), (200, 40, 50), (0, 150, 160)),
    *((190, 140, 20), (215, 75, 150), (110, 80, 60), (95, 115, 215), (125, 160, 30), (90, 95, 105)),
)
_INK, _FAINT, *_SPEAKERS = range(len(_INKS))
_SHADES = 16
"""Shades of an ink on white, for the smooth edges of letters: the last is the ink itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Who speaks when, in seconds from the start of the clip.

    Raises:
      EntryError: a time is not finite, or the end lies before the start.
    """

    start: Seconds
    end: Seconds
    speaker: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and self.start <= self.end):
            raise EntryError(
                FailureCode.BAD_TIME,
                f"a turn lasts from {self.start} to {self.end}, expected finite seconds in order",
                "mend the times of the turn",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """One line of bars below the waveform."""

    label: str
    ink: int
    turns: list[Turn]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where things are, in pixels: the plot is the waveform and the lanes below it."""

    width: int
    height: int
    left: int
    n_lanes: int
    duration: Seconds

    @property
    def right(self) -> int:
        return self.width - _MARGIN

    @property
    def lanes_top(self) -> int:
        return _HEADER + self.height

    @property
    def plot_bottom(self) -> int:
        return self.lanes_top + self.n_lanes * _LANE

    def x_of(self, time: Seconds) -> int:
        """Return the column of a time, inside the plot."""
        share = min(max(time / self.duration, 0.0), 1.0)
        return self.left + round(share * (self.right - self.left - 1))


def draw_envelope(
    envelope: Envelope,
    sample_rate: int,
    turns: Sequence[Turn],
    *,
    width: int = 1200,
    height: int = 240,
    title: str = "",
) -> bytes:
    """Draw a clip as PNG: its waveform over time, and one lane of coloured bars below it for each speaker.

    The waveform is the least and greatest sample of each pixel column, channels mixed, scaled so that its peak fills
    the height (a clip below -40 dB stays small); the peak is written above it. Labels are in the plain letters of
    Pillow's own font; one that has others is shown by its number and their code points. No display is needed, and the
    bytes follow from the arguments and the version of Pillow.

    Args:
      envelope: of the clip, so that a long one is never held as a whole.
      sample_rate: in Hz.
      turns: who speaks when; what lies outside of the clip is left out.
      width: of the picture, in pixels, at least 320.
      height: of the waveform, in pixels, at least 40; the picture grows by 20 a speaker, with `MAX_LANES` at most.
      title: written above the waveform.

    Raises:
      ValueError: the picture is too small.
    """
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        raise ValueError(f"{width} x {height} pixels are too few: give at least {MIN_WIDTH} x {MIN_HEIGHT}")
    font = _font()
    duration = envelope.n_samples / sample_rate
    lanes = _lanes_of([turn for turn in turns if turn.start < duration and turn.end > 0])
    gutter = min(max((math.ceil(font.getlength(lane.label)) for lane in lanes), default=-_GAP), width // 4)
    left = _MARGIN + gutter + _GAP
    layout = _Layout(width=width, height=height, left=left, n_lanes=len(lanes), duration=duration)
    minima, maxima = envelope.levels(layout.right - layout.left)
    peak = float(max(-minima.min(), maxima.max(), 0.0))
    pixels = _plot(layout, lanes, minima, maxima, peak)
    facts = f"{duration:.2f} s, {sample_rate} Hz, {_peak_text(peak)}"
    return _png_of(pixels, font, layout, lanes, title, facts)


class PreviewSound:
    """The sound of a preview: channels mixed, within full scale, at 16 kHz or the clip's own rate where that is lower.

    Made piece by piece with flat memory, and bit for bit the same however the clip is cut.

    Attributes:
      sample_rate: of the sound that it makes, in Hz.

    Args:
      sample_rate: of the pieces, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = min(sample_rate, PREVIEW_SAMPLE_RATE)
        self._resampler = Resampler(sample_rate, self.sample_rate, n_channels=1)

    def add(self, samples: Samples, *, last: bool = False) -> Samples:
        """Take the next piece; return the samples that are ready by now.

        Args:
          samples: float32 [n_samples, n_channels]; may be empty.
          last: no other piece follows.

        Returns:
          float32 [n, 1].
        """
        return np.clip(self._resampler.resample(mix(samples)[:, None], last=last), -1.0, 1.0, dtype=np.float32)


def _lanes_of(turns: Sequence[Turn]) -> list[_Lane]:
    """Give each speaker a lane, in order of first word; those who find no room share one."""
    by_speaker: dict[str, list[Turn]] = {}
    for turn in sorted(turns, key=lambda turn: (turn.start, turn.speaker, turn.end)):
        by_speaker.setdefault(turn.speaker, []).append(turn)
    n_own = MAX_LANES if len(by_speaker) <= MAX_LANES else MAX_LANES - 1
    lanes = [
        _Lane(label=plain_label(speaker, number), ink=_SPEAKERS[(number - 1) % len(_SPEAKERS)], turns=said)
        for number, (speaker, said) in enumerate(list(by_speaker.items())[:n_own], start=1)
    ]
    others = [turn for said in list(by_speaker.values())[n_own:] for turn in said]
    if others:
        lanes.append(_Lane(label=f"{len(by_speaker) - n_own} others", ink=_FAINT, turns=others))
    return lanes


@cache
def _palette() -> bytes:
    """Return red, green and blue of each number of a pixel: the surfaces, then the shades of each ink."""
    shares = np.linspace(0, 1, _SHADES)[None, :, None]
    shades = 255 + (np.array(_INKS)[:, None, :] - 255) * shares
    return bytes(np.uint8(np.concatenate([np.array(_SURFACES), np.round(shades).reshape(-1, 3)])))


def _full(ink: int) -> int:
    """Return the number of an ink itself."""
    return len(_SURFACES) + ink * _SHADES + _SHADES - 1


def _plot(layout: _Layout, lanes: Sequence[_Lane], minima: Samples, maxima: Samples, peak: float) -> Pixels:
    """Draw backgrounds, grid, waveform and bars."""
    pixels = np.full((layout.plot_bottom + _AXIS, layout.width), _WHITE, np.uint8)
    plot = slice(layout.left, layout.right)
    pixels[_HEADER : layout.lanes_top, plot] = _PANEL
    for number in range(1, layout.n_lanes, 2):
        top = layout.lanes_top + number * _LANE
        pixels[top : top + _LANE, plot] = _STRIPE
    for time in _ticks(layout):
        pixels[_HEADER : layout.plot_bottom + 4, layout.x_of(time)] = _GRID
    half = (layout.height - 1) / 2
    scale = (half - 3) / max(peak, _QUIETEST_FULL_HEIGHT)
    # Each column reaches to where the one before ends, or steep waves would fall apart into dots.
    tops = np.round(half - scale * np.maximum(maxima, np.append(maxima[:1], minima[:-1]))).astype(np.int32)
    bottoms = np.round(half - scale * np.minimum(minima, np.append(minima[:1], maxima[:-1]))).astype(np.int32)
    rows = np.arange(layout.height, dtype=np.int32)[:, None]
    np.copyto(pixels[_HEADER : layout.lanes_top, plot], _WAVE, where=(rows >= tops) & (rows <= bottoms))
    pixels[layout.plot_bottom, plot] = _full(_FAINT)
    for index, lane in enumerate(lanes):
        _fill_bars(pixels, layout, layout.lanes_top + index * _LANE, lane)
    return pixels


def _fill_bars(pixels: Pixels, layout: _Layout, top: int, lane: _Lane) -> None:
    first = top + (_LANE - _BAR) // 2
    for turn in lane.turns:
        start, stop = layout.x_of(turn.start), layout.x_of(turn.end)
        pixels[first : first + _BAR, start : min(max(stop, start + 2), layout.right)] = _full(lane.ink)


class _Pen:
    """Writes text on white parts of a picture, with smooth edges: `ImageDraw` has none on a palette.

    Args:
      pixels: uint8 [height, width], numbers of the palette; text is added.
      font: of the text.
    """

    def __init__(self, pixels: Pixels, font: FreeTypeFont) -> None:
        self._pixels = pixels
        self._font = font
        self.length = font.getlength

    def write(self, x: int, y: int, text: str, ink: int, anchor: str) -> None:
        """Write text at a point; the anchor says where the point is, as for Pillow."""
        mask, (left, top) = self._font.getmask2(text, "L", anchor=anchor)
        coverage = np.frombuffer(bytes(mask), np.uint8).reshape(mask.size[::-1])
        area = self._pixels[y + top : y + top + len(coverage), x + left : x + left + coverage.shape[1]]
        shade = coverage // (256 // _SHADES)
        np.copyto(area, len(_SURFACES) + ink * _SHADES + shade, where=shade > 0, casting="unsafe")


def _png_of(
    pixels: Pixels, font: FreeTypeFont, layout: _Layout, lanes: Sequence[_Lane], title: str, facts: str
) -> bytes:
    """Write the words into a picture, and return it as a file."""
    from PIL import Image

    pen = _Pen(pixels, font)
    _write_header(pen, layout, title, facts)
    _write_labels(pen, layout, lanes)
    _write_axis(pen, layout)
    # a palette is a third of the bytes to compress
    image = Image.fromarray(pixels)
    image.putpalette(_palette())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


def _write_header(pen: _Pen, layout: _Layout, title: str, facts: str) -> None:
    room = layout.width - 2 * _MARGIN
    facts_length = math.ceil(pen.length(facts))
    pen.write(layout.right - facts_length, _HEADER // 2, facts, _FAINT, "lm")
    shown = fit_text(plain_label(title, None), room - facts_length - 24, pen.length)
    pen.write(_MARGIN, _HEADER // 2, shown, _INK, "lm")


def _write_labels(pen: _Pen, layout: _Layout, lanes: Sequence[_Lane]) -> None:
    room = layout.left - _GAP - _MARGIN
    for number, lane in enumerate(lanes, start=1):
        middle = layout.lanes_top + number * _LANE - _LANE // 2
        shown = lane.label
        if pen.length(shown) > room:
            shown = fit_text(f"#{number} {shown.removeprefix(f'#{number} ')}", room, pen.length)
        pen.write(layout.left - _GAP, middle, shown, lane.ink, "rm")


def _write_axis(pen: _Pen, layout: _Layout) -> None:
    for time in _ticks(layout):
        text = f"{time:.10g} s"
        half = math.ceil(pen.length(text) / 2)
        x = min(max(layout.x_of(time), half), layout.width - half)
        pen.write(x, layout.plot_bottom + 15, text, _INK, "mm")


def _ticks(layout: _Layout) -> Iterator[Seconds]:
    step = tick_step(layout.duration, (layout.right - layout.left) // _MIN_TICK_PIXELS)
    return (index * step for index in range(math.floor(layout.duration / step + 1e-9) + 1))


def tick_step(duration: Seconds, n_ticks: int) -> Seconds:
    """Return the shortest of 1, 2, 5, 10 ... seconds (30, 60, 300 and 600 too, or tenths) that makes few ticks.

    Example:
      >>> tick_step(0.2, 10), tick_step(3.0, 10), tick_step(180.0, 10), tick_step(600.0, 10)
      (0.02, 0.5, 20.0, 60.0)
    """
    least = duration / max(n_ticks, 1)
    power = math.floor(math.log10(least)) - 1
    decades = [float(f"{digit}e{power + up}") for up in range(4) for digit in (1, 2, 5)]
    return min(step for step in [*decades, 30.0, 60.0, 300.0, 600.0] if step >= least * (1 - 1e-9))


@cache
def _font() -> FreeTypeFont:
    """Load Pillow's own font with the basic layout, as kerning differs with the libraries that Pillow finds."""
    from PIL import ImageFont

    font = cast("FreeTypeFont", ImageFont.load_default(_TEXT_SIZE))
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


def _peak_text(peak: float) -> str:
    return f"peak {20 * math.log10(peak):.1f} dB" if peak > 0 else "silent"
