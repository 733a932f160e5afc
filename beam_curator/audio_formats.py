"""Formats in which clips are written."""

from __future__ import annotations

from typing import Literal

AudioFormat = Literal["wav", "flac", "ogg"]
AUDIO_FORMATS = ("wav", "flac", "ogg")
"""WAV with 16-bit PCM, FLAC with 16 bits, Ogg Vorbis, unless another subtype is asked for."""

SUBTYPES = {
    "wav": ("pcm_16", "pcm_u8", "pcm_24", "pcm_32", "float", "double"),
    "flac": ("pcm_16", "pcm_s8", "pcm_24"),
    "ogg": ("vorbis", "opus"),
}
"""What samples are written as, by format, named as `AudioInfo.codec` names them; the first is the default."""

_CODECS_OF_DEPTH = {
    8: "pcm_u8 pcm_s8 pcm_s8_planar",
    24: "pcm_24 alac_20 alac_24 dwvw_24 pcm_s24le pcm_s24be pcm_s24le_planar alac flac tta wavpack",
    32: "pcm_32 float double alac_32 pcm_s32le pcm_s32be pcm_s32le_planar pcm_f32le pcm_f32be pcm_f64le pcm_f64be",
}
"""Codecs of other depths than 16 bits, by the names of libsndfile and of FFmpeg."""

_DEPTH_OF = {codec: depth for depth, codecs in _CODECS_OF_DEPTH.items() for codec in codecs.split()}
_WRITTEN = {
    "wav": {8: "pcm_u8", 16: "pcm_16", 24: "pcm_24", 32: "float"},
    "flac": {8: "pcm_s8", 16: "pcm_16", 24: "pcm_24", 32: "pcm_24"},
    "ogg": dict.fromkeys((8, 16, 24, 32), "vorbis"),
}


def depth_of(codec: str) -> int:
    """Return how many bits a codec's samples have; 16 for lossy ones.

    Example:
      >>> depth_of("pcm_24"), depth_of("float"), depth_of("mp3")
      (24, 32, 16)
    """
    return _DEPTH_OF.get(codec, 16)


def kept_subtype(codec: str, audio_format: str) -> str:
    """Return the subtype to write a recording's samples in, so that they keep the depth that they came with.

    Samples are float32 between reading and writing. That holds 8, 16 and 24 bits exactly, so those come back bit for
    bit. Of 32-bit integers and doubles 24 significant bits are left when they have been read: wav keeps these as
    `float`, which claims no more than is there, and flac, which holds integers only, keeps 24 bits below full scale;
    what lies beyond full scale is clipped there. A-law, mu-law and lossy codecs become 16 bits. Lossless codecs whose
    depth is not told (ALAC, FLAC in Matroska, TTA, WavPack) become 24 bits, which hold 16 as well. WAV has no signed
    8-bit samples and FLAC no unsigned ones; they stand for the same values.

    Args:
      codec: of the recording, as `AudioInfo.codec` has it.
      audio_format: one of AUDIO_FORMATS.

    Returns:
      One of `SUBTYPES[audio_format]`.

    Example:
      >>> kept_subtype("pcm_24", "flac"), kept_subtype("double", "wav"), kept_subtype("mp3", "wav")
      ('pcm_24', 'float', 'pcm_16')
    """
    if audio_format not in _WRITTEN:
        raise ValueError(f"audio format {audio_format!r} is not known: choose one of {', '.join(AUDIO_FORMATS)}")
    return _WRITTEN[audio_format][depth_of(codec)]


AUDIO_EXTENSIONS = (
    *(".wav", ".wave", ".bwf", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".flac", ".fla"),
    *(".ogg", ".oga", ".opus", ".mp1", ".mp2", ".mp3", ".mpa", ".mpga", ".m2a", ".nist", ".sph", ".voc"),
    *(".m4a", ".m4b", ".m4r", ".m4v", ".mp4", ".mov", ".qt", ".3gp", ".3gpp", ".3g2", ".aac", ".adts", ".webm"),
    *(".weba", ".mka", ".mkv", ".amr", ".awb", ".wma", ".wmv", ".asf"),
)
"""How recordings of all kinds that are decoded are named; a directory is searched for them by these endings.

What a file is follows from its bytes. Those from `.m4a` on need PyAV.
"""

Mono = Literal["keep", "mix", "first"]
MONO = ("keep", "mix", "first")
"""What becomes of several channels: all stay, their mean, the first one."""

Channels = Mono | int
"""The same, or one channel by its number, from 0."""
