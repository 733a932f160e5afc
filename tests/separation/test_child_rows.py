from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from beam_curator.audio import AudioInfo
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import cut_of
from beam_curator.clips.records import ClipRequest
from beam_curator.clips.requests import requests_of_row
from beam_curator.diarization.turn_entries import EntryFacts, diarized_entry
from beam_curator.diarization.turns import Turn
from beam_curator.entries.entry import Entry
from beam_curator.entries.json_lines import encode
from beam_curator.separation.child_rows import TrackFacts, bandwidths_of_spans, child_row
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.shares import separate_speakers
from beam_curator.separation.speaker_turns import turns_of_row
from beam_curator.separation.tracks import pieces_of_tracks, track_plan
from beam_curator.sets.output_set import WrittenFile

TURNS = [[0, 10, 0], [4, 5, "speaker_1"], [12.5, 14, "speaker_1"]]


def facts_of(speaker: int = 0, *, compact: bool = False, **more: Any) -> TrackFacts:
    turns = turns_of_row({"segments": TURNS}).turns
    found = separate_speakers(turns, SeparationRules(), 16)[speaker]
    plan = track_plan(found.spans, 8000, 128_000, compact=compact)
    return TrackFacts(
        speaker=found,
        plan=plan,
        audio_filepath=f"tracks/talk_speaker_{speaker}.wav",
        source_audio_filepath="/data/talk.wav",
        recording_id="talk",
        num_speakers=2,
        **more,
    )


SEPARATION = {
    "spoken": 10.0,
    "kept": 8.0,
    "overlapped": 1.0,
    "buffer": 1.0,
    "too_short": 0.0,
    "gaps": 0.0,
    "padding": 0.0,
}


def test_a_child_row_is_its_parent_and_its_own_values_in_order() -> None:
    parent = {
        "id": 7,
        "audio_filepath": "talk.wav",
        "duration": 16,
        "lang": "de",
        "segments": TURNS,
        "windows": [],
        "filtered_windows": [],
        "waveform": [0.0],
        "audio": None,
        "num_samples": 1,
        "meta": {"a": [1]},
    }
    before = copy.deepcopy(parent)
    row = child_row(parent, facts_of())
    assert list(row.items()) == [
        ("id", 7),
        ("audio_filepath", "tracks/talk_speaker_0.wav"),
        ("lang", "de"),
        ("meta", {"a": [1]}),
        ("speaker_id", "speaker_0"),
        ("num_speakers", 2),
        ("duration", 8.0),
        ("track_duration", 16.0),
        ("audio_sample_rate", 8000),
        ("diar_segments", [[0.0, 3.5], [5.5, 10.0]]),
        (
            "segments",
            [{"start": 0.0, "end": 3.5, "speaker": "speaker_0"}, {"start": 5.5, "end": 10.0, "speaker": "speaker_0"}],
        ),
        ("source_audio_filepath", "/data/talk.wav"),
        ("recording_id", "talk"),
        ("separation", SEPARATION),
    ]
    assert parent == before


def test_segments_of_a_compact_track_are_in_its_own_time() -> None:
    row = child_row({"audio_filepath": "talk.wav"}, facts_of(compact=True))
    assert [(each["start"], each["end"]) for each in row["segments"]] == [(0.0, 3.5), (3.5, 8.0)]
    assert (row["diar_segments"], row["duration"], row["track_duration"]) == ([[0.0, 3.5], [5.5, 10.0]], 8.0, 8.0)


def test_pieces_have_the_least_bandwidth_of_the_segments_that_they_come_from() -> None:
    turns = [
        (0, 3, 0, 7900),
        (3, 7, "speaker_0", 6100),
        (6, 10, 0, 7000),
        (0, 16, "speaker_1", 90),
        (9, 9.5, 0, "wide"),
    ]
    segments = [
        {"start": start, "end": end, "speaker": speaker, "metrics": {"bandwidth": width}}
        for start, end, speaker, width in turns
    ]
    row = child_row({"segments": [*segments, {"start": 0}, None, [0, 1, 0]]}, facts_of(compact=True))
    assert [each["metrics"] for each in row["segments"]] == [{"bandwidth": 6100}, {"bandwidth": 6100}]
    assert bandwidths_of_spans(segments[:1], "speaker_0", [(0, 3), (3, 4)]) == [7900, None]
    again = child_row(row, facts_of(compact=True))
    assert [each["metrics"]["bandwidth"] for each in again["segments"]] == [6100, 6100]


