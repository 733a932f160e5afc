"""`beam-curator extract` from the outside: options, exact samples, the same set twice, what is refused."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from subprocess import run as run_program
from typing import Any

import numpy as np
import pytest

from beam_curator.audio import encode_audio
from beam_curator.runners.options import UsageError
from tests.audio.corpus import RECIPES, sound_bytes
from tests.manifests import (
    failures_in,
    files_below,
    lines_in,
    manifest_of,
    names_in,
    run,
    small_blocks_command,
    state_of,
)
from tests.transforms.clips.clip_sets import (
    clip_names,
    clip_rows,
    codes_of,
    extract,
    info_of,
    metadata_of,
    piece,
    samples_in,
    write_recording,
    write_rows,
)

SOURCES = ["u8.wav", "pcm16.aiff", "11025.wav", "44100_stereo.wav", "eight_channels.wav", "alaw.wav", "wave64.w64"]
CUTS_MS = [0, 1, 334, 335, 777, 1200, 9000]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return a manifest of 48 pieces of 16 recordings, and two rows that cannot be cut."""
    rows: list[dict[str, Any]] = []
    for number in range(16):
        write_recording(tmp_path / "in" / f"{number:02d}.wav", 0.5, seed=number)
        rows += [piece(f"{number:02d}.wav", start, start + 100, mos=start / 7) for start in range(0, 300, 100)]
        rows[-1] |= {"speaker_id": f"speaker_{number % 3}"}
        rows[-2] |= {"original_start_ms": 2000, "original_end_ms": 2100} if number == 4 else {"tag": number}
    rows = [row for first in range(0, 48, 12) for row in random.Random(1).sample(rows[first : first + 12], 12)]
    rows.insert(7, {"original_file": "00.wav"})
    return write_rows(tmp_path / "in" / "m.jsonl", [*rows, piece("gone.wav", 0, 1)])


