"""The composite, and the tree that it leaves: names, documents, embeddings, previews."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from beam_curator.clips.cut_rules import CutRules
from beam_curator.export.export_rules import ExportRules
from beam_curator.files.jobs.export_job import input_prefix
from beam_curator.files.output_target import OutputTarget
from beam_curator.transforms.export.export_clips import ExportClips
from tests.manifests import manifest_of, names_in
from tests.transforms.clips.clip_sets import clip_rows, piece, samples_in, write_recording, write_rows
from tests.transforms.export.trees import Talk, chunk_of, cut, document, export, meta_of, tree_of, uuid_of


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    return Talk(tmp_path_factory.mktemp("talk"))


@pytest.fixture(scope="module")
def everything(talk: Talk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the export of two clips, one of them rejected, with all that there is."""
    manifest = talk.manifest(
        cut(0, 500, text="one", utmos=3.5, embedding=[1, 0.5], speaker_id="ana"),
        cut(1000, 2000, text="two", rejected_by={"snr": True, "band": False}, embedding=[2, 0.5]),
    )
    return export(
        *(manifest, tmp_path_factory.mktemp("everything"), "--input-path", talk.root, "--score-keys", "utmos"),
        *("--generate-previews", "--generate-embeddings", "--generate-captions", "--embedding-algorithm", "titanet"),
    )


class TestTree:
    def test_names(self, everything: Path, talk: Talk) -> None:
        one, two = talk.clip(0, 500), talk.clip(1000, 2000)
        assert tree_of(everything) == [
            f"clips/{one}.flac",
            f"filtered_clips/{two}.flac",
            *sorted(f"metas/v0/{clip}.json" for clip in (one, two)),
            f"previews/{one}/0_4000.ogg",
            f"previews/{one}/0_4000.png",
            "processed_audios/talks/a.wav.json",
            "processed_clip_chunks/talks/a.wav_0.json",
            f"titanet_embd/{one}.npy",
            f"titanet_embd_parquet/{uuid_of(talk.path, 0)}.parquet",
        ]
        beside = [path.name for path in everything.iterdir() if path.is_file()]
        assert sorted(beside) == ["_MANIFEST.json", "clips-00000-of-00001.jsonl", "summary.json"]

    def test_clips_are_the_samples_of_the_recording(self, everything: Path, talk: Talk) -> None:
        clip = samples_in(everything / "clips" / f"{talk.clip(0, 500)}.flac")
        rejected = samples_in(everything / "filtered_clips" / f"{talk.clip(1000, 2000)}.flac")
        np.testing.assert_array_equal(clip, talk.samples[:4000])
        np.testing.assert_array_equal(rejected, talk.samples[8000:16000])

    def test_the_document_of_a_clip(self, everything: Path, talk: Talk) -> None:
        one = talk.clip(0, 500)
        n_bytes = (everything / "clips" / f"{one}.flac").stat().st_size
        text = (everything / "metas" / "v0" / f"{one}.json").read_text(encoding="ascii")
        assert text == "\n".join(
            (
                "{",
                f'    "span_uuid": "{one}",',
                '    "source_audio": "talks/a.wav",',
                '    "speaker_id": "ana",',
                '    "duration_span": [',
                "        0.0,",
                "        0.5",
                "    ],",
                '    "sample_rate_source": 8000,',
                '    "channels_source": 1,',
                '    "codec_source": "pcm_16",',
                f'    "clip_location": "clips/{one}.flac",',
                '    "sample_rate": 8000,',
                '    "channels": 1,',
                '    "num_samples": 4000,',
                f'    "num_bytes": {n_bytes},',
                '    "audio_codec": "flac",',
                '    "utmos": 3.5,',
                '    "windows": [',
                "        {",
                '            "start_sample": 0,',
                '            "end_sample": 4000,',
                '            "text_transcript": "one"',
                "        }",
                "    ],",
                '    "valid": true',
                "}",
            )
        )

    def test_the_document_of_a_rejected_clip_says_where_it_is(self, everything: Path, talk: Talk) -> None:
        two = talk.clip(1000, 2000)
        meta = meta_of(everything, two)
        assert meta["clip_location"] == f"filtered_clips/{two}.flac"
        assert (meta["duration_span"], meta["valid"], "errors" in meta) == ([1.0, 2.0], True, False)

    def test_the_document_of_a_recording(self, everything: Path) -> None:
        assert list(document(everything, "processed_audios/talks/a.wav.json").items()) == [
            ("audio", "talks/a.wav"),
            ("sample_rate", 8000),
            ("channels", 1),
            ("num_samples", 24000),
            ("duration", 3.0),
            ("audio_codec", "pcm_16"),
            ("container", "wav"),
            ("num_total_clips", 2),
            ("num_clip_chunks", 1),
        ]

    def test_the_document_of_a_chunk(self, everything: Path, talk: Talk) -> None:
        one, two = talk.clip(0, 500), talk.clip(1000, 2000)
        assert list(chunk_of(everything, "talks/a.wav", 0).items()) == [
            ("audio", "talks/a.wav"),
            ("clip_chunk_index", 0),
            ("num_clips_filtered", 1),
            ("num_clips_filtered_by_snr", 1),
            ("num_clips_passed", 1),
            ("num_clips_transcoded", 2),
            ("num_clips_with_embeddings", 1),
            ("num_clips_with_transcript", 2),
            ("num_clips_with_preview", 1),
            ("total_clip_duration", 1.5),
            ("max_clip_duration", 1.0),
            ("clips", [one]),
            ("filtered_clips", [two]),
            ("all_windows", {one: {"0_4000": "one"}}),
        ]

    def test_embeddings(self, everything: Path, talk: Talk) -> None:
        one = talk.clip(0, 500)
        vector = np.load(everything / "titanet_embd" / f"{one}.npy", allow_pickle=False)
        assert (vector.dtype, vector.tolist()) == (np.float32, [1.0, 0.5])
        table = pq.read_table(everything / "titanet_embd_parquet" / f"{uuid_of(talk.path, 0)}.parquet")
        assert table.schema.field("id").type == pa.string()
        assert table.schema.field("embedding").type == pa.list_(pa.field("element", pa.float32(), nullable=False), 2)
        assert table.to_pylist() == [{"id": one, "embedding": [1.0, 0.5]}]

    def test_previews_can_be_seen_and_heard(self, everything: Path, talk: Talk) -> None:
        folder = everything / "previews" / talk.clip(0, 500)
        with Image.open(folder / "0_4000.png") as image:
            assert (image.format, image.size) == ("PNG", (1200, 26 + 240 + 20 + 28))
        heard, rate = soundfile.read(folder / "0_4000.ogg")
        assert (rate, heard.shape) == (8000, (4000,))
        assert np.corrcoef(heard, talk.samples[:4000, 0])[0, 1] > 0.95

    def test_rows(self, everything: Path, talk: Talk) -> None:
        one, two = clip_rows(everything)
        assert (one["span_uuid"], one["valid"], one["filtered_by"]) == (talk.clip(0, 500), True, [])
        assert (two["extracted_path"], two["filtered_by"]) == (f"filtered_clips/{talk.clip(1000, 2000)}.flac", ["snr"])
        assert sorted(name.partition("/")[0] for name, _, _ in one["files"]) == [
            *("metas", "previews", "previews", "titanet_embd")
        ]
        assert [name.partition("/")[0] for name, _, _ in two["files"]] == ["metas"]
        assert (one["embedding"], two["rejected_by"]) == ([1, 0.5], {"snr": True, "band": False})

    def test_the_manifest_lists_what_rows_do_not(self, everything: Path, talk: Talk) -> None:
        assert [(file["name"], file["kind"], file["rows"]) for file in manifest_of(everything)["files"]] == [
            ("clips-00000-of-00001.jsonl", "clips", 2),
            ("processed_audios/talks/a.wav.json", "document", 0),
            ("processed_clip_chunks/talks/a.wav_0.json", "document", 0),
            (f"titanet_embd_parquet/{uuid_of(talk.path, 0)}.parquet", "embeddings", 1),
        ]


