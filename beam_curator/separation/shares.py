"""Shares of a recording's speech: the spans that go on the track of each speaker, and an account of the rest.

The reference's steps in their order, with its numbers, but for this:

- Turns of one speaker that overlap or touch are one; it loses parts of them.
- Turns without length count for nothing; there one of them keeps its speaker talking to the end.
- Times are compared in whole microseconds, so that a gap of exactly `gap_threshold` is always bridged; there it depends
  on the last bit of a double.
- A gap is bridged only where it is silent; there overlaps that were left out, and what others say between, come back.
- With `overlap_policy="latest"` each moment is one speaker's, also where more than two talk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from beam_curator.intervals import Seconds, Span, united
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.speaker_turns import SpeakerTurn
from beam_curator.separation.talk import (
    MicroSpan,
    Stretch,
    in_seconds,
    stretches,
    united_turns,
)
from beam_curator.sets.counting import microseconds

Reason = Literal["only_overlapped", "too_short"]
"""Why a speaker has no track; `sets.counting.DROP_TEXTS` says it to people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerTime:
    """An account of a speaker's time, in whole microseconds.

    `spoken_us == kept_us + overlapped_us + buffer_us + too_short_us`, and the spans of the speaker last
    `kept_us + gaps_us + padding_us`, exactly.

    Attributes:
      spoken_us: all of their speech, once where their turns overlap.
      kept_us: speech inside of the spans.
      overlapped_us: speech left out, or given to another speaker, as others talk at once.
      buffer_us: speech left out beside overlaps.
      too_short_us: speech in pieces shorter than `min_duration`.
      gaps_us: silence inside of the spans that was bridged.
      padding_us: silence around the turns that was added.
    """

    spoken_us: int
    kept_us: int = 0
    overlapped_us: int = 0
    buffer_us: int = 0
    too_short_us: int = 0
    gaps_us: int = 0
    padding_us: int = 0

    @property
    def spans_us(self) -> int:
        """How long the spans last together."""
        return self.kept_us + self.gaps_us + self.padding_us


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerSpans:
    """The spans that go on the track of one speaker.

    Attributes:
      speaker: their name.
      spans: in seconds of the recording, ascending, with a gap between any two; none where there is a reason.
      time: the account of their speech.
      reason: why there is no track; None where there is one.
    """

    speaker: str
    spans: tuple[Span, ...]
    time: SpeakerTime
    reason: Reason | None = None


class _Piece(NamedTuple):
    """A piece of a speaker in microseconds, and how much of it is speech."""

    start: int
    end: int
    speech: int


_Pieces = Mapping[str, Sequence[MicroSpan]]


def separate_speakers(
    turns: Iterable[SpeakerTurn], rules: SeparationRules, duration: Seconds
) -> tuple[SpeakerSpans, ...]:
    """Find the spans of a recording that go on the track of each speaker; n log n for n turns.

    Spans never hold what others say alone, and those of two speakers do not overlap unless overlaps are kept for all.
    Nothing depends on the order of the turns, nor on names, but for the order of what is returned and for who of two
    that begin at once began "latest": the last in natural order. The module says what differs from the reference.

    Args:
      turns: in any order, inside of the recording: see `clamp_turns`.
      rules: which speech goes on a track.
      duration: of the recording, seconds.

    Returns:
      All speakers in natural order, those without a track, too.

    Raises:
      ValueError: a turn is reversed or outside of the recording.

    Example:
      >>> ana, bo = separate_speakers([SpeakerTurn(start=0, end=10, speaker="ana"),
      ...                              SpeakerTurn(start=4, end=5, speaker="bo")], SeparationRules(), 12)
      >>> ana.spans, ana.time.overlapped_us, bo.spans, bo.reason
      (((0.0, 3.5), (5.5, 10.0)), 1000000, (), 'only_overlapped')
    """
    talk = united_turns(_checked(turns, duration))
    whole = tuple(stretches(talk, microseconds(duration)))
    silences = {stretch.start_us: stretch.end_us for stretch in whole if not stretch.n_talking}
    buffer, gap = microseconds(rules.buffer_time), microseconds(rules.gap_threshold)
    shares = _shares(talk, whole, rules)
    clear = _shrunk(shares, talk, buffer) if rules.shrinks else shares
    merged = {speaker: _merged(pieces, silences, gap) for speaker, pieces in clear.items()}
    kept = _long_enough(merged, microseconds(rules.min_duration))
    padded = _padded(kept, silences, buffer if rules.pads else 0)
    return tuple(
        _speaker_spans(speaker, talk[speaker], shares[speaker], clear[speaker], kept[speaker], padded[speaker])
        for speaker in talk
    )


