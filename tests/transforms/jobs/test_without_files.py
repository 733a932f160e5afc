"""Jobs without files: the rows and files of the set that the composite writes for the same rows, and failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.clips.cut_rules import CutRules
from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.entries.json_lines import encode
from beam_curator.export.export_rules import ExportRules
from beam_curator.failures import Failure
from beam_curator.separation.separate_rules import SeparateRules
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.transforms.clips.cut_clips import CutClips
from beam_curator.transforms.diarization.diarize_rows import DiarizeRows
from beam_curator.transforms.export.export_rows import ExportRows
from beam_curator.transforms.jobs.manifests import ReadManifests
from beam_curator.transforms.jobs.without_files import RecordingResult, block_of_line
from beam_curator.transforms.separation.separate_rows import SeparateRows
from tests.fakes_models import BandHandler, write_sound
from tests.manifests import failures_in, lines_in, write_lines
from tests.transforms.clips.clip_sets import extract, piece, write_recording, write_rows
from tests.transforms.diarization.turn_sets import diarize_here
from tests.transforms.export.trees import export
from tests.transforms.separation.track_sets import row as turns_row
from tests.transforms.separation.track_sets import separate_here, write_noise

Letter = tuple[str, str, str, int, bytes]
Outcome = tuple[str, bytes, tuple[tuple[str, bytes], ...]]


def check(made: Any, out: Path, kind: str, *others: RecordingResult) -> None:
    """Compare results with a set: each row with the files that it names, and each failure with a dead letter."""
    rows = lines_in(out, f"{kind}-*.jsonl")
    expected = [(kind, line.strip(), files_of(json.loads(line), out)) for line in rows]
    expected += [(each.kind, encode(each.row), each.files) for each in others]
    assert_that(made.results | "Outcomes" >> beam.Map(outcome_of), equal_to(expected), label="results")
    letters = [letter_of(letter) for letter in failures_in(out)]
    assert_that(made.failures | "Letters" >> beam.Map(failure_as_letter), equal_to(letters), label="failures")


def files_of(row: dict[str, Any], out: Path) -> tuple[tuple[str, bytes], ...]:
    """Return the files that a row names."""
    names = [name for name, *_ in row.get("files", ())]
    if row.get("extracted_path") and row["extracted_path"] not in names:
        names.insert(0, row["extracted_path"])
    return tuple((name, (out / name).read_bytes()) for name in names)


def outcome_of(result: RecordingResult) -> Outcome:
    return result.kind, encode(result.row), result.files


def failure_as_letter(failure: Failure) -> Letter:
    return failure.code.value, failure.stage, failure.source, failure.offset, failure.payload


def letter_of(letter: dict[str, Any]) -> Letter:
    return letter["code"], letter["stage"], letter["source"], letter["offset"], letter["payload"]


def blocks_of(pipeline: beam.Pipeline, *manifests: Path) -> Any:
    """Read manifests as a pipeline of somebody else does."""
    blocks, _ = pipeline | ReadManifests([str(path) for path in manifests])
    return blocks


class TestCutClips:
    @pytest.fixture
    def manifests(self, tmp_path: Path) -> list[Path]:
        """Rows of two manifests for one recording, some of another of its name, one that is gone, and bad ones."""
        folder = tmp_path / "in"
        write_recording(folder / "a.wav", 2)
        write_recording(folder / "b" / "A.wav", 2, seed=1)
        rows = [
            piece("a.wav", 500, 1000, text="x"),
            piece("b/A.wav", 0, 250),
            piece("gone.wav", 0, 100),
            piece("a.wav", 9000, 9100),
            {"audio_filepath": "a.wav", "segments": [[0, 0.25], [2, 1]]},
        ]
        more = [json.dumps(piece("a.wav", 0, 500)).encode(), b"{"]
        return [write_rows(folder / "m.jsonl", rows), write_lines(folder / "n.jsonl", more)]

    def test_results_are_those_of_a_set(self, manifests: list[Path], tmp_path: Path) -> None:
        out = extract(tmp_path / "in", tmp_path / "out", "--output-format", "flac", code=3)
        with beam.Pipeline("FnApiRunner") as pipeline:
            check(blocks_of(pipeline, *manifests) | CutClips(output_format="flac"), out, "clips")
        assert len(lines_in(out, "clips-*.jsonl")) == 4
        assert len(failures_in(out)) == 4

    def test_rows_as_dicts_begin_at_the_working_directory(
        self, manifests: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path / "in")
        rows = [piece("a.wav", 500, 1000, text="x"), piece("gone.wav", 0, 100), {"text": "no recording"}]
        with beam.Pipeline("FnApiRunner") as pipeline:
            cut = pipeline | beam.Create(rows) | CutClips()
            names = cut.results | beam.Map(
                lambda made: (made.row["extracted_path"], made.row["text"], made.row["_origin"])
            )
            assert_that(names, equal_to([("a_segment_000.wav", "x", {"source": "", "offset": 0})]), label="results")
            codes = cut.failures | "Codes" >> beam.Map(lambda failure: (failure.code.value, failure.stage))
            assert_that(codes, equal_to([("not_found", "cut"), ("missing_key", "plan")]), label="failures")

    def test_lines_of_two_sources_for_one_recording_keep_them(self, manifests: list[Path], tmp_path: Path) -> None:
        root = CutRules(audio_root=str(tmp_path / "in"))
        lines = [
            block_of_line(f"{name}.jsonl", offset, encode(piece("a.wav", 100 * offset, 100 * offset + 50)))
            for offset, name in enumerate("mnm")
        ]
        with beam.Pipeline("FnApiRunner") as pipeline:
            cut = pipeline | beam.Create(lines) | CutClips(root)
            found = cut.results | beam.Map(lambda made: (made.row["extracted_path"], made.row["_origin"]))
            expected = [
                (f"a_segment_00{offset}.wav", {"source": f"{name}.jsonl", "offset": offset})
                for offset, name in enumerate("mnm")
            ]
            assert_that(found, equal_to(expected))


class TestSeparateRows:
    RULES = SeparationRules(min_duration=0.1)

    @pytest.fixture
    def manifest(self, tmp_path: Path) -> Path:
        """Two rows of the same turns, one of a recording that breaks off, and one without turns to read."""
        folder = tmp_path / "in"
        write_noise(folder / "talk.wav", 16)
        write_noise(folder / "torn.flac", 30, seed=1)
        data = bytearray((folder / "torn.flac").read_bytes())
        data[len(data) // 2 : len(data) // 2 + 20000] = bytes(20000)
        (folder / "torn.flac").write_bytes(data)
        rows = [
            turns_row("talk.wav", [0, 10, "ana"], [12.5, 14, "ben"], id=1),
            turns_row("talk.wav", [12.5, 14, "ben"], [0, 10, "ana"], id=2),
            turns_row("torn.flac", [0, 5, "ana"], [10, 29, "ben"], id=3),
            turns_row("torn.flac", [10, 29, "ben"], [0, 5, "ana"], id=4),
            {"audio_filepath": "talk.wav", "segments": "none"},
        ]
        return write_rows(folder / "m.jsonl", rows)

    def test_results_are_those_of_a_set(self, manifest: Path, tmp_path: Path) -> None:
        out = separate_here([manifest], tmp_path / "out", separation=self.RULES)
        assert [json.loads(line)["id"] for line in lines_in(out, "tracks-*.jsonl")] == [1, 1, 2, 2]
        assert len(failures_in(out)) == 3
        assert sorted(path.name for path in (out / "tracks").iterdir()) == [
            "talk_speaker_ana.wav",
            "talk_speaker_ben.wav",
        ]
        with beam.Pipeline("FnApiRunner") as pipeline:
            check(blocks_of(pipeline, manifest) | SeparateRows(self.RULES, SeparateRules()), out, "tracks")


class TestExportRows:
    RULES = ExportRules(generate_embeddings=True, clips_per_chunk=2)

    @pytest.fixture
    def manifest(self, tmp_path: Path) -> Path:
        folder = tmp_path / "in"
        write_recording(folder / "talks" / "a.wav", 2)
        rows = [piece("talks/a.wav", 100 * k, 100 * k + 100, embedding=[k, 1], text=str(k)) for k in range(3)]
        gone = [
            piece("gone.wav", 0, 100),
            piece("talks/a.wav", 300, 400, embedding="none"),
            piece("talks/a.wav", 0, 100),
        ]
        return write_rows(folder / "m.jsonl", rows + gone)

    def test_results_are_those_of_a_set(self, manifest: Path, tmp_path: Path) -> None:
        options = ("--generate-embeddings", "--clips-per-chunk", 2)
        out = export(manifest, tmp_path / "out", *options, code=3)
        alone = [path for folder in ("processed_*", "speaker_embd_parquet") for path in out.glob(f"{folder}/**/*")]
        others = [
            RecordingResult(
                kind="embeddings" if path.suffix == ".parquet" else "document",
                row={},
                files=((path.relative_to(out).as_posix(), path.read_bytes()),),
            )
            for path in alone
            if path.is_file()
        ]
        assert len(others) == 5
        with beam.Pipeline("FnApiRunner") as pipeline:
            check(blocks_of(pipeline, manifest) | ExportRows(self.RULES), out, "clips", *others)


class TestDiarizeRows:
    @pytest.fixture
    def manifest(self, tmp_path: Path) -> Path:
        """Two rows for one recording, one for a piece, one that is gone, one too long for the model, and a bad one."""
        folder = tmp_path / "in"
        write_sound(folder / "talk.wav", 4.0, [(0.8, 1.6, 0), (1.2, 2.0, 1)])
        write_sound(folder / "long.wav", 9.0, [(0.8, 1.6, 0)])
        rows = [
            {"audio_filepath": "talk.wav", "id": 1},
            {"audio_filepath": "talk.wav", "id": 2},
            {"audio_filepath": "talk.wav", "id": 3, "offset": 1.0, "duration": 2.0},
            {"audio_filepath": "gone.wav", "id": 4},
            {"audio_filepath": "long.wav", "id": 5},
            {"id": 6},
        ]
        return write_rows(folder / "m.jsonl", rows)

    def test_results_are_those_of_a_set(self, manifest: Path, tmp_path: Path) -> None:
        handler = BandHandler(most_seconds=5.0)
        out = diarize_here([manifest], tmp_path / "out", handler)
        assert [json.loads(line)["id"] for line in lines_in(out, "turns-*.jsonl")] == [1, 2, 3]
        assert sorted(letter["code"] for letter in failures_in(out)) == ["missing_key", "not_found", "out_of_memory"]
        with beam.Pipeline("FnApiRunner") as pipeline:
            check(blocks_of(pipeline, manifest) | DiarizeRows(handler=handler), out, "turns")

    def test_turns_come_as_rttm_where_entries_name_none(self, manifest: Path, tmp_path: Path) -> None:
        rows = [{"audio_filepath": str(tmp_path / "in" / "talk.wav"), "id": number} for number in range(2)]
        with beam.Pipeline("FnApiRunner") as pipeline:
            made = (
                pipeline | beam.Create(rows) | DiarizeRows(handler=BandHandler(), rules=DiarizeRules(rttm_out_dir=""))
            )
            found = made.results | beam.Map(lambda result: (result.row["id"], result.row["files"], result.files))
            rttm = (
                b"SPEAKER talk 1 0.800 0.800 <NA> <NA> speaker_0 <NA> <NA>\n"
                b"SPEAKER talk 1 1.200 0.800 <NA> <NA> speaker_1 <NA> <NA>\n"
            )
            assert_that(found, equal_to([(number, [], (("talk.rttm", rttm),)) for number in range(2)]))

    def test_embeddings_of_the_model_are_results_too(self, manifest: Path, tmp_path: Path) -> None:
        rows = [{"audio_filepath": str(tmp_path / "in" / "talk.wav")}]
        rules = DiarizeRules(embeddings=True)
        with beam.Pipeline("FnApiRunner") as pipeline:
            made = pipeline | beam.Create(rows) | DiarizeRows(handler=BandHandler(keeps_frames=True), rules=rules)
            kinds = made.results | beam.Map(lambda result: result.kind) | beam.combiners.Count.PerElement()
            assert_that(kinds, equal_to([("turns", 1), ("speaker-embeddings", 2), ("turn-embeddings", 2)]))

    def test_a_model_of_embeddings_needs_a_set(self) -> None:
        rules = DiarizeRules(embeddings=True, embedding_model="org/voices")
        with pytest.raises(ValueError, match="embedding_model 'org/voices' is for Diarize alone"):
            DiarizeRows(handler=BandHandler(), rules=rules)