def test_nothing_more_than_asked_for_is_written(talk: Talk, tmp_path: Path) -> None:
    out = export(talk.manifest(cut(0, 500, text="one", embedding=[1])), tmp_path / "out", "--input-path", talk.root)
    one = talk.clip(0, 500)
    assert tree_of(out) == [
        f"clips/{one}.flac",
        f"metas/v0/{one}.json",
        "processed_audios/talks/a.wav.json",
        "processed_clip_chunks/talks/a.wav_0.json",
    ]
    assert meta_of(out, one)["windows"] == [{"start_sample": 0, "end_sample": 4000}]


def test_chunks_are_of_consecutive_clips_by_time(talk: Talk, tmp_path: Path) -> None:
    starts = [2000, 0, 1000, 500, 1500]
    rows = [cut(start, start + 400, embedding=[start]) for start in starts]
    out = export(
        *(talk.manifest(*rows), tmp_path / "out", "--input-path", talk.root),
        *("--clips-per-chunk", 2, "--generate-embeddings"),
    )
    chunks = [chunk_of(out, "talks/a.wav", number)["clips"] for number in range(3)]
    assert chunks == [
        [talk.clip(0, 400), talk.clip(500, 900)],
        [talk.clip(1000, 1400), talk.clip(1500, 1900)],
        [talk.clip(2000, 2400)],
    ]
    tables = [
        pq.read_table(out / "speaker_embd_parquet" / f"{uuid_of(talk.path, number)}.parquet") for number in range(3)
    ]
    assert [table.column("id").to_pylist() for table in tables] == chunks
    assert document(out, "processed_audios/talks/a.wav.json")["num_clip_chunks"] == 3
    assert len(list((out / "processed_clip_chunks" / "talks").iterdir())) == 3


