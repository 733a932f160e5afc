"""Meetings for tests: turns written short, and drawn by hypothesis on a grid of tenths of a second."""

from __future__ import annotations

from hypothesis import strategies as st

from beam_curator.intervals import Seconds, Span
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.shares import SpeakerSpans, separate_speakers
from beam_curator.separation.speaker_turns import SpeakerTurn

N_CELLS = 60
"""Length of a drawn meeting in tenths of a second."""


def meeting(**talk: list[Span]) -> list[SpeakerTurn]:
    """Make turns: `meeting(A=[(0, 10)], B=[(8, 15)])`."""
    return [
        SpeakerTurn(start=start, end=end, speaker=speaker) for speaker, spans in talk.items() for start, end in spans
    ]


def rules(**options: object) -> SeparationRules:
    """Make rules that keep pieces of any length, join nothing and have no buffer, unless told otherwise."""
    return SeparationRules(**{"min_duration": 0, "gap_threshold": 0, "buffer_time": 0, **options})  # type: ignore[arg-type]


def separated(turns: list[SpeakerTurn], chosen: SeparationRules, duration: Seconds = 60) -> dict[str, SpeakerSpans]:
    """Return what separation finds, by speaker."""
    return {found.speaker: found for found in separate_speakers(turns, chosen, duration)}


def spans_of(turns: list[SpeakerTurn], chosen: SeparationRules, duration: Seconds = 60) -> dict[str, list[Span]]:
    """Return the spans that separation finds, by speaker."""
    return {speaker: list(found.spans) for speaker, found in separated(turns, chosen, duration).items()}


def cells_of(spans: list[Span] | tuple[Span, ...]) -> set[int]:
    """Return the tenths of a second that spans on the grid of 1/20 s hold, counted in twentieths."""
    return {cell for start, end in spans for cell in range(round(start * 20), round(end * 20))}


def talk_cells(turns: list[SpeakerTurn]) -> dict[str, set[int]]:
    """Return when each speaker talks, in twentieths of a second."""
    talk: dict[str, set[int]] = {}
    for turn in turns:
        talk.setdefault(turn.speaker, set()).update(cells_of([(turn.start, turn.end)]))
    return talk


@st.composite
def _turn(draw: st.DrawFn) -> SpeakerTurn:
    start = draw(st.integers(0, N_CELLS - 1))
    end = draw(st.integers(start + 1, min(N_CELLS, start + 25)))
    return SpeakerTurn(start=start / 10, end=end / 10, speaker=f"speaker_{draw(st.integers(0, 3))}")


MEETINGS = st.lists(_turn(), max_size=12)

_TENTHS = st.integers(0, 12).map(lambda tenths: tenths / 10)


def _is_allowed(options: dict[str, object]) -> bool:
    return not (options["exclude_overlaps"] and options["overlap_policy"] == "latest")


RULES = (
    st.fixed_dictionaries(
        {
            "exclude_overlaps": st.booleans(),
            "overlap_policy": st.sampled_from(["all", "latest"]),
            "buffer_mode": st.sampled_from(["shrink_at_overlaps", "pad_turns"]),
            "buffer_time": _TENTHS,
            "gap_threshold": _TENTHS,
            "min_duration": _TENTHS,
        }
    )
    .filter(_is_allowed)
    .map(lambda options: rules(**options))
)
