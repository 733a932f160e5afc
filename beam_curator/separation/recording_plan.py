"""The plan for one recording: the tracks that are made of it, and why some speakers have none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from beam_curator.audio import AudioInfo
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.shares import SpeakerSpans, separate_speakers
from beam_curator.separation.speaker_turns import SpeakerTurn, clamp_turns
from beam_curator.separation.tracks import TrackPlan, track_plan

OUTSIDE = "outside"
"""Why a speaker has no track whose turns all begin behind the end of the recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPlan:
    """The tracks that are made of one recording, and the speakers without a track.

    Attributes:
      speakers: who have a track, in natural order.
      tracks: of each of them.
      dropped: who have none, and why: a `Reason`, or `OUTSIDE`.
      n_cut: turns that ended behind the end of the recording, and end with it now.
      n_outside: turns that began there, and are gone.
    """

    speakers: tuple[SpeakerSpans, ...]
    tracks: tuple[TrackPlan, ...]
    dropped: dict[str, str]
    n_cut: int
    n_outside: int


def plan_recording(turns: Iterable[SpeakerTurn], info: AudioInfo, rules: SeparationRules) -> RecordingPlan:
    """Share out the speech of a recording, and plan a track for every speaker who gets a share.

    Args:
      turns: as of `turns_of_row`.
      info: of the recording.
      rules: which speech goes on a track.

    Raises:
      EntryError: the recording was cut off, and a turn ends behind what is there (`truncated_audio`).

    Example:
      >>> info = AudioInfo(sample_rate=8000, n_samples=32000, n_channels=1, container="wav", codec="pcm_16")
      >>> turns = [SpeakerTurn(start=0, end=9, speaker="ana"), SpeakerTurn(start=5, end=6, speaker="bo")]
      >>> plan = plan_recording(turns, info, SeparationRules())
      >>> plan.speakers[0].spans, plan.dropped, plan.n_cut, plan.n_outside
      (((0.0, 4.0),), {'bo': 'outside'}, 1, 1)
    """
    duration = info.n_samples / info.sample_rate
    clamped = clamp_turns(turns, duration)
    if info.truncated:
        _refuse_late_turns(clamped.n_cut + clamped.n_outside, duration)
    speakers, tracks = [], []
    dropped: dict[str, str] = dict.fromkeys(clamped.speakers_outside, OUTSIDE)
    for found in separate_speakers(clamped.turns, rules, duration):
        track = track_plan(found.spans, info.sample_rate, info.n_samples, compact=rules.compact)
        if track.n_kept:
            speakers.append(found)
            tracks.append(track)
        else:
            dropped[found.speaker] = found.reason or "too_short"
    return RecordingPlan(
        speakers=tuple(speakers),
        tracks=tuple(tracks),
        dropped=dropped,
        n_cut=clamped.n_cut,
        n_outside=clamped.n_outside,
    )


def _refuse_late_turns(n_late: int, duration: Seconds) -> None:
    if n_late:
        raise EntryError(
            FailureCode.TRUNCATED_AUDIO,
            f"the recording was cut off behind {duration:.3f} s; turns that end later: {n_late}",
            "copy the file again from its source",
        )
