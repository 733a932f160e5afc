"""Formats in which clips are written."""

from __future__ import annotations

from typing import Literal

AudioFormat = Literal["wav", "flac", "ogg"]
AUDIO_FORMATS = ("wav", "flac", "ogg")
"""WAV with 16-bit PCM, FLAC with 16 bits, Ogg Vorbis."""

Mono = Literal["keep", "mix", "first"]
MONO = ("keep", "mix", "first")
"""What becomes of several channels: all stay, their mean, the first one."""
