"""Bad recordings, inputs and rows through `diarize`: each has its outcome, and the good ones come out."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from beam_curator.audio import encode_audio
from beam_curator.runners.options import UsageError
from tests.audio.corpus import RECIPES, make_bad_files
from tests.audio.corpus import write_sound as sound_file_bytes
from tests.fakes_models import Speech, segments_of, sound_of, write_band_model, write_sound
from tests.manifests import BAD_LINES, failures_in, line_of, run, run_process, without_override, write_lines
from tests.sortformers import Model
from tests.transforms.diarization.turn_sets import by_id, diarize, entries_in

pytestmark = pytest.mark.heavy

OK = "ok"
TALK: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 1), (2.4, 3.2, 2)]


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model whose answers are worked out by hand."""
    return write_band_model(tmp_path_factory.mktemp("model") / "band")


BYTES = {
    "zero_bytes.wav": "empty_audio",
    "page.wav": "not_audio",
    "random.wav": "not_audio",
    "header_only.wav": "empty_audio",
    "header_only.flac": "empty_audio",
    "truncated.wav": "truncated_audio",
    "truncated.flac": "truncated_audio",
    "truncated.ogg": "truncated_audio",
    "truncated.mp3": "truncated_audio",
    "truncated.m4a": "truncated_audio",
    "truncated_behind_index.m4a": "truncated_audio",
    "damaged.flac": "truncated_audio",
    "damaged.ogg": "not_audio",
    "chained.ogg": "not_audio",
    "nan.wav": "non_finite",
    "inf.wav": "non_finite",
    "above_one.wav": OK,
    "claims_2_31_frames.wav": "truncated_audio",
    "claims_2_36_frames.flac": "truncated_audio",
    "no_rate.wav": "not_audio",
    "many_channels.wav": OK,  # 24 samples of 1,000 channels
    "playlist.m4a": "not_audio",
}
"""Bad files, and what becomes of them where all of a recording is asked for."""
ODD: dict[str, list[Speech]] = {
    "alone.wav": [(0.8, 1.6, 3), (2.4, 3.2, 3)],
    "eight.wav": TALK,
    "phone.wav": TALK,
    "studio.wav": TALK,
    "mp3_inside.wav": TALK,
    "silence.wav": [],
    "159_samples.wav": [],
    "160_samples.wav": [],
    "one_sample.wav": [],
}
"""Odd recordings, and who speaks in them."""


def write_odd(folder: Path) -> None:
    """Write odd but good recordings."""
    write_sound(folder / "alone.wav", 4.0, ODD["alone.wav"])
    write_sound(folder / "eight.wav", 4.0, TALK, 16000, 8)
    write_sound(folder / "phone.wav", 4.0, TALK, 8000)
    write_sound(folder / "studio.wav", 4.0, TALK, 192000, 2)
    (folder / "mp3_inside.wav").write_bytes(sound_file_bytes(sound_of(4.0, TALK), RECIPES["constant.mp3"]))
    write_sound(folder / "silence.wav", 30.0)
    for name, n_samples in (("159_samples.wav", 159), ("160_samples.wav", 160), ("one_sample.wav", 1)):
        (folder / name).write_bytes(encode_audio(np.zeros((n_samples, 1), np.float32), 16000, "wav"))


