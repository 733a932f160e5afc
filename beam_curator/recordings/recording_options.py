"""The options by which rows name their recordings: jobs have them among their own, from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from beam_curator.failures import EntryError, FailureCode
from beam_curator.rules import check_types, number_problems, option, raise_problems

if TYPE_CHECKING:
    from beam_curator.audio import AudioInfo

_MAX_DURATION = 360_000.0
_MAX_BYTES = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedLimits:
    """The most that a recording may decode to: compressed silence takes next to no room until it is written again.

    Attributes:
      max_duration: seconds.
      max_bytes: of samples in float32, all channels.
    """

    max_duration: float = _MAX_DURATION
    max_bytes: int = _MAX_BYTES

    def most_samples(self, info: AudioInfo) -> int:
        """Return how many samples a recording of this rate and so many channels may have."""
        return int(min(self.max_duration * info.sample_rate, self.max_bytes // (4 * info.n_channels)))

    def check(self, info: AudioInfo, *, counted: bool = False) -> None:
        """Refuse a recording beyond them.

        Args:
          info: of the recording.
          counted: its samples are those that were counted so far, and there may be more.

        Raises:
          EntryError: it is longer (`too_long`), or larger (`too_large`).
        """
        seconds, n_bytes = info.n_samples / info.sample_rate, 4 * info.n_samples * info.n_channels
        so_far = "at least " if counted else ""
        if seconds > self.max_duration:
            raise EntryError(
                FailureCode.TOO_LONG,
                f"the recording is {so_far}{seconds:.0f} s long, beyond the {self.max_duration:g} s of --max-duration",
                "split it, or raise --max-duration",
            )
        if n_bytes > self.max_bytes:
            raise EntryError(
                FailureCode.TOO_LARGE,
                f"the recording decodes to {so_far}{n_bytes} bytes, beyond the {self.max_bytes} of --max-decoded-bytes",
                "split it, or raise --max-decoded-bytes",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """Which key of a row names its recording, where relative names begin, and where recordings may lie."""

    audio_filepath_key: str = option("audio_filepath", "key of a row's recording")
    audio_root: str = option("", "directory for relative names of recordings (default: their manifest's)")
    allowed_root: tuple[str, ...] = option((), "the only directories to read recordings from (default: anywhere)")
    max_duration: float = option(_MAX_DURATION, "longest recording to read, in seconds")
    max_decoded_bytes: int = option(_MAX_BYTES, "largest recording to read, in bytes of its decoded samples (4 each)")

    def __post_init__(self) -> None:
        check_types("recordings", self)
        problems = [] if self.audio_filepath_key else ["audio_filepath_key is empty: name a key"]
        raise_problems("recordings", problems + limit_problems(self))


class _HasLimits(Protocol):
    @property
    def max_duration(self) -> float: ...
    @property
    def max_decoded_bytes(self) -> int: ...


def limit_problems(rules: _HasLimits) -> list[str]:
    """Check the options that limit decoding; return the problems."""
    far = float("inf")
    return number_problems(rules, {"max_duration": (1e-3, far), "max_decoded_bytes": (1, far)})


def limits_of(rules: _HasLimits) -> DecodedLimits:
    """Return the limits that options set."""
    return DecodedLimits(max_duration=rules.max_duration, max_bytes=rules.max_decoded_bytes)
