"""The rules by which pieces are cut out of recordings."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.audio_formats import MONO
from beam_curator.clips.requests import WHATS
from beam_curator.rules import option, raise_problems

OVERRUNS = ("clamp", "fail")
INDEXES = ("csv", "parquet")
MAX_SAMPLE_RATE = 384_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CutRules:
    """The options that decide which pieces are cut out of a recording, and how clips are made of them."""

    what: str = option(
        "auto",
        "what is cut: rows with original_file, or the segments, diar_segments or filtered_windows of entries; "
        "auto takes the first of rows, filtered_windows, segments, diar_segments that a row has",
        choices=WHATS,
    )
    audio_key: str = option(
        "", "key that names the recording (default: original_file in rows, audio_filepath in entries)"
    )
    audio_root: str = option(
        "", "directory that relative names of recordings begin at (default: that of their manifest)"
    )
    on_overrun: str = option(
        "clamp",
        "a piece that begins before its recording or ends after it: cut what is there, or fail",
        choices=OVERRUNS,
    )
    mono: str = option("keep", "channels of a clip: keep all, mix them, or the first", choices=MONO)
    sample_rate: int | None = option(None, "sample rate of the clips, Hz (default: that of the recording)")
    allowed_root: tuple[str, ...] = option((), "recordings must lie below one of these directories (default: anywhere)")

    def __post_init__(self) -> None:
        rate = self.sample_rate
        problems = []
        if rate is not None and not 1000 <= rate <= MAX_SAMPLE_RATE:
            problems.append(f"sample_rate {rate} must be 1000-{MAX_SAMPLE_RATE}: choose a rate between them")
        for name, value, known in (
            ("what", self.what, WHATS),
            ("on_overrun", self.on_overrun, OVERRUNS),
            ("mono", self.mono, MONO),
        ):
            if value not in known:
                problems.append(f"{name} {value!r} is not known: use one of {', '.join(known)}")
        raise_problems("clips", problems)
