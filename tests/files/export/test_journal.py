"""An export that goes on: recordings that are whole stay as they are, all others are done again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from beam_curator.files.export.journal import ExportedRecording, ExportWriter
from beam_curator.files.export.tree_files import TreeFiles
from beam_curator.transforms.export.export_recordings import ExportTools, export_recording

from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packs import Recording, pack, recording_from
from beam_curator.export.export_rules import ExportRules
from beam_curator.files.export.embedding_file import EmbeddingFile
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.blocks import BlockRef
from tests.transforms.clips.clip_sets import request
from tests.transforms.export.trees import Talk

RULES = ExportRules(generate_previews=True, generate_embeddings=True, clips_per_chunk=2)


class Export:
    """The export of one recording, three clips and one asked for twice, in a directory that an attempt left."""

    def __init__(self, folder: Path) -> None:
        talk = Talk(folder)
        self.path, self.samples_path = folder / "out", talk.path
        self.rules = replace(RULES, input_path=str(talk.root))
        spans = [(0, 100), (100, 200), (200, 300), (0, 100)]
        ref = BlockRef(source=str(talk.root / "m.jsonl"), occurrence=0, ordinal=0, n_blocks=1, start=0, stop=1)
        asked = [
            (number, request(*span, original_file="talks/a.wav", original_end_ms=span[1], embedding=[1]))
            for number, span in enumerate(spans)
        ]
        self.recording = recording_from(str(talk.path), [pack(ref, 0, str(talk.path), asked)], marked=False)
        self.target = OutputTarget(directory=str(self.path), resume=True)

    def writer(self, recording: Recording | None = None) -> ExportWriter:
        return ExportWriter(self.target, recording if recording is not None else self.recording)

    def done(self) -> ExportedRecording:
        tools = ExportTools(
            rules=self.rules,
            cut_rules=CutRules(),
            files=TreeFiles(self.target, 2),
            embeddings=EmbeddingFile(None),
        )
        writer = self.writer()
        list(export_recording(self.recording, tools, writer, distinct=False))
        return writer.write()

    def file(self, pattern: str) -> Path:
        return sorted(self.path.glob(pattern))[0]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path)


def test_what_is_whole_is_kept_with_all_its_counts(export: Export) -> None:
    assert export.writer().kept() is None
    done = export.done()
    assert export.writer().kept() == done
    assert dict(done.part.counts) | {"cut.bytes": 0} == {
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


def test_a_fresh_run_keeps_nothing(export: Export) -> None:
    export.done()
    export.target = replace(export.target, resume=False)
    assert export.writer().kept() is None


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
        ".journal-*",
        ".clips-*",
    ],
)
def test_a_recording_with_a_file_that_is_not_whole_is_done_again(
    export: Export, pattern: str, harm: Callable[[Path], None]
) -> None:
    done = export.done()
    before = {path: path.read_bytes() for path in export.path.rglob("*") if path.is_file()}
    harm(export.file(pattern))
    assert export.writer().kept() is None
    assert export.done() == done
    assert {path: path.read_bytes() for path in export.path.rglob("*") if path.is_file()} == before


def test_other_requests_are_other_work(export: Export) -> None:
    export.done()
    fewer = replace(export.recording, requests=export.recording.requests[:2])
    assert export.writer(fewer).kept() is None


def test_a_recording_with_dead_letters_is_tried_again(export: Export) -> None:
    hidden = export.samples_path.rename(export.samples_path.with_suffix(".away"))
    assert len(export.done().part.files) == 2
    assert export.writer().kept() is None
    hidden.rename(export.samples_path)
    assert len(export.done().part.files) == 1


def test_files_of_a_clip_that_fails_now_are_removed(export: Export) -> None:
    export.done()
    longer = [
        (place, replace(asked, fields=asked.fields | {"embedding": [1, 2]}) if asked.start == 0 else asked)
        for place, asked in export.recording.requests
    ]
    export.recording = replace(export.recording, requests=tuple(longer))
    assert dict(export.done().part.counts)["cut.failures.bad_type"] == 2
    of_clips = ("clips/*", "metas/v0/*", "speaker_embd/*", "previews/*/*.png", "previews/*/*.ogg")
    assert [len(list(export.path.glob(pattern))) for pattern in of_clips] == [1, 1, 1, 1, 1]
    assert len(list(export.path.glob("speaker_embd_parquet/*"))) == 1
