"""Bad recordings, rows, models and options through `diarize`: each has its outcome, and the good ones come out."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from beam_curator.audio import encode_audio
from beam_curator.runners.options import UsageError
from beam_curator.transforms.diarization.onnx_backend import CHECKSUMS, checksums_of
from tests.audio.corpus import RECIPES, make_bad_files
from tests.audio.corpus import write_sound as sound_file_bytes
from tests.fakes_models import Speech, segments_of, sound_of, write_band_model, write_sound
from tests.manifests import BAD_LINES, failures_in, line_of, run, run_process, without_override, write_lines
from tests.sortformers import Model
from tests.transforms.diarization.turn_sets import by_id, diarize, entries_in

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
            assert json.loads(letter["payload"]) == {"audio_filepath": letter["source"]}
        for name in ("silence", "159_samples", "one_sample"):
            assert (out / "rttm" / f"{name}.rttm").read_bytes() == b""
            assert by_id(out)[name]["num_speakers"] == 0

    def test_a_real_model_bears_them_too(self, streaming_model: Model, offline_model: Model, tmp_path: Path) -> None:
        write_odd(tmp_path / "in")
        for name, model in (("streaming", streaming_model), ("offline", offline_model)):
            out = diarize(tmp_path / "in", tmp_path / name, model=model.onnx)
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
            (["pipes"], r"/pipes/f\.wav is not a regular file: write its contents to one"),
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


def tar_bytes(**members: bytes) -> bytes:
    """Make a tar of files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def cut_encode(folder: Path) -> None:
    (folder / "encode.onnx").write_bytes(half((folder / "encode.onnx").read_bytes()))


def cut_filters(folder: Path) -> None:
    (folder / "mel_filters.npy").write_bytes(half((folder / "mel_filters.npy").read_bytes()))


def cut_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"format":')


def remove_encode(folder: Path) -> None:
    (folder / "encode.onnx").unlink()


def remove_checksums(folder: Path) -> None:
    (folder / CHECKSUMS).unlink()


FOLDERS: dict[Callable[[Path], None], str] = {
    cut_encode: r"encode\.onnx was changed or is damaged: its sha256 is not the one in SHA256SUMS .*: export the model",
    cut_filters: r"mel_filters\.npy was changed or is damaged",
    cut_config: r"config\.json of model .* is no JSON .*: fetch or export it again",
    remove_encode: r"lacks encode\.onnx, expected an exported model: fetch or export it again",
    remove_checksums: "is no exported model, SHA256SUMS missing: export the model again",
}
"""Damage to an exported model, and what is said of it before the job begins."""


def other_graph(folder: Path) -> None:
    shutil.copy(folder / "encode.onnx", folder / "pre_encode.onnx")
    (folder / CHECKSUMS).write_text(checksums_of(str(folder)))


def no_graph(folder: Path) -> None:
    (folder / "encode.onnx").write_text("no graph")
    (folder / CHECKSUMS).write_text(checksums_of(str(folder)))


