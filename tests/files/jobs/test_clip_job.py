from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packs import AskedClips, Pack, pack
from beam_curator.files.jobs.clip_job import ClipJob, cut_clip
from beam_curator.files.opened_recordings import open_recording
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part
from beam_curator.sets.blocks import BlockRef
from tests.files.parts import rows_of, written
from tests.manifests import lines_in, names_in, whole_file
from tests.transforms.clips.clip_sets import request, samples_in, write_recording


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
