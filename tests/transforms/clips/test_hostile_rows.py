"""Rows of any kind: nothing is written outside of the output, nothing is raised, and the books balance."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from beam_curator.audio import encode_audio
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packing import TarWriter
from beam_curator.clips.packs import AskedClips, Pack
from beam_curator.files.jobs.clip_job import ClipJob
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part
from beam_curator.files.tar_shards import TarShard
from beam_curator.sets.blocks import Line, LineBlock
from beam_curator.sets.recording_jobs import BlockPlan
from tests.audio.corpus import in_16_bits, speech_like
from tests.files.parts import written
from tests.manifests import line_of, whole_file
from tests.transforms.clips.clip_sets import extract, write_rows

WAV = encode_audio(in_16_bits(speech_like(800, 8000)), 8000, "wav")

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        ["../../x", "/etc/passwd", "..", ".", "", "~", "a/b", "a\\b", "con", "a\0b", "\u202e", "speaker_", "x" * 300]
    ),
    st.sampled_from(
        ["talk", "TALK", "talk_speaker_1", "e\u0301", "é", "a.tar::x", "*", "%2e%2e%2f", "-rf", "\n", "a.b"]
    ),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
TIMES = st.one_of(st.integers(-50, 150), st.floats(-50, 150), JSON)
PATHS = st.one_of(TEXTS.map(lambda text: f"{text}.wav"), TEXTS, JSON)
KEYS = ("id", "speaker_id", "speaker", "extracted_path", "segment_index", "filename", "_origin", "offset", "shard_id")
MORE = st.dictionaries(st.one_of(st.sampled_from(KEYS), TEXTS), JSON, max_size=4)
SEGMENTS = st.lists(
    st.one_of(st.tuples(TIMES, TIMES), MORE, st.fixed_dictionaries({"start": TIMES, "end": TIMES, "speaker": JSON})),
    max_size=3,
)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """Make a row of one of the forms that there are, with anything in its place."""
    form = draw(st.sampled_from(["piece", "turns", "segments", "windows", "manifest"]))
    more = draw(MORE)
    if form == "piece":
        return more | {"original_file": draw(PATHS), "original_start_ms": draw(TIMES), "original_end_ms": draw(TIMES)}
    if form == "turns":
        turns = draw(st.one_of(SEGMENTS, JSON))
        return more | {"original_file": draw(PATHS), "speaker_id": draw(JSON), "diar_segments": turns}
    if form == "manifest":
        return more | {"audio_filepath": draw(PATHS), "duration": draw(TIMES), "offset": draw(TIMES)}
    key = "segments" if form == "segments" else "filtered_windows"
    items: Any = draw(SEGMENTS) if form == "segments" else [{"segments": draw(SEGMENTS)}]
    return more | {"audio_filepath": draw(PATHS), key: items}


def grouped(job: ClipJob, plan: BlockPlan[Pack]) -> list[AskedClips]:
    """Do what the shuffles do: bring the requests of a recording together, and find names that collide."""
    packs: dict[str, list[Pack]] = {}
    claims: dict[str, list[Any]] = {}
    for asked in plan.asked:
        packs.setdefault(job.key(asked), []).append(asked)
        for key, claim in job.claim(asked):
            claims.setdefault(key, []).append(claim)
    marked = {name for group in claims.values() for name in job.collisions(group)}
    return [task for name, asked in packs.items() for task in job.tasks(name, asked, marked=name in marked)]


def counted(parts: list[Part], name: str) -> int:
    return sum(n for part in parts for counted_name, n in part.counts if counted_name == name)


@pytest.fixture(scope="module")
def jail() -> Iterator[Path]:
    """Return a directory with inputs and an output, of which nothing else may change."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "in").mkdir()
        for name in ("talk.wav", "TALK.wav", "é.wav", "talk_speaker_1.wav", ".wav", "a.b.wav"):
            (root / "in" / name).write_bytes(WAV)
        yield root