def test_files_of_the_track_are_named() -> None:
    row = child_row({}, facts_of(files=(WrittenFile("tracks/a.wav", 9, "ff"),)))
    assert row["files"] == [["tracks/a.wav", 9, "ff"]]


def test_an_own_value_of_the_row_moves_aside() -> None:
    parent = {
        "speaker_id": 1,
        "input_speaker_id": 2,
        "recording_id": "x",
        "offset": 3,
        "source_audio_filepath": "y",
        "track_duration": None,
        "input_lang": "de",
    }
    row = child_row(parent, facts_of())
    assert list(row)[:8] == [
        "input_speaker_id",
        "input_input_speaker_id",
        "input_recording_id",
        "input_offset",
        "input_source_audio_filepath",
        "input_track_duration",
        "input_lang",
        "audio_filepath",
    ]
    assert (row["input_speaker_id"], row["input_input_speaker_id"], row["speaker_id"]) == (1, 2, "speaker_0")


def test_another_key_of_the_recording_stays_beside_the_track() -> None:
    row = child_row({"path": "a.wav", "audio_filepath": "b.wav"}, facts_of(), filepath_key="path")
    assert (row["path"], row["input_audio_filepath"], row["audio_filepath"]) == (
        "a.wav",
        "b.wav",
        "tracks/talk_speaker_0.wav",
    )


@pytest.mark.parametrize(("key", "saturated"), [("diar_segments", False), ("turns", True)])
def test_of_an_entry_that_was_diarized_the_row_before_is_taken(key: str, saturated: bool) -> None:
    asked = {"audio_filepath": "talk.wav", "offset": 1, "num_speakers": 3, "lang": "de"}
    entry = diarized_entry(
        asked,
        EntryFacts(
            recording_id="talk",
            audio_filepath="talk.wav",
            sample_rate=8000,
            duration=16.0,
            turns=(Turn(start=0.0, end=10.0, speaker=0),),
            saturated=saturated,
            rttm="rttm/talk.rttm",
            files=(WrittenFile("rttm/talk.rttm", 1, "00"),),
        ),
        key,
        "pairs",
    )
    entry["_origin"] = {"source": "m.jsonl", "offset": 0}
    row = child_row(entry, facts_of(), turns_key=key)
    assert list(row)[:4] == ["audio_filepath", "input_offset", "input_num_speakers", "lang"]
    assert row["speakers_saturated"] is saturated
    assert not {"exclusive_segments", "rttm_filepath", "files", "turns", "_origin"} & set(row)


@pytest.mark.parametrize("key", ["audio_filepath", "original_file"])
@pytest.mark.parametrize("compact", [False, True])
def test_other_jobs_read_it_as_an_entry_of_its_track(compact: bool, key: str) -> None:
    facts = facts_of(1, compact=compact)
    piece = {"original_file": "long.wav", "original_start_ms": 6000, "original_end_ms": 9000}
    row = child_row(piece | {key: "talk.wav", "segments": TURNS}, facts, filepath_key=key)
    assert (row["input_original_file"], row["input_original_end_ms"]) == (
        "talk.wav" if key == "original_file" else "long.wav",
        9000,
    )
    entry = Entry.from_json(encode(row))
    assert (entry.starts, entry.ends, entry.speakers) == (
        ([0.0], [1.5], ["speaker_1"]) if compact else ([12.5], [14.0], ["speaker_1"])
    )
    [request] = requests_of_row(row, "auto")
    assert isinstance(request, ClipRequest)
    assert (request.fields["speaker_id"], request.fields["original_file"]) == (
        "speaker_1",
        "tracks/talk_speaker_1.wav",
    )
    source = np.arange(128_000, dtype=np.float32)[:, None]
    track = np.concatenate([samples for _, samples in pieces_of_tracks([source], [facts.plan])])
    info = AudioInfo(sample_rate=8000, n_samples=len(track), n_channels=1, container="wav", codec="pcm_16")
    cut = cut_of(request, info, CutRules())
    assert (cut.clamped, track[cut.first, 0], track[cut.stop - 1, 0]) == (False, 100_000, 111_999)
    assert turns_of_row(row).key == "segments"
