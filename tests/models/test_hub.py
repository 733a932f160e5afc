import fcntl
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import pytest

from beam_curator.models.hub import hub_folder
from beam_curator.models.model_files import ModelFileError
from beam_curator.models.resolving import resolve_model
from tests.models.hub import COMMIT, Hub
from tests.models.models_in_files import NEMO, TRANSFORMERS, nemo_bytes, sha256

NAME = "nvidia/diar_streaming_sortformer_4spk-v2.1"
SECRET = "hf_never_to_be_printed"
ROOT = Path(__file__).parents[2]

RESOLVE = """
import sys
from beam_curator.runners.beam_start import start_beam
start_beam()
from beam_curator.models.resolving import resolve_model
try:
    found = resolve_model(sys.argv[1], None, sys.argv[2] or None, sha256=sys.argv[3] or None)
    print(found.kind, found.path, found.revision)
except ValueError as err:
    print(type(err).__name__, err)
"""


def _need_hub_client() -> None:
    if find_spec("huggingface_hub") is not None:
        return
    if os.environ.get("BEAM_CURATOR_REQUIRE_NEMO") == "1":
        pytest.fail("BEAM_CURATOR_REQUIRE_NEMO=1, but huggingface_hub is missing: pip install 'beam-curator[nemo]'")
    pytest.skip("huggingface_hub is not installed: pip install 'beam-curator[nemo]'")


def start(
    name: str, cache: Path, *, endpoint: str | None = None, sha256: str = "", **more: str
) -> subprocess.Popen[str]:
    """Resolve a name in a process of its own: the client reads its environment once."""
    _need_hub_client()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_TOKEN": SECRET, **({"HF_ENDPOINT": endpoint} if endpoint else {}), **more}
    command = [sys.executable, "-c", RESOLVE, name, str(cache), sha256]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert SECRET not in out + err
    assert out.count("\n") == 1
    return out.strip()


class Resolve(Protocol):
    def __call__(self, name: str, cache: Path, *, endpoint: str, sha256: str | None = None) -> str: ...


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Resolve:
    """Return what resolves a name as RESOLVE does, but in this process, with the endpoint where the client keeps it."""
    _need_hub_client()
    from huggingface_hub import constants

    def in_this_process(name: str, cache: Path, *, endpoint: str, sha256: str | None = None) -> str:
        monkeypatch.setenv("HF_TOKEN", SECRET)
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        files = "{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{endpoint}/{files}")
        try:
            found = resolve_model(name, None, str(cache), sha256=sha256)
            line = f"{found.kind} {found.path} {found.revision}"
        except ValueError as err:
            line = f"{type(err).__name__} {err}"
        assert SECRET not in line + "".join(capfd.readouterr())
        return line

    return in_this_process


def test_a_hub_out_of_reach_is_said_at_once(tmp_path: Path) -> None:
    begin = time.monotonic()
    found = said(start(NAME, tmp_path, endpoint="https://hub.invalid"))
    assert time.monotonic() - begin < 30
    assert found.startswith(
        f"ModelNotFoundError model {NAME} cannot be fetched: the hub cannot be reached (ConnectError: "
    )
    assert found.endswith("): download it elsewhere and give --model-path FILE.nemo")


def test_a_hub_that_is_silent_is_given_up(resolve: Resolve, tmp_path: Path) -> None:
    with Hub(NAME, {"a.nemo": NEMO}) as hub:
        hub.delay = 60
        begin = time.monotonic()
        found = resolve(NAME, tmp_path, endpoint=hub.url)
        assert time.monotonic() - begin < 30
    assert "the hub cannot be reached (" in found


def test_a_client_that_is_told_to_stay_offline(tmp_path: Path) -> None:
    with Hub(NAME, {"a.nemo": NEMO}) as hub:
        found = said(start(NAME, tmp_path, endpoint=hub.url, HF_HUB_OFFLINE="1"))
    assert "the hub cannot be reached (OfflineModeIsEnabled" in found


@pytest.mark.parametrize(
    ("status", "error_code", "why"),
    [
        (404, "RepoNotFound", "the hub has no such model, or only for those who may see it: check the name"),
        (404, "RevisionNotFound", "the hub has no such revision: give a branch, tag or commit of it"),
        (403, "GatedRepo", f"its licence has not been accepted: do so at https://huggingface.co/{NAME}, then"),
        (500, "", "the hub cannot be reached (HfHubHTTPError"),
    ],
)
def test_what_the_hub_answers_is_said(resolve: Resolve, tmp_path: Path, status: int, error_code: str, why: str) -> None:
    with Hub(NAME, {"a.nemo": NEMO}) as hub:
        hub.status, hub.error_code = status, error_code
        found = resolve(NAME, tmp_path, endpoint=hub.url)
    assert found.startswith(f"ModelNotFoundError model {NAME} cannot be fetched: {why}")


def test_workers_that_start_at_once_fetch_once(resolve: Resolve, tmp_path: Path) -> None:
    files = {"README.md": b"#", "b.nemo": nemo_bytes(b"b"), "a.nemo": NEMO, "weights.pkl": b"pickle"}
    with Hub(NAME, files) as hub:
        hub.delay = 0.2
        workers = [start(NAME, tmp_path, endpoint=hub.url, sha256=sha256(NEMO)) for _ in range(3)]
        found = {said(worker) for worker in workers}
        assert hub.fetched == {"a.nemo": 1}
    [line] = found
    kind, path, revision = line.split()
    assert (kind, Path(path).name, revision) == ("nemo", "a.nemo", COMMIT)
    assert resolve(NAME, tmp_path, endpoint="https://hub.invalid") == line  # what is there needs no hub


