from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.recordings.recording_ids import different_ids, id_key, ids_of, wanted_id
from beam_curator.recordings.safe_names import folded
from beam_curator.separation.track_names import track_names

MONDAY, FRIDAY = "/monday/talk.wav", "/friday/talk.wav"
MONDAYS = "talk~3d6fbda23a2c7fa9"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, "talk"),
        ({"recording_id": "other"}, "other"),
        ({"recording_id": MONDAYS}, MONDAYS),
        ({"recording_id": "q_~463ac495~3d6fbda23a2c7fa9"}, "q_~463ac495~3d6fbda23a2c7fa9"),
        ({"recording_id": "../talk"}, "talk"),
        ({"recording_id": ""}, "talk"),
        ({"recording_id": 7}, "talk"),
        ({"recording_id": None}, "talk"),
    ],
)
def test_the_id_of_a_row_is_taken_where_a_job_may_have_given_it(row: dict[str, object], expected: str) -> None:
    assert wanted_id(row, "talk") == expected


def test_ids_are_those_that_diarization_gives() -> None:
    for identities in ([MONDAY], [MONDAY, FRIDAY]):
        assert different_ids(dict.fromkeys(identities, "talk")) == ids_of("talk", identities)


def test_an_id_that_is_given_may_be_the_mark_of_another() -> None:
    ids = different_ids({"/else.wav": MONDAYS, MONDAY: "talk", FRIDAY: "talk"})
    assert ids[MONDAY] == MONDAYS
    assert len({*ids.values()}) == 3
    assert different_ids({"/else.wav": MONDAYS, MONDAY: "talk"})["/else.wav"] == MONDAYS


_TEXTS = st.text("aAß/~ .", min_size=1, max_size=4)


@given(st.dictionaries(_TEXTS, st.tuples(_TEXTS, st.sampled_from(["", "~3d6fbda2", "~3d6fbda23a2c7fa9"])), max_size=8))
def test_no_two_recordings_share_the_name_of_a_track(recordings: dict[str, tuple[str, str]]) -> None:
    groups: dict[str, dict[str, str]] = {}
    for identity, (name, mark) in recordings.items():
        wanted = wanted_id({"recording_id": name + mark}, name)
        groups.setdefault(id_key(wanted), {})[identity] = wanted
    ids = [found for group in groups.values() for found in different_ids(group).values()]
    names = [folded(name) for found in ids for name in track_names(found, ["a", "speaker_1"], "wav").values()]
    assert len(ids) == len(recordings)
    assert len(set(names)) == 2 * len(recordings)
