from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from beam_curator.transforms.diarization.read_recordings import (
    ReadRecordings,
    Row,
    Task,
    key_by_name,
    row_of_line,
    tasks_of,
)
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.diarization.turn_entries import EntryFacts, diarized_entry
from beam_curator.failures import EntryError
from beam_curator.recordings.safe_names import folded
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.jobs.job_sets import Reading
from tests.manifests import line_of, write_lines

RULES = DiarizeRules()


def row_of(path: str, place: int = 0, **fields: Any) -> Row:
    """Return the row of a manifest in /data."""
    raw = line_of({"audio_filepath": path, **fields})
    return row_of_line(raw, "/data/m.jsonl", (0, 0, place), 1, RULES)


class TestRowOfLine:
    def test_a_recording(self) -> None:
        row = row_of("x/talk.wav", 7, lang="de")
        assert (row.name, row.recording, row.start, row.end) == ("talk", "/data/x/talk.wav", 0.0, None)
        assert (row.identity, row.offset, row.source) == ("/data/x/talk.wav", 7, "/data/m.jsonl")
        assert row.fields() == {"audio_filepath": "x/talk.wav", "lang": "de"}

    def test_a_piece(self) -> None:
        row = row_of("talk.wav", offset=1.5, duration=2, session_name="one")
        assert (row.name, row.start, row.end, row.identity) == ("one", 1.5, 3.5, "/data/talk.wav#1.5-3.5")

    def test_names_begin_where_the_rules_say(self) -> None:
        rules = DiarizeRules(audio_filepath_key="path", audio_root="gs://bucket/talks")
        row = row_of_line(line_of({"path": "talk.wav"}), "/data/m.jsonl", (0, 0, 0), 1, rules)
        assert row.recording == "gs://bucket/talks/talk.wav"

    def test_a_member_of_a_tarred_dataset(self) -> None:
        raw = line_of({"audio_filepath": "a-sub2.wav", "shard_id": 3, "offset": 1.0, "duration": 1.0})
        row = row_of_line(raw, "/data/sharded_manifests/manifest_3.json", (0, 0, 0), 1, RULES)
        assert (row.recording, row.name, row.start, row.end) == ("/data/audio_3.tar::a.wav", "a", 1.0, 2.0)

    def test_an_entry_asks_for_what_its_row_asked_for(self) -> None:
        facts = EntryFacts(
            recording_id="a", audio_filepath="", sample_rate=8000, duration=60.0, turns=(), saturated=False
        )
        fields = {"audio_filepath": "a.wav", "offset": 5.0, "duration": 2.0}
        entry = diarized_entry(fields, facts, RULES.diar_segments_key, "dicts")
        rows = [row_of_line(line_of(one), "/data/m.jsonl", (0, 0, 0), 1, RULES) for one in (fields, entry)]
        assert rows[0].identity == rows[1].identity == "/data/a.wav#5-7"

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (b"{", "bad_json"),
            (b"[1]", "not_an_object"),
            (b"{}", "missing_key"),
            (b'{"audio_filepath": 3}', "bad_type"),
            (b'{"audio_filepath": "a.wav", "offset": -1}', "bad_time"),
            (b'{"audio_filepath": "\xff"}', "bad_utf8"),
        ],
    )
    def test_a_line_that_names_nothing(self, raw: bytes, code: str) -> None:
        with pytest.raises(EntryError) as caught:
            row_of_line(raw, "/data/m.jsonl", (0, 0, 0), 1, RULES)
        assert caught.value.code == code
        assert caught.value.cure


def tasks_by_name(rows: Iterable[Row]) -> list[Task]:
    """Return the tasks of rows, as the grouping by names brings them together."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key_by_name(row)[0], []).append(row)
    return [task for group in groups.items() for _, task in tasks_of(group)]


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


def check_read(inputs: list[Path], ids: list[str], counts: dict[str, int], *, keep_duplicates: bool = False) -> None:
    """Read what is to be diarized, and compare the ids of its recordings and the counts."""
    reading = Reading(inputs=tuple(map(str, inputs)), options=InputOptions(keep_duplicates=keep_duplicates))
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | ReadRecordings(reading, RULES)
        found = read.tasks | "Ids" >> beam.Map(lambda task: (task.recording_id, len(task.rows)))
        assert_that(found, equal_to([(name, ids.count(name)) for name in dict.fromkeys(ids)]), label="ids")
        totals = read.counts | beam.Flatten() | beam.CombinePerKey(sum)
        assert_that(totals, equal_to(list(counts.items())), label="counts")


class TestReadRecordings:
    def test_recordings_by_themselves(self, tmp_path: Path) -> None:
        for name in ("a.wav", "in/b.flac", "in/deeper/c.mp3", "in/notes.txt"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"x")
        paths = [tmp_path / "a.wav", tmp_path / "in", tmp_path / "*.wav"]
        check_read(paths, ["a", "b", "c"], {"read.rows": 3, "plan.rows": 3})
        check_read(paths, ["a", "a", "b", "c"], {"read.rows": 4, "plan.rows": 4}, keep_duplicates=True)

    def test_manifests(self, tmp_path: Path) -> None:
        good = [line_of({"audio_filepath": name}) for name in ("a.wav", "b.wav", "a.wav")]
        path = write_lines(tmp_path / "m.jsonl", [*good, b"{}", b"{"])
        counts = {
            "read.rows": 5,
            "read.bytes": path.stat().st_size,
            "plan.rows": 3,
            "plan.failures": 2,
            "plan.failures.missing_key": 1,
            "plan.failures.bad_json": 1,
        }
        check_read([path], ["a", "a", "b"], counts)

    def test_an_absolute_name_stands_in_rows_of_listed_recordings(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a.wav").write_bytes(b"x")
        monkeypatch.chdir(tmp_path)
        reading = Reading(inputs=("a.wav",), options=InputOptions())
        with beam.Pipeline("FnApiRunner") as pipeline:
            rows = (pipeline | ReadRecordings(reading, RULES)).tasks | beam.FlatMap(lambda task: task.rows)
            seen = rows | beam.Map(lambda row: (row.source, row.recording, row.text(), row.position, row.n_blocks))
            full = str(tmp_path / "a.wav")
            assert_that(seen, equal_to([("a.wav", full, line_of({"audio_filepath": full}), (0, 0, 0), 1)]))
