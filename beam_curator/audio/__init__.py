"""Audio: bytes or an open file to samples, whole or in spans, and samples to clips. No paths, no Beam."""

from beam_curator.audio.channels import MixMeter, Resampler, mix_channels, n_resampled, resample
from beam_curator.audio.encoding import AudioEncoder, encode_audio
from beam_curator.audio.information import AudioInfo
from beam_curator.audio.reading import AudioReader, open_audio
from beam_curator.audio.spans import Samples
from beam_curator.audio_formats import AUDIO_FORMATS

__all__ = [
    "AUDIO_FORMATS",
    "AudioEncoder",
    "AudioInfo",
    "AudioReader",
    "MixMeter",
    "Resampler",
    "Samples",
    "encode_audio",
    "mix_channels",
    "n_resampled",
    "open_audio",
    "resample",
]
