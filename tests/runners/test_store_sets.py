"""Sets in object stores that are updated and replaced: the same rows and files as on a disk, in layers."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from beam_curator.files import committing, object_stores, replacing, storage
from beam_curator.files.listing import list_inputs, list_recordings
from beam_curator.runners.options import UsageError
from beam_curator.sets.output_set import KEPT_FOLDER
from tests import fakes_filesystem as store
from tests.fakes_models import write_band_model
from tests.manifests import run
from tests.runners.test_update import Corpus, command_of, files_of

KINDS = ("extract", "diarize", "separate", "export", "webdataset", "curate", "measure", "windows", "filter")
SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind != "extract"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_band_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(params=["gs", pytest.param("s3", marks=pytest.mark.slow)])
def out_anywhere(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a place in a bucket of each store, which is empty afterwards."""
    yield f"{store.start(f'{request.param}://bucket')}/out"
    store.clear()


@pytest.fixture
def out() -> Iterator[str]:
    """Give a place in a bucket, which is empty afterwards."""
    yield "gs://bucket/out"
    store.clear()


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    corpus = Corpus(tmp_path)
    for number, name in enumerate(("a", "b", "c")):
        corpus.change(name, number + 1)
    return corpus


def job_of(kind: str, corpus: Corpus, model: Path) -> list[Any]:
    """Return a job on the present corpus."""
    if kind == "curate":
        alone = ["--vad", "energy", "--no-speaker-separation", "--max-clip-duration", "5"]
        return ["curate", corpus.folder / "in", *alone]
    if kind == "measure":
        return ["measure", corpus.folder / "in", "--vad", "energy"]
    if kind in ("windows", "filter"):
        flags = {"windows": ["--tolerate", "9"], "filter": ["--where", "duration > 1"]}[kind]
        return [kind, corpus.write_entries(), *flags]
    return command_of(kind, corpus, model)


def layers_of(out: str) -> list[str]:
    """Return the layers that the manifest of a set names; none where it is an ordinary one."""
    layers: list[str] = json.loads(store.get(f"{out}/_MANIFEST.json")).get("layers", [])
    return layers


def set_in(out: str) -> dict[str, bytes]:
    """Return the files of a set by their names in it, but for those that hold times and places."""
    files: dict[str, bytes] = {}
    for layer in reversed(layers_of(out) or [""]):
        inside = f"{layer}/" if layer else ""
        names = [name for name in store.names_under(out) if name.startswith(inside)]
        own = {name.removeprefix(inside) for name in names if layer or not name.startswith("set-")}
        files |= {name: store.get(f"{out}/{inside}{name}") for name in own}
    hidden = (f"{KEPT_FOLDER}/", "summary.json", "extraction_summary.json")
    return {name: data for name, data in files.items() if not name.startswith(hidden)}


def assert_fresh(command: list[Any], out: str, folder: Path) -> None:
    """Compare a set with that of a run from nothing, on a disk; nothing but the set may be left."""
    fresh = folder / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    run(*command, "--output", fresh)
    expected = files_of(fresh)
    assert set_in(out) == expected
    plain = [name.rpartition(".beam_curator/")[2] for name in store.names_under(out) if KEPT_FOLDER not in name]
    assert sorted(set(plain) - {"summary.json", "extraction_summary.json"}) == sorted(expected)
    assert len(plain) == len(set(plain)) + bool(layers_of(out)), "of the manifest there are two"
    assert run("verify", out) == 0


