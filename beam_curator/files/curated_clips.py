"""Clips of a curated recording: read once, measured and encoded on the way."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from beam_curator.audio import AudioReader, mix_channels
from beam_curator.audio.track_reading import track_pieces
from beam_curator.audio_formats import AudioFormat, Channels, kept_subtype
from beam_curator.curate.clip_plan import PlannedClip
from beam_curator.curate.curate_rules import FULL_BAND, NARROW_BAND, BandFilter
from beam_curator.diarization.bandwidth import BandwidthMeter
from beam_curator.files.clip_files import EncodedClip, SpooledEncoder
from beam_curator.quality.sound_meter import SoundMeter
from beam_curator.timelines import SampleRange

_LEAST_RATE = 100
"""Hz; below, there is no bandwidth to measure."""


def measured(
    reader: AudioReader,
    clip: PlannedClip,
    channels: Channels,
    speech: Sequence[SampleRange],
    band: BandFilter,
    encoder: SpooledEncoder | None = None,
) -> dict[str, Any]:
    """Read a clip as it is heard, in one channel at its own rate, and measure it.

    Args:
      reader: of the recording.
      clip: the samples that it holds.
      channels: "mix" for their mean, or the number of one.
      speech: samples of the clip in which anybody speaks, counted from its first; all else is noise.
      band: from which bandwidth on it is of full band, unless a classifier tells.
      encoder: is given the samples, too.

    Returns:
      Values by key; None for what cannot be measured.

    Raises:
      EntryError, OSError: as `AudioReader.read`.
    """
    rate = reader.info.sample_rate
    sound, width = SoundMeter(rate, 1, reader.info.codec), BandwidthMeter(max(rate, _LEAST_RATE))
    for piece in track_pieces(reader, clip.track):
        samples = mix_channels(piece, channels)
        sound.add(samples)
        width.add(samples[:, 0])
        if encoder is not None:
            encoder.write(samples)
    bandwidth = width.bandwidth() if rate >= _LEAST_RATE else None
    return {
        "duration": clip.n_samples / rate,
        **asdict(sound.sound([(first / rate, stop / rate) for first, stop in speech])),
        "bandwidth": bandwidth,
        "band_prediction": None if bandwidth is None or band.path else _band_of(bandwidth, band),
    }


def encoded(
    reader: AudioReader,
    clip: PlannedClip,
    channels: Channels,
    speech: Sequence[SampleRange],
    band: BandFilter,
    output_format: AudioFormat,
) -> tuple[EncodedClip, dict[str, Any]]:
    """Encode a clip, in the rate and depth of its recording, and measure it; see `measured`.

    Raises:
      EntryError: it cannot be read, or the format cannot hold it.
    """
    subtype = kept_subtype(reader.info.codec, output_format)
    encoder = SpooledEncoder(reader.info.sample_rate, 1, output_format, subtype)
    try:
        scores = measured(reader, clip, channels, speech, band, encoder)
        return encoder.finish(), scores
    except BaseException:
        encoder.close()
        raise


def _band_of(bandwidth: int, band: BandFilter) -> str:
    return FULL_BAND if bandwidth >= band.band_cutoff else NARROW_BAND