def _checked(turns: Iterable[SpeakerTurn], duration: Seconds) -> Iterator[SpeakerTurn]:
    for turn in turns:
        if not 0 <= turn.start <= turn.end <= duration:
            raise ValueError(
                f"the turn {turn.start!r}-{turn.end!r} s of {turn.speaker!r} is reversed or outside of the recording "
                f"of {duration!r} s: read turns with turns_of_row, and cut them with clamp_turns"
            )
        yield turn


def _speaker_spans(
    speaker: str,
    talk: Sequence[MicroSpan],
    shares: Sequence[MicroSpan],
    clear: Sequence[MicroSpan],
    kept: Sequence[_Piece],
    padded: Sequence[MicroSpan],
) -> SpeakerSpans:
    """Return the spans of a speaker, with the sums of the time that each step left."""
    speech = sum(piece.speech for piece in kept)
    on_track = sum(piece.end - piece.start for piece in kept)
    time = SpeakerTime(
        spoken_us=_length(talk),
        kept_us=speech,
        overlapped_us=_length(talk) - _length(shares),
        buffer_us=_length(shares) - _length(clear),
        too_short_us=_length(clear) - speech,
        gaps_us=on_track - speech,
        padding_us=_length(padded) - on_track,
    )
    reason: Reason | None = None
    if not padded:
        reason = "only_overlapped" if 0 < time.spoken_us == time.overlapped_us else "too_short"
    return SpeakerSpans(speaker=speaker, spans=tuple(map(in_seconds, padded)), time=time, reason=reason)


def _length(spans: Iterable[MicroSpan]) -> int:
    return sum(end - start for start, end in spans)


def _shares(talk: _Pieces, whole: Iterable[Stretch], rules: SeparationRules) -> _Pieces:
    """Return each speaker's share: all of their speech, that spoken alone, or that in which they began last."""
    if not rules.exclude_overlaps and rules.overlap_policy == "all":
        return talk
    shares: dict[str, list[MicroSpan]] = {speaker: [] for speaker in talk}
    for stretch in whole:
        if stretch.latest is not None and (stretch.n_talking == 1 or not rules.exclude_overlaps):
            shares[stretch.latest].append((stretch.start_us, stretch.end_us))
    return {speaker: united(pieces) for speaker, pieces in shares.items()}


def _shrunk(shares: _Pieces, talk: _Pieces, buffer: int) -> _Pieces:
    """Move ends of pieces away from overlaps: where a piece ends and its speaker goes on, others do talk."""
    shrunk = {}
    for speaker, pieces in shares.items():
        starts, ends = {start for start, _ in talk[speaker]}, {end for _, end in talk[speaker]}
        moved = [
            (start if start in starts else start + buffer, end if end in ends else end - buffer)
            for start, end in pieces
        ]
        shrunk[speaker] = [(start, end) for start, end in moved if start < end]
    return shrunk


def _merged(pieces: Iterable[MicroSpan], silences: Mapping[int, int], gap: int) -> list[_Piece]:
    """Join pieces of one speaker over silences of at most `gap`."""
    merged: list[_Piece] = []
    for start, end in pieces:
        last = merged[-1] if merged else None
        # the gap is one silence from end to end: nobody else talks in it, and no overlap was left out of it
        if last is not None and start - last.end <= gap and silences.get(last.end) == start:
            merged[-1] = _Piece(last.start, end, last.speech + end - start)
        else:
            merged.append(_Piece(start, end, end - start))
    return merged


def _long_enough(merged: Mapping[str, Iterable[_Piece]], shortest: int) -> dict[str, list[_Piece]]:
    return {
        speaker: [piece for piece in pieces if piece.end - piece.start >= shortest]
        for speaker, pieces in merged.items()
    }


def _padded(
    kept: Mapping[str, Sequence[_Piece]], silences: Mapping[int, int], buffer: int
) -> Mapping[str, list[MicroSpan]]:
    """Extend pieces into the silences beside them; a silence between two pieces is shared where it is too short."""
    starts = {piece.start for pieces in kept.values() for piece in pieces}
    ends = {piece.end for pieces in kept.values() for piece in pieces}
    before, behind = dict[int, int](), dict[int, int]()
    for start, end in silences.items():
        room = end - start
        half = room // 2
        # an odd microsecond goes to the piece after the silence
        behind[start] = min(buffer, half if end in starts else room)
        before[end] = min(buffer, room - half if start in ends else room)
    return {
        speaker: united((start - before.get(start, 0), end + behind.get(end, 0)) for start, end, _ in pieces)
        for speaker, pieces in kept.items()
    }
