"""From a row and the spans of its speakers to child rows: one for each track, which the other jobs read as entries."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_curator.diarization.turn_entries import row_before
from beam_curator.entries.channel_key import CHANNEL_KEY, channel_in
from beam_curator.entries.own_keys import ORIGIN_KEY, PIECE_KEYS, moved_aside
from beam_curator.entries.segment_options import BAD_SEGMENTS_KEY
from beam_curator.intervals import Span
from beam_curator.separation.shares import SpeakerSpans, SpeakerTime
from beam_curator.separation.speaker_turns import speaker_name
from beam_curator.separation.talk import MICROSECONDS
from beam_curator.separation.tracks import TrackPlan
from beam_curator.sets.output_set import WrittenFile

LEFT_OUT_KEYS = (
    "audio",
    "waveform",
    "duration",
    "num_samples",
    "segments",
    "diar_segments",
    "exclusive_segments",
    "windows",
    "filtered_windows",
    "files",
)
"""Keys of a row that are about its recording as a whole, or about all of its speakers."""

CHILD_KEYS = (
    "speaker_id",
    "num_speakers",
    "duration",
    "track_duration",
    "audio_sample_rate",
    "diar_segments",
    "segments",
    "source_audio_filepath",
    "source_channel",
    "recording_id",
    "separation",
    BAD_SEGMENTS_KEY,
    "files",
)
"""What a child row has of its own, besides `audio_filepath`, in this order."""

SATURATED_KEY = "speakers_saturated"
"""Says of a recording that its diarizer had no slot left for another speaker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFacts:
    """Facts about a track that was made.

    Attributes:
      speaker: its speaker, with the account of their speech.
      plan: the spans on it.
      audio_filepath: of the track.
      source_audio_filepath: of the recording.
      recording_id: that the track is named after.
      num_speakers: speakers of the recording that have a track.
      bad_segments: turns that were left out for want of usable times; 0 for no such key.
      files: the files of the track; empty for no such key.
    """

    speaker: SpeakerSpans
    plan: TrackPlan
    audio_filepath: str
    source_audio_filepath: str
    recording_id: str
    num_speakers: int
    bad_segments: int = 0
    files: tuple[WrittenFile, ...] = ()


def child_row(
    parent: Mapping[str, Any], facts: TrackFacts, turns_key: str = "diar_segments", filepath_key: str = "audio_filepath"
) -> dict[str, Any]:
    """Return the row of one track.

    Keys of the row stay in their order but for those in `LEFT_OUT_KEYS`, the key of the turns, and what a job of
    diarization had added; of that `speakers_saturated` stays, as tracks of such a recording may mix people.
    `audio_filepath` names the track. An own value under another key that is added here moves to the same key with
    `input_` before it; `offset` and `PIECE_KEYS`, too, as the track is all of its file.

    Times of `diar_segments` are those of the recording, pairs as the reference writes them; those of `segments` are
    those of the track, so that the row is an entry of it; they have the `metrics.bandwidth` of the speaker's segments
    in the row, of several the least. A track of one channel has `source_channel`, and a `channel`
    of the row moves aside: there is but one on the track. `duration` is how long the spans last, as in the reference,
    `track_duration` how long the file does. `separation` says in seconds what became of the speaker's speech.

    Args:
      parent: the row of the recording.
      facts: of the track.
      turns_key: key that the row's turns are under.
      filepath_key: key that names the recording in the row.

    Example:
      >>> from beam_curator.separation.tracks import track_plan
      >>> ana = SpeakerSpans(speaker="ana", spans=((0.5, 1.0),), time=SpeakerTime(spoken_us=500000, kept_us=500000))
      >>> facts = TrackFacts(speaker=ana, plan=track_plan(ana.spans, 8000, 16000, compact=True), num_speakers=1,
      ...                    audio_filepath="t.wav", source_audio_filepath="a.wav", recording_id="a")
      >>> row = child_row({"audio_filepath": "a.wav", "duration": 2, "lang": "de", "speaker_id": 7}, facts)
      >>> list(row)[:4], row["input_speaker_id"], row["duration"], row["diar_segments"]
      (['audio_filepath', 'lang', 'input_speaker_id', 'speaker_id'], 7, 0.5, [[0.5, 1.0]])
      >>> row["segments"]
      [{'start': 0.0, 'end': 0.5, 'speaker': 'ana'}]
    """
    before = row_before(parent, turns_key, filepath_key)
    said = {SATURATED_KEY: parent[SATURATED_KEY]} if before is not parent else {}
    inherited = {key: value for key, value in before.items() if key not in {*LEFT_OUT_KEYS, turns_key}}
    values = _own_values(facts, bandwidths_of_spans(parent.get("segments"), facts.speaker.speaker, facts.plan.spans))
    moved = PIECE_KEYS if channel_in(parent) is None else (*PIECE_KEYS, CHANNEL_KEY)
    own = {*values, *said, ORIGIN_KEY, "offset", "audio_filepath"} - {*LEFT_OUT_KEYS, filepath_key} | {*moved}
    return moved_aside(inherited, own) | {"audio_filepath": facts.audio_filepath} | said | values


