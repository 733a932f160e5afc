"""How many people talk in a recording, where that is known."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.rules import check_types, number_problems, option, option_problems, raise_problems

CAMPPLUS, OWN_FRAMES = LINKS = ("campplus", "frames")
SHORTEST_PIECE = 10.0

MOST_SPEAKERS = 1000
"""More are not told apart; speakers of several channels are numbered that far apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerCounts:
    """How many people talk in a recording, where that is known; 0 where it is not.

    Raises:
      ValueError: numbers that contradict each other.

    Example:
      >>> SpeakerCounts(min_speakers=3, max_speakers=2)
      Traceback (most recent call last):
      ValueError: speakers: min_speakers 3 exceeds max_speakers 2: lower min_speakers
    """

    link_pieces: float = option(
        0.0,
        "hear a recording in pieces of so many seconds, such as 120, and link their speakers by their voices: more of "
        "them than a Sortformer has slots; 0: heard as a whole",
    )
    link_by: str | None = option(
        None,
        "voices to link pieces by; campplus: by CAM++; frames: by the model's own frames (default: campplus where it "
        "is installed)",
        choices=LINKS,
    )
    num_speakers: int = option(0, "people who talk in each recording; 0: not known (cascade, link-pieces)")
    min_speakers: int = option(0, "fewest people who talk; 0: not known (cascade, link-pieces)")
    max_speakers: int = option(0, "most people who talk; 0: not known (cascade, link-pieces)")

    def __post_init__(self) -> None:
        check_types("speakers", self)
        limit = (0, MOST_SPEAKERS)
        problems = number_problems(self, dict.fromkeys(("num_speakers", "min_speakers", "max_speakers"), limit))
        problems += number_problems(self, {"link_pieces": (0, float("inf"))}) + option_problems(self)
        if not problems and self.num_speakers and (self.min_speakers or self.max_speakers):
            problems.append(f"num_speakers {self.num_speakers} leaves nothing to limit: leave the other numbers out")
        if not problems and 0 < self.max_speakers < self.min_speakers:
            problems.append(
                f"min_speakers {self.min_speakers} exceeds max_speakers {self.max_speakers}: lower min_speakers"
            )
        if not problems and 0 < self.link_pieces < SHORTEST_PIECE:
            problems.append(f"link_pieces {self.link_pieces:g} is below {SHORTEST_PIECE:g} s: raise it, or give 0")
        if not problems and self.link_by and not self.link_pieces:
            problems.append("link_by links nothing without link_pieces: give a length, too, or leave it out")
        raise_problems("speakers", problems)

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most speakers to find."""
        return self.num_speakers or self.min_speakers or 1, self.num_speakers or self.max_speakers or MOST_SPEAKERS
