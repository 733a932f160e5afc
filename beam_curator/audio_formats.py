"""Formats in which clips are written."""

from __future__ import annotations

from typing import Literal

AudioFormat = Literal["wav", "flac", "ogg"]
AUDIO_FORMATS = ("wav", "flac", "ogg")
"""WAV with 16-bit PCM, FLAC with 16 bits, Ogg Vorbis."""

AUDIO_EXTENSIONS = (
    *(".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".flac", ".ogg", ".oga"),
    *(".opus", ".mp3", ".m4a", ".mp4", ".mov", ".3gp", ".aac", ".webm", ".mka", ".mkv", ".amr", ".wma"),
    *(".nist", ".voc"),
)
"""How recordings are named, where a directory is searched for them. What a file is follows from its bytes."""

Mono = Literal["keep", "mix", "first"]
MONO = ("keep", "mix", "first")
"""What becomes of several channels: all stay, their mean, the first one."""
