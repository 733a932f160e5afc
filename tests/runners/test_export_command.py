"""`beam-curator export` from the outside: the same set each time, after kills too, and what is refused."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from beam_curator.export.embeddings import parquet_bytes
from beam_curator.runners.options import UsageError
from tests import fakes_filesystem as store
from tests.manifests import line_of, manifest_of, run, speech, start_process, write_lines
from tests.transforms.clips.clip_sets import clip_rows, piece, write_recording, write_rows
from tests.transforms.export.trees import Talk, bytes_of, chunk_of, cut, export, meta_of, tree_of, uuid_of

EVERYTHING = ("--generate-previews", "--generate-embeddings", "--generate-captions")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a manifest of 8 pieces of 4 recordings, two of them rejected."""
    folder = tmp_path_factory.mktemp("in")
    rows = []
    for number in range(4):
        write_recording(folder / f"{number}.wav", 0.5, seed=number)
        rows += [
            piece(f"{number}.wav", start, start + 90, text=f"{number} {start}", embedding=[number, start])
            for start in (0, 200)
        ]
        rows[-1]["rejected_by"] = "snr" if number % 2 else None
    return write_rows(folder / "m.jsonl", rows[1::2] + rows[::2])


@pytest.fixture(scope="module")
def whole(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return its export with all that there is; no test changes it."""
    return export(manifest, tmp_path_factory.mktemp("whole"), *EVERYTHING)


class TestSameSet:
    def test_again_is_complete(self, manifest: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = bytes_of(whole)
        assert run("export", manifest, "--output", whole, *EVERYTHING) == 0
        assert capsys.readouterr().out == f"{whole} is already complete: nothing to do.\n"
        assert bytes_of(whole) == before

    def test_elsewhere_it_is_the_same(self, manifest: Path, whole: Path, tmp_path: Path) -> None:
        assert bytes_of(export(manifest, tmp_path / "else", *EVERYTHING, "--max-workers", 1)) == bytes_of(whole)

    def test_other_options_need_overwrite(self, manifest: Path, tmp_path: Path) -> None:
        out = export(manifest, tmp_path / "out")
        with pytest.raises(UsageError, match=r"export\.clips_per_chunk was 256, is 2"):
            run("export", manifest, "--output", out, "--clips-per-chunk", 2)
        export(manifest, out, "--overwrite", "--no-upload-clips")
        assert {name.partition("/")[0] for name in tree_of(out)} == {
            *("metas", "processed_audios", "processed_clip_chunks")
        }

    def test_other_embeddings_need_overwrite(self, manifest: Path, tmp_path: Path) -> None:
        table = tmp_path / "e.parquet"
        table.write_bytes(parquet_bytes(["x"], [np.float32([1, 2])]))
        options = ("--generate-embeddings", "--embeddings", table)
        out = export(manifest, tmp_path / "out", *options)
        assert [given["name"] for given in manifest_of(out)["inputs"]] == sorted(map(str, (manifest, table)))
        table.write_bytes(parquet_bytes(["x"], [np.float32([3, 4])]))
        with pytest.raises(UsageError, match=r"e\.parquet has changed"):
            run("export", manifest, "--output", out, *options)

    def test_shards_and_processes_change_no_file_of_the_tree(self, manifest: Path, whole: Path, tmp_path: Path) -> None:
        out = export(manifest, tmp_path / "out", *EVERYTHING, "--shards", 2, "--jobs", 2)
        assert _of_the_tree(out) == _of_the_tree(whole)

    @pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
    def test_a_run_that_was_ended_goes_on(
        self, manifest: Path, whole: Path, tmp_path: Path, with_signal: signal.Signals
    ) -> None:
        out = tmp_path / "out"
        process = start_process("export", manifest, "--output", out, *EVERYTHING)
        while not list(out.glob("clips/*.flac")) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(with_signal)
        process.communicate(timeout=60)
        assert process.returncode == (-signal.SIGKILL if with_signal == signal.SIGKILL else 130)
        assert not (out / "_MANIFEST.json").exists()
        assert bytes_of(export(manifest, out, *EVERYTHING)) == bytes_of(whole)


def _of_the_tree(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in tree_of(directory)}


class TestVerify:
    @pytest.mark.parametrize(
        "pattern",
        [
            *("clips/*", "filtered_clips/*", "metas/v0/*", "previews/*/*.png", "previews/*/*.ogg", "*_embd/*"),
            *("*_parquet/*", "processed_audios/**/*.json", "processed_clip_chunks/**/*.json"),
        ],
    )
    def test_every_file_of_the_tree_is_covered(
        self, done: Path, pattern: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = sorted(done.glob(pattern))[0]
        data = path.read_bytes()
        capsys.readouterr()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert run("verify", done) == 1
        assert f"{path.relative_to(done)} was changed" in capsys.readouterr().err
        path.unlink()
        assert run("verify", done) == 1
        assert f"{path.relative_to(done)} is missing" in capsys.readouterr().err
        path.write_bytes(data)
        assert run("verify", done) == 0

    @pytest.fixture(scope="class")
    def done(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        talk = Talk(tmp_path_factory.mktemp("done"))
        rows = [cut(0, 50, embedding=[1]), cut(50, 90, rejected_by="x")]
        return export(talk.manifest(*rows), talk.root.parent / "out", *EVERYTHING)


class TestChain:
    def test_training_windows_go_straight_in(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "in" / "a.wav", 160, 1000)
        entry = speech(4)
        for number, segment in enumerate(entry["segments"]):
            segment["text"] = f"part {number}"
        manifest = write_lines(tmp_path / "in" / "m.jsonl", [line_of(entry)])
        assert run("windows", manifest, "--output", tmp_path / "windows") == 0
        out = export(
            *(tmp_path / "windows", tmp_path / "out", "--input-path", tmp_path / "in"),
            *("--generate-captions", "--generate-previews"),
        )
        [row] = clip_rows(out)
        first, stop = row["original_start_ms"], row["original_end_ms"]
        clip = uuid_of(tmp_path / "in" / "a.wav", first, stop)
        assert (row["span_uuid"], row["num_speakers"], stop - first) == (clip, 2, 120_000)
        transcript = " ".join(f"part {number}" for number in range(first // 40_000, stop // 40_000))
        assert chunk_of(out, "a.wav", 0)["all_windows"] == {clip: {"0_120000": transcript}}

    def test_an_exported_set_can_be_exported_again(self, whole: Path, tmp_path: Path) -> None:
        twice = export(whole, tmp_path / "twice", *EVERYTHING)
        assert _of_the_tree(twice) == _of_the_tree(whole)
        assert [_without_origin(row) for row in clip_rows(twice)] == [_without_origin(row) for row in clip_rows(whole)]

    def test_pieces_of_entries_take_what_is_asked_for_with_them(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "in" / "a.wav", 1)
        segments = [
            {"start": 0, "end": 0.1, "speaker": "ana", "text": "hi", "embedding": [1, 2], "rejected_by": {"snr": True}},
            {"start": 0.2, "end": 0.3, "speaker": "bob", "embedding": [3, 4], "canary_transcript": "Ho."},
        ]
        entry = {"audio_filepath": "a.wav", "text": "hi ho", "segments": segments}
        manifest = write_lines(tmp_path / "in" / "m.jsonl", [line_of(entry)])
        out = export(manifest, tmp_path / "out", *EVERYTHING[1:], "--caption-models", "canary,text")
        one, two = (meta_of(out, row["span_uuid"]) for row in clip_rows(out))
        assert [row["filtered_by"] for row in clip_rows(out)] == [["snr"], []]
        assert one["windows"] == [{"start_sample": 0, "end_sample": 800, "text_transcript": "hi"}]
        assert two["windows"] == [{"start_sample": 0, "end_sample": 800, "canary_transcript": "Ho."}]
        assert two["errors"] == ["text_transcript_missing"]


def _without_origin(row: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in row.items() if key != "_origin"}


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--generate-preview",), "did you mean --generate-previews"),
            (("--score-keys", "errors"), "score_keys: 'errors' is a key"),
            (("--embedding-algorithm", "../x"), "embedding_algorithm '../x' must be"),
            (("--set", "export.clips_per_chunks=2"), "unknown option 'export.clips_per_chunks'"),
            (("--embeddings", "nope.parquet"), "embeddings nope.parquet is not there"),
        ],
        ids=str,
    )
    def test_options(self, manifest: Path, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            run("export", manifest, "--output", tmp_path / "out", *options)
        assert not (tmp_path / "out").exists()

    def test_a_folder_of_clips_that_is_not_ours(self, manifest: Path, tmp_path: Path) -> None:
        (tmp_path / "out" / "clips").mkdir(parents=True)
        with pytest.raises(UsageError, match="holds clips, which no job has marked as its own"):
            run("export", manifest, "--output", tmp_path / "out")

    def test_a_plan_writes_nothing(self, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("export", manifest, "--output", tmp_path / "out", "--plan") == 0
        assert "metas/v0/<uuid>.json, clips/<uuid>.flac" in capsys.readouterr().out
        assert not (tmp_path / "out").exists()


class TestStore:
    OUT = "gs://bucket/out"

    @pytest.fixture(autouse=True)
    def bucket(self) -> Iterator[None]:
        yield
        store.clear()

    def test_a_store_gets_what_a_disk_gets(self, manifest: Path, whole: Path) -> None:
        assert run("export", manifest, "--output", self.OUT, *EVERYTHING, "--max-workers", 2) == 0
        names = [
            name for name in store.names_under(self.OUT) if name != "summary.json" and not name.startswith(".kept.")
        ]
        assert {name: store.get(f"{self.OUT}/{name}") for name in names} == bytes_of(whole)
        assert run("verify", self.OUT) == 0


def test_the_summary_counts_what_was_written(whole: Path) -> None:
    counts = json.loads((whole / "summary.json").read_bytes())["counts"]
    assert counts == manifest_of(whole)["counts"]
    assert {name: n for name, n in counts.items() if name.startswith("cut.")} == {
        "cut.audio_us": 8 * 90_000,
        "cut.bytes": sum(path.stat().st_size for path in whole.rglob("*.flac")),
        "cut.clips": 8,
        "cut.embeddings": 6,
        "cut.filtered": 2,
        "cut.previews": 6,
    }
