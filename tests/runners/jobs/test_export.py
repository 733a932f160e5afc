from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from beam_curator.files.output_target import OutputTarget
from beam_curator.runners import cli
from beam_curator.runners.jobs import kind_of_job
from beam_curator.runners.jobs.export import ExportJob
from beam_curator.runners.options import UsageError
from beam_curator.runners.summary import render_reasons, render_table

COUNTS = Counter(
    {
        "read.rows": 12,
        "plan.rows": 11,
        "plan.failures": 1,
        "plan.failures.bad_type": 1,
        "plan.clips": 20,
        "cut.clips": 16,
        "cut.filtered": 2,
        "cut.previews": 14,
        "cut.embeddings": 9,
        "cut.missing_embeddings": 5,
        "cut.dropped": 3,
        "cut.dropped.duplicate": 3,
        "cut.failures": 1,
        "cut.failures.not_found": 1,
        "cut.audio_us": 80_000_000,
    }
)


def job(*arguments: str) -> ExportJob:
    return ExportJob.of(cli.parser_of("export").parse_args(["a.jsonl", *arguments]), [], "out")


def test_it_is_the_job_of_its_command() -> None:
    assert kind_of_job("export") is ExportJob
    assert (ExportJob.kind.command, ExportJob.label) == ("export", "Export clips")


def test_options_reach_the_composite() -> None:
    options = ("--input-path", "./in/", "--no-upload-clips", "--generate-previews", "--caption-models", "a,text")
    more = ("--score-keys", "snr", "--clips-per-chunk", "7", "--mono", "mix", "--row-format", "avro", "--shards", "3")
    config = job(*options, *more).config()
    assert config["export"] == {
        "input_path": "in",
        "upload_clips": False,
        "dry_run": False,
        "generate_embeddings": False,
        "generate_previews": True,
        "generate_captions": False,
        "embedding_algorithm": "speaker",
        "caption_models": ("a", "text"),
        "embedding_key": "embedding",
        "embeddings": None,
        "rejected_key": "rejected_by",
        "score_keys": ("snr",),
        "clips_per_chunk": 7,
    }
    assert (config["clips"]["mono"], config["output"]) == ("mix", {"row_format": "avro", "shards": 3})


def test_the_plan_names_what_would_be_written() -> None:
    both = ["processed_audios/*.json, processed_clip_chunks/*_<chunk>.json"]
    end = ["clips-*, failures-* where there are any", "_MANIFEST.json, summary.json"]
    every = ("--generate-previews", "--generate-embeddings", "--embedding-algorithm", "titanet")
    assert job(*every, "--dry-run").plan_lines() == [*both, *end]
    assert job("--no-upload-clips").plan_lines() == [*both, "metas/v0/<uuid>.json", *end]
    assert job(*every).plan_lines() == [
        *both,
        "metas/v0/<uuid>.json",
        "clips/<uuid>.flac, filtered_clips/<uuid>.flac",
        "previews/<uuid>/<start>_<end>.png and .ogg",
        "titanet_embd/<uuid>.npy, titanet_embd_parquet/<uuid>.parquet",
        *end,
    ]


def test_folders_of_embeddings_belong_to_the_set() -> None:
    for algorithm in ("speaker", "titanet-l_2"):
        assert ExportJob.kind.has_folder(f"{algorithm}_embd")
        assert ExportJob.kind.has_folder(f"{algorithm}_embd_parquet")


def test_stages() -> None:
    stages = ExportJob.stages(COUNTS, 1, {"cut": (2.0, 0.5)})
    assert [(stage.name, stage.n_in, stage.n_out) for stage in stages] == [
        ("read", 12, 12),
        ("plan", 12, 20),
        ("cut", 20, 16),
        ("filter", 16, 14),
        ("previews", 14, 14),
        ("embeddings", 14, 9),
        ("write", 17, 1),
    ]
    cut = stages[2]
    assert (cut.dropped, cut.failures, cut.seconds, cut.time_total) == ({"duplicate": 3}, {"not_found": 1}, 80.0, 2.0)
    assert "14 passed" in render_table(stages)
    assert render_reasons(stages)[0].startswith("  3 clips dropped in cut: duplicate, the same piece")


def test_the_result_says_what_there_is_of_each() -> None:
    stages = ExportJob.stages(COUNTS, 1, {})
    assert job().result(stages) == "12 rows, 16 clips, 80.0 s, 2 filtered, 14 previews, 9 embeddings"
    only = ExportJob.stages(Counter({"read.rows": 1, "cut.clips": 1}), 1, {})
    assert job("--dry-run").result(only) == "1 row, 1 clip, 0.0 s, dry run"


@pytest.mark.parametrize(
    ("counts", "hint"),
    [
        ({"cut.clips": 3}, None),
        ({}, None),
        ({"cut.clamped": 1}, "1 clip is shorter than asked for, as their recordings are; --on-overrun fail"),
        (
            {"cut.clamped": 2},
            "2 clips are shorter than asked for, as their recordings are; --on-overrun fail makes them failures.",
        ),
        ({"cut.clips": 3, "cut.missing_embeddings": 1}, "Missing: 1 embedding; clips' documents name them"),
        ({"cut.clips": 3, "cut.missing_transcripts": 2}, "Missing: 2 transcripts; clips' documents name them"),
        ({"cut.clips": 3, "cut.filtered": 1, "cut.missing_embeddings": 2}, "rows have no key 'embedding'"),
    ],
    ids=str,
)
def test_hints(counts: dict[str, int], hint: str | None) -> None:
    said = job().hint(Counter(counts))
    assert said is None if hint is None else said is not None and hint in said


def test_a_file_of_embeddings_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"embeddings .*nope\.parquet is not there"):
        job("--embeddings", str(tmp_path / "nope.parquet"))
    assert job("--embeddings", "gs://bucket/e.parquet").rules.embeddings == "gs://bucket/e.parquet"


def test_building_the_composite_touches_nothing(tmp_path: Path) -> None:
    target = OutputTarget(directory=str(tmp_path / "out"))
    job().transform(target)
    assert not (tmp_path / "out").exists()
