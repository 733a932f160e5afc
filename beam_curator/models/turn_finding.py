"""From a model's result for a recording to its turns, and to their bandwidths and embeddings."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from beam_curator.audio import mix_channels
from beam_curator.clips.cutting import readable
from beam_curator.diarization.bandwidth import BandwidthMeter
from beam_curator.diarization.channel_turns import joined_channels, named_by_channel, turns_on
from beam_curator.diarization.clipping import clipped_ratio
from beam_curator.diarization.crosstalk import LevelMeter, seconds_of, without_crosstalk
from beam_curator.diarization.dead_air import without_dead_air
from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.diarization.hearing import samples_asked
from beam_curator.diarization.models import Floats
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings, pool_embeddings
from beam_curator.diarization.speech_turns import turns_in_speech
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import Turn, is_saturated, overlap_regions, turns_from_probabilities
from beam_curator.export.tree import clip_uuid
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.opened_recordings import open_recording
from beam_curator.intervals import Seconds
from beam_curator.models.sources import RecordingSource
from beam_curator.sets.asked_rows import AskedRow
from beam_curator.sets.recording_jobs import RowsTask, Timed, untimed
from beam_curator.vad.vad_options import NO_VAD

TurnTask = RowsTask[AskedRow]

_TIMES = 1000
"""Turns are on a grid of milliseconds: what is added to them has to stay there, and within the recording."""

_ROUNDING = 1e-6
"""Of a sum that is meant to be a whole number of milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(RecordingSource):
    """A recording that was looked into and can be listened to, and the task that it is for.

    Attributes:
      task: the recording, and the rows that request it.
      duration: seconds of the whole recording.
      split: channels that are heard one by one; none where there is only one stream.
      unmixed: one channel is heard, since the mean of all would lose sound.
    """

    task: TurnTask
    duration: Seconds
    split: tuple[int, ...] = ()
    unmixed: bool = False

    @property
    def channel(self) -> int | None:
        """The only channel that is heard; None for the mean of all, and for several."""
        return self.channels if isinstance(self.channels, int) else None

    @property
    def streams(self) -> "tuple[Ready, ...]":
        """Everything that a model is to hear of it: itself, or each channel by itself."""
        return tuple(replace(self, channels=channel, split=()) for channel in self.split) or (self,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diarized:
    """A recording with its turns, and with their bandwidths and embeddings if asked for.

    Attributes:
      ready: the recording.
      turns: in order of time, counted from the beginning of the whole recording.
      saturated: all speakers that the model has slots for talk: there may be more.
      bandwidths: of each turn, Hz; None where they were not asked for.
      embeddings: of speakers and turns; None where they were not asked for, and before another model makes them.
      crosstalk: seconds of turns that were left to a louder channel; None where channels were not heard one by one.
      non_speech: seconds of turns that were left out as nobody speaks there.
      clipped_ratio: share of the samples heard that are clipped; None where there are none.
    """

    ready: Ready
    turns: tuple[Turn, ...]
    saturated: bool
    bandwidths: tuple[int, ...] | None
    embeddings: SpeakerEmbeddings | None = None
    crosstalk: Seconds | None = None
    non_speech: Seconds = 0.0
    clipped_ratio: float | None = None

    @property
    def streams(self) -> "tuple[Diarized, ...]":
        """Everything that a model is to hear of it: itself, or each channel with its turns."""
        if not self.ready.split:
            return (self,)
        return tuple(
            replace(self, ready=stream, turns=tuple(turn for turn in self.turns if turn.channel == stream.channel))
            for stream in self.ready.streams
        )

    @property
    def recording_id(self) -> str:
        """Names the files of the recording."""
        return self.ready.task.recording_id

    @property
    def seconds(self) -> Seconds:
        """How much was heard."""
        return self.ready.seconds

    @property
    def begin(self) -> Seconds:
        """Start of the part that was heard, in seconds from the beginning of the whole recording."""
        return self.ready.first / self.ready.sample_rate

    def pieces(self) -> Iterator[Floats]:
        """Decode the same part of the recording again; see `RecordingSource.pieces`."""
        return self.ready.pieces()

    def speaker_name(self, speaker: int) -> str:
        """Return the id of a speaker's embedding."""
        label = next(turn.label for turn in self.turns if turn.speaker == speaker)
        return f"{self.recording_id}/{label}"

    def turn_name(self, turn: Turn) -> str:
        """Return the id of a turn's embedding: that of the clip that `export` cuts of it.

        Raises:
          EntryError: the recording's name cannot be a file name.
        """
        first, stop = (round(time * self.ready.sample_rate) for time in (turn.start, turn.end))
        return clip_uuid(self.ready.name, first, stop, turn.channel)


def diarized_of(
    ready: Ready,
    heard: Probabilities | EntryError | Sequence[Probabilities | EntryError],
    rules: DiarizeRules,
    turns: TurnRules,
    timed: Timed = untimed,
) -> Diarized:
    """Return a recording with the turns found in a model's result for it, or in those for its channels.

    Raises:
      EntryError: the model failed or gave no frames for embeddings, or the recording cannot be read any more.
    """
    streams = _streams_of(ready, heard if isinstance(heard, Sequence) else (heard,))
    heard_turns, crosstalk = _all_turns(streams, turns), None
    found = _spoken(streams, heard_turns, rules, turns)
    non_speech = round(max(0.0, seconds_of(heard_turns) - seconds_of(found)), 6)
    if ready.split:
        with timed("crosstalk"):
            kept = _without_crosstalk(ready, found)
        crosstalk = round(seconds_of(found) - seconds_of(kept), 6)
        found = named_by_channel(kept, streams[0].heard.n_speakers)
    bandwidths = embeddings = None
    if rules.bandwidth:
        with timed("bandwidth"):
            bandwidths = _bandwidths_of(ready, found)
    if rules.pools_embeddings:
        with timed("embed"):
            embeddings = _embeddings_of(streams, found)
    return Diarized(
        ready=ready,
        turns=tuple(found),
        saturated=any(stream.is_saturated(found) for stream in streams),
        bandwidths=bandwidths,
        embeddings=embeddings,
        crosstalk=crosstalk,
        non_speech=non_speech,
        clipped_ratio=clipped_ratio([stream.heard.clipped for stream in streams]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stream:
    """One stream that a model heard of a recording, with its result."""

    ready: Ready
    heard: Probabilities

    def among(self, turns: Sequence[Turn]) -> Sequence[Turn]:
        """Return those of a recording's turns that are of this stream, in their order."""
        return [turn for turn in turns if turn.channel == self.ready.channel]

    def gated(self) -> "_Stream":
        """Return the stream with nobody talking in dead air."""
        frames = without_dead_air(self.heard.frames, self.heard.frame_step, self.heard.dead_air)
        return replace(self, heard=replace(self.heard, frames=frames))

    def is_saturated(self, turns: Sequence[Turn]) -> bool:
        """Tell whether all slots of the model talk, in a piece if the stream was heard in pieces."""
        own, pieces = self.among(turns), self.heard.pieces
        if pieces is None:
            return is_saturated(own, self.heard.n_speakers)
        begin = self.ready.first / self.ready.sample_rate
        edges = [begin + number * pieces.seconds for number in range(math.ceil(self.ready.seconds / pieces.seconds))]
        return any(
            is_saturated((turn for turn in own if turn.start < edge + pieces.seconds and turn.end > edge), pieces.slots)
            for edge in edges
        )

    def spoken(self, turns: Sequence[Turn], rules: TurnRules) -> Sequence[Turn]:
        """Return those of a recording's turns that are of this stream, where anybody speaks; all if nobody looked."""
        own, begin = self.among(turns), self.ready.first / self.ready.sample_rate
        if self.heard.speech is None:
            return own
        speech = [(_later(start, begin), _later(end, begin)) for start, end in self.heard.speech]
        return turns_in_speech(own, speech, rules)


def _streams_of(ready: Ready, results: Sequence[Probabilities | EntryError]) -> list[_Stream]:
    streams = []
    for stream, result in zip(ready.streams, results, strict=True):
        if isinstance(result, EntryError):
            raise result
        streams.append(_Stream(ready=stream, heard=result))
    return streams


def _all_turns(streams: Sequence[_Stream], rules: TurnRules) -> list[Turn]:
    return [turn for stream in streams for turn in _turns_of(stream, rules, of_several=len(streams) > 1)]


def _spoken(streams: Sequence[_Stream], turns: list[Turn], rules: DiarizeRules, turn_rules: TurnRules) -> list[Turn]:
    """Return the turns where anybody speaks, of those that the model found."""
    if rules.gates_dead_air and any(stream.heard.dead_air for stream in streams):
        turns = _all_turns([stream.gated() for stream in streams], turn_rules)
    if rules.vad == NO_VAD or all(stream.heard.speech is None for stream in streams):
        return turns
    return [turn for stream in streams for turn in stream.spoken(turns, turn_rules)]


def _without_crosstalk(ready: Ready, turns: Sequence[Turn]) -> Sequence[Turn]:
    """Leave to the loudest channel the speech that is on several; the recording is read only where channels overlap."""
    if not overlap_regions(replace(turn, speaker=turn.channel or 0) for turn in turns):
        return turns
    with open_recording(ready.name, ready.allowed_root, ready.version) as reader, readable():
        meter = LevelMeter(ready.sample_rate, reader.info.n_channels)
        for samples in reader.pieces(ready.first, ready.stop):
            meter.add(samples)
    return without_crosstalk(turns, meter.levels(), meter.frame_step, ready.first / ready.sample_rate)


def _embeddings_of(streams: Sequence[_Stream], turns: Sequence[Turn]) -> SpeakerEmbeddings:
    pooled = {stream.ready.channel: _pooled(stream, stream.among(turns)) for stream in streams}
    return next(iter(pooled.values())) if len(pooled) == 1 else joined_channels(turns, pooled)


def _pooled(stream: _Stream, turns: Sequence[Turn]) -> SpeakerEmbeddings:
    ready, heard = stream.ready, stream.heard
    frames = heard.encoder_frames
    if not turns:
        return SpeakerEmbeddings(speakers={}, turns=(), model=heard.model)
    if frames is None or len(frames) != len(heard.frames):
        raise EntryError(
            FailureCode.MODEL_ERROR,
            f"the model gave {'no' if frames is None else len(frames)} frames to make embeddings of, expected "
            f"{len(heard.frames)}",
            "leave embeddings out, or give a handler with keeps_frames=True",
        )
    return pool_embeddings(frames, heard.frame_step, turns, ready.first / ready.sample_rate, heard.model)


def _turns_of(stream: _Stream, rules: TurnRules, *, of_several: bool) -> list[Turn]:
    """Return the turns of a stream, counted from the beginning of the whole recording."""
    ready, heard = stream.ready, stream.heard
    turns = turns_from_probabilities(heard.frames, rules, heard.frame_step, ready.seconds)
    if ready.channel is not None:
        turns = turns_on(ready.channel, turns, heard.n_speakers if of_several else 0)
    begin = ready.first / ready.sample_rate
    if begin == 0:
        return turns
    return [replace(turn, start=_later(turn.start, begin), end=_later(turn.end, begin)) for turn in turns]


def _bandwidths_of(ready: Ready, turns: Sequence[Turn]) -> tuple[int, ...]:
    found = []
    with open_recording(ready.name, ready.allowed_root, ready.version) as reader, readable():
        for turn in turns:
            meter = BandwidthMeter(ready.sample_rate)
            first, stop = samples_asked(reader.info, turn.start, turn.end)
            heard = ready.channels if turn.channel is None else turn.channel
            for samples in reader.pieces(first, stop):
                meter.add(mix_channels(samples, heard)[:, 0])
            found.append(meter.bandwidth())
    return tuple(found)


def _later(time: Seconds, by: Seconds) -> Seconds:
    return math.floor((time + by) * _TIMES + _ROUNDING) / _TIMES
