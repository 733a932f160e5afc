from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from beam_curator.entries.json_lines import encode
from beam_curator.recordings.asked import asked_by
from beam_curator.recordings.safe_names import folded
from beam_curator.sets.asked_rows import AskedRow, key_of, tasks_of
from beam_curator.sets.packed_rows import compressed
from beam_curator.sets.recording_jobs import RowsTask


def row_of(path: str, place: int = 0, **fields: Any) -> AskedRow:
    """Return the row of a manifest in /data."""
    raw = encode({"audio_filepath": path, **fields})
    asked = asked_by({"audio_filepath": path, **fields}, "audio_filepath")
    return AskedRow(
        name=asked.name,
        recording=f"/data/{asked.path}",
        start=asked.start,
        end=asked.end,
        source="/data/m.jsonl",
        position=(0, 0, place),
        n_blocks=1,
        packed=compressed(raw),
    )


def tasks_by_name(rows: Iterable[AskedRow]) -> list[RowsTask[AskedRow]]:
    """Return the tasks of rows, as the grouping by names brings them together."""
    groups: dict[str, list[AskedRow]] = {}
    for row in rows:
        groups.setdefault(key_of(row), []).append(row)
    return [task for group in groups.values() for task in tasks_of(group)]


class TestTasks:
    def test_rows_of_one_recording_are_one_task_in_their_order(self) -> None:
        (task,) = tasks_by_name([row_of("talk.wav", place) for place in (30, 0, 10)])
        assert (task.recording_id, [row.offset for row in task.rows]) == ("talk", [0, 10, 30])

    def test_recordings_of_one_name_have_marks(self) -> None:
        tasks = tasks_by_name([row_of("b/talk.wav"), row_of("a/talk.wav")])
        assert [task.rows[0].recording for task in tasks] == ["/data/a/talk.wav", "/data/b/talk.wav"]
        ids = [task.recording_id for task in tasks]
        assert all(name.startswith("talk~") and len(name) == 21 for name in ids)
        assert len(set(ids)) == 2

    def test_names_that_only_begin_alike_have_none(self) -> None:
        tasks = tasks_by_name([row_of("talk.wav"), row_of("talk_speaker_1.wav"), row_of("talk_speaker_2.wav")])
        assert [task.recording_id for task in tasks] == ["talk", "talk_speaker_1", "talk_speaker_2"]

    def test_pieces_of_a_recording_are_tasks_of_their_own(self) -> None:
        asked = [(0, 2), (2, 2), (2, None), (0.0, 2.0)]
        tasks = tasks_by_name(row_of("talk.wav", offset=start, duration=seconds) for start, seconds in asked)
        assert [(task.rows[0].start, task.rows[0].end, len(task.rows)) for task in tasks] == [
            (0.0, 2.0, 2),
            (2.0, None, 1),
            (2.0, 4.0, 1),
        ]
        assert len({task.recording_id for task in tasks}) == 3

    def test_a_recording_by_two_names_is_two_tasks(self) -> None:
        tasks = tasks_by_name([row_of("talk.wav"), row_of("talk.wav", session_name="monday")])
        assert [(task.recording_id, task.rows[0].identity) for task in tasks] == [
            ("talk", "/data/talk.wav"),
            ("monday", "/data/talk.wav"),
        ]


NAMES = st.sampled_from(
    ["talk", "Talk", "talk_speaker_1", "a b", "ß", "ss", "SS", "talk~cf67fdbe966068b9", "../x", "é"]
)
ASKED = st.lists(
    st.tuples(st.sampled_from(["", "monday/", "friday/"]), NAMES, st.sampled_from([None, 0.0, 1.0])),
    min_size=1,
    max_size=12,
)


@given(ASKED)
def test_ids_never_collide_whatever_the_names(asked: list[tuple[str, str, float | None]]) -> None:
    rows = [row_of(f"{folder}{name}.wav", place, offset=start) for place, (folder, name, start) in enumerate(asked)]
    tasks = tasks_by_name(rows)
    ids = [folded(task.recording_id) for task in tasks]
    assert len(ids) == len(set(ids)) == len({row.identity for row in rows})
    assert sorted(row.offset for task in tasks for row in task.rows) == list(range(len(rows)))
    assert {task.recording_id: task for task in tasks} == {
        task.recording_id: task for task in tasks_by_name(rows[::-1])
    }
