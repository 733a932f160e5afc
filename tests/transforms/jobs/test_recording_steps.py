from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packs import AskedClips, Pack, pack
from beam_curator.files.jobs.clip_job import ClipJob
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.blocks import FailureBlock
from beam_curator.transforms.jobs.recording_steps import GroupRecordings, PlanRows, WriteRecordings
from tests.files.parts import target_of
from tests.manifests import block_of, whole_file
from tests.transforms.clips.clip_sets import piece, request, write_recording

JOB = ClipJob(CutRules(), "wav")
ENTRY = {"audio_filepath": "b.wav", "segments": [[0, 1], [2, 1], [3, 4]]}


def codes_of(block: FailureBlock) -> list[tuple[str, str]]:
    return [(block.stage, failure.code.value) for failure in block.failures]


def test_rows_are_planned_and_counted_block_by_block() -> None:
    blocks = [block_of(piece("a.wav", 0, 1), b"{", ENTRY), block_of(piece("a.wav", 1, 2), ordinal=1)]
    with beam.Pipeline("FnApiRunner") as pipeline:
        planned = pipeline | beam.Create(blocks) | PlanRows(JOB)
        names = planned.asked | "Names" >> beam.Map(JOB.key)
        assert_that(names, equal_to(["/in/a.wav", "/in/a.wav", "/in/b.wav"]), label="packs")
        codes = planned.failures | "Codes" >> beam.FlatMap(codes_of)
        assert_that(codes, equal_to([("plan", "bad_json"), ("interval", "bad_time")]), label="failures")
        totals = planned.counts | beam.Flatten() | beam.CombinePerKey(sum)
        expected = {
            "plan.rows": 3,
            "plan.clips": 5,
            "plan.failures": 1,
            "plan.failures.bad_json": 1,
            "interval.failures": 1,
            "interval.failures.bad_time": 1,
        }
        assert_that(totals, equal_to(list(expected.items())), label="counts")


def pack_of(name: str, **fields: Any) -> Pack:
    combo = 4 if "speaker_id" in fields else 2
    return pack(whole_file("m.jsonl"), 0, name, [(0, request(0, 1, combo=combo, **fields))])


def test_what_one_recording_is_asked_for_meets_and_names_that_would_be_one_are_marked() -> None:
    packs = [
        *(pack_of(name) for name in ("/x/a.wav", "/y/A.flac", "/x/b.wav", "/x/b.wav", "/x/talk_speaker_1.wav")),
        *(pack_of(name, speaker_id="1") for name in ("/x/talk.wav", "/y/c.wav", "/y/b.wav")),
        pack_of("/z/c.wav", speaker_id="2"),
    ]
    with beam.Pipeline("FnApiRunner") as pipeline:
        tasks = pipeline | beam.Create(packs) | GroupRecordings(JOB)
        found = tasks | beam.Map(lambda task: (task.recording, len(task.packs), task.marked))
        marked = ["/x/a.wav", "/y/A.flac", "/x/talk_speaker_1.wav", "/x/talk.wav"]
        others = [("/x/b.wav", 2, False), *((name, 1, False) for name in ("/y/c.wav", "/y/b.wav", "/z/c.wav"))]
        assert_that(found, equal_to([*((name, 1, True) for name in marked), *others]))


def test_what_is_whole_is_not_opened_again_and_all_else_is_written(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.wav", 1)
    (tmp_path / "out").mkdir()
    times = {"original_file": "a.wav", "original_start_ms": 0, "original_end_ms": 100}

    def task_of(name: str) -> AskedClips:
        packs = (pack(whole_file("m.jsonl"), 0, str(tmp_path / name), [(0, request(0, 100, **times))]),)
        return AskedClips(recording=str(tmp_path / name), packs=packs, marked=False)

    check_written([task_of("a.wav")], target_of(tmp_path / "out"), [("clips", 1)], n_clips=1)
    (tmp_path / "a.wav").unlink()
    expected = [("clips", 1), ("clips", 0), ("failures-cut", 1)]
    check_written([task_of("a.wav"), task_of("b.wav")], target_of(tmp_path / "out"), expected, n_clips=0)


def check_written(
    tasks: list[AskedClips], target: OutputTarget, expected: list[tuple[str, int]], *, n_clips: int
) -> None:
    """Write what comes of tasks, and compare kinds and rows of their files, and how many clips people were told of."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        done = pipeline | beam.Create(tasks) | WriteRecordings(JOB, target)
        files = done.parts | beam.FlatMap(lambda part: [(record.kind, record.n_rows) for record in part.files])
        assert_that(files, equal_to(expected), label="files")
        shown = done.progress | beam.Filter(lambda count: count[0] == "progress.clips") | beam.Values()
        assert_that(shown, equal_to([1] * n_clips), label="progress")
