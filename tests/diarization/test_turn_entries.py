from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.clips.records import ClipRequest
from beam_curator.clips.requests import requests_of_row
from beam_curator.diarization.diarize_rules import ENTRY_KEYS
from beam_curator.diarization.turn_entries import (
    EntryFacts,
    diarized_entry,
    files_of_entry,
    row_before,
)
from beam_curator.diarization.turns import Turn
from beam_curator.entries.own_keys import ORIGIN_KEY, PIECE_KEYS
from beam_curator.sets.output_set import WrittenFile

FACTS = EntryFacts(
    recording_id="talk",
    audio_filepath="/data/talk.wav",
    sample_rate=8000,
    duration=12.5,
    turns=(
        Turn(start=0.0, end=10.0, speaker=2),
        Turn(start=4.0, end=5.0, speaker=0),
        Turn(start=11.0, end=12.0, speaker=0),
    ),
    saturated=False,
    rttm="rttm/talk.rttm",
    files=(WrittenFile("rttm/talk.rttm", 9, "ff"),),
)


def entry_of(fields: dict[str, Any], facts: EntryFacts = FACTS, *, turns_key: str = "turns", **more: Any) -> Any:
    return diarized_entry(fields, facts, turns_key, **({"diar_format": "dicts"} | more))


def test_every_key_of_an_entry() -> None:
    turns = [
        {"start": 0.0, "end": 10.0, "speaker": "speaker_2"},
        {"start": 4.0, "end": 5.0, "speaker": "speaker_0"},
        {"start": 11.0, "end": 12.0, "speaker": "speaker_0"},
    ]
    entry = entry_of({"audio_filepath": "talk.wav", "lang": "de"})
    assert list(entry.items()) == [
        ("audio_filepath", "talk.wav"),
        ("lang", "de"),
        ("audio_sample_rate", 8000),
        ("duration", 12.5),
        ("segments", turns),
        ("turns", turns),
        (
            "exclusive_segments",
            [
                {"start": 0.0, "end": 4.0, "speaker": "speaker_2"},
                {"start": 5.0, "end": 10.0, "speaker": "speaker_2"},
                {"start": 11.0, "end": 12.0, "speaker": "speaker_0"},
            ],
        ),
        ("num_speakers", 2),
        ("speakers_saturated", False),
        ("recording_id", "talk"),
        ("rttm_filepath", "rttm/talk.rttm"),
        ("files", [["rttm/talk.rttm", 9, "ff"]]),
    ]


def test_pairs_are_the_reference_s_other_form() -> None:
    entry = entry_of({}, diar_format="pairs")
    assert entry["turns"] == [[0.0, 10.0], [4.0, 5.0], [11.0, 12.0]]
    assert entry["segments"][0] == {"start": 0.0, "end": 10.0, "speaker": "speaker_2"}


def test_bandwidths_stand_where_windows_reads_them() -> None:
    entry = entry_of({"audio_filepath": "a.wav"}, replace(FACTS, bandwidths=(4000, 3500, 0)))
    assert [segment["metrics"] for segment in entry["segments"]] == [
        {"bandwidth": 4000},
        {"bandwidth": 3500},
        {"bandwidth": 0},
    ]
    assert "metrics" not in entry["turns"][0]


def test_silence_is_an_entry_without_segments() -> None:
    entry = entry_of({}, replace(FACTS, turns=(), rttm=None, files=()))
    assert (entry["segments"], entry["turns"], entry["exclusive_segments"], entry["files"]) == ([], [], [], [])
    assert entry["num_speakers"] == 0
    assert "rttm_filepath" not in entry


def test_values_of_the_input_move_aside() -> None:
    entry = entry_of({"audio_filepath": "a.wav", "segments": [1], "duration": 3, "num_speakers": 7, "turns": "x"})
    assert {key: value for key, value in entry.items() if key.startswith("input_")} == {
        "input_segments": [1],
        "input_duration": 3,
        "input_num_speakers": 7,
        "input_turns": "x",
    }


