from __future__ import annotations

import pytest

from beam_curator.runners.job_options import JOBS
from beam_curator.sets.set_kinds import (
    CONVERT,
    CURATE,
    DIARIZE,
    EXPORT,
    EXTRACT,
    FILTER,
    MEASURE,
    REPORT,
    SEPARATE,
    SET_KINDS,
    WINDOWS,
    SetKind,
)


class TestNames:
    @pytest.mark.parametrize("kind", SET_KINDS.values(), ids=SET_KINDS)
    @pytest.mark.parametrize(
        "name",
        [
            "{rows}-00000-of-00001.jsonl",
            "{rows}-00042-p0003-of-02500.parquet",
            "failures-read-00000-of-00001.jsonl",
            "failures-cut-00000-of-00001.jsonl",
            ".{rows}-00000-of-00001.jsonl.af09.beam_curator.tmp",
            "._MANIFEST.json.af09.beam_curator.tmp",
        ],
    )
    def test_of_row_files_are_ours(self, kind: SetKind, name: str) -> None:
        assert kind.has_row_file(name.format(rows=kind.rows))

    @pytest.mark.parametrize("kind", SET_KINDS.values(), ids=SET_KINDS)
    @pytest.mark.parametrize(
        "name",
        [
            "{rows}.jsonl",
            "my-{rows}-00000-of-00001.jsonl",
            "{rows}-00000-of-00001.jsonl.bak",
            "{rows}-00000-of-00001.csv",
            "_MANIFEST.json",
            "summary.json",
            "notes.txt",
            "",
        ],
    )
    def test_of_others_are_no_row_files(self, kind: SetKind, name: str) -> None:
        assert not kind.has_row_file(name.format(rows=kind.rows))

    def test_of_the_rows_of_other_kinds_are_not_ours(self) -> None:
        assert not WINDOWS.has_row_file("clips-00000-of-00001.jsonl")
        assert not EXTRACT.has_row_file("windows-00000-of-00001.jsonl")
        assert not EXPORT.has_row_file("windows-00000-of-00001.jsonl")
        assert not DIARIZE.has_row_file("clips-00000-of-00001.jsonl")

    @pytest.mark.parametrize(
        "name",
        [
            "talk_segment_000.wav",
            "talk_segment_123.flac",
            "talk_segment_1000.ogg",
            "a.b c_segment_007.wav",
            "_segment_000_segment_000.wav",
            "x.y_segment_000.wav",
            "shard-000000.tar",
            "shard-1234567.tar",
            "audio_0.tar",
            "audio_12.tar",
            "metadata.csv",
            "metadata.parquet",
            "manifest.jsonl",
            "extraction_summary.json",
        ],
    )
    def test_of_media_and_indexes_are_of_the_extraction(self, name: str) -> None:
        having = [kind.command for kind in SET_KINDS.values() if kind.has_file_beside(name)]
        assert having == (["extract", "convert"] if name == "manifest.jsonl" else ["extract"])

    @pytest.mark.parametrize(
        "name",
        [
            "talk_segment_00.wav",
            "talk_segment_000.mp3",
            "talk_segment_000.wav.bak",
            "talk_segment_000.WAV",
            "talk_segment_.wav",
            "_segment_000.wav",
            ".talk_segment_000.wav",
            "talk.wav",
            "sub/talk.wav",
            "shard-00000.tar",
            "my-shard-000000.tar",
            "shard-000000.tar.gz",
            "audio_.tar",
            "audio.tar",
            "my_audio_0.tar",
            "metadata.csv.bak",
            "my_metadata.csv",
            "metadata_csv",
            "metadata.jsonl",
            "manifest.json",
            "summary.json",
            "",
        ],
    )
    def test_of_other_files_are_left_alone(self, name: str) -> None:
        assert not any(kind.has_file_beside(name) for kind in SET_KINDS.values())

    @pytest.mark.parametrize(
        "name",
        [
            "clips",
            "filtered_clips",
            "previews",
            "metas",
            "processed_audios",
            "processed_clip_chunks",
            "speaker_embd",
            "speaker_embd_parquet",
            "titanet-l_2_embd",
        ],
    )
    def test_of_folders_are_of_the_export_alone(self, name: str) -> None:
        with_clips = ["curate"] if name == "clips" else []
        assert [kind.command for kind in SET_KINDS.values() if kind.has_folder(name)] == ["export", *with_clips]

    def test_of_nemo_s_manifests_are_of_the_extraction_alone(self) -> None:
        having = [kind.command for kind in SET_KINDS.values() if kind.has_folder("sharded_manifests")]
        assert having == ["extract"]

    @pytest.mark.parametrize("name", ["rttm", "pred_rttms", "rttms-2", "2rttm"])
    def test_of_folders_of_rttm_are_of_the_diarization(self, name: str) -> None:
        having = [kind.command for kind in SET_KINDS.values() if kind.has_folder(name)]
        assert having == (["diarize", "convert"] if name == "rttm" else ["diarize"])

    def test_of_the_folder_of_tracks_are_of_the_separation_alone(self) -> None:
        assert [kind.command for kind in SET_KINDS.values() if kind.has_folder("tracks")] == ["separate"]

    @pytest.mark.parametrize(
        "name",
        [
            "my_clips",
            "clips2",
            "Clips",
            "clips/a",
            "embd",
            "_embd",
            "speaker_embd_csv",
            "Speaker_embd",
            "speaker.1_embd",
            "sharded_manifests2",
            ".rttm",
            "_rttm",
            "rttm/a",
            "rttm.old",
            "tracks2",
            "notes",
            "",
        ],
    )
    def test_of_other_folders_are_left_alone(self, name: str) -> None:
        assert not any(kind.has_folder(name) for kind in SET_KINDS.values())


def test_kinds_are_found_by_their_command() -> None:
    kinds = {
        "windows": WINDOWS,
        "extract": EXTRACT,
        "export": EXPORT,
        "diarize": DIARIZE,
        "separate": SEPARATE,
        "curate": CURATE,
        "filter": FILTER,
        "measure": MEASURE,
        "convert": CONVERT,
        "report": REPORT,
    }
    assert kinds == SET_KINDS
    assert [kind.rows for kind in SET_KINDS.values()] == [
        "windows",
        "clips",
        "clips",
        "turns",
        "tracks",
        "clips",
        "filtered",
        "measured",
        "annotations",
        "details",
    ]
    assert [kind.command for kind in SET_KINDS.values() if kind.of_blocks] == ["windows", "filter"]
    assert [kind.command for kind in SET_KINDS.values() if kind.own_recordings] == ["separate", "curate"]
    assert list(SET_KINDS) == [*JOBS, "convert", "report"]
