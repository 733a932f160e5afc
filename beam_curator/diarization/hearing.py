"""How a recording is heard by a model: one channel at its sample rate, in pieces of equal length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from beam_curator.audio import AudioInfo, AudioReader, MixMeter, Resampler, Samples, mix_channels
from beam_curator.audio.track_reading import track_pieces
from beam_curator.audio_formats import Channels
from beam_curator.diarization.clipping import full_scale_of
from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats
from beam_curator.entries.channel_key import check_channel
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds
from beam_curator.timelines import Timeline, concatenated

PIECE_SECONDS = 30


def samples_asked(info: AudioInfo, start: Seconds, end: Seconds | None) -> tuple[int, int]:
    """Return the samples `[first, stop)` of a recording that lie between two times; an end behind it is its end.

    Raises:
      EntryError: nothing of the recording lies there, or it was cut off before that end.

    Example:
      >>> info = AudioInfo(sample_rate=8000, n_samples=80000, n_channels=1, container="wav", codec="pcm_16")
      >>> samples_asked(info, 1.0, 2.5), samples_asked(info, 9.0, 20.0), samples_asked(info, 0.0, None)
      ((8000, 20000), (72000, 80000), (0, 80000))
    """
    first = round(start * info.sample_rate)
    asked = None if end is None else round(end * info.sample_rate)
    if info.truncated and (asked is None or asked > info.n_samples):
        there = info.n_samples * 1000 // info.sample_rate / 1000
        raise EntryError(
            FailureCode.TRUNCATED_AUDIO,
            f"the recording was cut off behind {there:.3f} s",
            "copy the file again from its source, or ask for what is there: a row with offset 0 and that duration",
        )
    stop = info.n_samples if asked is None else min(asked, info.n_samples)
    if first >= stop:
        raise EntryError(
            FailureCode.OUT_OF_RANGE,
            f"{start:g} s to {'the end' if end is None else f'{end:g} s'} of a recording of "
            f"{info.n_samples / info.sample_rate:.3f} s",
            "mend offset and duration of the row",
        )
    return first, stop


def measured_channels(reader: AudioReader, first: int, stop: int) -> MixMeter:
    """Compare the channels in samples `[first, stop)`, which are read.

    Raises:
      EntryError, OSError: as `AudioReader.read`.
    """
    meter = MixMeter(reader.info.n_channels)
    for samples in reader.pieces(first, stop):
        meter.add(samples)
    return meter


def channels_to_hear(
    reader: AudioReader, first: int, stop: int, named: int | None = None, how: str = "mix"
) -> Channels:
    """Return the one channel that is heard in samples `[first, stop)`, or "mix".

    Where the channels cancel each other in their mean, the loudest is heard instead.

    Args:
      reader: of the recording; of several channels it is read, where they have to be compared.
      first, stop: the samples.
      named: the number of the channel that is asked for, if any.
      how: "mix", "first" or "loudest".

    Raises:
      EntryError: there is no such channel; otherwise as `AudioReader.read`, as OSError is.
    """
    check_channel(named, reader.info.n_channels)
    if named is not None:
        return named
    if reader.info.n_channels == 1:
        return "mix"
    if how == "first":
        return 0
    measured = measured_channels(reader, first, stop)
    return measured.loudest if how == "loudest" or measured.cancels else "mix"


class SampleMeter(Protocol):
    """Measures samples on their way to a model: of all channels where their mean is heard, else of the one."""

    def add(self, samples: Samples, full_scale: float, /) -> None:
        """Take the next samples, float32 [n, n_channels]; `full_scale` is the level at which they are clipped."""


def heard_pieces(
    reader: AudioReader,
    first: int,
    stop: int,
    channels: Channels = "mix",
    clipping: SampleMeter | None = None,
    sample_rate: int = MODEL_SAMPLE_RATE,
) -> Iterator[Floats]:
    """Read samples `[first, stop)` as a model hears them: see `heard_track`."""
    return heard_track(reader, concatenated([(first, stop)]), channels, clipping, sample_rate)


def heard_track(
    reader: AudioReader,
    track: Timeline,
    channels: Channels = "mix",
    clipping: SampleMeter | None = None,
    sample_rate: int = MODEL_SAMPLE_RATE,
) -> Iterator[Floats]:
    """Read a track of a recording as a model hears it: mixed and resampled as at once, bit for bit, with flat memory.

    Args:
      reader: of the recording.
      track: samples of the recording, and silence.
      channels: "mix" for their mean, or the number of one.
      clipping: counts what is clipped in these channels, as they are in the recording.
      sample_rate: that the model hears, Hz.

    Yields:
      float32 [n_samples] at that rate; `PIECE_SECONDS` long but for the last one, which may be empty where no other is.

    Raises:
      EntryError, OSError: as `AudioReader.read`.
    """
    rate = reader.info.sample_rate
    resampler = Resampler(rate, sample_rate, n_channels=1)
    size, full_scale = PIECE_SECONDS * sample_rate, full_scale_of(reader.info.codec)
    held: list[Floats] = [np.empty(0, np.float32)]
    n_held, n_left = 0, track.n_samples
    for samples in track_pieces(reader, track, piece_samples=PIECE_SECONDS * rate):
        n_left -= len(samples)
        mixed = mix_channels(samples, channels)
        if clipping is not None:
            clipping.add(samples if channels == "mix" else mixed, full_scale)
        made = resampler.resample(mixed, last=not n_left)[:, 0]
        held.append(made)
        n_held += len(made)
        while n_held > size:
            joined = np.concatenate(held)
            yield joined[:size]
            held, n_held = [joined[size:]], n_held - size
    yield np.concatenate(held)
