"""Recordings on two sides, reference and hypothesis: their turns, and which belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from beam_curator.diarization.rttm import RttmTurn, escape_field, name_of
from beam_curator.intervals import Span, united

Speakers = Mapping[str, tuple[Span, ...]]
"""When each speaker of a recording talks: by name, parts in order of time that neither overlap nor touch."""

_NAMED = 20
"""Names that a message lists; further ones are counted."""

Recordings = Mapping[str, Speakers]
"""Speakers by the name of the recording; one in which nobody talks has none."""


def recordings_of(turns: Iterable[RttmTurn], *, by_channel: bool = False) -> dict[str, Speakers]:
    """Group turns by recording or channel, and by speaker; those of a speaker that overlap are united, empty ones gone.

    Example:
      >>> turns = [("a", 0.0, 2.0), ("a", 1.0, 3.0), ("b", 5.0, 6.0)]
      >>> recordings_of(RttmTurn(recording_id=name, start=s, end=e, speaker="x") for name, s, e in turns)
      {'a': {'x': ((0.0, 3.0),)}, 'b': {'x': ((5.0, 6.0),)}}
    """
    found: dict[str, dict[str, list[Span]]] = {}
    for turn in turns:
        name = name_of(turn.recording_id, turn.channel, by_channel=by_channel)
        speakers = found.setdefault(name, {})
        if turn.start < turn.end:
            speakers.setdefault(turn.speaker, []).append((turn.start, turn.end))
    return {
        name: {speaker: tuple(united(spans)) for speaker, spans in speakers.items()} for name, speakers in found.items()
    }


def with_silent_channels(reference: Recordings, hypothesis: Recordings) -> Recordings:
    """Return a reference by channel with the channels of its recordings that only the hypothesis has: they are silent.

    Example:
      >>> with_silent_channels({"a:1": {"x": ((0.0, 1.0),)}}, {"a:1": {}, "a:2": {}, "b:1": {}})
      {'a:1': {'x': ((0.0, 1.0),)}, 'a:2': {}}
    """
    known = {name.rpartition(":")[0] for name in reference}
    more: dict[str, Speakers] = {name: {} for name in hypothesis if name.rpartition(":")[0] in known}
    return more | dict(reference)


def extent_of(*sides: Speakers) -> tuple[Span, ...]:
    """Return the one span from the first start to the last end of all speakers; none where nobody talks.

    Example:
      >>> extent_of({"x": ((2.0, 3.0),)}, {}, {"y": ((0.5, 1.0), (4.0, 6.0))}), extent_of({}, {})
      (((0.5, 6.0),), ())
    """
    spans = [span for speakers in sides for parts in speakers.values() for span in parts]
    return ((min(start for start, _ in spans), max(end for _, end in spans)),) if spans else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Which recordings are scored, by their names, sorted.

    Attributes:
      scored: all of the reference.
      without_hypothesis: those of them that the hypothesis lacks: all their speech is missed.
      without_reference: of the hypothesis alone, which cannot be scored.
    """

    scored: tuple[str, ...]
    without_hypothesis: tuple[str, ...]
    without_reference: tuple[str, ...]


def pair_recordings(reference: Recordings, hypothesis: Recordings) -> Pairing:
    """Match recordings by their names.

    Raises:
      ValueError: the hypothesis has turns, and none of them in a recording of the reference.

    Example:
      >>> pair_recordings({"a": {}, "b": {}}, {"b": {}, "c": {}})
      Pairing(scored=('a', 'b'), without_hypothesis=('a',), without_reference=('c',))
    """
    shared = reference.keys() & hypothesis.keys()
    if not shared and any(hypothesis.values()):
        raise ValueError(
            f"no recording is on both sides: the reference has {named(reference)}, the hypothesis {named(hypothesis)}: "
            "recordings are matched by the second field of their RTTM, so give both the same names"
        )
    return Pairing(
        scored=tuple(sorted(reference)),
        without_hypothesis=tuple(sorted(reference.keys() - shared)),
        without_reference=tuple(sorted(hypothesis.keys() - shared)),
    )


def named(names: Iterable[str]) -> str:
    """List names of recordings for a message, sorted and as an RTTM holds them; many are cut short.

    Example:
      >>> named(["b", "my talk"]), named(map(str, range(100, 123)))[-14:]
      ('b, my%20talk', '119 and 3 more')
    """
    every = [escape_field(name) for name in sorted(names)]
    more = len(every) - _NAMED
    return ", ".join(every[:_NAMED]) + (f" and {more} more" if more > 0 else "")
