"""Which samples of a recording each clip holds: pure, in samples of the recording at its own rate.

Speech is put end to end for the model that tells speakers apart (the concatenation), and its turns come back from
there. Within a speaker's track others are silent; a clip is a piece of it, traced to the recording.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from beam_curator.intervals import Seconds, united
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.shares import separate_speakers
from beam_curator.separation.speaker_turns import SpeakerTurn
from beam_curator.separation.tracks import track_plan
from beam_curator.timelines import SampleRange, Timeline, at_rate, composed, concatenated, laid_out


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedClip:
    """A clip as it is to be cut.

    Attributes:
      spans: samples `[first, stop)` of the recording that it holds, in order; it is silent between them.
      speaker: whose speech it is; "" where that was not asked.
    """

    spans: tuple[SampleRange, ...]
    speaker: str = ""

    @property
    def first(self) -> int:
        """First sample of the recording."""
        return self.spans[0][0]

    @property
    def stop(self) -> int:
        """Sample of the recording behind the last one."""
        return self.spans[-1][1]

    @property
    def n_samples(self) -> int:
        """Length."""
        return self.stop - self.first

    @property
    def n_held(self) -> int:
        """How many of them come from the recording."""
        return length_of(self.spans)

    @property
    def track(self) -> Timeline:
        """Where each sample comes from."""
        return laid_out(self.spans, self.n_samples, self.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerTrack:
    """A speaker's part of a concatenation.

    Attributes:
      speaker: their name.
      kept: samples of the concatenation that are theirs alone.
      quiet: those in which nobody talks.
      concatenation: where its samples come from.
    """

    speaker: str
    kept: tuple[SampleRange, ...]
    quiet: tuple[SampleRange, ...]
    concatenation: Timeline

    @property
    def track(self) -> Timeline:
        """The speaker's track, as long as the concatenation and silent where others talk: traced to the recording."""
        return composed(self.concatenation, laid_out(self.kept, self.concatenation.n_samples))

    def around(self, margin: int) -> Timeline:
        """Where a detector has to listen: samples of the track that are theirs, and so many beside them.

        Example:
          >>> from beam_curator.timelines import concatenated
          >>> track = SpeakerTrack(speaker="a", kept=((10, 20), (25, 30), (80, 90)), quiet=(),
          ...                      concatenation=concatenated([(0, 100)]))
          >>> track.around(5).sources
          ((5, 35), (75, 95))
        """
        end = self.concatenation.n_samples
        return concatenated(united((max(0, first - margin), min(end, stop + margin)) for first, stop in self.kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSpeech:
    """The speech of a concatenation, shared out among its speakers.

    Attributes:
      tracks: of those who have one.
      dropped: reason by speaker, for all others.
    """

    tracks: tuple[SpeakerTrack, ...]
    dropped: Mapping[str, str]


def length_of(spans: Iterable[SampleRange]) -> int:
    """Return how many samples ranges hold that do not overlap."""
    return sum(stop - first for first, stop in spans)


def at_own_rate(
    spans: Iterable[SampleRange], heard_rate: int, rate: int, first: int, n_samples: int
) -> list[SampleRange]:
    """Return spans as a model heard them in samples of the recording; those below a sample are gone.

    Args:
      spans: at the model's rate, from the first sample that it heard.
      heard_rate: the model's, Hz.
      rate: of the recording, Hz.
      first: sample of the recording that the model heard first.
      n_samples: of the recording, that it heard.

    Example:
      >>> at_own_rate([(16000, 32000), (40000, 40001)], 16000, 8000, 100, 80000)
      [(8100, 16100)]
    """
    found = [at_rate(span, heard_rate, rate, n_samples) for span in spans]
    return [(first + start, first + stop) for start, stop in found if start < stop]


def share_speech(
    turns: Sequence[SpeakerTurn], concatenation: Timeline, rate: int, rules: SeparationRules, collar: Seconds = 0.0
) -> SharedSpeech:
    """Share the speech of a concatenation out among its speakers, as `separate` does.

    Args:
      turns: in seconds of the concatenation.
      concatenation: what the model heard.
      rate: of the recording, Hz.
      rules: which speech goes on a track.
      collar: nothing goes on a track so near to the turns of others, unless overlaps do.
    """
    n_samples = concatenation.n_samples
    duration = n_samples / rate
    within = [turn for turn in (_until(turn, duration) for turn in turns) if turn.start < turn.end]
    quiet = list(gaps_of((_samples_of(turn, rate) for turn in within), n_samples))
    tracks, dropped = [], {}
    for share in separate_speakers(within, rules, duration):
        wide = [_widened(turn, collar) for turn in within if turn.speaker != share.speaker]
        others = wide if collar and rules.exclude_overlaps else []
        clear = list(gaps_of((_samples_of(turn, rate) for turn in others), n_samples))
        kept = tuple(common_ranges(track_plan(share.spans, rate, n_samples).kept, clear))
        if kept:
            track = SpeakerTrack(
                speaker=share.speaker, kept=kept, quiet=tuple(common_ranges(quiet, clear)), concatenation=concatenation
            )
            tracks.append(track)
        else:
            dropped[share.speaker] = share.reason or "too_short"
    return SharedSpeech(tracks=tuple(tracks), dropped=dropped)


def _widened(turn: SpeakerTurn, collar: Seconds) -> SpeakerTurn:
    return replace(turn, start=max(0.0, turn.start - collar), end=turn.end + collar)


def _until(turn: SpeakerTurn, duration: Seconds) -> SpeakerTurn:
    return SpeakerTurn(start=min(turn.start, duration), end=min(turn.end, duration), speaker=turn.speaker)


def _samples_of(turn: SpeakerTurn, rate: int) -> SampleRange:
    return int(turn.start * rate), -int(-turn.end * rate // 1)


def gaps_of(spans: Iterable[SampleRange], n_samples: int) -> Iterator[SampleRange]:
    """Yield the samples that are in none of some spans, up to `n_samples`.

    Example:
      >>> list(gaps_of([(5, 8), (2, 3)], 10))
      [(0, 2), (3, 5), (8, 10)]
    """
    here = 0
    for first, stop in [*united(spans), (n_samples, n_samples)]:
        if here < first:
            yield here, min(first, n_samples)
        here = max(here, stop)


def clips_of_track(track: SpeakerTrack, speech: Iterable[SampleRange], others: str) -> list[PlannedClip]:
    """Cut clips out of a speaker's track.

    A span that reaches over silence between two pieces of the concatenation is cut there. A clip begins and ends with
    the speech of its speaker, or where nobody talks; never where others do.

    Args:
      track: of the speaker.
      speech: samples of the concatenation in which a detector heard speech on the track, in order.
      others: "silence" for clips that are silent where others talk within them, "split" for clips that end there,
        "keep" for all that the recording has from the first to the last sample of a span.

    Example:
      >>> from beam_curator.timelines import concatenated
      >>> track = SpeakerTrack(speaker="a", kept=((0, 40), (60, 100)), quiet=((40, 45),),
      ...                      concatenation=concatenated([(1000, 1100)]))
      >>> [clip.spans for clip in clips_of_track(track, [(0, 100)], "silence")]
      [((1000, 1045), (1060, 1100))]
      >>> [clip.spans for clip in clips_of_track(track, [(0, 100)], "split")]
      [((1000, 1045),), ((1060, 1100),)]
      >>> [clip.spans for clip in clips_of_track(track, [(0, 100)], "keep")]
      [((1000, 1100),)]
    """
    heard = united([*track.kept, *track.quiet])
    return [
        PlannedClip(spans=tuple((distance + first, distance + stop) for first, stop in spans), speaker=track.speaker)
        for distance, piece in _pieces_of(speech, track.concatenation)
        for spans in _spans_of_clips(track, common_ranges(heard, [piece]), piece, others)
    ]


def _spans_of_clips(
    track: SpeakerTrack, runs: Sequence[SampleRange], piece: SampleRange, others: str
) -> list[Sequence[SampleRange]]:
    """Return the spans of each clip of a piece of speech, of which runs are the speaker's, or nobody's."""
    own = [number for number, run in enumerate(runs) if common_ranges(track.kept, [run])]
    if not own:
        return []
    if others == "keep":
        return [[piece]]
    if others == "split":
        return [[runs[number]] for number in own]
    return [runs[own[0] : own[-1] + 1]]


def _pieces_of(speech: Iterable[SampleRange], concatenation: Timeline) -> Iterator[tuple[int, SampleRange]]:
    """Yield the parts of spans that lie in one piece each, with the distance to where it is in the recording."""
    pieces = [(place, place + stop - first) for place, (first, stop) in concatenation.placed]
    distances = [first - place for place, (first, _) in concatenation.placed]
    for span in speech:
        for number in _touched(pieces, span):
            for part in common_ranges(pieces[number : number + 1], [span]):
                yield distances[number], part


def common_ranges(spans: Sequence[SampleRange], others: Iterable[SampleRange]) -> list[SampleRange]:
    """Return the samples that are in spans of both; those of each are in order and do not overlap.

    Example:
      >>> common_ranges([(0, 5), (8, 12)], [(3, 9), (11, 20)])
      [(3, 5), (8, 9), (11, 12)]
    """
    return [
        (max(spans[number][0], other[0]), min(spans[number][1], other[1]))
        for other in others
        for number in _touched(spans, other)
    ]


def _touched(spans: Sequence[SampleRange], span: SampleRange) -> range:
    """Return the numbers of the spans that share samples with another one."""
    if span[0] >= span[1]:
        return range(0)
    first = bisect_right(spans, span[0], key=itemgetter(1))
    return range(first, bisect_left(spans, span[1], lo=first, key=itemgetter(0)))