class TestRecordings:
    def test_every_bad_file_has_its_outcome_and_the_odd_ones_theirs(self, band: Path, tmp_path: Path) -> None:
        make_bad_files(tmp_path / "in" / "bad")
        write_odd(tmp_path / "in")
        (tmp_path / "in" / "folder.wav").mkdir()
        (tmp_path / "in" / "gone.wav").symlink_to("nowhere.wav")
        out = diarize(tmp_path / "in", tmp_path / "out", model=band, code=3)
        found = {Path(entry["audio_filepath"]).name: entry["segments"] for entry in entries_in(out)}
        codes = {Path(letter["source"]).name: letter["code"] for letter in failures_in(out)}
        bad = {name: code for name, code in BYTES.items() if code != OK} | {"gone.wav": "not_found"}
        assert codes == bad
        assert set(found) == set(ODD) | {name for name, code in BYTES.items() if code == OK}
        assert {name: found[name] for name in ODD} == {name: segments_of(speech) for name, speech in ODD.items()}
        for letter in failures_in(out):
            assert (letter["stage"], letter["message"] != "", letter["cure"] != "") == ("diarize", True, True)
            assert json.loads(letter["payload"])["audio_filepath"] == letter["source"]
        for name in ("silence", "159_samples", "one_sample"):
            assert (out / "rttm" / f"{name}.rttm").read_bytes() == b""
            assert by_id(out)[name]["num_speakers"] == 0

    @pytest.mark.parametrize("family", ["streaming", pytest.param("offline", marks=pytest.mark.slow)])
    def test_a_real_model_bears_them_too(self, family: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        model: Model = request.getfixturevalue(f"{family}_model")
        write_odd(tmp_path / "in")
        out = diarize(tmp_path / "in", tmp_path / "out", model=model.onnx)
        assert len(entries_in(out)) == len(ODD)

    def test_one_that_may_not_be_read_is_one_failure(self, band: Path, tmp_path: Path) -> None:
        for name in ("closed.wav", "open.wav"):
            write_sound(tmp_path / "in" / name, 4.0, TALK)
        (tmp_path / "in" / "closed.wav").chmod(0)
        arguments = ("diarize", tmp_path / "in", "--output", tmp_path / "out", "--model-path", band)
        ended = run_process(*arguments, preexec_fn=without_override)
        assert ended.returncode == 3, ended.stderr
        (letter,) = failures_in(tmp_path / "out")
        assert (letter["code"], "Permission denied" in letter["message"]) == ("not_readable", True)
        assert list(by_id(tmp_path / "out")) == ["open"]


class TestInputs:
    def folder(self, root: Path) -> Path:
        write_sound(root / "in" / "a.wav", 4.0, TALK)
        (root / "empty").mkdir()
        (root / "named" / "a.wav").mkdir(parents=True)
        (root / "pipes").mkdir()
        os.mkfifo(root / "pipes" / "f.wav")
        write_lines(root / "m.jsonl", [line_of({"audio_filepath": "in/a.wav"})])
        return root

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            (["nope.wav"], r"file .*/nope\.wav is not there: check the path"),
            (["in/a.wav", "nope.wav"], r"file .*/nope\.wav is not there"),
            (["in/*.ogg"], r"glob .*/in/\*\.ogg holds no recording, and no manifest: expected files such as \.wav"),
            (["empty"], "directory .*/empty holds no recording"),
            (["named/a.wav"], r"directory .*/named/a\.wav holds no recording"),
            (["pipes"], r"directory .*/pipes holds no recording, .* \(left out: 1 no regular file\)"),
            (["pipes/f.wav"], r"/pipes/f\.wav is not a regular file"),
            (["in", "m.jsonl"], r"manifests \(.*m\.jsonl\) and recordings \(.*a\.wav\): give one kind at a time"),
        ],
        ids=str,
    )
    def test_that_cannot_be_read_are_refused_at_once(
        self, inputs: list[str], message: str, band: Path, tmp_path: Path
    ) -> None:
        root = self.folder(tmp_path)
        given = [root / name for name in inputs]
        with pytest.raises(UsageError, match=message):
            run("diarize", *given, "--output", tmp_path / "out", "--model-path", band)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("inside", ["", "deeper/out"])
    def test_an_output_inside_the_input_is_refused(self, inside: str, band: Path, tmp_path: Path) -> None:
        folder = self.folder(tmp_path) / "in"
        with pytest.raises(UsageError, match="lies inside the input"):
            run("diarize", folder, "--output", folder / inside, "--model-path", band)
        assert [path.name for path in folder.iterdir()] == ["a.wav"]

    def test_an_output_that_is_a_file_is_refused(self, band: Path, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        folder = self.folder(tmp_path) / "in"
        with pytest.raises(UsageError, match="out is a file: give a directory"):
            run("diarize", folder, "--output", tmp_path / "out", "--model-path", band)
        assert (tmp_path / "out").read_text() == "mine"


class Case(NamedTuple):
    """A row, and what must come of it: a code of a dead letter, or OK."""

    row: dict[str, Any] | bytes
    outcome: str


def asked(path: object, **fields: Any) -> dict[str, Any]:
    return {"audio_filepath": str(path)} | fields


NO_ROWS = {"bad_json", "bad_utf8", "bad_unicode", "non_finite", "not_an_object", "too_deep"}
ROWS = {
    **{name: Case(line, code) for name, (line, code) in BAD_LINES.items() if code in NO_ROWS},
    "no path": Case({"path": "good.wav"}, "missing_key"),
    "path is null": Case({"audio_filepath": None}, "bad_type"),
    "path is a number": Case({"audio_filepath": 7}, "bad_type"),
    "path is empty": Case(asked(""), "bad_type"),
    "path is too long": Case(asked("x" * 300 + ".wav"), "not_readable"),
    "path with NUL": Case(asked("a\0b.wav"), "not_found"),
    "not there": Case(asked("gone.wav"), "not_found"),
    "a folder": Case(asked("folder.wav"), "not_readable"),
    "a FIFO": Case(asked("fifo.wav"), "not_readable"),
    "a device": Case(asked("/dev/zero"), "path_outside_root"),
    "a page": Case(asked("page.wav"), "not_audio"),
    "http": Case(asked("http://169.254.169.254/a.wav"), "scheme_not_allowed"),
    "file": Case(asked("file:///etc/passwd"), "scheme_not_allowed"),
    "outside of the root": Case(asked("/etc/passwd"), "path_outside_root"),
    "above the root": Case(asked("../outside.wav"), "path_outside_root"),
    "no member": Case(asked("page.wav::a"), "not_found"),
    "offset below 0": Case(asked("good.wav", offset=-1), "bad_time"),
    "offset is text": Case(asked("good.wav", offset="1"), "bad_type"),
    "offset is true": Case(asked("good.wav", offset=True), "bad_type"),
    "offset is NaN": Case(b'{"audio_filepath":"good.wav","offset":NaN}', "non_finite"),
    "offset is huge": Case(asked("good.wav", offset=10**400), "bad_time"),
    "offset behind the end": Case(asked("good.wav", offset=5.0), "out_of_range"),
    "duration is 0": Case(asked("good.wav", offset=1.0, duration=0), "bad_time"),
    "duration below 0": Case(asked("good.wav", offset=1.0, duration=-1), "bad_time"),
    "duration is text": Case(asked("good.wav", offset=1.0, duration="1"), "bad_type"),
    "duration lies": Case(asked("good.wav", duration=99.0, audio_sample_rate=44100), OK),
    "duration is longer": Case(asked("good.wav", offset=1.0, duration=99.0), OK),
    "offset is null": Case(asked("good.wav", offset=None, duration=None), OK),
    "session is a number": Case(asked("good.wav", session_name=7), "bad_type"),
    "session is empty": Case(asked("good.wav", session_name=""), "bad_type"),
    "session is a path": Case(asked("good.wav", session_name="../../etc/passwd"), OK),
    "session of two lines": Case(asked("good.wav", session_name="a\nSPEAKER b"), OK),
    "own keys of any kind": Case(asked("good.wav", segments=7, files="x", num_speakers=[], recording_id={}), OK),
    "twice": Case(asked("good.wav"), OK),
}
"""Rows of a manifest in a job with --allowed-root."""


def test_every_row_has_its_outcome(band: Path, tmp_path: Path) -> None:
    root = tmp_path / "in"
    write_sound(root / "good.wav", 4.0, TALK)
    write_sound(tmp_path / "outside.wav", 4.0, TALK)
    (root / "page.wav").write_bytes(b"<html>" * 100)
    (root / "folder.wav").mkdir()
    os.mkfifo(root / "fifo.wav")
    good = line_of(asked("good.wav"))
    lines = [line for case in ROWS.values() for line in (_line_of(case.row), good)]
    offsets = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]
    flags = ("--allowed-root", root)
    out = diarize(write_lines(root / "m.jsonl", lines), tmp_path / "out", *flags, model=band, code=3)
    failed = {letter["offset"]: letter["code"] for letter in failures_in(out)}
    entries = {entry["_origin"]["offset"]: entry for entry in entries_in(out)}
    assert set(failed) | set(entries) == set(offsets)
    assert not set(failed) & set(entries)
    assert {name: failed.get(offset, OK) for name, offset in zip(ROWS, offsets[::2], strict=True)} == {
        name: case.outcome for name, case in ROWS.items()
    }
    assert [entries[offset]["segments"] for offset in offsets[1::2]] == [segments_of(TALK)] * len(ROWS)
    for letter in failures_in(out):
        assert lines[offsets.index(letter["offset"])].startswith(letter["payload"][:1000])
        assert letter["cure"]
    for path in (out / "rttm").iterdir():
        assert re.fullmatch(r"[^/\n]+~[0-9a-f]{8,16}\.rttm", path.name)
        assert all(line.startswith("SPEAKER ") for line in path.read_text().splitlines())


def _line_of(row: dict[str, Any] | bytes) -> bytes:
    return row if isinstance(row, bytes) else line_of(row)
