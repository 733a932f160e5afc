"""An output directory that holds the files of another kind of set: they go, and are never read while they do."""

import os
from pathlib import Path

import pytest

from beam_curator.runners.options import UsageError
from beam_curator.runners.run_directory import prepare, refuse_overlap
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import RunRecord, render_manifest
from beam_curator.sets.set_kinds import SET_KINDS, WINDOWS, SetKind

KIND_FILES = {
    "windows": ["windows-00000-of-00001.jsonl"],
    "extract": ["clips-00000-of-00001.jsonl", "metadata.csv", "a_segment_000.wav", "sharded_manifests/manifest_0.json"],
    "export": ["clips-00000-of-00001.jsonl", "clips/x.flac", "metas/v0/x.json"],
    "diarize": ["turns-00000-of-00001.jsonl", "rttm/x.rttm"],
    "separate": ["tracks-00000-of-00001.jsonl", "tracks/x_speaker_0.wav"],
    "curate": [
        "clips-00000-of-00001.jsonl",
        "rejected-00000-of-00001.jsonl",
        "clips/x/speaker_0_000000000-000000800.wav",
    ],
    "filter": ["filtered-00000-of-00001.jsonl"],
    "measure": ["measured-00000-of-00001.jsonl"],
    "report": ["index.html", "page_files/overview.js"],
    "convert": ["textgrid/x.TextGrid", "segments", "cuts.jsonl.gz"],
}


class TestFilesOfOtherKinds:
    @pytest.mark.parametrize(
        ("earlier", "name"), [(kind, name) for kind, names in KIND_FILES.items() for name in names]
    )
    @pytest.mark.parametrize("kind", SET_KINDS.values(), ids=SET_KINDS)
    def test_are_no_inputs_of_a_job_that_replaces_them(
        self, tmp_path: Path, kind: SetKind, earlier: str, name: str
    ) -> None:
        out = tmp_path / "out"
        (out / name).parent.mkdir(parents=True)
        (out / name).touch()
        manifest = render_manifest(command=earlier, config={}, inputs=[], counts={}, files=[])
        (out / "_MANIFEST.json").write_bytes(manifest)
        file = InputFile(name=str(out / name), size=0)
        with pytest.raises(UsageError, match="is one of the files that"):
            refuse_overlap([file.name], [file], str(out), kind)

    @pytest.mark.parametrize("earlier", SET_KINDS)
    @pytest.mark.parametrize("cleared", [True, False])
    def test_go_where_an_unfinished_run_left_them(self, tmp_path: Path, earlier: str, cleared: bool) -> None:
        out = tmp_path / "out"
        for name in KIND_FILES[earlier]:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).touch()
        record = RunRecord(token="t", config_sha256="c", inputs={}, cleared=cleared, commands=("windows", earlier))
        (out / "_RUN.json").write_bytes(record.to_json())
        (tmp_path / "a.jsonl").touch()
        prepared = prepare(str(out), WINDOWS, {}, [InputFile(name=str(tmp_path / "a.jsonl"), size=0)], overwrite=True)
        assert prepared.state == "fresh"
        assert sorted(os.listdir(out)) == ["_RUN.json"]
        left = RunRecord.from_json((out / "_RUN.json").read_bytes())
        assert left is not None
        assert (left.cleared, list(left.commands)) == (True, ["windows"])
