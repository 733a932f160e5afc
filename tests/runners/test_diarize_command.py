"""`beam-curator diarize` from the outside: 30 files in all codecs, what it writes of them, the same set twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import soundfile

from beam_curator.diarization.rttm import parse_rttm, unescape_field
from beam_curator.runners.options import UsageError
from benchmarks.random_sortformer import talk
from tests.audio.corpus import PACKETS, RECIPES, make_bad_files, packet_file, sound_bytes
from tests.fakes_models import Speech, write_band_model, write_sound
from tests.manifests import failures_in, lines_in, manifest_of, names_in, run, run_process, start_process
from tests.sortformers import Model
from tests.transforms.diarization.turn_sets import by_id, bytes_of, check_set, diarize, entries_in, names_below

pytestmark = pytest.mark.heavy

SOUNDS = (
    *("u8.wav", "pcm24.wav", "float.wav", "ulaw.wav", "alaw.wav", "ima_adpcm.wav", "gsm.wav", "eight_channels.wav"),
    *("11025.wav", "192k.wav", "big.rf64", "wave64.w64", "pcm16.aiff", "pcm16.au", "pcm16.caf", "pcm16.flac"),
    *("vorbis.ogg", "opus_stereo.opus", "constant.mp3"),
)
"""Good recordings besides those that FFmpeg writes, and one of 40 s."""
CODES = {
    "zero_bytes.wav": "empty_audio",
    "page.wav": "not_audio",
    "header_only.wav": "empty_audio",
    "truncated.wav": "truncated_audio",
    "nan.wav": "non_finite",
}
"""Bad recordings, and what becomes of them."""


def write_thirty(root: Path) -> Path:
    """Write recordings in all codecs into two folders; five of them are bad, and the stem pcm16 is there four times."""
    for number, name in enumerate(SOUNDS):
        path = root / ("monday", "friday")[number % 2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound_bytes(RECIPES[name]))
    for name in PACKETS:
        (root / "friday" / name).write_bytes(packet_file(name))
    soundfile.write(root / "monday" / "long talk.wav", talk(40), 16000)
    for name, path in make_bad_files(root.parent / "bad").items():
        if name in CODES:
            path.rename(root / "monday" / name)
    return root


class Done(NamedTuple):
    """What a run of the command left."""

    folder: Path
    model: Path
    out: Path
    ended: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def thirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 30 recordings."""
    return write_thirty(tmp_path_factory.mktemp("thirty") / "in")


@pytest.fixture(scope="module", params=["onnx", pytest.param("nemo", marks=pytest.mark.slow)])
def done(
    request: pytest.FixtureRequest, thirty: Path, streaming_model: Model, tmp_path_factory: pytest.TempPathFactory
) -> Done:
    """The set that the command writes of them, by either backend."""
    out = tmp_path_factory.mktemp(request.param) / "out"
    model: Path = getattr(streaming_model, request.param)
    ended = run_process("diarize", thirty, "--output", out, "--model-path", model)
    return Done(thirty, model, out, ended)


