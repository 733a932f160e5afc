"""Segments that a format has a place for, and the rest: counted, and said in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from beam_curator.formats.annotations import Segment
from beam_curator.formats.registry import Format

_PARTS = ("speaker", "text", "words", "channel")
_CLOSE = 1e-9


def kept_segments(of: Format, segments: Iterable[Segment]) -> tuple[list[Segment], Counter[str]]:
    """Return the segments that a format has a place for, and how many are dropped, by reason.

    Example:
      >>> from beam_curator.formats.registry import FORMATS
      >>> kept_segments(FORMATS["srt"], [Segment(start=1, end=1.0004, speaker="ana")])
      ([], Counter({'no_length': 1}))
    """
    kept, dropped = [], Counter[str]()
    unit = 10**of.decimals
    for segment in segments:
        if not of.takes(segment):
            dropped["not_held"] += 1
        elif round(segment.start * unit) >= round(segment.end * unit):
            dropped["no_length"] += 1
        else:
            kept.append(segment)
    return kept, dropped


def lost_of(of: Format, segments: Iterable[Segment]) -> Counter[str]:
    """Count the segments that lose something: a part that the format does not hold, or digits of their times."""
    lost: Counter[str] = Counter()
    parts = [part for part in _PARTS if part not in of.holds]
    for segment in segments:
        for part in parts:
            value = getattr(segment, part)
            if value is not None and value not in ("", ()):
                lost[part] += 1
        times = segment.start, segment.end
        lost["times"] += any(abs(round(time, of.decimals) - time) > _CLOSE for time in times)
    return +lost


def said_of_losses(of: Format, lost: Mapping[str, int]) -> str:
    """Say in one line which parts were lost, with counts.

    Example:
      >>> from beam_curator.formats.registry import FORMATS
      >>> said_of_losses(FORMATS["rttm"], {"text": 1200, "channel": 0, "times": 3})
      'Lost: text of 1,200 segments (rttm has none), times of 3 segments finer than 0.001 s.'
      >>> said_of_losses(FORMATS["rttm"], {})
      'Lost: nothing.'
    """
    unit = f"{10**-of.decimals:.{of.decimals}f} s"
    said = [f"{part} of {_segments(lost[part])} ({of.name} has none)" for part in _PARTS if lost.get(part)]
    if n := lost.get("turns"):
        said.append(f"the turns within {n:,} window{'' if n == 1 else 's'} (the input of their job has them)")
    said += [f"times of {_segments(lost['times'])} finer than {unit}"] if lost.get("times") else []
    return f"Lost: {', '.join(said) or 'nothing'}."


def _segments(n: int) -> str:
    return f"{n:,} segment{'' if n == 1 else 's'}"
