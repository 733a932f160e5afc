"""Speakers who have a channel each: their tracks hold it alone, and they do not overlap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from beam_curator.audio import AudioInfo, encode_audio, open_audio
from beam_curator.failures import EntryError
from beam_curator.files.track_files import encode_tracks
from beam_curator.separation.asked_tracks import hash_of
from beam_curator.separation.child_rows import TrackFacts, child_row
from beam_curator.separation.recording_plan import plan_recording
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.speaker_turns import SpeakerTurn, turns_of_row
from beam_curator.separation.tracks import track_plan

INFO = AudioInfo(sample_rate=8000, n_samples=80000, n_channels=2, container="wav", codec="pcm_16")
ANA = SpeakerTurn(start=0, end=6, speaker="ana", channel=0)
BO = SpeakerTurn(start=2, end=8, speaker="bo", channel=1)


def test_a_turn_s_channel_wins_over_that_of_its_row() -> None:
    turns = [{"start": 0, "end": 1, "speaker": "a", "channel": 1}, [1, 2, "b"], {"start": 2, "end": 3, "speaker": "a"}]
    named = [(turn.speaker, turn.channel) for turn in turns_of_row({"diar_segments": turns, "channel": 0}).turns]
    assert named == [("a", 1), ("b", 0), ("a", 0)]
    assert [turn.channel for turn in turns_of_row({"diar_segments": turns}).turns] == [1, None, None]
    with pytest.raises(EntryError, match=r"diar_segments\[0\]\.channel is -1, expected"):
        turns_of_row({"diar_segments": [{"start": 0, "end": 1, "speaker": "a", "channel": -1}]})


def test_speakers_of_different_channels_do_not_overlap() -> None:
    plan = plan_recording([ANA, BO], INFO, SeparationRules())
    assert [(found.speaker, found.spans) for found in plan.speakers] == [("ana", ((0.0, 6.0),)), ("bo", ((2.0, 8.0),))]
    assert [track.channel for track in plan.tracks] == [0, 1]
    assert [found.time.overlapped_us for found in plan.speakers] == [0, 0]


@pytest.mark.parametrize(
    ("turns", "channels"),
    [
        ([ANA, replace(BO, channel=0)], {"ana": 0, "bo": 0}),
        ([ANA, replace(BO, channel=None)], {"ana": 0, "bo": None}),
        ([ANA, BO, replace(ANA, start=9, end=10, channel=1)], {"ana": None, "bo": 1}),
    ],
)
def test_those_of_one_channel_do_and_so_do_those_whose_track_holds_all(
    turns: list[SpeakerTurn], channels: dict[str, int | None]
) -> None:
    plan = plan_recording(turns, INFO, SeparationRules(buffer_time=0))
    assert {found.speaker: track.channel for found, track in zip(plan.speakers, plan.tracks, strict=True)} == channels
    assert {found.speaker: found.spans[0] for found in plan.speakers} == {"ana": (0.0, 2.0), "bo": (6.0, 8.0)}


def test_a_channel_that_is_not_there_fails_the_recording() -> None:
    with pytest.raises(EntryError, match="out_of_range: channel 2 of a recording that has channels 0 to 1"):
        plan_recording([ANA, replace(BO, channel=2)], INFO, SeparationRules())


def test_turns_of_other_channels_are_other_turns() -> None:
    plain = [replace(turn, channel=None) for turn in (ANA, BO)]
    hashes = {hash_of(turns) for turns in ([ANA, BO], [BO, ANA], plain, [ANA, replace(BO, channel=0)])}
    assert len(hashes) == 3


@pytest.mark.parametrize("compact", [False, True])
def test_tracks_hold_their_channel_alone(compact: bool) -> None:
    samples = np.random.default_rng(7).integers(-9000, 9000, (80000, 2)).astype(np.float32) / 32768
    spans = [(0.5, 2.0), (7.0, 9.5)]
    plan = track_plan(spans, 8000, 80000, compact=compact)
    plans = [replace(plan, channel=channel) for channel in (0, 1, None)]
    with open_audio(encode_audio(samples, 8000, "flac")) as reader:
        (clips,) = encode_tracks(reader, plans, "wav")
    kept = np.zeros((80000, 1), bool)
    kept[4000:16000] = kept[56000:76000] = True
    for clip, channel in zip(clips, (0, 1, None), strict=True):
        with open_audio(b"".join(clip.chunks())) as track:
            heard = samples if channel is None else samples[:, channel : channel + 1]
            expected = heard[kept[:, 0]] if compact else np.where(kept, heard, 0)
            np.testing.assert_array_equal(track.read(), expected, strict=True)


def test_the_row_of_a_track_says_which_channel_it_came_from() -> None:
    plan = plan_recording([ANA, BO], INFO, SeparationRules())
    facts = TrackFacts(
        speaker=plan.speakers[1],
        plan=plan.tracks[1],
        audio_filepath="tracks/call_speaker_bo.wav",
        source_audio_filepath="call.wav",
        recording_id="call",
        num_speakers=2,
    )
    parent = {"audio_filepath": "call.wav", "channel": 1, "source_channel": 7}
    row = child_row(parent, facts)
    assert (row["source_channel"], row["input_channel"], row["input_source_channel"]) == (1, 1, 7)
    assert "channel" not in row
    assert row["segments"] == [{"start": 2.0, "end": 8.0, "speaker": "bo"}]
    plain = child_row(parent | {"channel": "BBC"}, replace(facts, plan=replace(plan.tracks[1], channel=None)))
    assert (plain["channel"], plain["source_channel"]) == ("BBC", 7)