def test_of_a_transformers_model_only_what_is_needed_is_fetched(resolve: Resolve, tmp_path: Path) -> None:
    files = {**TRANSFORMERS, "README.md": b"#", "m.nemo": NEMO, "sub/model.safetensors": b"", "pytorch_model.bin": b""}
    with Hub("nvidia/Nemotron-3-Diarization", files) as hub:
        found = resolve(f"nvidia/Nemotron-3-Diarization@{COMMIT}", tmp_path, endpoint=hub.url)
        assert set(hub.fetched) == set(TRANSFORMERS)
    assert found.startswith("transformers ")


def test_of_a_sortformer_in_both_forms_the_nemo_file_is_fetched(resolve: Resolve, tmp_path: Path) -> None:
    files = {**TRANSFORMERS, "config.json": b'{"model_type": "sortformer"}', "m.nemo": NEMO}
    with Hub("nvidia/diar_sortformer_4spk-v1", files) as hub:
        found = resolve("nvidia/diar_sortformer_4spk-v1", tmp_path, endpoint=hub.url)
        assert set(hub.fetched) == {"m.nemo"}
    assert found.startswith("nemo ")


def test_a_repository_without_weights(resolve: Resolve, tmp_path: Path) -> None:
    with Hub("org/text", {"README.md": b"#", "config.json": b"{}"}) as hub:
        found = resolve("org/text", tmp_path, endpoint=hub.url)
    assert found == "ModelFileError model org/text has neither a .nemo file nor safetensors: name a diarization model"


def test_a_download_that_broke_off_is_not_taken_for_whole(resolve: Resolve, tmp_path: Path) -> None:
    big = nemo_bytes(bytes(300_000))
    with Hub(NAME, {"a.nemo": big}) as hub:
        hub.breaks_off["a.nemo"] = 1000
        found = resolve(NAME, tmp_path, endpoint=hub.url)
        assert found.startswith(f"ModelNotFoundError model {NAME} was not downloaded completely (")
        assert "run again to resume, or download it elsewhere" in found
        offline = resolve(NAME, tmp_path, endpoint="https://hub.invalid")
        assert offline.startswith(f"ModelNotFoundError model {NAME} cannot be fetched")
        hub.breaks_off.clear()
        kind, path, _ = resolve(NAME, tmp_path, endpoint=hub.url).split()
    assert kind == "nemo"
    assert Path(path).read_bytes() == big


def test_another_hash_than_that_of_the_hub_is_refused(resolve: Resolve, tmp_path: Path) -> None:
    with Hub(NAME, {"a.nemo": NEMO}) as hub:
        found = resolve(NAME, tmp_path, endpoint=hub.url, sha256="0" * 64)
    assert found.startswith("ModelFileError ")
    assert f"a.nemo has sha256 {sha256(NEMO)}, expected {'0' * 64}: it is not loaded; delete it and fetch it" in found


def test_a_holder_that_is_killed_leaves_no_lock(resolve: Resolve, tmp_path: Path) -> None:
    with Hub(NAME, {"a.nemo": NEMO}) as hub:
        hub.delay = 4.0
        holder = start(NAME, tmp_path, endpoint=hub.url)
        lock = tmp_path / f".{NAME.replace('/', '--')}.lock"
        deadline = time.monotonic() + 60
        while not _is_held(lock):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
        hub.delay = 0.0
        assert resolve(NAME, tmp_path, endpoint=hub.url).startswith("nemo ")


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    with lock.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_without_the_client_the_cure_is_an_extra(tmp_path: Path) -> None:
    script = f"import sys; sys.modules['huggingface_hub'] = None\n{RESOLVE}"
    done = subprocess.run(
        [sys.executable, "-c", script, NAME, str(tmp_path), ""], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (
        f"ModelNotFoundError model {NAME} needs huggingface_hub: pip install 'beam-curator[nemo]', "
        "or download it elsewhere and give --model-path FILE.nemo"
    )


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    _need_hub_client()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        ModelFileError, match=r"cache .*/file/cache cannot be written \(.*\): give another one as --cache"
    ):
        resolve_model(NAME, None, str(tmp_path / "file" / "cache"))


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "/home/me/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/x", "HF_HOME": "~/hf"}, "/home/me/hf/hub"),
        ({"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old"}, "/old"),
        ({"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "~/new"}, "/home/me/new"),
        ({"HF_HOME": "", "HF_HUB_CACHE": ""}, "/home/me/.cache/huggingface/hub"),
    ],
)
def test_its_folder(environment: dict[str, str], folder: str, at_home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for nothing in ("", None):
        assert hub_folder(nothing) == folder
    assert hub_folder("~/given") == "/home/me/given"


@pytest.mark.parametrize(
    "environment", [{}, {"XDG_CACHE_HOME": "/x"}, {"HF_HOME": "/hf"}, {"HF_HOME": "/hf", "HF_HUB_CACHE": "/new"}]
)
def test_its_folder_is_that_of_its_client(
    environment: dict[str, str], at_home: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-c", "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{hub_folder('')}\n"
