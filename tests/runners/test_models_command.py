from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from beam_curator.runners.models_command import add_models_arguments, run_models_command
from beam_curator.runners.options import UsageError
from benchmarks.random_sortformer import make_sortformer

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
    names = ["SHA256SUMS", "config.json", "encode.onnx", "mel_filters.npy", "pre_encode.onnx"]
    assert table == [f"  {name:<16} {(tmp_path / 'model' / name).stat().st_size:>13,} bytes" for name in names]
    assert last.startswith("largest difference to NeMo: ")
    assert last.endswith(" of embeddings")


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
        (["export", "{nemo}", "{here}"], r" holds 'text', which is of no exported model: give another directory"),
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
