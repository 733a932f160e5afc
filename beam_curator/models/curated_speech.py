"""The speech of a recording: pieces of it as a diarizer hears them, and the clips that come of its result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from beam_curator.audio import AudioReader
from beam_curator.audio_formats import Channels
from beam_curator.curate.clip_plan import (
    PlannedClip,
    SharedSpeech,
    SpeakerTrack,
    at_own_rate,
    clips_of_track,
    common_ranges,
    share_speech,
)
from beam_curator.curate.curate_rules import CurateOptions
from beam_curator.curate.filters import Filter, Scores, Verdict, judge
from beam_curator.curate.stream_turns import as_far_as_kept, in_recording
from beam_curator.diarization.channel_turns import named_by_channel, turns_on
from beam_curator.diarization.crosstalk import LevelMeter, seconds_of, without_crosstalk
from beam_curator.diarization.dead_air import without_dead_air
from beam_curator.diarization.hearing import heard_track
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import Turn, is_saturated, overlap_regions, turns_from_probabilities
from beam_curator.failures import EntryError
from beam_curator.intervals import Seconds
from beam_curator.models.sources import TrackSource
from beam_curator.models.speech_finding import SpeechFinder
from beam_curator.separation.speaker_turns import SpeakerTurn
from beam_curator.sets.asked_rows import AskedRow
from beam_curator.sets.recording_jobs import RowsTask
from beam_curator.timelines import SampleRange, Timeline, composed, concatenated
from beam_curator.vad.speech_rules import SpeechRules
from beam_curator.vad.speech_spans import SAMPLE_RATE, Speech

CurateTask = RowsTask[AskedRow]
_NOT_JUDGED, _NOTHING = Verdict((), (), None), Timeline(())


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechPiece:
    """A piece of speech, before speakers are told apart.

    Attributes:
      clip: its samples.
      scores: what was measured of it; nothing where no filter asked.
      verdict: of the filters.
    """

    clip: PlannedClip
    scores: Scores
    verdict: Verdict = _NOT_JUDGED


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStream:
    """One stream that is heard of a recording: the mean of its channels, or one of them.

    Attributes:
      channels: "mix", or the number of one.
      pieces: of speech, those that filters dropped, too.
      speech: samples of the recording in which anybody speaks, without padding.
      concatenation: the pieces that stay, as a diarizer hears them; empty before they are put end to end.
    """

    channels: Channels
    pieces: tuple[SpeechPiece, ...]
    speech: tuple[SampleRange, ...]
    concatenation: Timeline = _NOTHING

    @property
    def channel(self) -> int | None:
        """The only channel that is heard; None for the mean of all."""
        return self.channels if isinstance(self.channels, int) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardSpeech:
    """A recording whose speech was found; small, since it goes to a model.

    Attributes:
      task: the recording, and the rows that ask for it.
      first: first sample of the part that was asked for.
      stop: sample behind the last one.
      sample_rate: of the recording, Hz.
      version: of the recording, as it was looked into.
      allowed_root: directories below which it must lie.
      scores: what is known of it.
      verdict: of the filters of recordings.
      split: channels are heard one by one.
      unmixed: one channel is heard, since the mean of all would lose sound.
      heard: what is heard of it; nothing where a filter dropped it.
    """

    task: CurateTask
    first: int
    stop: int
    sample_rate: int
    version: str
    allowed_root: tuple[str, ...]
    scores: Scores
    verdict: Verdict
    split: bool
    unmixed: bool
    heard: tuple[SpeechStream, ...]

    @property
    def whole(self) -> PlannedClip:
        """All that was asked for."""
        return PlannedClip(spans=((self.first, self.stop),))

    @property
    def asked(self) -> tuple[SpeechStream, ...]:
        """The streams that a diarizer hears: those with speech."""
        return tuple(stream for stream in self.heard if stream.concatenation.n_samples)

    @property
    def streams(self) -> tuple[TrackSource, ...]:
        """The same as a model takes them."""
        return tuple(
            TrackSource(
                name=self.task.recording,
                track=stream.concatenation,
                sample_rate=self.sample_rate,
                channels=stream.channels,
                allowed_root=self.allowed_root,
                version=self.version,
            )
            for stream in self.asked
        )

    @property
    def seconds(self) -> float:
        """How long a stream is, in the mean."""
        lengths = [source.seconds for source in self.streams]
        return sum(lengths) / max(1, len(lengths))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardTrack:
    """A clip that was found, with all that is needed to measure it.

    Attributes:
      clip: its samples.
      channels: that are heard.
      speech: samples of the recording in which its speaker, or anybody, speaks.
    """

    clip: PlannedClip
    channels: Channels
    speech: tuple[SampleRange, ...]

    @property
    def speech_within(self) -> list[SampleRange]:
        """Samples of the clip in which anybody speaks, counted from its first."""
        first = self.clip.first
        within = common_ranges(self.speech, [(first, self.clip.stop)])
        return [(start - first, stop - first) for start, stop in within]


def spans_in(speech: Speech, rules: SpeechRules, rate: int, first: int, n_samples: int) -> list[SampleRange]:
    """Return the spans of speech in samples of the recording, or of the track, that was heard from `first` on."""
    return at_own_rate(speech.spans(rules), SAMPLE_RATE, rate, first, n_samples)


def spans_of_stream(
    reader: AudioReader, span: SampleRange, channels: Channels, finder: SpeechFinder, options: CurateOptions
) -> tuple[list[SampleRange], list[SampleRange]]:
    """Find the pieces of speech of a stream, and speech as such; all is one piece where nobody looks for speech."""
    first, stop = span
    vad = options.vad
    if not vad.enable:
        return [span], []
    speech = finder.hear(heard_track(reader, concatenated([span]), channels))
    found = [spans_in(speech, rules, reader.info.sample_rate, first, stop - first)
             for rules in (vad.speech_rules(), vad.bare_rules())]  # fmt: skip
    return found[0], found[1]


def filtered_speech(ready: HeardSpeech, filters: Sequence[Filter]) -> HeardSpeech:
    """Return a recording with the verdicts of filters on its pieces of speech."""
    streams = [
        replace(stream, pieces=tuple(replace(piece, verdict=judge(filters, piece.scores)) for piece in stream.pieces))
        for stream in ready.heard
    ]
    return replace(ready, heard=tuple(streams))


def concatenated_speech(ready: HeardSpeech, silence: Seconds) -> HeardSpeech:
    """Return a recording with its pieces of speech end to end, but for those that a filter dropped."""
    n_between = int(silence * ready.sample_rate)
    streams = []
    for stream in ready.heard:
        kept = [piece.clip.spans[0] for piece in stream.pieces if piece.verdict.dropped_by is None]
        streams.append(replace(stream, concatenation=concatenated(kept, n_between)))
    return replace(ready, heard=tuple(streams))


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStream:
    """A stream whose speech was shared out among its speakers.

    Attributes:
      stream: the stream.
      shared: its speech.
      saturated: all speakers that the model can tell apart talk.
      crosstalk: seconds of its turns that were left to a louder channel.
    """

    stream: SpeechStream
    shared: SharedSpeech
    saturated: bool
    crosstalk: Seconds


def shared_streams(
    reader: AudioReader,
    ready: HeardSpeech,
    results: Sequence[Probabilities | EntryError],
    turns: TurnRules,
    options: CurateOptions,
) -> list[SharedStream]:
    """Share out the speech of all streams by a model's results for them.

    Raises:
      EntryError: the model failed.
    """
    streams, heard_turns, slots = ready.asked, list[list[Turn]](), list[int]()
    for stream, source, result in zip(streams, ready.streams, results, strict=True):
        if isinstance(result, EntryError):
            raise result
        heard = _turns_of(result, turns, source.seconds)
        one_of_several = ready.split and stream.channel is not None
        heard_turns.append(turns_on(stream.channel or 0, heard, result.n_speakers) if one_of_several else heard)
        slots.append(result.n_speakers)
    kept = _left_to_the_loudest(reader, ready, heard_turns) if ready.split else heard_turns
    rules, others = options.speaker_separation.rules(), options.clips
    collar = 0.0 if others.others == "keep" else others.collar
    return [
        SharedStream(
            stream=stream,
            shared=share_speech(
                _named(own, n_slots, split=ready.split), stream.concatenation, ready.sample_rate, rules, collar
            ),
            saturated=is_saturated(heard, n_slots),
            crosstalk=round(seconds_of(heard) - seconds_of(own), 6),
        )
        for stream, heard, own, n_slots in zip(streams, heard_turns, kept, slots, strict=True)
    ]


def _left_to_the_loudest(reader: AudioReader, ready: HeardSpeech, turns: Sequence[list[Turn]]) -> list[list[Turn]]:
    """Leave to the loudest channel the speech that is on several; the recording is read only where channels overlap."""
    rate, pieces = ready.sample_rate, [stream.concatenation for stream in ready.asked]
    there = [turn for own, each in zip(turns, pieces, strict=True) for turn in in_recording(own, each, rate)]
    if not overlap_regions(replace(turn, speaker=turn.channel or 0) for turn in there):
        return list(turns)
    meter = LevelMeter(rate, reader.info.n_channels)
    for samples in reader.pieces(ready.first, ready.stop):
        meter.add(samples)
    kept = without_crosstalk(there, meter.levels(), meter.frame_step, ready.first / rate)
    return [
        as_far_as_kept(own, stream.concatenation, rate, [turn for turn in kept if turn.channel == stream.channel])
        for own, stream in zip(turns, ready.asked, strict=True)
    ]


def _turns_of(heard: Probabilities, rules: TurnRules, seconds: float) -> list[Turn]:
    frames = heard.frames
    if heard.dead_air:
        frames = without_dead_air(frames, heard.frame_step, heard.dead_air)
    return turns_from_probabilities(frames, rules, heard.frame_step, seconds)


def _named(turns: Sequence[Turn], n_slots: int, *, split: bool) -> list[SpeakerTurn]:
    """Return turns with the names of their speakers, which tell channels apart."""
    named = named_by_channel(turns, n_slots) if split else turns
    return [SpeakerTurn(start=turn.start, end=turn.end, speaker=turn.label) for turn in named]


def clips_of_speakers(
    reader: AudioReader, shared: SharedStream, finder: SpeechFinder, options: CurateOptions
) -> Iterator[HeardTrack]:
    """Yield the clips of all speakers of a stream: speech on the track of each, which is heard again."""
    for track in shared.shared.tracks:
        spans, speech = _speech_on(reader, track, shared.stream, finder, options)
        # where nobody looks for speech, nobody knows that silence between a speaker's spans belongs to them
        cut = track if options.vad.enable else replace(track, quiet=())
        for clip in clips_of_track(cut, spans, options.clips.others):
            yield HeardTrack(clip=clip, channels=shared.stream.channels, speech=tuple(speech))


_LEAST_MARGIN, _BEYOND = 1.28, 0.1
"""Seconds: dead air is as long before it is noticed."""


def _speech_on(
    reader: AudioReader, track: SpeakerTrack, stream: SpeechStream, finder: SpeechFinder, options: CurateOptions
) -> tuple[list[SampleRange], list[SampleRange]]:
    """Return the spans of speech on a speaker's track, and the samples of the recording that are speech as such."""
    if not options.vad.enable:
        return [(track.kept[0][0], track.kept[-1][1])], []
    rate, rules, bare_rules = reader.info.sample_rate, options.vad.speech_rules(), options.vad.bare_rules()
    # a longer silence ends speech as this one does, and need not be heard: a track is mostly silence
    margin = max(_LEAST_MARGIN, rules.min_silence + _BEYOND, rules.padding + _BEYOND)
    around = track.around(int(margin * rate))
    heard = finder.hear(heard_track(reader, composed(track.track, around), stream.channels))
    spans, bare = (spans_in(heard, each, rate, 0, around.n_samples) for each in (rules, bare_rules))
    return (
        [part for span in spans for part in composed(around, concatenated([span])).sources],
        list(composed(composed(stream.concatenation, around), concatenated(bare)).sources),
    )


def clips_of_stream(stream: SpeechStream) -> Iterator[HeardTrack]:
    """Yield the pieces of speech of a stream as clips of anybody."""
    for piece in stream.pieces:
        yield HeardTrack(clip=piece.clip, channels=stream.channels, speech=stream.speech)
