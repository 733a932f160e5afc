"""The options of `beam-curator convert`."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.clips.cut_rules import CutRules
from beam_curator.formats.registry import FORMATS
from beam_curator.rules import check_types, option, option_problems, raise_problems, same_option

READ_FORMATS = tuple(name for name, one in FORMATS.items() if one.is_read)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """The options that decide which turns are converted, and into which format."""

    to: str = option("", "format to write", choices=("", *FORMATS))
    from_format: str = option(
        "", "format of the inputs, whatever their names are", flag="from", choices=("", *READ_FORMATS)
    )
    what: str = same_option(
        CutRules,
        "what",
        help_text="segments to write: rows with original_file, or the segments, diar_segments or filtered_windows of "
        "entries; auto: the first of rows, filtered_windows, segments, diar_segments that a row has",
    )
    audio_filepath_key: str = same_option(CutRules, "audio_filepath_key", formerly=None)
    audio_root: str = same_option(CutRules, "audio_root")

    def __post_init__(self) -> None:
        check_types("convert", self)
        problems = option_problems(self)
        if not self.to and not problems:
            problems.append(f"no format: name one with --to: {', '.join(FORMATS)}")
        raise_problems("convert", problems)