def test_channels_and_rate_of_clips_are_not_those_of_the_recording(tmp_path: Path) -> None:
    write_recording(tmp_path / "in" / "b.flac", 2, 16000, 2)
    manifest = write_rows(tmp_path / "in" / "m.jsonl", [piece("b.flac", 250, 1250)])
    out = export(manifest, tmp_path / "out", "--mono", "mix", "--sample-rate", 8000, "--generate-previews")
    clip = uuid_of(tmp_path / "in" / "b.flac", 4000, 20000)
    meta = meta_of(out, clip)
    assert [meta[key] for key in ("sample_rate_source", "channels_source", "sample_rate", "channels")] == [
        *(16000, 2, 8000, 1)
    ]
    assert meta["windows"] == [{"start_sample": 0, "end_sample": 8000}]
    assert names_in(out / "previews" / clip) == ["0_8000.ogg", "0_8000.png"]


@pytest.mark.parametrize("row_format", ["parquet", "avro"])
def test_rows_in_other_formats(talk: Talk, tmp_path: Path, row_format: str) -> None:
    manifest = talk.manifest(cut(0, 500, speaker_id=7), cut(500, 900, rejected_by="snr"))
    plain = export(manifest, tmp_path / "plain")
    out = export(manifest, tmp_path / "out", "--row-format", row_format)
    data = (out / f"clips-00000-of-00001.{row_format}").read_bytes()
    rows = (
        list(fastavro.reader(io.BytesIO(data))) if row_format == "avro" else pq.read_table(io.BytesIO(data)).to_pylist()
    )
    assert [json.loads(row["row"]) for row in rows] == clip_rows(plain)
    assert [row["extracted_path"] for row in rows] == [
        f"clips/{talk.clip(0, 500)}.flac",
        f"filtered_clips/{talk.clip(500, 900)}.flac",
    ]


class TestComposite:
    def test_names_of_rules_are_the_references(self, talk: Talk, tmp_path: Path) -> None:
        out = tmp_path / "new" / "out"
        manifest = talk.manifest(cut(0, 500, embedding=[1]), cut(500, 600), cut(500, 600), cut(5000, 6000))
        with beam.Pipeline("FnApiRunner") as pipeline:
            rules = ExportRules(input_path=f"{talk.root}/", generate_embeddings=True, max_workers=2)
            exported = pipeline | ExportClips([str(manifest)], str(out), rules=rules, logs_recordings=True)
            names = exported.files | beam.Map(lambda file: (file.name, file.n_rows))
            files = [
                ("clips-00000-of-00001.jsonl", 2),
                ("failures-cut-00000-of-00001.jsonl", 1),
                ("processed_audios/talks/a.wav.json", 0),
                ("processed_clip_chunks/talks/a.wav_0.json", 0),
                (f"speaker_embd_parquet/{uuid_of(talk.path, 0)}.parquet", 1),
            ]
            assert_that(names, equal_to(files), label="files")
            totals = exported.counts | beam.Flatten() | beam.Filter(is_of_the_books) | beam.CombinePerKey(sum)
            counts = {
                "read.rows": 4,
                "plan.rows": 4,
                "plan.clips": 4,
                "cut.clips": 2,
                "cut.audio_us": 600_000,
                "cut.dropped": 1,
                "cut.dropped.duplicate": 1,
                "cut.embeddings": 1,
                "cut.missing_embeddings": 1,
                "cut.failures": 1,
                "cut.failures.out_of_range": 1,
            }
            totals = totals | beam.Filter(lambda count: not count[0].endswith(".bytes"))
            assert_that(totals, equal_to(list(counts.items())), label="counts")
        assert manifest_of(out)["command"] == "export"

    def test_config_is_what_decides_the_rows(self) -> None:
        def config(**options: Any) -> Any:
            return ExportClips(["a"], "out", **options).config()

        target = OutputTarget(directory="elsewhere", n_shards=2)
        assert config(rules=ExportRules(max_workers=9), logs_recordings=True) == config()
        assert config(rules=ExportRules(input_path="./x/")) == config(rules=ExportRules(input_path="x"))
        assert ExportClips(["b"], target).config() == config() | {"output": {"row_format": "jsonl", "shards": 2}}
        assert config(cut_rules=CutRules(mono="mix"), rules=ExportRules(dry_run=True)) == config() | {
            "clips": config()["clips"] | {"mono": "mix"},
            "export": config()["export"] | {"dry_run": True},
        }

    @pytest.mark.parametrize(
        ("given", "expected"),
        [("", ""), (".", ""), ("./a//b/", "a/b"), ("/", "/"), ("gs://b/x/", "gs://b/x/"), ("file:///a/", "/a")],
    )
    def test_input_path_is_as_names_of_recordings_are(self, given: str, expected: str) -> None:
        assert input_prefix(given) == expected


def is_of_the_books(count: tuple[str, int]) -> bool:
    return not count[0].startswith("progress.")
