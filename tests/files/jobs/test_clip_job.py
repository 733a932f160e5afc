from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_curator.audio import encode_audio
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.entry_pieces import EntryKeys
from beam_curator.clips.packs import AskedClips, Pack, pack, unpack
from beam_curator.clips.records import ClipRequest
from beam_curator.files.jobs.clip_job import ClipJob, RequestJob, cut_clip
from beam_curator.files.opened_recordings import open_recording
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part
from beam_curator.sets.blocks import BlockRef, LineBlock
from beam_curator.sets.recording_jobs import BlockPlan
from tests.files.parts import rows_of, written
from tests.manifests import BAD_LINES, block_of, lines_in, names_in, whole_file
from tests.transforms.clips.clip_sets import piece, request, samples_in, write_recording

NO_ROWS = [name for name, (_, code) in BAD_LINES.items() if code not in ("missing_key", "bad_type", "bad_time")]
"""The bad lines that are bad whatever is cut."""
ENTRY = {"audio_filepath": "b.wav", "segments": [[0, 1], [2, 1], [3, 4]]}


def asked(start: float, end: float, **fields: Any) -> Any:
    times = {"original_file": "a.wav", "original_start_ms": start, "original_end_ms": end}
    return request(start, end, combo=4 if "speaker_id" in fields else 2, **times, **fields)


def clips_of(path: Path, *blocks: tuple[BlockRef, list[Any]], marked: bool = False) -> AskedClips:
    """Return what blocks ask of a recording."""
    packs = tuple(pack(ref, 0, str(path), requests) for ref, requests in blocks)
    return AskedClips(recording=str(path), packs=packs, marked=marked)


@pytest.fixture
def clips(tmp_path: Path) -> AskedClips:
    """Return three pieces of a recording of three seconds, from two blocks; one lies outside."""
    write_recording(tmp_path / "a.wav")
    later = (whole_file("2.jsonl", 1, 2), [(9, asked(0, 500)), (20, asked(9000, 9500))])
    return clips_of(tmp_path / "a.wav", later, (whole_file("1.jsonl", 0, 2), [(5, asked(2000, 2250))]))


def cut(clips: AskedClips, out: Path, rules: CutRules | None = None) -> Part:
    """Cut all of a recording into a directory; return what its part says."""
    out.mkdir(exist_ok=True)
    job = ClipJob(rules if rules is not None else CutRules(), "wav")
    _, part = written(job, OutputTarget(directory=str(out)), clips)
    return part


