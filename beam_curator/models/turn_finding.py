"""From a model's result for a recording to its turns, and to their bandwidths and embeddings."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beam_curator.audio import mix_channels
from beam_curator.diarization.bandwidth import BandwidthMeter
from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.diarization.hearing import samples_asked
from beam_curator.diarization.models import Floats
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings, pool_embeddings
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import Turn, is_saturated, turns_from_probabilities
from beam_curator.export.tree import clip_uuid
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.opened_recordings import open_recording
from beam_curator.intervals import Seconds
from beam_curator.models.sources import RecordingSource
from beam_curator.sets.asked_rows import AskedRow
from beam_curator.sets.recording_jobs import RowsTask, Timed, untimed

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
    """

    task: TurnTask
    duration: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Diarized:
    """A recording with its turns, and with their bandwidths and embeddings if asked for.

    Attributes:
      ready: the recording.
      turns: in order of time, counted from the beginning of the whole recording.
      saturated: all speakers that the model has slots for talk: there may be more.
      bandwidths: of each turn, Hz; None where they were not asked for.
      embeddings: of speakers and turns; None where they were not asked for, and before another model makes them.
    """

    ready: Ready
    turns: tuple[Turn, ...]
    saturated: bool
    bandwidths: tuple[int, ...] | None
    embeddings: SpeakerEmbeddings | None = None

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
        return f"{self.recording_id}/{Turn(start=0, end=0, speaker=speaker).label}"

    def turn_name(self, turn: Turn) -> str:
        """Return the id of a turn's embedding: that of the clip that `export` cuts of it.

        Raises:
          EntryError: the recording's name cannot be a file name.
        """
        first, stop = (round(time * self.ready.sample_rate) for time in (turn.start, turn.end))
        return clip_uuid(self.ready.name, first, stop)


def diarized_of(
    ready: Ready, heard: Probabilities | EntryError, rules: DiarizeRules, turns: TurnRules, timed: Timed = untimed
) -> Diarized:
    """Return a recording with the turns found in a model's result for it.

    Raises:
      EntryError: the model failed, gave nothing to make embeddings of, or the recording is not there any more when its
        bandwidths are estimated.
    """
    if isinstance(heard, EntryError):
        raise heard
    found = _turns_of(ready, heard, turns)
    bandwidths = embeddings = None
    if rules.bandwidth:
        with timed("bandwidth"):
            bandwidths = _bandwidths_of(ready, found)
    if rules.pools_embeddings:
        with timed("embed"):
            embeddings = _embeddings_of(ready, heard, found)
    return Diarized(
        ready=ready,
        turns=tuple(found),
        saturated=is_saturated(found, heard.n_speakers),
        bandwidths=bandwidths,
        embeddings=embeddings,
    )


def _embeddings_of(ready: Ready, heard: Probabilities, turns: Sequence[Turn]) -> SpeakerEmbeddings:
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


def _turns_of(ready: Ready, heard: Probabilities, rules: TurnRules) -> list[Turn]:
    turns = turns_from_probabilities(heard.frames, rules, heard.frame_step, ready.seconds)
    begin = ready.first / ready.sample_rate
    if begin == 0:
        return turns
    return [Turn(start=_later(turn.start, begin), end=_later(turn.end, begin), speaker=turn.speaker) for turn in turns]


def _bandwidths_of(ready: Ready, turns: Sequence[Turn]) -> tuple[int, ...]:
    found = []
    with open_recording(ready.name, ready.allowed_root, ready.version) as reader:
        for turn in turns:
            meter = BandwidthMeter(ready.sample_rate)
            first, stop = samples_asked(reader.info, turn.start, turn.end)
            for samples in reader.pieces(first, stop):
                meter.add(mix_channels(samples, ready.mono)[:, 0])
            found.append(meter.bandwidth())
    return tuple(found)


def _later(time: Seconds, by: Seconds) -> Seconds:
    return math.floor((time + by) * _TIMES + _ROUNDING) / _TIMES
