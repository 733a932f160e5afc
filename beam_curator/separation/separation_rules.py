"""The rules by which the speech of a recording is shared out among its speakers."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.rules import number_problems, option, option_problems, raise_problems

BUFFER_MODES = ("shrink_at_overlaps", "pad_turns")
OVERLAP_POLICIES = ("all", "latest")

_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparationRules:
    """Which parts of a speaker's turns go on their track. Names and defaults are the reference's.

    Its code and its documentation differ in two places; both are here by name, and the default is
    `buffer_mode="shrink_at_overlaps"` (code) and `overlap_policy="all"` (documentation).

    Steps are taken in this order: overlaps are left out or given away, pieces shrink where they touch an overlap that
    was left out, pieces are joined over short silences, short ones are dropped, and what stays is padded. So:

    - `buffer_mode="shrink_at_overlaps"` shrinks nothing where overlaps stay (`exclude_overlaps=False`).
    - `buffer_mode="pad_turns"` pads with and without overlaps, but only what is kept, and padding does not make a
      short piece long enough. It goes into silence alone, and two pieces share a silence that is too short for both.
    - `gap_threshold` bridges silence alone: never speech of others, nor an overlap that was left out.
    - `overlap_policy` needs `exclude_overlaps=False`; "latest" with overlaps excluded is refused.
    - `compact` changes the track, not the spans.

    Raises:
      ValueError: all rules that cannot hold, each with value, limit and cure.
    """

    exclude_overlaps: bool = option(True, "leave out speech where several speakers talk at once")
    min_duration: float = option(0.8, "shortest piece of a speaker to keep, in seconds")
    gap_threshold: float = option(0.1, "longest silence between two pieces of a speaker to bridge, in seconds")
    buffer_time: float = option(0.5, "how far to shrink or pad pieces, in seconds")
    buffer_mode: str = option(
        "shrink_at_overlaps",
        "shrink_at_overlaps: shrink pieces beside a left-out overlap; pad_turns: pad all pieces with silence",
        choices=BUFFER_MODES,
    )
    overlap_policy: str = option(
        "all",
        "who gets an overlap that is kept; all: everyone who talks; latest: the one who began last",
        choices=OVERLAP_POLICIES,
    )
    compact: bool = option(False, "join a speaker's pieces end to end; otherwise a track is as long as the recording")

    def __post_init__(self) -> None:
        limits = dict.fromkeys(("min_duration", "gap_threshold", "buffer_time"), (0.0, _DAY))
        problems = [*number_problems(self, limits), *option_problems(self)]
        if self.overlap_policy == "latest" and self.exclude_overlaps is True:
            problems.append(
                "overlap_policy 'latest' says who gets overlaps, and exclude_overlaps leaves them out: "
                "set exclude_overlaps to false, or leave overlap_policy out"
            )
        raise_problems("separation rules", problems)

    @property
    def shrinks(self) -> bool:
        """Whether pieces shrink where they touch an overlap."""
        return self.exclude_overlaps and self.buffer_mode == "shrink_at_overlaps"

    @property
    def pads(self) -> bool:
        """Whether pieces are padded with the silence around them."""
        return self.buffer_mode == "pad_turns"