def test_an_entry_is_all_of_its_recording_whatever_its_row_asked_for() -> None:
    entry = entry_of({"audio_filepath": "a.wav", "offset": 2.0, "duration": 3.0})
    assert "offset" not in entry
    assert (entry["duration"], entry["input_offset"], entry["input_duration"]) == (12.5, 2.0, 3.0)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"path": "x.wav"}, "x.wav"),
        ({"path": "x.wav", "audio_filepath": "other.wav"}, "x.wav"),
        ({}, "/data/talk.wav"),
    ],
)
def test_the_recording_stands_under_audio_filepath(fields: dict[str, Any], path: str) -> None:
    entry = entry_of(fields, filepath_key="path")
    assert entry["audio_filepath"] == path
    assert entry.get("input_audio_filepath") == fields.get("audio_filepath")


@pytest.mark.parametrize("filepath_key", ["extracted_path", "original_file"])
def test_a_row_of_a_clip_becomes_an_entry_that_extract_cuts_by_its_turns(filepath_key: str) -> None:
    clip = {"extracted_path": "x.wav", "original_file": "x.wav", "original_start_ms": 6000, "original_end_ms": 9000}
    entry = entry_of(clip, filepath_key=filepath_key)
    assert (entry["audio_filepath"], entry["input_original_end_ms"]) == ("x.wav", 9000)
    requests = [request for request in requests_of_row(entry, "auto") if isinstance(request, ClipRequest)]
    assert [request.fields["original_file"] for request in requests] == ["x.wav"] * 3
    assert row_before(entry, "turns", filepath_key) == clip


ADDED = (*ENTRY_KEYS, "turns", ORIGIN_KEY, "offset", *PIECE_KEYS)
KEYS = st.builds(lambda times, name: "input_" * times + name, st.integers(0, 2), st.sampled_from([*ADDED, "lang", ""]))
ROWS = (
    st.dictionaries(KEYS, st.integers())
    .map(lambda fields: {"audio_filepath": "a.wav", **fields})
    .filter(lambda fields: not {"recording_id", "num_speakers", "speakers_saturated", "files"} <= fields.keys())
)


@given(ROWS, st.sampled_from(["audio_filepath", "path"]))
def test_what_moved_aside_comes_back(fields: dict[str, Any], filepath_key: str) -> None:
    entry = entry_of(fields, filepath_key=filepath_key) | {ORIGIN_KEY: {"source": "m.jsonl", "offset": 0}}
    assert list(row_before(entry, "turns", filepath_key).items()) == list(fields.items())
    assert row_before(fields, "turns", filepath_key) == fields


@given(ROWS, st.sampled_from(["audio_filepath", "path"]))
def test_an_entry_of_an_entry_is_the_same(fields: dict[str, Any], filepath_key: str) -> None:
    once = entry_of(fields, filepath_key=filepath_key) | {ORIGIN_KEY: 1}
    twice = entry_of(once, filepath_key=filepath_key) | {ORIGIN_KEY: 1}
    assert list(twice.items()) == list(once.items())


SPEECH = st.lists(
    st.builds(
        lambda start, length, speaker: Turn(start=start / 100, end=(start + length) / 100, speaker=speaker),
        st.integers(0, 300),
        st.integers(1, 200),
        st.integers(0, 3),
    ),
    max_size=8,
)


@given(SPEECH)
def test_exclusive_segments_are_where_one_speaker_has_a_segment(turns: list[Turn]) -> None:
    entry = entry_of({}, replace(FACTS, turns=tuple(turns)))
    for tick in range(520):
        middle = tick / 100 + 0.005
        talking = {item["speaker"] for item in entry["segments"] if item["start"] <= middle < item["end"]}
        alone = {item["speaker"] for item in entry["exclusive_segments"] if item["start"] <= middle < item["end"]}
        assert alone == (talking if len(talking) == 1 else set())
    assert entry["num_speakers"] == len({turn.speaker for turn in turns})


def test_files_of_an_entry() -> None:
    assert list(files_of_entry(entry_of({}))) == list(FACTS.files)
