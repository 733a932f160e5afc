"""Bad recordings, names, paths and times through the command: each has its outcome, and the good ones come out."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from beam_curator.runners.options import UsageError
from tests.audio.corpus import make_bad_files, make_corpus
from tests.manifests import failures_in, line_of, names_in, run, run_process, without_override, write_lines
from tests.transforms.clips.clip_sets import (
    clip_names,
    clip_rows,
    extract,
    piece,
    samples_in,
    write_recording,
    write_rows,
)

OK = "ok"


class Case(NamedTuple):
    """A row, and what must come of it: a code of a dead letter, or OK."""

    row: dict[str, Any] | bytes
    outcome: str


def outcomes(cases: dict[str, Case], manifest: Path, out: Path, *options: object) -> dict[str, str]:
    """Cut all cases in one job, a good row between any two; return what came of each."""
    good = write_recording(manifest.parent / "good.wav", 1)
    lines = []
    for case in cases.values():
        lines += [case.row if isinstance(case.row, bytes) else line_of(case.row), line_of(piece("good.wav", 0, 500))]
    offsets = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]
    extract(write_lines(manifest, lines), out, *options, code=3)
    failed = {letter["offset"]: letter["code"] for letter in failures_in(out)}
    cut = {row["_origin"]["offset"]: row for row in clip_rows(out)}
    assert set(failed) | set(cut) == set(offsets)
    assert not set(failed) & set(cut)
    for offset in offsets[1::2]:
        np.testing.assert_array_equal(samples_in(out / cut[offset]["extracted_path"]), good[:4000])
    assert clip_names(out) == sorted(row["extracted_path"] for row in cut.values())
    return {name: failed.get(offset, OK) for name, offset in zip(cases, offsets[::2], strict=True)}


def expected(cases: dict[str, Case]) -> dict[str, str]:
    return {name: case.outcome for name, case in cases.items()}


BYTES = {
    "zero_bytes.wav": "empty_audio",
    "page.wav": "not_audio",
    "random.wav": "not_audio",
    "header_only.wav": "empty_audio",
    "header_only.flac": "empty_audio",
    "truncated.wav": "truncated_audio",
    "truncated.flac": "truncated_audio",
    "truncated.ogg": OK,  # half of five seconds are there
    "truncated.mp3": "truncated_audio",
    "truncated.m4a": "truncated_audio",
    "truncated_behind_index.m4a": OK,
    "damaged.flac": "truncated_audio",
    "damaged.ogg": "not_audio",
    "chained.ogg": "not_audio",
    "nan.wav": "non_finite",
    "inf.wav": "non_finite",
    "above_one.wav": OK,
    "claims_2_31_frames.wav": OK,
    "claims_2_36_frames.flac": OK,
    "no_rate.wav": "not_audio",
    "many_channels.wav": "out_of_range",  # 24 samples of 1,000 channels
    "playlist.m4a": "not_audio",
}
"""Bad files, and what becomes of a piece from 700 to 900 ms, where damage and bad samples lie."""


class TestBytes:
    def test_every_bad_file_has_its_outcome(self, tmp_path: Path) -> None:
        files = make_bad_files(tmp_path / "in" / "bad")
        cases = {name: Case(piece(f"bad/{name}", 700, 900), BYTES[name]) for name in files}
        assert outcomes(cases, tmp_path / "in" / "m.jsonl", tmp_path / "out") == expected(cases)
        for letter in failures_in(tmp_path / "out"):
            assert (letter["stage"], letter["message"] != "", letter["cure"] != "") == ("cut", True, True)
        clip = samples_in(tmp_path / "out" / "above_one_segment_000.wav")
        assert clip[800].tolist() == [32767 / 32768]

    def test_what_is_there_of_a_damaged_file_comes_out(self, tmp_path: Path) -> None:
        make_bad_files(tmp_path / "bad")
        names = ["truncated.wav", "truncated.flac", "truncated.mp3", "damaged.flac", "nan.wav", "inf.wav"]
        manifest = write_rows(tmp_path / "m.jsonl", [piece(f"bad/{name}", 0, 200) for name in names])
        rows = clip_rows(extract(manifest, tmp_path / "out"))
        assert [row["n_samples"] for row in rows] == [3200] * len(names)

    def test_odd_but_good_files_come_out(self, tmp_path: Path) -> None:
        files = make_corpus(tmp_path / "in")
        asked = {name: (0, 1) if name.startswith("one_sample") else (0, 900) for name in files}
        manifest = write_rows(tmp_path / "m.jsonl", [piece(f"in/{name}", *span) for name, span in asked.items()])
        rows = {row["original_file"]: row for row in clip_rows(extract(manifest, tmp_path / "out"))}
        assert len(rows) == len(files)
        one = rows["in/one_sample.wav"]
        assert (one["n_samples"], one["clamped"], one["real_end_sec"]) == (1, True, 1 / 16000)
        silence = samples_in(tmp_path / "out" / rows["in/silence.wav"]["extracted_path"])
        assert not silence.any()
        dead = samples_in(tmp_path / "out" / rows["in/one_dead_channel.wav"]["extracted_path"])
        assert (dead[:, 0].any(), dead[:, 1].any()) == (True, False)


NAMES = {
    "é.wav": "é~[0-9a-f]{16}",
    "e\u0301.wav": "é~[0-9a-f]{16}",
    "gpj\u202evaw.wav": "gpj_vaw~[0-9a-f]{8}",
    "🎤.wav": "_~[0-9a-f]{8}",
    "new\nline.wav": "new_line~[0-9a-f]{8}",
    "tab\tbed.wav": "tab_bed~[0-9a-f]{8}",
    "a%2Fb.wav": "a_2Fb~[0-9a-f]{8}",
    "x" * 251 + ".wav": "x{111}~[0-9a-f]{8}",
    "dot..wav": r"dot\.",
    "no-extension.": r"no-extension\.",
    "A.wav": "A~[0-9a-f]{16}",
    "a.wav": "a~[0-9a-f]{16}",
    "one/talk.wav": "talk~[0-9a-f]{16}",
    "two/talk.flac": "talk~[0-9a-f]{16}",
    " blank .wav": "_blank_~[0-9a-f]{8}",
    ".hidden.wav": "_hidden~[0-9a-f]{8}",
    "-rf.wav": "-rf",
    "con.wav": "con",
    "日本語 (2).wav": r"日本語 \(2\)",
    "semi;`quote`$x.wav": "semi__quote__x~[0-9a-f]{8}",
}
"""Names of recordings, and a pattern of what their clips begin with."""
SPEAKERS = ["no-speaker", "", None, 1, 40, 1.5, True, "Zoë Müller", "a b", "../../x", "/etc/passwd", [1], {"a": "/"}]


class TestNames:
    def test_every_name_has_a_safe_one(self, tmp_path: Path) -> None:
        source = write_recording(tmp_path / "in" / "good.wav", 1)
        wav = (tmp_path / "in" / "good.wav").read_bytes()
        for name in NAMES:
            path = tmp_path / "in" / "names" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wav)
        out = extract(
            write_rows(tmp_path / "in" / "m.jsonl", [piece(f"names/{name}", 0, 500) for name in NAMES]),
            tmp_path / "out",
        )
        found = {row["original_file"].removeprefix("names/"): row["extracted_path"] for row in clip_rows(out)}
        for name, pattern in NAMES.items():
            assert re.fullmatch(f"{pattern}_segment_000.wav", found[name]), (name, found[name])
            np.testing.assert_array_equal(samples_in(out / found[name]), source[:4000])
        assert clip_names(out) == sorted(found.values())
        folded = {unicodedata.normalize("NFC", name).casefold() for name in found.values()}
        assert len(folded) == len(NAMES), "no two are one on a file system that ignores case"
        assert not any(len(name.encode()) > 200 for name in found.values())

    def test_names_that_no_file_can_have(self, tmp_path: Path) -> None:
        cases = {
            "too long": Case(piece("x" * 300 + ".wav", 0, 500), "not_readable"),
            "NUL": Case(piece("a\0b.wav", 0, 500), "not_found"),
            "lone surrogate": Case(b'{"original_file":"\\udcff.wav","original_end_ms":500}', "bad_unicode"),
            "empty": Case(piece("", 0, 500), "bad_type"),
            "number": Case(piece("", 0, 500) | {"original_file": 5}, "bad_type"),
        }
        assert outcomes(cases, tmp_path / "in" / "m.jsonl", tmp_path / "out") == expected(cases)

    def test_a_manifest_whose_name_is_no_text_is_refused(self, tmp_path: Path) -> None:
        folder = os.fsencode(tmp_path / "in")
        os.makedirs(folder)
        with open(folder + b"/talk-\xff.jsonl", "wb") as stream:
            stream.write(line_of(piece("a.wav", 0, 1)))
        with pytest.raises(UsageError, match=r"in holds no manifest: .* \(left out: 1 not UTF-8 in the name\)"):
            run("extract", tmp_path / "in", "--output", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_speakers_of_any_kind(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "a.wav", 1)
        rows = [piece("a.wav", 10 * number, 500, speaker_id=speaker) for number, speaker in enumerate(SPEAKERS)]
        out = extract(write_rows(tmp_path / "m.jsonl", rows), tmp_path / "out")
        found = {json.dumps(row["speaker_id"]): row["extracted_path"] for row in clip_rows(out)}
        plain = {"no-speaker": "no-speaker", "": "", None: "unknown", 1: "1", 40: "40", 1.5: "1.5", "a b": "a b"}
        for speaker, label in plain.items():
            assert found[json.dumps(speaker)] == f"a_speaker_{label}_segment_000.wav"
        assert found["true"] == "a_speaker_true_segment_000.wav"
        assert found[json.dumps("Zoë Müller")] == "a_speaker_Zoë Müller_segment_000.wav"
        assert clip_names(out) == sorted(found.values())
        assert len(found) == len(SPEAKERS)


class TestSecurity:
    def cases(self, root: Path) -> dict[str, Case]:
        write_recording(root.parent / "outside.wav", 1)
        write_recording(root / "a.wav", 1)
        (root / "folder.wav").mkdir()
        os.mkfifo(root / "fifo.wav")
        (root / "out_of_root.wav").symlink_to("../outside.wav")
        (root / "inside.wav").symlink_to("a.wav")
        (root / "up").symlink_to("..")
        (root / "loop.wav").symlink_to("loop.wav")
        (root / "etc.tar").symlink_to("/etc/passwd")
        paths = {
            "../../etc/passwd": "path_outside_root",
            "../outside.wav": "path_outside_root",
            str(root.parent / "outside.wav"): "path_outside_root",
            "/etc/passwd": "path_outside_root",
            f"{root}/../outside.wav": "path_outside_root",
            "~/.ssh/id_rsa": "not_found",
            "~root/x.wav": "not_found",
            "$HOME/x.wav": "not_found",
            "out_of_root.wav": "path_outside_root",
            "up/outside.wav": "path_outside_root",
            "inside.wav": OK,
            "loop.wav": "not_readable",
            "file:///etc/passwd": "scheme_not_allowed",
            f"file://{root}/a.wav": "scheme_not_allowed",
            "http://169.254.169.254/x.wav": "scheme_not_allowed",
            "https://example.com/x.wav": "scheme_not_allowed",
            "ftp://127.0.0.1/x.wav": "scheme_not_allowed",
            "gs://other-bucket/x.wav": "path_outside_root",
            "concat:a.wav|a.wav": "not_found",
            "pipe:0": "not_found",
            "folder.wav": "not_readable",
            "fifo.wav": "not_readable",
            "/dev/zero": "path_outside_root",
            "/dev/stdin": "path_outside_root",
            "etc.tar::root": "path_outside_root",
            "a.wav::../../etc/passwd": "not_found",
            "a\0.wav": "not_found",
        }
        return {path: Case(piece(path, 0, 500), outcome) for path, outcome in paths.items()}

    def test_every_path_has_its_outcome(self, tmp_path: Path) -> None:
        root = tmp_path / "in" / "root"
        cases = self.cases(root)
        out = tmp_path / "out"
        assert outcomes(cases, root / "m.jsonl", out, "--allowed-root", root) == expected(cases)

    def test_devices_are_no_recordings_without_a_root_either(self, tmp_path: Path) -> None:
        cases = {
            "/dev/zero": Case(piece("/dev/zero", 0, 500), "not_readable"),
            "/dev/null": Case(piece("/dev/null", 0, 500), "not_readable"),
            "/proc/self/environ": Case(piece("/proc/self/environ", 0, 500), "empty_audio"),
            "/etc/passwd": Case(piece("/etc/passwd", 0, 500), "not_audio"),
        }
        assert outcomes(cases, tmp_path / "in" / "m.jsonl", tmp_path / "out") == expected(cases)

    def test_a_bucket_below_the_root_and_others(self, tmp_path: Path) -> None:
        paths = ["gs://mine-too/x.wav", "gs://mine/../other/x.wav", "s3://mine/x.wav"]
        rows = [piece(path, 0, 500) for path in paths]
        out = extract(write_rows(tmp_path / "m.jsonl", rows), tmp_path / "out", "--allowed-root", "gs://mine", code=3)
        codes = {json.loads(letter["payload"])["original_file"]: letter["code"] for letter in failures_in(out)}
        assert [codes[path] for path in paths[:2]] == ["path_outside_root"] * 2
        assert codes[paths[2]] in ("path_outside_root", "scheme_not_allowed")  # where what serves s3:// is missing

    def test_a_recording_that_may_not_be_read_is_one_failure(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "closed.wav", 1)
        write_recording(tmp_path / "open.wav", 1)
        (tmp_path / "closed.wav").chmod(0)
        rows = [piece("closed.wav", 0, 500), piece("open.wav", 0, 500)]
        manifest = write_rows(tmp_path / "m.jsonl", rows)
        ended = run_process("extract", manifest, "--output", tmp_path / "out", preexec_fn=without_override)
        assert ended.returncode == 3, ended.stderr
        (letter,) = failures_in(tmp_path / "out")
        assert (letter["code"], "Permission denied" in letter["message"]) == ("not_readable", True)
        assert clip_names(tmp_path / "out") == ["open_segment_000.wav"]

    @pytest.mark.parametrize("pack", ["none", "nemo-tar"])
    def test_nothing_is_written_through_links_in_the_output(self, tmp_path: Path, pack: str) -> None:
        write_recording(tmp_path / "a.wav", 1)
        elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
        elsewhere.mkdir()
        out.mkdir()
        (elsewhere / "mine.txt").write_text("mine")
        (out / "sharded_manifests").symlink_to(elsewhere)
        (out / "clips-00000-of-00001.jsonl").symlink_to(elsewhere / "mine.txt")
        manifest = write_rows(tmp_path / "m.jsonl", [piece("a.wav", 0, 500)])
        with pytest.raises(UsageError, match="sharded_manifests is a link to another place"):
            run("extract", manifest, "--output", out, "--pack", pack)
        (out / "sharded_manifests").unlink()
        assert run("extract", manifest, "--output", out, "--pack", pack) == 0
        assert names_in(elsewhere) == ["mine.txt"]
        assert (elsewhere / "mine.txt").read_text() == "mine"


def entry(*segments: object) -> dict[str, Any]:
    return {"audio_filepath": "good.wav", "segments": list(segments)}


TIMES = {
    "negative start": Case(piece("good.wav", -100, 500), OK),
    "all before": Case(piece("good.wav", -500, -100), "out_of_range"),
    "end before start": Case(piece("good.wav", 500, 100), "bad_time"),
    "zero length": Case(piece("good.wav", 500, 500), "bad_time"),
    "past the end": Case(piece("good.wav", 500, 1500), OK),
    "behind the end": Case(piece("good.wav", 1000, 1500), "out_of_range"),
    "at the end": Case(piece("good.wav", 999, 1000), OK),
    "less than a sample": Case(piece("good.wav", 0.01, 0.02), "empty_audio"),
    "one sample": Case(piece("good.wav", 0, 0.125), OK),
    "NaN": Case(b'{"original_file":"good.wav","original_start_ms":NaN,"original_end_ms":5}', "non_finite"),
    "Infinity": Case(b'{"original_file":"good.wav","original_start_ms":0,"original_end_ms":1e999}', "non_finite"),
    "null": Case(piece("good.wav", 0, 500) | {"original_end_ms": None}, "bad_time"),
    "text": Case(piece("good.wav", 0, 500) | {"original_end_ms": "500"}, "bad_time"),
    "boolean": Case(piece("good.wav", 0, 500) | {"original_end_ms": True}, "bad_time"),
    "absent": Case({"original_file": "good.wav", "original_start_ms": 0}, "missing_key"),
    "beyond all": Case(piece("good.wav", 0, 1e15), "bad_time"),
    "a huge integer": Case(piece("good.wav", 0, 10**400), "bad_time"),
    "duration is text": Case(piece("good.wav", 0, 500, duration="0.5"), "bad_time"),
    "duration lies": Case(piece("good.wav", 0, 500, duration=99.0, sample_rate=44100), OK),
    "identical": Case(piece("good.wav", 0, 500), OK),
    "nested": Case(piece("good.wav", 100, 200), OK),
    "milliseconds in an entry": Case(entry({"start": 100, "end": 500}), "out_of_range"),
    "seconds in a row": Case(piece("good.wav", 0.1, 0.6), OK),
    "entry without a start": Case(entry({"end": 0.5}), "missing_key"),
    "entry of numbers": Case(entry(0.5), "bad_type"),
    "entry reversed": Case(entry([0.5, 0.25]), "bad_time"),
    "segments are null": Case({"audio_filepath": "good.wav", "segments": None}, "bad_type"),
    "no key at all": Case({}, "missing_key"),
    "window without segments": Case({"audio_filepath": "good.wav", "filtered_windows": [{}]}, "bad_type"),
    "turns are an object": Case(piece("good.wav", 0, 1, speaker_id=1, diar_segments={"a": 1}), "bad_type"),
}


class TestTimes:
    def test_every_time_has_its_outcome(self, tmp_path: Path) -> None:
        assert outcomes(TIMES, tmp_path / "m.jsonl", tmp_path / "out") == expected(TIMES)
        clamped = {
            row["original_start_ms"]: row["n_samples"] for row in clip_rows(tmp_path / "out") if "clamped" in row
        }
        assert clamped == {-100: 4000, 500: 4000}
        (mixed_up,) = [letter for letter in failures_in(tmp_path / "out") if "100-500 s" in letter["message"]]
        assert mixed_up["cure"].startswith("mend the times; rows are in milliseconds, entries in seconds")

    def test_times_in_any_order_and_over_each_other(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "a.wav", 1)
        spans = [[0.5, 0.9], [0.0, 1.0], [0.25, 0.5], [0.0, 1.0], [0.25, 0.75], [0.8, 0.2], [0.1, None]]
        rows = [{"audio_filepath": "a.wav", "speaker_id": speaker, "segments": spans} for speaker in ("ana", "ben")]
        out = extract(write_rows(tmp_path / "m.jsonl", rows), tmp_path / "out", code=3)
        starts = [(row["speaker_id"], row["original_start_ms"], row["original_end_ms"]) for row in clip_rows(out)]
        sorted_spans = [(0, 1000), (0, 1000), (250, 500), (250, 750), (500, 900)]
        assert starts == [(speaker, *span) for speaker in ("ana", "ben") for span in sorted_spans]
        assert [letter["code"] for letter in failures_in(out)] == ["bad_time"] * 4

    def test_all_bad_rows_may_be_tolerated(self, tmp_path: Path) -> None:
        lines = [case.row if isinstance(case.row, bytes) else line_of(case.row) for case in TIMES.values()]
        write_recording(tmp_path / "good.wav", 1)
        manifest = write_lines(tmp_path / "m.jsonl", lines)
        out = extract(manifest, tmp_path / "out", "--tolerate", "100%")
        assert len(failures_in(out)) == sum(case.outcome != OK for case in TIMES.values())