@pytest.mark.parametrize("kind", ["extract", *SLOW])
def test_updates_write_the_set_of_a_run_from_nothing(
    kind: str, out_anywhere: str, corpus: Corpus, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, job = out_anywhere, job_of(kind, corpus, model)
    run(*job, "--output", out)
    assert layers_of(out) == []
    assert_fresh(job, out, corpus.folder)
    for name, version in (("b", 5), ("d", 1), ("c", None)):
        corpus.change(name, version)
    capsys.readouterr()
    job = job_of(kind, corpus, model)
    assert run(*job, "--output", out, "--update") == 0
    if kind not in ("windows", "filter"):
        assert capsys.readouterr().out.splitlines()[0] == "1 kept, 1 new, 1 changed, 1 gone"
    assert_fresh(job, out, corpus.folder)
    corpus.change("d", None)
    corpus.change("b", 2)
    job = job_of(kind, corpus, model)
    assert run(*job, "--output", out, "--update") == 0
    assert_fresh(job, out, corpus.folder)
    assert run(*job, "--output", out, "--overwrite") == 0
    assert len(layers_of(out)) == 1
    assert_fresh(job, out, corpus.folder)


class TestWhatAnUpdateCosts:
    @pytest.mark.parametrize("n_kept", [2, 6])
    def test_files_that_stay_are_neither_copied_nor_removed(
        self, n_kept: int, out: str, corpus: Corpus, model: Path
    ) -> None:
        for number in range(n_kept - 2):
            corpus.change(f"more{number}", 1)
        run(*job_of("extract", corpus, model), "--output", out)
        corpus.change("b", 5)
        corpus.change("d", 1)
        requests = store.requests_of(out)
        requests.clear()
        job = job_of("extract", corpus, model)
        assert run(*job, "--output", out, "--update") == 0
        assert not [request for request in requests if "rewriteTo" in request]
        of_clips = [request for request in requests if "_segment_" in request]
        assert len([request for request in of_clips if request.startswith("DELETE")]) == 3  # those of "b" before
        looked = [request for request in of_clips if request.startswith("GET")]
        assert len(looked) <= 3 * n_kept + 2, "each that stays is looked at once"
        written = {name for name in store.names_under(f"{out}/{layers_of(out)[0]}") if "_segment_" in name}
        assert written == {f"{name}_segment_{number:03d}.wav" for name in "bd" for number in range(3)}


class KilledError(Exception):
    """The process is no more."""


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[str], bool] | None], None]]:
    """Give a function that has nothing reach a store any more, from the first change on that a test tells by its path.

    Given None, everything does again.
    """
    fatal: list[Callable[[str], bool]] = []
    dead: list[str] = []

    def dying(really: Callable[..., Any]) -> Callable[..., Any]:
        def change(path: Any, *more: Any, **settings: Any) -> Any:
            place = path if isinstance(path, str) else path[1]
            if fatal and (dead or fatal[0](place)):
                dead.append(place)
                raise KilledError(place)
            return really(path, *more, **settings)

        return change

    for name in ("put_object", "_delete", "_copy"):
        monkeypatch.setattr(object_stores, name, dying(getattr(object_stores, name)))

    def kill(is_fatal: Callable[[str], bool] | None) -> None:
        fatal[:] = [is_fatal] if is_fatal is not None else []
        dead.clear()

    yield kill
    kill(None)


MOMENTS: dict[str, Callable[[str], bool]] = {
    "the first file": lambda path: "/set-" in path and "_RUN" not in path,
    "its manifest": lambda path: "/set-" in path and path.endswith("/_MANIFEST.json"),
    "the change-over": lambda path: path.endswith("/out/_MANIFEST.json"),
    "the summary": lambda path: path.endswith("/summary.json"),
    "the sweep": lambda path: path.endswith("/out/b_segment_001.wav"),
    "its end": lambda path: False,
}
BEFORE = ("the first file", "its manifest", "the change-over")
ALWAYS = ("the change-over", "the sweep")


