"""From a request to the samples of its recording: where a piece begins and ends, and how it is mixed and resampled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

from beam_curator.audio import AudioInfo, AudioReader, MixMeter, Resampler, Samples, mix_channels, resample
from beam_curator.audio_formats import Channels, Mono
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.records import ClipRequest
from beam_curator.entries.channel_key import check_channel
from beam_curator.failures import EntryError, FailureCode

LONG_CLIP = 1 << 23
"""Samples of all channels together from which a clip is read and encoded in pieces, never held whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A piece of a recording that is there: samples `[first, stop)`.

    Attributes:
      first: first sample.
      stop: sample behind the last one.
      clamped: whether less than asked for.
      channel: to cut, counted from 0; None where the rules say it.
      unmixed: the channel stands for the mean of all, which loses sound.
    """

    first: int
    stop: int
    clamped: bool = False
    channel: int | None = None
    unmixed: bool = False


def cut_of(request: ClipRequest, info: AudioInfo, rules: CutRules) -> Cut:
    """Find the samples that a request means.

    Args:
      request, info: the piece asked for, and its recording.
      rules: whether a piece that is partly outside is cut short or refused.

    Raises:
      EntryError: OUT_OF_RANGE where the recording lacks the channel, the piece, or a part with `on_overrun` "fail";
        TRUNCATED_AUDIO where the missing part was lost; EMPTY_AUDIO where it holds no sample.

    Example:
      >>> info = AudioInfo(sample_rate=8000, n_samples=8000, n_channels=1, container="wav", codec="pcm_16")
      >>> request = ClipRequest(fields={}, combo=2, index=0, start=500, end=1500, unit="ms")
      >>> cut_of(request, info, CutRules())
      Cut(first=4000, stop=8000, clamped=True, channel=None, unmixed=False)
    """
    check_channel(request.channel, info.n_channels)
    first, stop = request.sample_range(info.sample_rate, info.n_samples)
    if first == stop and request.end is not None:
        raise EntryError(
            FailureCode.EMPTY_AUDIO,
            f"{_said(request)} holds no sample at {info.sample_rate} Hz",
            "ask for a longer piece",
        )
    is_lost = info.truncated and (request.end is None or stop > info.n_samples)
    if 0 <= first < stop <= info.n_samples and not is_lost:
        return Cut(first=first, stop=stop, channel=request.channel)
    lasts = f"the recording lasts {info.n_samples / info.sample_rate:.3f} s"
    if is_lost:
        raise EntryError(
            FailureCode.TRUNCATED_AUDIO, f"{_said(request)}, but {lasts} and was cut off", "restore the recording"
        )
    inside = Cut(first=max(first, 0), stop=min(stop, info.n_samples), clamped=True, channel=request.channel)
    if rules.on_overrun == "fail" or inside.first >= inside.stop:
        cure = "mend the times; rows are in milliseconds, entries in seconds"
        if inside.first < inside.stop:
            cure += "; --on-overrun clamp cuts what is there"
        raise EntryError(FailureCode.OUT_OF_RANGE, f"{_said(request)}, but {lasts}", cure)
    return inside


def _said(request: ClipRequest) -> str:
    if request.end is None:
        return f"{request.start:.12g} {request.unit} to the end"
    return f"{request.start:.12g}-{request.end:.12g} {request.unit}"


def is_long(cut: Cut, info: AudioInfo) -> bool:
    """Tell whether a clip should be worked on in pieces."""
    return (cut.stop - cut.first) * info.n_channels > LONG_CLIP


def unmixed(reader: AudioReader, cut: Cut, rules: CutRules) -> Cut:
    """Return a cut whose channels cancel each other in their mean as one of the loudest channel alone; others as given.

    Raises:
      EntryError: it cannot be read.
    """
    if _channels_of(cut, rules) != "mix" or reader.info.n_channels == 1:
        return cut
    meter = MixMeter(reader.info.n_channels)
    for piece in _pieces(reader, cut):
        meter.add(piece)
    return replace(cut, channel=meter.loudest, unmixed=True) if meter.cancels else cut


def samples_of(reader: AudioReader, cut: Cut, rules: CutRules) -> Samples:
    """Read a clip whole: float32 [n_samples, n_channels], mixed and resampled as the rules say."""
    with readable():
        read = reader.read(cut.first, cut.stop)
    samples = mix_channels(read, _channels_of(cut, rules))
    return resample(samples, reader.info.sample_rate, rate_of(reader.info, rules))


def pieces_of(reader: AudioReader, cut: Cut, rules: CutRules) -> Iterator[Samples]:
    """Read a clip piece by piece, mixed and resampled as the rules say."""
    rate, new_rate = reader.info.sample_rate, rate_of(reader.info, rules)
    channels = _channels_of(cut, rules)
    mixed = (mix_channels(piece, channels) for piece in _pieces(reader, cut))
    if rate == new_rate:
        yield from mixed
        return
    resampler = Resampler(rate, new_rate, n_channels=n_channels_of(reader.info, cut, rules))
    for piece in mixed:
        yield resampler.resample(piece, last=False)
    yield resampler.resample(piece[:0], last=True)


def _pieces(reader: AudioReader, cut: Cut) -> Iterator[Samples]:
    with readable():
        yield from reader.pieces(cut.first, cut.stop)


@contextmanager
def readable() -> Iterator[None]:
    """Make an error of the disk or the store the recording's: others may be readable."""
    try:
        yield
    except OSError as err:
        why = os.strerror(err.errno) if err.errno else str(err)
        raise EntryError(
            FailureCode.NOT_READABLE, f"the recording cannot be read: {why}", "check its disk, or copy it again"
        ) from err


def rate_of(info: AudioInfo, rules: CutRules) -> int:
    """Return the sample rate of clips of a recording, in Hz."""
    return rules.sample_rate if rules.sample_rate is not None else info.sample_rate


def n_channels_of(info: AudioInfo, cut: Cut, rules: CutRules) -> int:
    """Return the number of channels of a clip."""
    return info.n_channels if _channels_of(cut, rules) == "keep" else 1


def _channels_of(cut: Cut, rules: CutRules) -> Channels:
    return cast(Mono, rules.mono) if cut.channel is None else cut.channel