class TestWork:
    def test_clips_rows_and_letters(self, clips: AskedClips, tmp_path: Path) -> None:
        part = cut(clips, tmp_path / "out")
        assert [(record.kind, record.n_rows) for record in part.files] == [("failures-cut", 1), ("clips", 2)]
        names = [name for name in names_in(tmp_path / "out") if name.endswith(".wav")]
        assert names == ["a_segment_000.wav", "a_segment_001.wav"]
        whole = samples_in(tmp_path / "a.wav")
        np.testing.assert_array_equal(samples_in(tmp_path / "out" / names[1]), whole[16000:18000])
        found = rows_of(part, tmp_path / "out")
        assert [(row["extracted_path"], row["_origin"]) for row in found] == [
            (names[0], {"source": "2.jsonl", "offset": 9}),
            (names[1], {"source": "1.jsonl", "offset": 5}),
        ]
        (line,) = lines_in(tmp_path / "out", ".failures-cut*")
        assert b'"source":"2.jsonl","offset":20' in line

    @pytest.mark.parametrize("long", [1 << 23, 1])
    def test_channels_of_opposite_phase_are_not_mixed(
        self, tmp_path: Path, long: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("beam_curator.clips.cutting.LONG_CLIP", long)
        voice = write_recording(tmp_path / "a.wav")
        quiet, zero = np.float32(-0.5) * voice, np.zeros_like(voice)
        stereo = np.hstack([np.concatenate([-voice, quiet]), np.concatenate([voice, zero])])
        (tmp_path / "a.wav").write_bytes(encode_audio(stereo, 8000, "wav"))
        requests = [(0, asked(0, 3000)), (1, asked(3000, 6000))]
        clips = clips_of(tmp_path / "a.wav", (whole_file("1.jsonl"), requests))
        part = cut(clips, tmp_path / "out", CutRules(mono="mix"))
        rows = rows_of(part, tmp_path / "out")
        assert [row.get("unmixed_channel") for row in rows] == [0, None]
        assert dict(part.counts)["cut.unmixed"] == 1
        np.testing.assert_array_equal(samples_in(tmp_path / "out" / rows[0]["extracted_path"]), -voice)
        mean = samples_in(tmp_path / "out" / rows[1]["extracted_path"])
        assert 0.24 < np.abs(mean).max() / np.abs(voice).max() < 0.26

    def test_a_recording_that_is_gone_fails_each_of_its_clips(self, clips: AskedClips, tmp_path: Path) -> None:
        (tmp_path / "a.wav").unlink()
        part = cut(clips, tmp_path / "out")
        assert dict(part.counts) == {"cut.failures": 3, "cut.failures.not_found": 3}
        assert len(lines_in(tmp_path / "out", ".failures-cut*")) == 3

    def test_a_clip_that_fails_now_takes_its_old_file_along(self, clips: AskedClips, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a_segment_002.wav").write_bytes(b"of an earlier attempt")
        cut(clips, tmp_path / "out")
        assert "a_segment_002.wav" not in names_in(tmp_path / "out")

    def test_mixed_forms_of_one_recording(self, clips: AskedClips, tmp_path: Path) -> None:
        items = [(0, asked(0, 10)), (1, asked(0, 10, speaker_id="Ana")), (2, asked(5, 15, speaker_id="ana"))]
        cut(clips_of(tmp_path / "a.wav", (whole_file("1.jsonl"), items)), tmp_path / "out")
        names = [name for name in names_in(tmp_path / "out") if name.endswith(".wav")]
        # numbers go on where only the case of a label differs: names are one on some file systems
        assert names == ["a_segment_000.wav", "a_speaker_Ana_segment_000.wav", "a_speaker_ana_segment_001.wav"]

    @pytest.mark.parametrize("suffix", ["wav", "flac"])
    def test_overlapping_pieces_in_any_order(self, tmp_path: Path, suffix: str) -> None:
        whole = write_recording(tmp_path / f"b.{suffix}", 2, 16000, 2)
        spans = [(500, 1500), (0, 2000), (499, 501), (1000, 1500), (0, 1)]
        items = [(n, asked(*span, speaker_id=n)) for n, span in enumerate(spans)]
        part = cut(clips_of(tmp_path / f"b.{suffix}", (whole_file("m"), items)), tmp_path / "out")
        numbers = [row["speaker_id"] for row in rows_of(part, tmp_path / "out")]
        assert numbers == [0, 1, 2, 3, 4], "in the order of their numbers, whatever the order of time"
        for number, (start, end) in enumerate(spans):
            clip = samples_in(tmp_path / "out" / f"b_speaker_{number}_segment_000.wav")
            np.testing.assert_array_equal(clip, whole[start * 16 : end * 16])


def test_facts_of_a_clip_that_was_resampled_are_its_own(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.wav", 1, 8000, 2)
    rules = replace(CutRules(), sample_rate=16000, mono="first")
    with open_recording(str(tmp_path / "a.wav")) as reader:
        made = cut_clip(reader, asked(250, 1250), rules, "flac")
    assert not isinstance(made, ValueError)
    facts = made.facts("x.flac")
    assert (facts.sample_rate, facts.n_channels, facts.n_samples) == (16000, 1, 12000)
    assert (facts.real_start_sec, facts.real_end_sec, facts.clamped) == (0.25, 1.0, True)
    assert (facts.n_bytes, facts.sha256) == (made.clip.n_bytes, made.clip.sha256)


def pack_of(name: str, **fields: Any) -> Pack:
    combo = 4 if "speaker_id" in fields else 2
    return pack(whole_file("m.jsonl"), 0, name, [(0, request(0, 1, combo=combo, **fields))])


class TestNames:
    JOB = ClipJob(CutRules(), "wav")

    def test_what_one_recording_is_asked_for_meets(self) -> None:
        packs = [pack_of("/x/a.wav"), pack_of("/x/a.wav", speaker_id="1")]
        assert {self.JOB.key(item) for item in packs} == {"/x/a.wav"}
        (task,) = self.JOB.tasks("/x/a.wav", packs, marked=True)
        assert (task.recording, task.packs, task.marked) == ("/x/a.wav", tuple(packs), True)

    def test_recordings_whose_names_could_meet_are_compared(self) -> None:
        claims = [claim for name in ("/x/a.wav", "/y/a.wav", "/x/a.wav") for claim in self.JOB.claim(pack_of(name))]
        assert {key for key, _ in claims} == {"a"}
        assert self.JOB.collisions([claim for _, claim in claims]) == {"/x/a.wav", "/y/a.wav"}

    def test_a_recording_does_not_collide_with_itself(self) -> None:
        claims = [claim for _, claim in (*self.JOB.claim(pack_of("/x/a.wav")), *self.JOB.claim(pack_of("/x/a.wav")))]
        assert self.JOB.collisions(claims) == set()


class KeyedJob(ClipJob):
    """A job whose clips keep keys that a user names."""

    def __init__(self, keys: EntryKeys | None) -> None:
        RequestJob.__init__(self, CutRules(), keys)


def planned(block: LineBlock, keys: EntryKeys | None = None) -> BlockPlan[Pack]:
    return KeyedJob(keys).plan(block)


def requests_in(plan: BlockPlan[Pack]) -> dict[str, list[tuple[int, ClipRequest]]]:
    """Return the requests of a plan by recording, each with the byte offset of its row."""
    return {item.recording: [(place[2], asked) for place, asked in unpack([item])] for item in plan.asked}


def counted(plan: BlockPlan[Pack]) -> dict[str, int]:
    return {name: n for name, n in plan.counts.items() if n}


class TestPlan:
    def test_requests_meet_by_recording(self) -> None:
        plan = planned(block_of(piece("a.wav", 5, 6), ENTRY, piece("/in/a.wav", 0, 1)))
        found = {
            name: [(offset, asked.start, asked.unit) for offset, asked in requests]
            for name, requests in requests_in(plan).items()
        }
        assert found == {"/in/a.wav": [(0, 5, "ms"), (2000, 0, "ms")], "/in/b.wav": [(1000, 0, "s"), (1000, 3, "s")]}
        (failure,) = plan.failures["interval"]
        assert (failure.code, failure.stage, failure.offset, failure.source) == (
            "bad_time",
            "interval",
            1000,
            "/in/m.jsonl",
        )
        assert json.loads(failure.payload)["segments"] == [[2, 1]]
        assert counted(plan) == {"plan.rows": 3, "plan.clips": 5}

    def test_rows_without_pieces_are_dropped_and_counted(self) -> None:
        rows = [{"audio_filepath": "a.wav", "segments": []}, piece("a.wav", 0, 1, speaker_id=1, diar_segments=[])]
        plan = planned(block_of(*rows))
        assert counted(plan) == {"plan.dropped": 2, "plan.dropped.no_pieces": 2}
        assert not plan.asked

    @pytest.mark.parametrize("name", NO_ROWS)
    def test_lines_that_are_no_rows_fail_alone(self, name: str) -> None:
        line, code = BAD_LINES[name]
        plan = planned(block_of(piece("a.wav", 0, 1), line, piece("a.wav", 1, 2)))
        assert [failure.code for failure in plan.failures["plan"]] == [code]
        assert plan.failures["plan"][0].payload == line
        assert len(requests_in(plan)["/in/a.wav"]) == 2
        assert counted(plan) == {"plan.rows": 2, "plan.clips": 2}

    def test_all_pieces_of_a_row_may_be_bad(self) -> None:
        plan = planned(block_of(ENTRY | {"segments": [[2, 1], None]}))
        assert counted(plan) == {"plan.rows": 1, "plan.clips": 2}
        assert (len(plan.failures["interval"]), plan.asked) == (2, [])

    @pytest.mark.parametrize(
        ("keys", "of_item", "of_entry"),
        [
            (EntryKeys(), None, None),
            (EntryKeys(kept=("embedding",)), [3], [1, 2]),
            (EntryKeys(own=("embedding",)), [3], None),
        ],
    )
    def test_keys_that_are_kept(self, keys: EntryKeys, of_item: object, of_entry: object) -> None:
        segments = [{"start": 0, "end": 1, "embedding": [3]}, {"start": 1, "end": 2}]
        entry = ENTRY | {"segments": segments, "embedding": [1, 2]}
        found = requests_in(planned(block_of(entry), keys=keys))["/in/b.wav"]
        assert [request.fields.get("embedding") for _, request in found] == [of_item, of_entry]

    def test_members_of_nemo_s_shards(self) -> None:
        row = {"audio_filepath": "x.wav", "duration": 0.5, "shard_id": 3}
        plan = planned(block_of(row, source="/in/sharded_manifests/manifest_3.json"))
        assert list(requests_in(plan)) == ["/in/audio_3.tar::x.wav"]


def test_the_plan_of_a_job_has_a_pack_for_each_recording_and_failures_by_stage() -> None:
    rows = [piece("a.wav", 0, 1), b"{", ENTRY, piece("a.wav", 1, 2)]
    plan = ClipJob(CutRules(), "wav").plan(block_of(*rows, ordinal=1, part=2))
    assert [(asked.recording, asked.position) for asked in plan.asked] == [
        ("/in/a.wav", (1, 2, 0)),
        ("/in/b.wav", (1, 2, 2000)),
    ]
    found = {stage: [failure.code for failure in failures] for stage, failures in plan.failures.items()}
    assert found == {"plan": ["bad_json"], "interval": ["bad_time"]}
    assert counted(plan) == {"plan.rows": 3, "plan.clips": 5}