@pytest.mark.parametrize(
    ("moment", "flag"),
    [
        pytest.param(moment, flag, marks=() if flag == "--update" and moment in ALWAYS else pytest.mark.slow)
        for moment in MOMENTS
        for flag in ("--update", "--overwrite")
    ],
)
def test_a_killed_run_leaves_one_set_or_the_other(
    moment: str,
    flag: str,
    out: str,
    corpus: Corpus,
    model: Path,
    killed_at: Callable[[Callable[[str], bool] | None], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(*job_of("extract", corpus, model), "--output", out)
    before, first = set_in(out), store.get(f"{out}/_MANIFEST.json")
    corpus.change("b", 5)
    job = [*job_of("extract", corpus, model), "--output", out, flag]
    seen: list[str] = []

    def is_fatal(path: str) -> bool:
        if moment == "its end":  # a mark is cleared and put at the beginning
            seen.append(path)
            return path.endswith("/_RUN.json") and seen.count(path) == 3
        return MOMENTS[moment](path)

    killed_at(is_fatal)
    with suppress(KilledError):
        assert run(*job) == 1
    killed_at(None)
    assert run("verify", out) == 0
    assert (store.get(f"{out}/_MANIFEST.json") == first) == (moment in BEFORE)
    if moment in BEFORE:
        assert {name: data for name, data in set_in(out).items() if name in before} == before
    capsys.readouterr()
    assert run(*job) == 0
    assert_fresh(job[:-3], out, corpus.folder)
    summary = json.loads(store.get(f"{out}/{layers_of(out)[0]}/summary.json"))
    assert summary["replaces"] == hashlib.sha256(first).hexdigest()
    assert summary["stages"]
    assert "_RUN.json" not in "".join(store.names_under(out))


LOOKING = """
import sys, time
from pathlib import Path
from beam_curator.runners import cli
out, stop = sys.argv[1:]
codes = []
while not Path(stop).exists():
    codes.append(cli.run(["verify", out]))
print("looked", len(codes), sorted(set(codes)))
"""


def test_readers_never_see_a_mixture(out: str, corpus: Corpus, model: Path, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    run(*job_of("extract", corpus, model), "--output", out)
    command = [sys.executable, "-c", LOOKING, out, str(stop)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as looking:
        for version in (5, 6, 7):
            corpus.change("b", version)
            assert run(*job_of("extract", corpus, model), "--output", out, "--update") == 0
        stop.touch()
        said = looking.communicate(timeout=120)[0]
    n, codes = re.fullmatch(r"looked (\d+) (.*)", said.splitlines()[-1]).groups()  # type: ignore[union-attr]
    assert (int(n) > 3, codes) == (True, "[0]"), said


def test_of_two_updates_at_once_one_wins(
    out: str, corpus: Corpus, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other one comes, and is done, when the first one is about to name its layer."""
    run(*job_of("extract", corpus, model), "--output", out)
    corpus.change("b", 5)
    job = [*job_of("extract", corpus, model), "--output", out, "--update"]
    really = replacing.change_over

    def late(directory: str, below: str) -> None:
        monkeypatch.setattr(committing, "change_over", really)
        assert run(*job_of("extract", corpus, model), "--output", out, "--overwrite") == 0
        really(directory, below)

    monkeypatch.setattr(committing, "change_over", late)
    assert run(*job) == 1
    assert "was replaced by another run while this one worked, so nothing was committed" in capsys.readouterr().err
    assert_fresh(job[:-3], out, corpus.folder)
    assert run(*job) == 0
    assert "already complete" in capsys.readouterr().out
    assert_fresh(job[:-3], out, corpus.folder)


class TestReaders:
    @pytest.fixture
    def tracks(self, out: str, corpus: Corpus, model: Path) -> str:
        """Make a set of tracks that was updated once; return its place."""
        run(*job_of("separate", corpus, model), "--output", out)
        corpus.change("b", 5)
        assert run(*job_of("separate", corpus, model), "--output", out, "--update") == 0
        return out

    def test_names_of_files_stay_those_of_the_set(
        self, tracks: str, corpus: Corpus, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        clips = "gs://bucket/clips"
        job = ["extract", tracks, "--what", "segments", "--output", clips]
        assert run(*job) == 0
        inputs = json.loads(store.get(f"{clips}/_MANIFEST.json"))["inputs"]
        assert [record["name"] for record in inputs] == [f"{tracks}/tracks-00000-of-00001.jsonl"]
        corpus.change("c", 6)
        assert run(*job_of("separate", corpus, model), "--output", tracks, "--update") == 0
        capsys.readouterr()
        assert run(*job, "--update") == 0
        assert capsys.readouterr().out.splitlines()[0] == "4 kept, 0 new, 2 changed, 0 gone"
        assert run("verify", clips) == 0
        capsys.readouterr()
        assert run("sets", "gs://bucket", "--format", "json") == 0
        found = {of["path"]: of for of in json.loads(capsys.readouterr().out)["sets"]}
        assert found.keys() == {clips, tracks}
        assert found[clips]["made_from"] == [{"path": tracks, "changed": False}]
        assert run("explain", tracks) == 0

    def test_files_of_a_set_are_found_by_globs_and_below_folders(self, tracks: str) -> None:
        rows = f"{tracks}/tracks-00000-of-00001.jsonl"
        assert [file.name for file in list_inputs([f"{tracks}/*.jsonl"])[0]] == [rows]
        assert [file.name for file in list_inputs(["gs://bucket"])[0]] == [rows]
        below = list_recordings([f"{tracks}/tracks/*.flac"])[0]
        assert len(below) == len({file.name for file in below}) == 6
        assert all(storage.identity_of(file.name) == file.changed for file in below)


def test_what_failed_is_tried_again(out: str, corpus: Corpus, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus.change("b", 0)
    job = job_of("extract", corpus, model)
    assert run(*job, "--output", out) == 3
    corpus.change("b", 7)
    capsys.readouterr()
    assert run("retry", out) == 0
    assert capsys.readouterr().out.splitlines()[0] == "2 kept, 0 new, 0 changed, 1 tried again, 0 gone"
    assert_fresh(job, out, corpus.folder)


def test_a_manifest_that_is_damaged_is_overwritten(out: str, corpus: Corpus, model: Path) -> None:
    job = job_of("extract", corpus, model)
    run(*job, "--output", out)
    corpus.change("b", 7)
    assert run(*job, "--output", out, "--update") == 0
    store.put(f"{out}/_MANIFEST.json", b"{")
    with pytest.raises(UsageError, match=r"cannot be understood .*, with --overwrite"):
        run(*job, "--output", out, "--update")
    assert run(*job, "--output", out, "--overwrite") == 0
    assert_fresh(job, out, corpus.folder)


@pytest.mark.slow
def test_converted_annotations_are_replaced(out: str, corpus: Corpus) -> None:
    assert run("convert", corpus.write_entries(), "--to", "textgrid", "--output", out) == 0
    corpus.change("d", 1)
    corpus.change("b", None)
    job = ["convert", corpus.write_entries(), "--to", "textgrid"]
    assert run(*job, "--output", out, "--overwrite") == 0
    assert len(layers_of(out)) == 1
    assert_fresh(job, out, corpus.folder)
