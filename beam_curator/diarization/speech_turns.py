"""Turns and speech: speakers are heard in noise and music now and then, where a detector of speech hears nobody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from beam_curator.diarization.speaker_embeddings import parts_in
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import Turn, turn_order
from beam_curator.intervals import Seconds, Span


def turns_in_speech(turns: Iterable[Turn], speech: Sequence[Span], rules: TurnRules) -> list[Turn]:
    """Return the parts of turns that lie within speech.

    Args:
      turns: in any order, in the time of the spans.
      speech: spans in seconds, ascending and separate.
      rules: of the turns; a pause shorter than `min_duration_off` does not divide a turn, and of a turn that is cut,
        a part shorter than `min_duration_on` is left out.

    Returns:
      Turns in order of time.

    Example:
      >>> turns = [Turn(start=0.0, end=4.0, speaker=0), Turn(start=5.0, end=6.0, speaker=1)]
      >>> turns_in_speech(turns, [(1.0, 2.0), (3.0, 4.5)], TurnRules())
      [Turn(start=1.0, end=2.0, speaker=0), Turn(start=3.0, end=4.0, speaker=0)]
    """
    spans = _joined(speech, rules.min_duration_off)
    parts = [
        replace(turn, start=start, end=end)
        for turn in turns
        for start, end in parts_in(spans, turn)
        if (start, end) == (turn.start, turn.end) or round(end - start, 6) >= rules.min_duration_on
    ]
    return sorted(parts, key=turn_order)


def _joined(spans: Iterable[Span], shortest: Seconds) -> list[Span]:
    """Join spans with a shorter pause between them."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and round(start - joined[-1][1], 6) < shortest:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined
