"""The options of `beam-curator report`."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.rules import check_types, option


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """The options that decide the page."""

    title: str = option("", "title of the page (default: the names of the sets)")
    waveforms: bool = option(True, "read the recordings, to draw their waveforms")
    copy_audio: bool = option(False, "put small Opus copies of recordings beside the page, to give it away")
    spectrograms: bool = option(False, "compute spectrograms, which an opened recording shows when asked for")
    page_size: int = option(1000, "recordings in each data file of the table")

    def __post_init__(self) -> None:
        check_types("report", self)
        for name in ("copy_audio", "spectrograms"):
            if getattr(self, name) and not self.waveforms:
                raise ValueError(f"report: {name} reads the recordings, and waveforms is off: leave one of them out")
        if not 1 <= self.page_size <= 100_000:
            raise ValueError(f"report: page_size {self.page_size} must be 1-100000: choose a value between them")
