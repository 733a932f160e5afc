from __future__ import annotations

from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beam_curator.recordings.recording_ids import ids_of
from beam_curator.recordings.safe_names import folded, safe_stem, stem_with_mark
from beam_curator.separation.track_names import track_names


def test_plain_names() -> None:
    assert track_names("talk 1", ["speaker_0", "speaker_10", "Ana"], "wav") == {
        "speaker_0": "talk 1_speaker_0.wav",
        "speaker_10": "talk 1_speaker_10.wav",
        "Ana": "talk 1_speaker_Ana.wav",
    }


def test_ids_of_recordings_come_out_as_they_are() -> None:
    ids = list(ids_of("x" * 200, ["/a/x", "/b/x"]).values()) + list(ids_of("a/b", ["/c"]).values())
    assert [track_names(each, ["a"], "wav")["a"] for each in ids] == [f"{each}_speaker_a.wav" for each in ids]


def test_another_id_is_made_safe_and_marked() -> None:
    name = track_names("../a/b", ["a"], "wav")["a"]
    assert name == f"{stem_with_mark(safe_stem('../a/b'), '../a/b')}_speaker_a.wav"
    assert "/" not in name


@pytest.mark.parametrize(
    "speakers",
    [
        ["speaker_0", "0"],
        ["Ana", "ana"],
        ["a/b", "a_b"],
        ["speaker_", "speaker_speaker_"],
        ["é", "e\u0301"],
        ["ana", "Ana", stem_with_mark("ana", "ana")],
        ["x" * 300, "x" * 301],
        ["con", "..", ".", "-", " "],
    ],
)
def test_speakers_have_names_of_their_own(speakers: list[str]) -> None:
    names = track_names("talk", speakers, "flac")
    assert list(names) == speakers
    assert len({folded(name) for name in names.values()}) == len(speakers)
    assert track_names("talk", speakers[::-1], "flac") == names


def test_those_without_a_double_stay_plain() -> None:
    assert track_names("talk", ["Ana", "ana", "bo"], "wav")["bo"] == "talk_speaker_bo.wav"


TEXTS = st.text(alphabet="aA0_~/. éspeakr", max_size=12) | st.lists(
    st.sampled_from(["speaker_", "_", "spea", "ker_", "SPEAKER_", "a"]), max_size=5
).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.sets(TEXTS, max_size=4), st.sets(TEXTS.filter(bool), max_size=5))
@example({"rec", "rec_speaker"}, {"speaspeaker_ker_x", "x"})
@example({"rec", "rec_speaker_a"}, {"b", "a_Speaker_b"})
def test_recordings_and_speakers_never_meet(recordings: set[str], speakers: set[str]) -> None:
    by_stem: dict[str, str] = {folded(safe_stem(recording)): recording for recording in sorted(recordings)}
    found = [
        track_names(recording, speakers, "wav")[speaker] for recording, speaker in product(by_stem.values(), speakers)
    ]
    assert len({folded(name) for name in found}) == len(found)
    assert all(len(name.encode()) <= 255 and not set("/\\\0") & set(name) and name[0] != "." for name in found)