class TestThirtyFiles:
    def test_what_is_said(self, done: Done) -> None:
        assert done.ended.returncode == 3, done.ended.stderr
        lines = [line.split() for line in done.ended.stdout.splitlines()]
        stages = {line[0]: line for line in lines if line}
        assert stages["read"][:7] == ["read", "30", "rows", "30", "rows", "0", "0"]
        assert stages["listen"][:7] == ["listen", "30", "recordings", "25", "recordings", "0", "5"]
        n_turns = sum(len(entry["segments"]) for entry in entries_in(done.out))
        assert stages["turns"][:5] == ["turns", "25", "recordings", f"{n_turns:,}", "turns"]
        reasons = [line for line in done.ended.stdout.splitlines() if " failed in listen: " in line]
        expected = Counter(CODES.values())
        assert {line.split()[5].rstrip(","): int(line.split()[0]) for line in reasons} == expected
        assert done.ended.stdout.splitlines()[-1].startswith(f"25 recordings, {n_turns:,} turns, ")
        said = [line for line in done.ended.stderr.splitlines() if line.startswith(("5 failures", "beam-curator"))]
        assert said == [f"5 failures, more than --tolerate 0: see {done.out}/failures-*.jsonl"]
        assert "Traceback" not in done.ended.stderr

    def test_each_bad_one_is_one_failure_with_its_cure(self, done: Done) -> None:
        letters = failures_in(done.out)
        assert {Path(letter["source"]).name: letter["code"] for letter in letters} == CODES
        assert len(letters) == len(CODES)
        for letter in letters:
            assert (letter["stage"], letter["offset"]) == ("diarize", 0)
            assert min(len(letter["message"]), len(letter["cure"])) > 10
            assert json.loads(letter["payload"])["audio_filepath"] == letter["source"]

    def test_the_others_have_rows_and_rttm(self, done: Done) -> None:
        check_set(done.out)
        good = sorted(str(path) for path in done.folder.rglob("*.*") if path.name not in CODES)
        entries = entries_in(done.out)
        assert sorted(entry["audio_filepath"] for entry in entries) == good
        assert len(by_id(done.out)) == 25
        assert names_below(done.out / "rttm") == sorted(f"{name}.rttm" for name in by_id(done.out))
        stems = Counter(name.partition("~")[0] for name in by_id(done.out))
        assert {stem: n for stem, n in stems.items() if n > 1} == {"friday_pcm16": 2, "monday_pcm16": 2}
        assert "monday_long talk" in stems
        for entry in entries:
            assert entry["segments"] == entry["diar_segments"]
            speakers = {segment["speaker"] for segment in entry["segments"]}
            assert (entry["num_speakers"], entry["speakers_saturated"]) == (len(speakers), len(speakers) == 4)
            assert all(0 <= segment["start"] < segment["end"] <= entry["duration"] for segment in entry["segments"])
        assert sum(len(entry["segments"]) for entry in entries) > 200

    def test_pyannote_and_the_strict_parser_read_the_same_turns(self, done: Done) -> None:
        util = pytest.importorskip("pyannote.database.util")
        for name, entry in by_id(done.out).items():
            turns = sorted((turn["start"], turn["end"], turn["speaker"]) for turn in entry["segments"])
            path = done.out / entry["rttm_filepath"]
            parsed = parse_rttm(path.read_text())
            assert {turn.recording_id for turn in parsed} == {name}
            assert [(turn.start, turn.end, turn.speaker) for turn in parsed] == turns
            ((field, annotation),) = util.load_rttm(path).items()
            tracks = sorted((*segment, label) for segment, _, label in annotation.itertracks(yield_label=True))
            assert unescape_field(field) == name
            assert [(round(start, 3), round(end, 3), label) for start, end, label in tracks] == turns

    def test_again_it_is_complete(self, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
        before = tree_state(done.out)
        assert run("diarize", done.folder, "--output", done.out, "--model-path", done.model) == 3
        hint = f"To try again what failed: beam-curator retry {done.out}\n"
        assert capsys.readouterr().out == f"{done.out} is already complete: nothing to do.\n{hint}"
        assert tree_state(done.out) == before

    def test_other_options_or_another_model_are_refused(self, done: Done, tmp_path: Path) -> None:
        before = tree_state(done.out)
        arguments = ("diarize", done.folder, "--output", done.out, "--model-path")
        with pytest.raises(UsageError, match=r"turns\.onset was 0\.5, is 0\.6.*--overwrite"):
            run(*arguments, done.model, "--onset", "0.6")
        with pytest.raises(UsageError, match=r"model\.name was '(onnx|model\.nemo)', is 'band'.*--overwrite"):
            run(*arguments, write_band_model(tmp_path / "band"))
        assert tree_state(done.out) == before


def test_both_backends_find_the_same_turns(thirty: Path, streaming_model: Model, tmp_path: Path) -> None:
    recordings = [thirty / "monday" / "long talk.wav", thirty / "friday" / "pcm16.flac"]
    onnx = diarize(recordings, tmp_path / "onnx", model=streaming_model.onnx)
    nemo = diarize(recordings, tmp_path / "nemo", model=streaming_model.nemo)
    turns = [[entry["segments"] for entry in entries_in(out)] for out in (onnx, nemo)]
    assert turns[0] == turns[1]


def test_a_model_that_hears_all_at_once(thirty: Path, offline_model: Model, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ("--max-offline-seconds", 30, "--inference-batch-size", 8)
    diarize(thirty, out, *flags, model=offline_model.onnx, code=3)
    letters = {Path(letter["source"]).name: letter for letter in failures_in(out)}
    assert {name: letter["code"] for name, letter in letters.items()} == CODES | {"long talk.wav": "too_long"}
    assert "streaming family" in letters["long talk.wav"]["cure"]
    assert len(entries_in(out)) == 24


def tree_state(out: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of change of each file of a tree."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file()}


TALK: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 1), (2.4, 3.2, 2)]


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model whose answers are worked out by hand."""
    return write_band_model(tmp_path_factory.mktemp("model") / "band")


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """A folder of two good recordings and a bad one."""
    write_sound(tmp_path / "in" / "a.wav", 4.0, TALK)
    write_sound(tmp_path / "in" / "b" / "a.flac", 4.0, TALK[1:], 44100, 2)
    (tmp_path / "in" / "bad.mp3").write_bytes(b"<html>")
    return tmp_path / "in"


def test_nothing_is_written_elsewhere(talks: Path, band: Path, tmp_path: Path) -> None:
    """Not below the home directory, and no temporary file: onnxruntime would leave an id of the machine."""
    places = {name: tmp_path / name for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    for place in places.values():
        place.mkdir()
    out = tmp_path / "out"
    environment = os.environ | {name: str(place) for name, place in places.items()}
    ended = run_process("diarize", talks, "--output", out, "--model-path", band, "--jobs", "2", env=environment)
    assert ended.returncode == 3, ended.stderr
    assert [path for place in places.values() for path in place.rglob("*")] == []


class TestTwice:
    def test_a_changed_recording_is_refused(self, talks: Path, band: Path, tmp_path: Path) -> None:
        out = diarize(talks, tmp_path / "out", model=band, code=3)
        write_sound(talks / "a.wav", 4.0, TALK[:1])
        with pytest.raises(UsageError, match=r"in/a\.wav has changed.*--overwrite"):
            run("diarize", talks, "--output", out, "--model-path", band)
        diarize(talks, out, "--overwrite", model=band, code=3)
        assert sorted(len(entry["segments"]) for entry in entries_in(out)) == [1, 2]

    def test_a_recording_more_is_refused(self, talks: Path, band: Path, tmp_path: Path) -> None:
        out = diarize(talks, tmp_path / "out", model=band, code=3)
        write_sound(talks / "c.wav", 1.0)
        with pytest.raises(UsageError, match=r"c\.wav"):
            run("diarize", talks, "--output", out, "--model-path", band)

    def test_a_changed_model_is_refused(self, talks: Path, band: Path, tmp_path: Path) -> None:
        model = shutil.copytree(band, tmp_path / "model")
        out = diarize(talks, tmp_path / "out", model=model, code=3)
        write_band_model(model, streaming=False)
        with pytest.raises(UsageError, match=r"model/SHA256SUMS has changed; .*model/config\.json has changed"):
            run("diarize", talks, "--output", out, "--model-path", model)

    def test_overwrite_leaves_nothing_of_the_set_before(self, talks: Path, band: Path, tmp_path: Path) -> None:
        out = diarize(talks, tmp_path / "out", "--uem", "--overlap-view", model=band, code=3)
        (out / "mine.txt").write_text("stays")
        (talks / "bad.mp3").unlink()
        diarize(talks, out, "--rttm-out-dir", "pred_rttms", "--overwrite", model=band)
        own = ["_MANIFEST.json", "mine.txt", "pred_rttms", "summary.json", "turns-00000-of-00001.jsonl"]
        assert names_in(out) == own
        assert names_below(out / "pred_rttms") == sorted(f"{name}.rttm" for name in by_id(out))

    def test_rttm_that_nobody_marked_is_not_taken_over(self, talks: Path, band: Path, tmp_path: Path) -> None:
        (tmp_path / "out" / "rttm").mkdir(parents=True)
        (tmp_path / "out" / "rttm" / "mine.rttm").write_text("mine")
        with pytest.raises(UsageError, match="holds rttm, which no job has marked as its own"):
            run("diarize", talks, "--output", tmp_path / "out", "--model-path", band)
        assert names_in(tmp_path / "out") == ["rttm"]

    def test_verify_misses_an_rttm_and_notices_a_changed_one(
        self, talks: Path, band: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = diarize(talks, tmp_path / "out", model=band, code=3)
        missing, changed = sorted((out / "rttm").iterdir())
        missing.unlink()
        changed.write_text(changed.read_text().replace("0.800", "0.801"))
        capsys.readouterr()
        assert run("verify", out) == 1
        said = capsys.readouterr().err
        assert f"rttm/{missing.name} is missing" in said
        assert f"rttm/{changed.name} was changed" in said

    def test_failures_that_are_tolerated(
        self, talks: Path, band: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for tolerate, code in (("1", 0), ("34%", 0), ("33%", 3)):  # 1 of 3
            diarize(talks, tmp_path / "out", "--tolerate", tolerate, "--overwrite", model=band, code=code)
        assert "1 failure, more than --tolerate 33%" in capsys.readouterr().err


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve short recordings; three of them are bad, and two have one stem."""
    folder = tmp_path_factory.mktemp("twelve")
    for number in range(9):
        path = folder / str(number % 3) / f"talk{max(1, number)}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, talk(3.0 + number, seed=number), 16000)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "page.flac").write_bytes(b"<html>")
    (folder / "cut.wav").write_bytes((folder / "0" / "talk3.wav").read_bytes()[:50000])
    return folder


class TestSameSet:
    FLAGS = ("--latency", "low", "--uem", "--overlap-view", "--tolerate", "3")

    @pytest.fixture(scope="class")
    def first(self, twelve: Path, streaming_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
        out = tmp_path_factory.mktemp("first") / "out"
        return diarize(twelve, out, *self.FLAGS, model=streaming_model.onnx)

    def test_it_is_worth_comparing(self, first: Path) -> None:
        assert Counter(letter["code"] for letter in failures_in(first)) == Counter(
            ["empty_audio", "not_audio", "truncated_audio"]
        )
        assert len(names_below(first / "rttm")) == 27
        assert manifest_of(first)["counts"]["diarize.segments"] > 100

    @pytest.mark.parametrize(
        "flags",
        [
            ("--direct_runner_bundle_repeat=1",),
            ("--threads", "1"),
            pytest.param(("--jobs", "2"), marks=pytest.mark.slow),
        ],
        ids=" ".join,
    )
    def test_however_it_is_run(
        self, flags: tuple[str, ...], first: Path, twelve: Path, streaming_model: Model, tmp_path: Path
    ) -> None:
        out = diarize(twelve, tmp_path / "out", *self.FLAGS, *flags, model=streaming_model.onnx)
        assert bytes_of(out) == bytes_of(first)

    @pytest.mark.parametrize("flags", [("--jobs", "1"), ("--jobs", "2")], ids=" ".join)
    def test_in_shards(
        self, flags: tuple[str, ...], first: Path, twelve: Path, streaming_model: Model, tmp_path: Path
    ) -> None:
        shards = ("--shards", "4", *flags)
        out = diarize(twelve, tmp_path / "out", *self.FLAGS, *shards, model=streaming_model.onnx)
        assert sorted(lines_in(out, "turns-*")) == sorted(lines_in(first, "turns-*"))
        assert sorted(lines_in(out, "failures-*")) == sorted(lines_in(first, "failures-*"))
        rttm = [{name: text for name, text in bytes_of(made).items() if "/" in name} for made in (out, first)]
        assert rttm[0] == rttm[1]
        assert len(list(out.glob("turns-*"))) > 0


class TestInterrupted:
    @pytest.fixture(scope="class")
    def long_talks(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A folder of four short recordings and two of 2 minutes: whichever comes first, a long one is left."""
        folder = tmp_path_factory.mktemp("long")
        for number in range(6):
            soundfile.write(folder / f"{number}.wav", talk(120.0 if number > 3 else 2.0, seed=number), 16000)
        return folder

    @pytest.fixture(scope="class")
    def whole(self, long_talks: Path, streaming_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return diarize(long_talks, tmp_path_factory.mktemp("whole") / "out", model=streaming_model.onnx)

    @pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
    def test_the_same_command_goes_on(
        self, jobs: str, long_talks: Path, whole: Path, streaming_model: Model, tmp_path: Path
    ) -> None:
        """Ctrl-C reaches all processes of a terminal while one of them is in the middle of a recording."""
        out = tmp_path / "out"
        arguments = ("diarize", long_talks, "--output", out, "--model-path", streaming_model.onnx, "--jobs", jobs)
        process = start_process(*arguments, start_new_session=True, preexec_fn=heed_ctrl_c)
        while not list(out.glob("rttm/*.rttm")) and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 130, said
        assert said == "\nbeam-curator: interrupted; the same command goes on where this one stopped\n"
        assert not (out / "_MANIFEST.json").exists()
        before = tree_state(out / "rttm")
        assert 1 <= len(before) < 6
        assert run(*arguments[:-2]) == 0
        check_set(out)
        assert bytes_of(out) == bytes_of(whole)
        assert before.items() <= tree_state(out / "rttm").items(), "what was finished was heard again"


def heed_ctrl_c() -> None:
    """Let SIGINT be what it is in a terminal: a shell that starts tests in the background has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
