"""An export of one recording; where it goes on, a recording that is whole stays as it is, all others are done again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packs import AskedClips, Pack, pack
from beam_curator.export.export_rules import ExportRules
from beam_curator.failures import EntryError
from beam_curator.files.jobs.export_job import ExportJob
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part
from beam_curator.files.recording_files import RecordingFiles
from beam_curator.sets.blocks import BlockRef
from tests.files.parts import rows_of, written
from tests.transforms.clips.clip_sets import request
from tests.transforms.export.trees import Talk

RULES = ExportRules(generate_previews=True, generate_embeddings=True, clips_per_chunk=2)
SPANS = ((0, 100, [1]), (100, 200, [1]), (200, 300, [1]), (0, 100, [1]))


class Export:
    """The export of one recording, three clips and one asked for twice, in a directory that an attempt left."""

    def __init__(self, folder: Path) -> None:
        self.talk = Talk(folder)
        self.path = folder / "out"
        self.job = ExportJob(replace(RULES, input_path=str(self.talk.root)), CutRules())
        self.task = self.asked(*SPANS)
        self.target = OutputTarget(directory=str(self.path), resume=True)

    def asked(self, *spans: tuple[int, int, list[int]]) -> AskedClips:
        """Ask for pieces of the recording, each with an embedding."""
        manifest = str(self.talk.root / "m.jsonl")
        ref = BlockRef(source=manifest, occurrence=0, ordinal=0, n_blocks=1, start=0, stop=1)
        requests = [
            (number, request(start, end, original_file="talks/a.wav", original_end_ms=end, embedding=embedding))
            for number, (start, end, embedding) in enumerate(spans)
        ]
        packs = (pack(ref, 0, str(self.talk.path), requests),)
        return AskedClips(recording=str(self.talk.path), packs=packs, marked=False)

    def kept(self) -> Part | None:
        return RecordingFiles(self.job, self.target).kept(self.task)

    def done(self) -> Part:
        return written(self.job, self.target, self.task)[1]

    def file(self, pattern: str) -> Path:
        return sorted(self.path.glob(pattern))[0]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path)


def test_what_is_whole_is_kept_with_all_its_counts(export: Export) -> None:
    assert export.kept() is None
    done = export.done()
    assert export.kept() == done
    assert dict(done.counts) | {"cut.bytes": 0} == {
        "cut.clips": 3,
        "cut.audio_us": 300_000,
        "cut.bytes": 0,
        "cut.previews": 3,
        "cut.embeddings": 3,
        "cut.dropped": 1,
        "cut.dropped.duplicate": 1,
    }
    assert [record.name.partition("/")[0] for record in done.documents] == [
        "processed_clip_chunks",
        "speaker_embd_parquet",
        "processed_clip_chunks",
        "speaker_embd_parquet",
        "processed_audios",
    ]
    assert [row["real_start_sec"] for row in rows_of(done, export.path)] == [0.0, 0.1, 0.2]


def test_progress_is_told_chunk_by_chunk(export: Export) -> None:
    counts, _ = written(export.job, export.target, export.task)
    assert counts == [
        ("progress.clips", 2),
        ("progress.audio_us", 200_000),
        ("progress.clips", 1),
        ("progress.audio_us", 100_000),
    ]


def test_a_fresh_run_keeps_nothing(export: Export) -> None:
    export.done()
    export.target = replace(export.target, resume=False)
    assert export.kept() is None


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def change(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"!")


@pytest.mark.parametrize("harm", [os.unlink, cut_short, change])
@pytest.mark.parametrize(
    "pattern",
    [
        "clips/*.flac",
        "metas/v0/*.json",
        "previews/*/*.png",
        "previews/*/*.ogg",
        "speaker_embd/*.npy",
        "speaker_embd_parquet/*.parquet",
        "processed_audios/talks/a.wav.json",
        "processed_clip_chunks/talks/a.wav_1.json",
        ".clips-*",
    ],
)
def test_a_recording_with_a_file_that_is_not_whole_is_done_again(
    export: Export, pattern: str, harm: Callable[[Path], None]
) -> None:
    done = export.done()
    before = {path: path.read_bytes() for path in export.path.rglob("*") if path.is_file()}
    harm(export.file(pattern))
    assert export.kept() is None
    assert export.done() == done
    assert {path: path.read_bytes() for path in export.path.rglob("*") if path.is_file()} == before


def test_a_recording_with_dead_letters_is_tried_again(export: Export) -> None:
    hidden = export.talk.path.rename(export.talk.path.with_suffix(".away"))
    assert [(record.kind, record.n_rows) for record in export.done().files] == [("failures-cut", 4), ("clips", 0)]
    assert export.kept() is None
    hidden.rename(export.talk.path)
    assert [(record.kind, record.n_rows) for record in export.done().files] == [("clips", 3)]


def test_files_of_a_clip_that_fails_now_are_removed(export: Export) -> None:
    export.done()
    export.task = export.asked(*((start, end, [1, 2] if start == 0 else [1]) for start, end, _ in SPANS))
    assert dict(export.done().counts)["cut.failures.bad_type"] == 2
    of_clips = ("clips/*", "metas/v0/*", "speaker_embd/*", "previews/*/*.png", "previews/*/*.ogg")
    assert [len(list(export.path.glob(pattern))) for pattern in of_clips] == [1, 1, 1, 1, 1]
    assert len(list(export.path.glob("speaker_embd_parquet/*"))) == 1


def packed(recording: str) -> Pack:
    ref = BlockRef(source="/in/m.jsonl", occurrence=0, ordinal=0, n_blocks=1, start=0, stop=1)
    return pack(ref, 0, recording, [(0, request(0, 1))])


class TestPaths:
    JOB = ExportJob(ExportRules(input_path="/in"), CutRules())

    def marked(self, *names: str) -> set[str]:
        groups: dict[str, list[str]] = {}
        for name in names:
            for key, claim in self.JOB.claim(packed(name)):
                groups.setdefault(key, []).append(claim)
        return {name for claims in groups.values() for name in self.JOB.collisions(claims)}

    def test_recordings_are_marked_where_case_alone_tells_them_apart(self) -> None:
        found = self.marked("/in/A.wav", "/in/a.wav", "/in/a.wav", "/in/b.wav", "/else/A.WAV")
        assert found == {"/in/A.wav", "/in/a.wav"}

    @pytest.mark.parametrize("name", ["/else/a.wav", "/in/../a.wav", "/in", "/in/\ud800.wav"])
    def test_recordings_that_will_fail_claim_nothing(self, name: str) -> None:
        assert list(self.JOB.claim(packed(name))) == []

    def test_one_recording_of_several_blocks_does_not_collide_with_itself(self) -> None:
        assert self.JOB.collisions(["/in/a.wav", "/in/a.wav"]) == set()

    def test_a_recording_outside_of_the_input_is_refused_before_it_is_opened(self) -> None:
        (task,) = self.JOB.tasks("/else/a.wav", [packed("/else/a.wav")], marked=False)
        with pytest.raises(EntryError) as caught:
            self.JOB.check(task)
        assert caught.value.code == "path_outside_root"
