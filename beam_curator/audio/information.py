"""Properties of a recording that are known before its samples are read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from beam_curator.failures import EntryError, FailureCode


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """The properties of a recording, and its length as claimed and as found.

    Attributes:
      sample_rate: samples a second and channel.
      n_samples: samples a channel that are there. For FLAC it is what the header says, as only decoding tells more: a
        span that is not there fails when it is read.
      n_channels: number of channels.
      container: "wav", "rf64", "w64", "aiff", "au", "caf", "flac", "ogg", "mp3", "m4a", "mp4", "webm", "mka", "amr", …
      codec: "pcm_16", "pcm_24", "float", "ulaw", "vorbis", "opus", "mp3", "aac", …; the width of samples for FLAC.
      n_claimed: samples a channel that the header claims, where that is more than there are; else None.
      truncated: the recording ends early: by `n_claimed`, by a missing end mark (Ogg), or as decoding fails there.
    """

    sample_rate: int
    n_samples: int
    n_channels: int
    container: str
    codec: str
    n_claimed: int | None = None
    truncated: bool = False

    def with_samples(self, n_samples: int, *, n_claimed: int | None = None, truncated: bool = False) -> AudioInfo:
        """Return a copy with other numbers of samples; a claim of no more than there are is none."""
        claimed = n_claimed if n_claimed is not None and n_claimed > n_samples else None
        return replace(self, n_samples=n_samples, n_claimed=claimed, truncated=truncated or claimed is not None)


def truncated_audio(message: str, cure: str = "copy the file again from its source") -> EntryError:
    """Make the error for a recording that ends early."""
    return EntryError(FailureCode.TRUNCATED_AUDIO, message, cure)


def not_audio(
    message: str, cure: str = "give a file that is audio, or convert it: ffmpeg -i FILE OUT.flac"
) -> EntryError:
    """Make the error for a file that cannot be decoded here."""
    return EntryError(FailureCode.NOT_AUDIO, message, cure)