class TestModels:
    @pytest.fixture
    def talk(self, tmp_path: Path) -> Path:
        return write_sound(tmp_path / "in" / "a.wav", 4.0, TALK)

    def refused(self, talk: Path, *options: object) -> str:
        """Return what is said of options that are refused at once; nothing is written."""
        out = talk.parent.parent / "out"
        with pytest.raises(UsageError) as caught:
            run("diarize", talk, "--output", out, *options)
        assert not out.exists()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def failed(self, talk: Path, capsys: pytest.CaptureFixture[str], *options: object) -> str:
        """Return what is said of a job that fails; there is no manifest."""
        out = talk.parent.parent / "out"
        assert run("diarize", talk, "--output", out, *options) == 1
        first, second = capsys.readouterr().err.splitlines()
        assert second.startswith("beam-curator: nothing was committed")
        assert not (out / "_MANIFEST.json").exists()
        return first.removeprefix("beam-curator: the job failed: ")

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("gone", None, r"model .*/gone is not there: give a \.nemo file, or the folder of a model"),
            ("in", None, r"folder .*/in holds no model \(found a\.wav\), expected a \.nemo file, or config\.json"),
            ("text.nemo", b"no model", r"text\.nemo is damaged \(8 bytes that are no tar\).*: fetch it again"),
            ("empty.nemo", b"", r"empty\.nemo is damaged \(0 bytes"),
            ("model.bin", b"x", r"model\.bin is a file of another kind, expected FILE\.nemo: give that, or a folder"),
        ],
    )
    def test_paths_without_a_model(self, talk: Path, name: str, content: bytes | None, message: str) -> None:
        path = talk.parent.parent / name
        if content is not None:
            path.write_bytes(content)
        assert re.search(message, self.refused(talk, "--model-path", path))

    @pytest.mark.parametrize("damage", FOLDERS)
    def test_damaged_folders(self, damage: Callable[[Path], None], talk: Path, band: Path, tmp_path: Path) -> None:
        damage(shutil.copytree(band, tmp_path / "model"))
        assert re.search(FOLDERS[damage], self.refused(talk, "--model-path", tmp_path / "model"))

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (other_graph, r"pre_encode\.onnx takes embeddings, lengths, expected mel, lengths: export the model again"),
            (no_graph, r"encode\.onnx is no graph for this onnxruntime .*: export the model again"),
        ],
    )
    def test_graphs_that_are_none(
        self,
        damage: Callable[[Path], None],
        message: str,
        talk: Path,
        band: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        damage(shutil.copytree(band, tmp_path / "model"))
        assert re.match(f"{tmp_path}/model/{message}", self.failed(talk, capsys, "--model-path", tmp_path / "model"))

    def test_files_of_nemo_that_are_none(
        self, talk: Path, streaming_model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "m.nemo"
        path.write_bytes(half(streaming_model.nemo.read_bytes()))
        assert re.match(rf"{path} ends too early \(.* bytes\)", self.failed(talk, capsys, "--model-path", path))
        path.write_bytes(tar_bytes(readme=b"no model"))
        said = self.failed(talk, capsys, "--model-path", path, "--overwrite")
        assert (
            said == f"{path} is a tar without model_config.yaml, thus no .nemo file: give a .nemo file of a Sortformer"
        )

    def test_a_hash_that_is_another(self, talk: Path, band: Path) -> None:
        said = self.refused(talk, "--model-path", band, "--model-sha256", "0" * 64)
        assert re.search(r"encode\.onnx has sha256 [0-9a-f]{64}, expected 0{64}: it is not loaded", said)
        said = self.refused(talk, "--model-path", band, "--model-sha256", "0" * 63)
        assert said.endswith("is not 64 hexadecimal digits: give all of them")

    def test_a_backend_that_it_is_not_for(self, talk: Path, band: Path, streaming_model: Model) -> None:
        said = self.refused(talk, "--model-path", streaming_model.nemo, "--backend", "onnx")
        assert f"beam-curator models export {streaming_model.nemo} DIR" in said
        said = self.refused(talk, "--model-path", band, "--backend", "nemo")
        assert said == f"{band} is an exported model, expected a .nemo file: leave --backend out"

    @pytest.mark.parametrize("kind", ["onnx", "nemo"])
    def test_a_gpu_that_is_not_there(
        self, kind: str, talk: Path, streaming_model: Model, capsys: pytest.CaptureFixture[str]
    ) -> None:
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
        said = self.failed(talk, capsys, "--model-path", getattr(streaming_model, kind), "--device", "cuda")
        assert "device cuda asked for, but " in said
        assert said.endswith(", or give device cpu")
        assert run("diarize", talk, "--output", talk.parent.parent / "out", "--model-path", streaming_model.onnx,
                   "--device", "cpu", "--overwrite") == 0  # fmt: skip

    def test_a_hub_out_of_reach(self, talk: Path, tmp_path: Path) -> None:
        environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_CACHE": str(tmp_path / "cache")}
        arguments = ("diarize", talk, "--output", tmp_path / "out")
        for name in ("nvidia/diar_streaming_sortformer_4spk-v2.1", "nobody/nothing"):
            ended = run_process(*arguments, "--model-name", name, env=environment)
            assert ended.returncode == 2, ended.stderr
            (said,) = ended.stderr.splitlines()
            assert said.startswith(f"beam-curator: model {name} cannot be fetched: the hub cannot be reached (")
            assert said.endswith("): download it elsewhere and give --model-path FILE.nemo")
            assert not (tmp_path / "out").exists()

    def test_names_that_are_none(self, talk: Path, band: Path) -> None:
        said = self.refused(talk, "--model-name", "nothing")
        assert said.startswith("'nothing' is no model name, expected org/name or org/name@revision")
        assert self.refused(talk, "--model-name", band).endswith("is there as a path: give it as --model-path")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--latency", "lowest"), "argument --latency: invalid choice: 'lowest' (choose from 'very-high',"),
            (("--latancy", "low"), "unknown flag --latancy: did you mean --latency?"),
            (("--chunk-len", "0"), "chunk_len 0 is below 1: raise it"),
            (("--chunk-len", "1.5"), "'1.5'"),
            (("--spkcache-len", "15"), "spkcache_len 15 is too short for 4 speakers with 3 frames of silence each: "
                                       "give at least 16"),
            (("--onset", "1.5"), "onset 1.5 must be 0-1"),
            (("--turn-preset", "v3"), "argument --turn-preset: invalid choice: 'v3'"),
            (("--inference-batch-size", "0"), "inference_batch_size 0"),
            (("--rttm-out-dir", "../rttm"), "rttm_out_dir '../rttm' is no name of a folder of the output set"),
            (("--rttm-out-dir", "/tmp/rttm"), "rttm_out_dir '/tmp/rttm' is no name of a folder of the output set"),
            (("--set", "turns.onsets=0.5"), "unknown option 'turns.onsets'"),
            (("--mono", "keep"), "argument --mono: invalid choice: 'keep' (choose from 'mix', 'first')"),
            (("--model-path", "ftp://host/m.nemo"), "scheme ftp:// in ftp://host/m.nemo is not allowed"),
        ],
        ids=str,
    )  # fmt: skip
    def test_options_that_cannot_hold(self, options: tuple[str, ...], message: str, talk: Path, band: Path) -> None:
        assert message in self.refused(talk, "--model-path", band, *options)