def bandwidths_of_spans(segments: Any, speaker: str, spans: Sequence[Span]) -> list[float | None]:
    """Return the least `metrics.bandwidth`, Hz, of a speaker's segments within each span; None where it is not known.

    Args:
      segments: of the row of a recording, of any form.
      speaker: by name.
      spans: in seconds of the recording, ascending, not overlapping.

    Example:
      >>> segments = [{"start": 0, "end": 2, "speaker": 1, "metrics": {"bandwidth": 7900}},
      ...             {"start": 2.1, "end": 3, "speaker": "speaker_1", "metrics": {"bandwidth": 7500}}]
      >>> bandwidths_of_spans(segments, "speaker_1", [(0.5, 1), (1.5, 3), (4, 5)])
      [7900, 7500, None]
    """
    found: list[float | None] = [None] * len(spans)
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    for item in segments if isinstance(segments, list) else ():
        metrics = item.get("metrics") if isinstance(item, dict) else None
        if not isinstance(metrics, dict) or speaker_name(item.get("speaker")) != speaker:
            continue
        values = [item.get("start"), item.get("end"), metrics.get("bandwidth")]
        if all(type(value) in (int, float) for value in values):
            start, end, width = values
            for place in range(bisect_right(ends, start), bisect_left(starts, end)):
                before = found[place]
                found[place] = width if before is None else min(before, width)
    return found


def _own_values(facts: TrackFacts, bandwidths: Sequence[float | None]) -> dict[str, Any]:
    name, plan = facts.speaker.speaker, facts.plan
    segments = [
        {"start": start, "end": end, "speaker": name} | ({} if width is None else {"metrics": {"bandwidth": width}})
        for (start, end), width in zip(plan.track_spans, bandwidths, strict=True)
    ]
    values = (
        name,
        facts.num_speakers,
        facts.speaker.time.spans_us / MICROSECONDS,
        plan.n_track_samples / plan.sample_rate,
        plan.sample_rate,
        [[start, end] for start, end in plan.spans],
        segments,
        facts.source_audio_filepath,
        plan.channel,
        facts.recording_id,
        time_in_seconds(facts.speaker.time),
        facts.bad_segments,
        [list(file) for file in facts.files],
    )
    left_out = {
        "files": not facts.files,
        "source_channel": plan.channel is None,
        BAD_SEGMENTS_KEY: not facts.bad_segments,
    }
    return {key: value for key, value in zip(CHILD_KEYS, values, strict=True) if not left_out.get(key)}


def time_in_seconds(time: SpeakerTime) -> dict[str, float]:
    """Return the account of a speaker's time as a row has it, in seconds.

    Example:
      >>> time_in_seconds(SpeakerTime(spoken_us=1_500_000, kept_us=1_500_000))["spoken"]
      1.5
    """
    parts = ("spoken", "kept", "overlapped", "buffer", "too_short", "gaps", "padding")
    return {part: getattr(time, f"{part}_us") / MICROSECONDS for part in parts}
