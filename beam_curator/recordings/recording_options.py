"""The options by which rows name their recordings: jobs have them among their own, from here."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.rules import check_types, option, raise_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """Which key of a row names its recording, where relative names begin, and where recordings may lie."""

    audio_filepath_key: str = option("audio_filepath", "key of a row's recording")
    audio_root: str = option("", "directory for relative names of recordings (default: their manifest's)")
    allowed_root: tuple[str, ...] = option((), "the only directories to read recordings from (default: anywhere)")

    def __post_init__(self) -> None:
        check_types("recordings", self)
        raise_problems("recordings", [] if self.audio_filepath_key else ["audio_filepath_key is empty: name a key"])
