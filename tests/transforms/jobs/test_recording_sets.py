from __future__ import annotations

import json
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.files.output_target import OutputTarget
from beam_curator.models.turn_job import TurnJob
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.jobs.job_sets import Reading
from beam_curator.transforms.jobs.recording_sets import ReadAsked
from beam_curator.transforms.jobs.recording_steps import GroupRecordings
from tests.manifests import line_of, lines_in, write_lines

JOB = TurnJob(DiarizeRules(), TurnRules())


def check_read(
    inputs: list[Path], out: Path, ids: list[str], counts: dict[str, int], *, keep_duplicates: bool = False
) -> None:
    """Read what is to be diarized, and compare the ids of its recordings and the counts."""
    reading = Reading(inputs=tuple(map(str, inputs)), options=InputOptions(keep_duplicates=keep_duplicates))
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | ReadAsked(JOB, reading, OutputTarget(directory=str(out)), takes_recordings=True)
        tasks = read.asked | GroupRecordings(JOB)
        found = tasks | "Ids" >> beam.Map(lambda task: (task.recording_id, len(task.rows)))
        assert_that(found, equal_to([(name, ids.count(name)) for name in dict.fromkeys(ids)]), label="ids")
        totals = read.counts | beam.Flatten() | beam.CombinePerKey(sum)
        assert_that(totals, equal_to(list(counts.items())), label="counts")


class TestReadAsked:
    def test_recordings_by_themselves(self, tmp_path: Path) -> None:
        for name in ("a.wav", "in/b.flac", "in/deeper/c.mp3", "in/notes.txt"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"x")
        paths = [tmp_path / "a.wav", tmp_path / "in", tmp_path / "*.wav"]
        check_read(paths, tmp_path / "out", ["a", "b", "deeper_c"], {"read.rows": 3, "plan.rows": 3})
        check_read(
            paths, tmp_path / "out", ["a", "a", "b", "deeper_c"], {"read.rows": 4, "plan.rows": 4}, keep_duplicates=True
        )

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
        check_read([path], tmp_path / "out", ["a", "a", "b"], counts)
        codes = [json.loads(line)["code"] for line in lines_in(tmp_path / "out", "failures-*")]
        assert codes == ["missing_key", "bad_json"]

    def test_recordings_are_no_manifests_of_a_job_that_takes_none(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_bytes(b"x")
        reading = Reading(inputs=(str(tmp_path / "a.wav"),), options=InputOptions())
        with beam.Pipeline("FnApiRunner") as pipeline:
            read = pipeline | ReadAsked(JOB, reading, OutputTarget(directory=str(tmp_path / "out")))
            assert_that(read.asked, equal_to([]))

    def test_the_key_of_recordings_is_that_of_the_job(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_bytes(b"x")
        reading = Reading(inputs=(str(tmp_path / "a.wav"),), options=InputOptions())
        job = TurnJob(DiarizeRules(audio_filepath_key="path"), TurnRules())
        with beam.Pipeline("FnApiRunner") as pipeline:
            read = pipeline | ReadAsked(job, reading, OutputTarget(directory="unused"), takes_recordings=True)
            seen = read.asked | beam.Map(lambda row: (row.recording, row.fields()))
            full = str(tmp_path / "a.wav")
            assert_that(seen, equal_to([(full, {"path": full})]))

    def test_an_absolute_name_stands_in_rows_of_listed_recordings(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a.wav").write_bytes(b"x")
        monkeypatch.chdir(tmp_path)
        reading = Reading(inputs=("a.wav",), options=InputOptions())
        with beam.Pipeline("FnApiRunner") as pipeline:
            target = OutputTarget(directory=str(tmp_path / "out"))
            read = pipeline | ReadAsked(JOB, reading, target, takes_recordings=True)
            seen = read.asked | beam.Map(
                lambda row: (row.source, row.recording, row.text(), row.position, row.n_blocks)
            )
            full = str(tmp_path / "a.wav")
            assert_that(seen, equal_to([("a.wav", full, line_of({"audio_filepath": full}), (0, 0, 0), 1)]))
