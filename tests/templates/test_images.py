"""The images of flex templates, as far as that goes without an engine for images."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "templates" / "flex"
DOCKERFILES = [FOLDER / "Dockerfile.cpu", FOLDER / "Dockerfile.gpu"]


def _version(pattern: str, text: str) -> list[str]:
    found = re.findall(pattern, text, re.MULTILINE)
    assert found, f"{pattern} is not there"
    return [match.replace(".", "") for match in found]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.suffix)
def test_the_versions_in_an_image_agree(dockerfile: Path) -> None:
    text = dockerfile.read_text(encoding="utf-8")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    beam = re.search(r"^apache-beam==(\S+)$", lock, re.MULTILINE)
    assert beam is not None
    assert _version(r"apache/beam_python[0-9.]+_sdk:(\S+)", text) == [beam[1].replace(".", "")]
    pythons = _version(r"^COPY --from=apache/beam_python([0-9.]+)_sdk", text)
    pythons += _version(r"^COPY --from=gcr\.io/dataflow-templates-base/python([0-9]+)-template-launcher-base:", text)
    pythons += _version(r"(?:^FROM python:|python|pip)(3\.[0-9]+)\b", text)
    assert set(pythons) == {"311"}
    assert "Programming Language :: Python :: 3.11" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert not re.search(r":latest|^FROM \S+:?$\n", text), "pin every image"
    assert "FLEX_TEMPLATE_PYTHON_REQUIREMENTS_FILE" not in text
    assert "FLEX_TEMPLATE_PYTHON_SETUP_FILE" not in text
    assert text.rstrip().endswith('ENTRYPOINT ["/opt/apache/beam/boot"]')


def test_the_images_differ_in_their_base_and_in_what_runs_models() -> None:
    cpu, gpu = (path.read_text(encoding="utf-8").partition("COPY --from")[2] for path in DOCKERFILES)
    assert cpu.replace("\nARG EXTRAS=gcp\n", "\nARG EXTRAS=gcp,nemo\n") == gpu
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {"gcp", "nemo", "nemotron", "av"} <= set(extras)


def test_the_base_with_a_gpu_has_the_cuda_that_torch_is_built_for() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    (runtime,) = re.findall(r"^nvidia-cuda-runtime(?:-cu\d+)?==(\d+\.\d+)\.", lock, re.MULTILINE)
    (base,) = re.findall(
        r"^FROM nvidia/cuda:(\d+\.\d+)\.\d+-base-ubuntu", DOCKERFILES[1].read_text(encoding="utf-8"), re.MULTILINE
    )
    assert base == runtime


def test_the_files_that_an_image_copies_make_the_package(tmp_path: Path) -> None:
    copies = re.findall(r"^COPY (?!--from)(.+) (\S+)$", DOCKERFILES[0].read_text(encoding="utf-8"), re.MULTILINE)
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    ]
    source = tmp_path / "source"
    source.mkdir()
    for names, _ in copies[:2]:
        for name in names.split():
            assert name in allowed
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, source / name)
    assert copies[2:] == [("templates/flex/${JOB}.py", "./")]
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    packed = {name for name in archive.namelist() if name.startswith("beam_curator/")}
    (about,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    assert "Provides-Extra: gcp" in archive.read(about).decode().splitlines()
    tracked = subprocess.run(["git", "ls-files", "beam_curator"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert {name for name in tracked.stdout.split() if (ROOT / name).exists()} <= packed