def cut_all(
    jail: Path, given_rows: list[dict[str, Any]], rules: CutRules
) -> tuple[BlockPlan[Pack], list[Part], list[str]]:
    """Plan and cut rows; return the plan, the parts, and the names of the clips."""
    lines = [line_of(row) for row in given_rows]
    ref = whole_file(str(jail / "in" / "m.jsonl"))
    block = LineBlock(ref=ref, part=0, lines=tuple(Line(offset=n, raw=line) for n, line in enumerate(lines)))
    job = ClipJob(rules, "wav")
    plan = job.plan(block)
    with tempfile.TemporaryDirectory(dir=jail) as directory:
        target = OutputTarget(directory=directory)
        parts = [written(job, target, task)[1] for task in grouped(job, plan)]
        assert not list(Path(directory).glob("*/*"))
        return plan, parts, [name for name in os.listdir(directory) if not name.startswith(".")]


def tree_of(directory: Path) -> set[str]:
    return {str(path) for path in directory.rglob("*")}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(given_rows=st.lists(rows(), min_size=1, max_size=6), roots=st.booleans())
def test_rows_of_any_json(jail: Path, given_rows: list[dict[str, Any]], roots: bool) -> None:
    before = tree_of(jail)
    plan, parts, names = cut_all(jail, given_rows, CutRules(allowed_root=(str(jail / "in"),) if roots else ()))
    assert tree_of(jail) == before
    n_failed = {stage: len(failures) for stage, failures in plan.failures.items()}
    assert plan.counts["plan.rows"] + plan.counts["plan.dropped"] + n_failed.get("plan", 0) == len(given_rows)
    n_clips = counted(parts, "cut.clips")
    assert plan.counts["plan.clips"] == n_clips + counted(parts, "cut.failures") + n_failed.get("interval", 0)
    assert len(names) == n_clips
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == n_clips
    for name in names:
        assert name.endswith(".wav")
        assert len(name.encode()) <= 255
        assert name.isprintable()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(given_rows=st.lists(rows(), min_size=1, max_size=5), kind=st.sampled_from(["webdataset", "nemo-tar"]))
def test_members_of_a_pack_have_plain_names(jail: Path, given_rows: list[dict[str, Any]], kind: str) -> None:
    lines = tuple(Line(offset=n, raw=line_of(row)) for n, row in enumerate(given_rows))
    ref = whole_file(str(jail / "in" / "m.jsonl"))
    job = ClipJob(CutRules(), "wav")
    recordings = [task.unpacked() for task in grouped(job, job.plan(LineBlock(ref=ref, part=0, lines=lines)))]
    tar = TarWriter(lambda pieces: None)
    shard = TarShard("shard-000000.tar", tar, kind, CutRules(), "wav")
    list(shard.write(recordings))
    outcomes = shard.outcomes
    tar.close()
    assert [len(found) for found in outcomes] == [len(recording.requests) for recording in recordings]
    keys = [name.partition(".")[0] for name in tar.members if name.endswith(".wav")]
    assert len(keys) == len(set(keys)) == sum(not isinstance(each, ValueError) for found in outcomes for each in found)
    expected = [f"{key}.{end}" for key in keys for end in (("json", "wav") if kind == "webdataset" else ("wav",))]
    assert sorted(tar.members) == sorted(expected)
    assert list(tar.members) == sorted(tar.members)
    assert not any({"/", "\\"} & set(name) for name in tar.members)


@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(given_rows=st.lists(rows(), min_size=4, max_size=10))
def test_whole_jobs(jail: Path, given_rows: list[dict[str, Any]]) -> None:
    before = tree_of(jail)
    with tempfile.TemporaryDirectory(dir=jail) as directory:
        manifest = write_rows(jail / "in" / "m.jsonl", given_rows)
        options = ["--tolerate", "1000", "--index", "parquet", "--row-format", "avro", "--allowed-root", jail / "in"]
        extract(manifest, Path(directory) / "out", *options)
        manifest.unlink()
    assert tree_of(jail) == before
