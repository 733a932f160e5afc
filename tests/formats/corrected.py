"""Recordings as a person leaves them behind, and what strategies draw."""

from __future__ import annotations

from hypothesis import strategies as st

from beam_curator.formats.annotations import Annotation, Segment
from beam_curator.formats.registry import Format

TALK = Annotation(
    name="my talk",
    audio="/data/rec/my talk.wav",
    duration=12.5,
    sample_rate=16000,
    segments=(
        Segment(start=0.5, end=2.0, speaker="Ana María", text="hello there"),
        Segment(start=1.25, end=4.0, speaker="bob"),
        Segment(start=3.5, end=4.75, speaker="bob", text='a "quote" & <tag>'),
        Segment(start=9.001, end=12.0, speaker="会", text="é"),
    ),
)

_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
_TEXTS = st.lists(_NAMES, max_size=3).map(" ".join)


@st.composite
def _segments(draw: st.DrawFn) -> Segment:
    start = draw(st.integers(0, 10_000_000))
    length = draw(st.integers(1, 100_000))
    speaker, text = draw(st.sampled_from(["ana", "bob"]) | _NAMES), draw(_TEXTS)
    return Segment(start=start / 1000, end=(start + length) / 1000, speaker=speaker, text=text)


SEGMENTS = st.lists(_segments(), max_size=6).map(tuple)
"""Segments with times in whole milliseconds, which may overlap."""


def sorted_segments(segments: object) -> list[Segment]:
    """Put segments into one order."""
    return sorted(segments, key=lambda one: (one.start, one.end, one.speaker, one.text))  # type: ignore[call-overload]


def text_of_recording(of: Format, annotation: Annotation) -> str:
    """Return a recording in a format, alone in its file."""
    if of.render is not None:
        return of.render(annotation)
    (main,) = (file for file in of.files if file.is_main)
    lines = main.between.join(main.lines(annotation))
    return f"{main.head}{lines}{main.tail}" if lines or main.head else ""
