from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from beam_curator.recordings.recording_ids import id_key
from beam_curator.recordings.safe_names import folded
from beam_curator.separation.asked_tracks import TurnsRow, hash_of, tasks_of
from beam_curator.separation.speaker_turns import SpeakerTurn
from beam_curator.sets.packed_rows import compressed
from beam_curator.sets.recording_jobs import RowsTask


def turn(start: float, end: float, speaker: str) -> SpeakerTurn:
    return SpeakerTurn(start=start, end=end, speaker=speaker)


def row(recording: str, place: int, wanted: str = "talk", turns: str = "t") -> TurnsRow:
    return TurnsRow(
        recording=recording,
        source="m.jsonl",
        position=(0, 0, place),
        n_blocks=2,
        packed=compressed(b"{}"),
        wanted_id=wanted,
        turns_hash=turns,
        n_speakers=2,
    )


class TestHashOfTurns:
    def test_does_not_depend_on_their_order_nor_on_how_a_number_is_written(self) -> None:
        turns = [turn(0, 1.5, "a"), turn(1, 2, "b")]
        assert hash_of(turns) == hash_of(turns[::-1]) == hash_of([turn(-0.0, 1.5, "a"), turn(1.0, 2.0, "b")])

    def test_depends_on_times_speakers_and_how_often(self) -> None:
        turns = [turn(0, 1, "a"), turn(1, 2, "b")]
        others = (
            [turn(0, 1, "b"), turn(1, 2, "a")],
            [turn(0, 1, "a")],
            [*turns, turns[0]],
            [turn(0, 1, "a"), turn(1, 3, "b")],
        )
        assert len({hash_of(turns), *map(hash_of, others)}) == 5


class TestTasks:
    def test_rows_with_the_same_turns_of_one_recording_are_one_task_in_their_order(self) -> None:
        (task,) = tasks_of([row("/a.wav", place) for place in (30, 0, 10)])
        assert (task.recording_id, task.identity) == ("talk", "/a.wav")
        assert [each.offset for each in task.rows] == [0, 10, 30]
        assert (task.recording, task.position, task.n_blocks) == ("/a.wav", (0, 0, 0), 2)

    def test_other_turns_of_it_are_a_task_of_their_own(self) -> None:
        tasks = list(
            tasks_of([row("/a.wav", 0, turns="t"), row("/a.wav", 10, turns="u"), row("/a.wav", 20, turns="t")])
        )
        assert [(task.identity, [each.offset for each in task.rows]) for task in tasks] == [
            ("/a.wav#t", [0, 20]),
            ("/a.wav#u", [10]),
        ]
        assert len({task.recording_id for task in tasks}) == len({task.name for task in tasks}) == 2

    def test_recordings_of_one_name_have_marks(self) -> None:
        tasks = list(tasks_of([row("/b/talk.wav", 0), row("/a/talk.wav", 10)]))
        assert [task.recording for task in tasks] == ["/a/talk.wav", "/b/talk.wav"]
        assert all(task.recording_id.startswith("talk~") for task in tasks)

    def test_the_smallest_id_of_several_is_taken(self) -> None:
        (task,) = tasks_of([row("/a.wav", 0, "talk"), row("/a.wav", 10, "Talk")])
        assert task.recording_id == "Talk"


NAMES = st.sampled_from(["talk", "Talk", "TALK", "talk~cf67fdbe966068b9", "é", "e\u0301"])
ASKED = st.lists(st.tuples(st.sampled_from(["/a.wav", "/b.wav"]), NAMES, st.sampled_from("tu")), min_size=1, max_size=9)


def grouped(rows: Iterable[TurnsRow]) -> list[RowsTask[TurnsRow]]:
    groups: dict[str, list[TurnsRow]] = {}
    for each in rows:
        groups.setdefault(id_key(each.wanted_id), []).append(each)
    return [task for group in groups.values() for task in tasks_of(group)]


@given(ASKED)
def test_ids_never_collide_and_every_row_has_one_task(asked: list[tuple[str, str, str]]) -> None:
    rows = [row(recording, place, wanted, turns) for place, (recording, wanted, turns) in enumerate(asked)]
    tasks = grouped(rows)
    ids = [folded(task.recording_id) for task in tasks]
    assert len(ids) == len(set(ids))
    assert sorted(each.offset for task in tasks for each in task.rows) == list(range(len(rows)))
    assert {task.name: task for task in tasks} == {task.name: task for task in grouped(rows[::-1])}
