from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beam_curator.files.clip_cutting import cut_clip, cut_recording
from beam_curator.files.clip_rows import CLIPS

from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packs import Recording, pack, recording_from
from beam_curator.files.clip_files import ClipFiles
from beam_curator.files.opened_recordings import open_recording
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import PartWriter
from tests.manifests import lines_in, names_in, whole_file
from tests.transforms.clips.clip_sets import request, samples_in, write_recording


def asked(start: float, end: float, **fields: Any) -> Any:
    times = {"original_file": "a.wav", "original_start_ms": start, "original_end_ms": end}
    return request(start, end, combo=4 if "speaker_id" in fields else 2, **times, **fields)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """Return three pieces of a recording of three seconds, from two blocks; one lies outside."""
    write_recording(tmp_path / "a.wav")
    name = str(tmp_path / "a.wav")
    packs = [
        pack(whole_file("2.jsonl", 1, 2), 0, name, [(9, asked(0, 500)), (20, asked(9000, 9500))]),
        pack(whole_file("1.jsonl", 0, 2), 0, name, [(5, asked(2000, 2250))]),
    ]
    return recording_from(name, packs, marked=False)


def cut(recording: Recording, out: Path, rules: CutRules | None = None) -> Any:
    """Cut all of a recording into a directory; return what its part says."""
    out.mkdir(exist_ok=True)
    target = OutputTarget(directory=str(out))
    writer = PartWriter(CLIPS, target, recording.name, recording.position, recording.n_blocks)
    list(cut_recording(recording, rules if rules is not None else CutRules(), "wav", ClipFiles(target), writer))
    return writer.write()


class TestRecording:
    def test_is_put_together_from_packs(self, recording: Recording) -> None:
        assert (recording.stem, recording.position, recording.n_blocks) == ("a", (0, 0, 5), 2)
        assert recording.sources == {0: "1.jsonl", 1: "2.jsonl"}
        assert [(position, item.start) for position, item in recording.requests] == [
            ((1, 0, 9), 0),
            ((0, 0, 5), 2000),
            ((1, 0, 20), 9000),
        ]

    def test_is_marked_by_its_path(self, recording: Recording) -> None:
        packs = [pack(whole_file("1.jsonl"), 0, "/monday/talk.wav", [(0, asked(0, 1))])]
        assert recording_from("/monday/talk.wav", packs, marked=True).stem == "talk~3d6fbda23a2c7fa9"


class TestCutRecording:
    def test_clips_rows_and_letters(self, recording: Recording, tmp_path: Path) -> None:
        part = cut(recording, tmp_path / "out")
        assert [(record.kind, record.n_rows) for record in part.files] == [("failures-cut", 1), ("clips", 2)]
        clips = [name for name in names_in(tmp_path / "out") if name.endswith(".wav")]
        assert clips == ["a_segment_000.wav", "a_segment_001.wav"]
        whole = samples_in(tmp_path / "a.wav")
        np.testing.assert_array_equal(samples_in(tmp_path / "out" / clips[1]), whole[16000:18000])
        (line,) = lines_in(tmp_path / "out", ".failures-cut*")
        assert b'"source":"2.jsonl","offset":20' in line

    def test_a_recording_that_is_gone_fails_each_of_its_clips(self, recording: Recording, tmp_path: Path) -> None:
        (tmp_path / "a.wav").unlink()
        part = cut(recording, tmp_path / "out")
        assert dict(part.counts) == {"cut.failures": 3, "cut.failures.not_found": 3}
        assert len(lines_in(tmp_path / "out", ".failures-cut*")) == 3

    def test_a_clip_that_fails_now_takes_its_old_file_along(self, recording: Recording, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a_segment_002.wav").write_bytes(b"of an earlier attempt")
        cut(recording, tmp_path / "out")
        assert "a_segment_002.wav" not in names_in(tmp_path / "out")

    def test_mixed_forms_of_one_recording(self, recording: Recording, tmp_path: Path) -> None:
        items = [(0, asked(0, 10)), (1, asked(0, 10, speaker_id="Ana")), (2, asked(5, 15, speaker_id="ana"))]
        packs = [pack(whole_file("1.jsonl"), 0, recording.name, items)]
        cut(recording_from(recording.name, packs, marked=False), tmp_path / "out")
        clips = [name for name in names_in(tmp_path / "out") if name.endswith(".wav")]
        # numbers go on where only the case of a label differs: names are one on some file systems
        assert clips == ["a_segment_000.wav", "a_speaker_Ana_segment_000.wav", "a_speaker_ana_segment_001.wav"]

    @pytest.mark.parametrize("suffix", ["wav", "flac"])
    def test_overlapping_pieces_in_any_order(self, tmp_path: Path, suffix: str) -> None:
        whole = write_recording(tmp_path / f"b.{suffix}", 2, 16000, 2)
        spans = [(500, 1500), (0, 2000), (499, 501), (1000, 1500), (0, 1)]
        name = str(tmp_path / f"b.{suffix}")
        packs = [pack(whole_file("m"), 0, name, [(n, asked(*span, speaker_id=n)) for n, span in enumerate(spans)])]
        cut(recording_from(name, packs, marked=False), tmp_path / "out")
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