class TestRoundTrip:
    @pytest.mark.parametrize("output_format", ["wav", "flac"])
    def test_clips_of_a_recording_put_together_are_the_recording(self, tmp_path: Path, output_format: str) -> None:
        rows = []
        for name in SOURCES:
            path = tmp_path / "in" / name.replace(".", "_") / "talk.wav"
            path.parent.mkdir(parents=True)
            path.write_bytes(sound_bytes(RECIPES[name]))
            rows += [piece(path, *span) for span in pairwise(CUTS_MS)]
        out = extract(write_rows(tmp_path / "m.jsonl", rows), tmp_path / "out", "--output-format", output_format)
        by_source: dict[str, list[dict[str, Any]]] = {}
        for row in clip_rows(out):
            by_source.setdefault(row["original_file"], []).append(row)
        assert len(by_source) == len(SOURCES)
        for source, cut in by_source.items():
            whole = samples_in(Path(source))
            put_together = np.concatenate([samples_in(out / row["extracted_path"]) for row in cut])
            np.testing.assert_array_equal(put_together, whole, strict=True)
            assert [row.get("clamped", False) for row in cut] == [False] * (len(CUTS_MS) - 2) + [True]
            assert cut[-1]["real_end_sec"] == len(whole) / info_of(Path(source)).sample_rate
            assert all(one["real_end_sec"] == next_["real_start_sec"] for one, next_ in pairwise(cut))

    def test_ogg_keeps_length_and_shape(self, tmp_path: Path) -> None:
        samples = {name: write_recording(tmp_path / name, 2, rate, n) for name, rate, n in
                   (("a.wav", 8000, 1), ("b.wav", 44100, 2), ("c.wav", 16000, 1))}  # fmt: skip
        rows = [piece(name, 250, 1750) for name in samples]
        out = extract(write_rows(tmp_path / "m.jsonl", rows), tmp_path / "out", "--output-format", "ogg")
        for row in clip_rows(out):
            whole, clip = samples[row["original_file"]], samples_in(out / row["extracted_path"])
            rate = row["sample_rate"]
            asked = whole[rate // 4 : rate * 7 // 4]
            assert clip.shape == asked.shape
            assert np.corrcoef(clip.ravel(), asked.ravel())[0, 1] > 0.95

    def test_a_long_clip_is_what_it_would_be_in_one_piece(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_recording(tmp_path / "a.wav", 3, 44100, 2)
        manifest = write_rows(tmp_path / "m.jsonl", [piece("a.wav", 100, 2900)])
        options = ["--mono", "mix", "--sample-rate", "16000", "--output-format", "flac"]
        whole = extract(manifest, tmp_path / "whole", *options)
        monkeypatch.setattr("beam_curator.clips.cutting.LONG_CLIP", 1000)
        long = extract(manifest, tmp_path / "long", *options)
        assert (long / "_MANIFEST.json").read_bytes() == (whole / "_MANIFEST.json").read_bytes()
        assert (long / "a_segment_000.flac").read_bytes() == (whole / "a_segment_000.flac").read_bytes()


class TestSound:
    @pytest.fixture
    def stereo(self, tmp_path: Path) -> Path:
        """Return a manifest of one piece of a recording whose right channel is silent."""
        samples = write_recording(tmp_path / "s.wav", 1, 16000, 2)
        samples[:, 1] = 0
        (tmp_path / "s.wav").write_bytes(encode_audio(samples, 16000, "wav"))
        return write_rows(tmp_path / "m.jsonl", [piece("s.wav", 0, 500)])

    @pytest.mark.parametrize(("mono", "n_channels"), [("keep", 2), ("first", 1), ("mix", 1)])
    def test_channels(self, stereo: Path, tmp_path: Path, mono: str, n_channels: int) -> None:
        out = extract(stereo, tmp_path / "out", "--mono", mono)
        left = samples_in(tmp_path / "s.wav")[:8000, :1]
        clip = samples_in(out / "s_segment_000.wav")
        expected = {"keep": np.hstack([left, 0 * left]), "first": left, "mix": np.floor(left * 16384) / 32768}[mono]
        np.testing.assert_array_equal(clip, expected)
        assert clip_rows(out)[0]["n_channels"] == n_channels

    def test_sample_rate(self, stereo: Path, tmp_path: Path) -> None:
        out = extract(stereo, tmp_path / "out", "--sample-rate", 8000)
        (row,) = clip_rows(out)
        assert (row["sample_rate"], row["n_samples"], row["real_end_sec"]) == (8000, 4000, 0.5)
        assert info_of(out / "s_segment_000.wav").n_samples == 4000
        assert "input_sample_rate" not in row

    def test_a_rate_that_the_format_does_not_hold_is_a_failure_of_each_clip(self, stereo: Path, tmp_path: Path) -> None:
        options = ["--output-format", "ogg", "--sample-rate", 384000]
        out = extract(stereo, tmp_path / "out", *options, code=3)
        assert (codes_of(out), clip_names(out)) == (["not_encodable"], [])

    def test_overruns(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "a.wav", 1)
        rows = [
            piece("a.wav", -100, 100),
            piece("a.wav", 900, 1100),
            piece("a.wav", 0, 1000),
            piece("a.wav", 1000, 2000),
        ]
        manifest = write_rows(tmp_path / "m.jsonl", rows)
        clamped = extract(manifest, tmp_path / "clamped", code=3)
        found = [(row["original_start_ms"], row["real_start_sec"], row["real_end_sec"], row.get("clamped", False))
                 for row in clip_rows(clamped)]  # fmt: skip
        assert found == [(-100, 0.0, 0.1, True), (0, 0.0, 1.0, False), (900, 0.9, 1.0, True)]
        assert [row["start_sec"] for row in metadata_of(clamped)] == ["-0.1", "0.0", "0.9"]
        assert manifest_of(clamped)["counts"]["cut.clamped"] == 2
        assert clip_names(clamped) == [f"a_segment_00{number}.wav" for number in range(3)]
        failed = extract(manifest, tmp_path / "failed", "--on-overrun", "fail", code=3)
        assert codes_of(clamped) == ["out_of_range"]
        assert codes_of(failed) == ["out_of_range"] * 3
        assert clip_names(failed) == ["a_segment_001.wav"], "the number of a clip that fails stays free"


def write_set(directory: Path, manifest: Path, *options: object) -> dict[str, bytes]:
    """Write a set in this process; return what all files but those about the run itself hold."""
    extract(manifest, directory, "--tolerate", "100%", *options)
    return contents_of(directory)


def contents_of(directory: Path) -> dict[str, bytes]:
    own = {"summary.json", "extraction_summary.json"}
    files = [path for path in files_below(directory) if path.name not in own]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


OPTIONS: dict[str, list[str]] = {
    "plain": [],
    "parquet": ["--row-format", "parquet", "--index", "parquet", "--output-format", "flac", "--shards", "3"],
    "avro": ["--row-format", "avro"],
    "webdataset": ["--pack", "webdataset", "--shards", "3"],
    "nemo-tar": ["--pack", "nemo-tar", "--shards", "3"],
}


@pytest.mark.usefixtures("small_blocks")
class TestSameSet:
    @pytest.mark.parametrize("name", OPTIONS)
    def test_with_every_bundle_repeated(self, manifest: Path, tmp_path: Path, name: str) -> None:
        first = write_set(tmp_path / "first", manifest, *OPTIONS[name])
        repeated = write_set(tmp_path / "again", manifest, *OPTIONS[name], "--direct_runner_bundle_repeat=1")
        assert repeated == first

    @pytest.mark.slow
    @pytest.mark.parametrize("name", OPTIONS)
    def test_with_two_workers(self, manifest: Path, tmp_path: Path, name: str) -> None:
        first = write_set(tmp_path / "first", manifest, *OPTIONS[name])
        arguments = ["extract", manifest, "--output", tmp_path / "two", "--tolerate", "100%", "--jobs", "2"]
        command = small_blocks_command(*arguments, *OPTIONS[name])
        ended = run_program(command, capture_output=True, text=True, check=False, timeout=120)
        assert ended.returncode == 0, ended.stderr
        assert contents_of(tmp_path / "two") == first

    def test_many_blocks_and_few_shards_hold_the_same_rows(self, manifest: Path, tmp_path: Path) -> None:
        write_set(tmp_path / "blocks", manifest)
        write_set(tmp_path / "shards", manifest, "--shards", "3")
        assert len(list((tmp_path / "blocks").glob("clips-*"))) == 3
        shards = sorted(path.name for path in (tmp_path / "shards").glob("clips-*"))
        assert shards == [f"clips-0000{number}-of-00003.jsonl" for number in range(3)]
        assert clip_rows(tmp_path / "shards") == clip_rows(tmp_path / "blocks")
        assert lines_in(tmp_path / "shards", "failures-*") == lines_in(tmp_path / "blocks", "failures-*")
        assert metadata_of(tmp_path / "shards") == metadata_of(tmp_path / "blocks")
        assert clip_names(tmp_path / "shards") == clip_names(tmp_path / "blocks")
        assert codes_of(tmp_path / "shards") == ["out_of_range", "not_found", "missing_key"]

    def test_names_and_sounds_do_not_depend_on_the_order_of_the_rows(self, manifest: Path, tmp_path: Path) -> None:
        first = write_set(tmp_path / "first", manifest)
        lines = manifest.read_bytes().splitlines()
        random.Random(2).shuffle(lines)
        manifest.write_bytes(b"\n".join(lines) + b"\n")
        other = write_set(tmp_path / "other", manifest)
        clips = {name: first[name] for name in first if name.endswith(".wav")}
        assert clips == {name: other[name] for name in other if name.endswith(".wav")}
        rows = [{row["extracted_path"]: row | {"_origin": None} for row in clip_rows(tmp_path / which)}
                for which in ("first", "other")]  # fmt: skip
        assert rows[0] == rows[1]


class TestTwice:
    def test_the_same_command_again_writes_nothing(
        self, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = extract(manifest, tmp_path / "out", code=3)
        before = state_of(out)
        capsys.readouterr()
        assert run("extract", manifest, "--output", out) == 3
        hint = f"To try again what failed: beam-curator retry {out}\n"
        assert capsys.readouterr().out == f"{out} is already complete: nothing to do.\n{hint}"
        assert state_of(out) == before

    def test_another_job_is_refused(self, manifest: Path, tmp_path: Path) -> None:
        out = extract(manifest, tmp_path / "out", code=3)
        before = state_of(out)
        with pytest.raises(UsageError, match=r"clips\.mono was 'keep', is 'mix'.*--overwrite"):
            run("extract", manifest, "--output", out, "--mono", "mix")
        manifest.write_bytes(manifest.read_bytes() + b"{}\n")
        with pytest.raises(UsageError, match=r"m\.jsonl has changed.*--overwrite"):
            run("extract", manifest, "--output", out)
        assert state_of(out) == before

    def test_overwrite_leaves_nothing_of_the_set_before(self, manifest: Path, tmp_path: Path) -> None:
        extract(manifest, tmp_path / "out", "--pack", "nemo-tar", "--shards", "2", code=3)
        (tmp_path / "out" / "mine.txt").write_text("stays")
        write_rows(manifest, [piece("00.wav", 0, 100)])
        out = extract(manifest, tmp_path / "out", "--output-format", "flac", "--overwrite")
        own = {
            "_MANIFEST.json",
            "summary.json",
            "extraction_summary.json",
            "metadata.csv",
            "clips-00000-of-00001.jsonl",
        }
        assert {*names_in(out)} == own | {"00_segment_000.flac", "mine.txt"}

    def test_clips_that_nobody_marked_are_not_taken_over(self, manifest: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "my_segment_000.wav").write_bytes(b"mine")
        with pytest.raises(UsageError, match=r"holds my_segment_000\.wav, which no job has marked as its own"):
            run("extract", manifest, "--output", tmp_path / "out")
        assert names_in(tmp_path / "out") == ["my_segment_000.wav"]

    @pytest.mark.parametrize("inside", ["", "deeper"])
    def test_an_output_inside_the_input_is_refused(self, manifest: Path, inside: str) -> None:
        before = names_in(manifest.parent)
        with pytest.raises(UsageError, match="lies inside the input"):
            run("extract", manifest.parent, "--output", manifest.parent / inside)
        assert names_in(manifest.parent) == before

    def test_verify_misses_a_clip_and_notices_a_changed_one(
        self, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = extract(manifest, tmp_path / "out", code=3)
        capsys.readouterr()
        missing, changed = clip_names(out)[:2]
        (out / missing).unlink()
        (out / changed).write_bytes((out / changed).read_bytes()[:-2] + b"xx")
        assert run("verify", out) == 1
        said = capsys.readouterr().err
        assert f"{missing} is missing" in said
        assert f"{changed} was changed" in said


class TestFailures:
    def test_exit_code_and_tolerance(self, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("extract", manifest, "--output", tmp_path / "out") == 3
        assert "3 failures, more than --tolerate 0" in capsys.readouterr().err
        for tolerate, code in (("3", 0), ("5%", 0), ("4%", 3)):  # 1 of 50 rows, 2 of 49 clips
            assert run("extract", manifest, "--output", tmp_path / "out", "--tolerate", tolerate, "--overwrite") == code

    def test_letters_say_where_and_why(self, manifest: Path, tmp_path: Path) -> None:
        out = extract(manifest, tmp_path / "out", code=3)
        whole = manifest.read_bytes()
        by_code = {letter["code"]: letter for letter in failures_in(out)}
        assert {code: letter["stage"] for code, letter in by_code.items()} == {
            "missing_key": "plan",
            "not_found": "cut",
            "out_of_range": "cut",
        }
        for letter in by_code.values():
            assert letter["source"] == str(manifest)
            assert whole[letter["offset"] :].startswith(letter["payload"])
            assert letter["message"]
            assert letter["cure"]
        assert by_code["out_of_range"]["message"] == "2000-2100 ms, but the recording lasts 0.500 s"
        assert by_code["not_found"]["message"] == f"there is no file {manifest.parent}/gone.wav"
