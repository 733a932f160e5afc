"""The options of a job of separation, besides the rules by which speech is shared out."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.rules import option, raise_problems

TRACKS_FOLDER = "tracks"
"""Of the tracks, below the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparateRules:
    """Which recordings rows name, and where the turns of their speakers are."""

    filepath_key: str = option("audio_filepath", "key that names the recording in rows")
    diar_segments_key: str = option(
        "", "key that holds the turns (default: diar_segments, or segments where that does not say who speaks)"
    )
    audio_root: str = option(
        "", "directory that relative names of recordings begin at (default: that of their manifest)"
    )
    allowed_root: tuple[str, ...] = option((), "recordings must lie below one of these directories (default: anywhere)")

    def __post_init__(self) -> None:
        problems = [] if self.filepath_key else ["filepath_key is empty: name a key"]
        if self.diar_segments_key and self.diar_segments_key == self.filepath_key:
            problems.append(
                f"diar_segments_key and filepath_key are both {self.filepath_key!r}: name the key of the turns"
            )
        raise_problems("separate", problems)
