"""SIGKILL while a complete set is replaced: readers find the old set or the new one, and the same command ends it."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from beam_curator.files import storage
from beam_curator.runners import cli
from tests.faults import dying_job
from tests.faults.dying_job import Replacing, die
from tests.faults.works import WORKS
from tests.manifests import run, start_process

NEXT = ".next.beam_curator"
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([dying_job.__name__])

BEFORE = ("growing", "first_file", "whole")
AFTER = ("begun", "half_away", "cleared", "half_in", "in", "changed_over", "forgetting")
UPDATE = " update"
UPDATES = ["diarize update", "extract update", "windows update"]
OTHER_OPTIONS = {
    "windows": ["--no-truncation"],
    "extract": ["--output-format", "wav"],
    "diarize": ["--rttm-out-dir", "rttm", "--uem"],
    **{name: [] for name in UPDATES},
}
N_KILLS = 10
"""Of the update of each command, in the slow test."""
ALWAYS = {
    *(("windows", moment, "command") for moment in ("first_file", "half_away", "changed_over")),
    *(("diarize", moment, "verify") for moment in ("half_away", "half_in")),
    *(("extract update", moment, "command") for moment in ("first_file", "half_in")),
    ("windows update", "half_in", "command"),
}
"""Each takes two jobs in processes; one of each kind of moment will do where it is to be fast."""

CASES = [
    pytest.param(name, moment, helper, marks=() if (name, moment, helper) in ALWAYS else pytest.mark.slow)
    for name in OTHER_OPTIONS
    for moment in (*BEFORE, *AFTER)
    for helper in (["command", "verify"] if moment in AFTER else ["command"])
]


@dataclass(frozen=True)
class Sets:
    """Two sets of one command, which differ in an option, or in a few recordings.

    Attributes:
      command: that makes the second one in the place of the first.
      old, new: their files.
    """

    command: list[str]
    old: dict[str, bytes]
    new: dict[str, bytes]


def files_of(directory: Path) -> dict[str, bytes]:
    """Return the files of the set that a reader finds, but for those that hold times and places."""
    paths = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    of_the_run = (NEXT, "_LOCK", "summary.json", "extraction_summary.json")
    return {
        name: path.read_bytes()
        for name, path in paths.items()
        if not name.startswith(of_the_run) and ".beam_curator.live" not in name and ".beam_curator.tmp" not in name
    }


@pytest.fixture(scope="module")
def sets_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Sets]:
    made: dict[str, Sets] = {}

    def find(name: str) -> Sets:
        if name not in made:
            folder, work = tmp_path_factory.mktemp("sets"), WORKS[name.removesuffix(UPDATE)]
            manifest = work.write(folder, work.least_size)
            old = [work.command, str(manifest), "--tolerate", "100%", *work.options(manifest)]
            new = [*old, *OTHER_OPTIONS[name]]
            assert run(*old, "--output", folder / "old") == 0
            if name in UPDATES:
                change(manifest)
            assert run(*new, "--output", folder / "new") == 0
            new.append("--update" if name in UPDATES else "--overwrite")
            made[name] = Sets(new, files_of(folder / "old"), files_of(folder / "new"))
        return made[name]

    return find


def change(source: Path) -> None:
    """Leave a recording out, in front of the others, and change another one; of a manifest of talks, the last row."""
    if source.is_dir():
        folder = source
        (source / "00.wav").unlink()
    else:
        folder, lines = source.parent, source.read_bytes().splitlines(keepends=True)
        kept = lines[:-1] if source.name == "talks.jsonl" else [line for line in lines if b"00.wav" not in line]
        source.write_bytes(b"".join(kept))
    if (folder / "02.wav").exists():
        shutil.copyfile(folder / "02.wav", folder / "03.wav")


def put(files: dict[str, bytes], directory: Path) -> None:
    for name, data in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)


def die_half_away(output: str) -> None:
    delete = storage.delete

    def half(directory: str, names: list[str]) -> None:
        is_moment = directory == output and any(not name.startswith("_") for name in names)
        delete(directory, names[: (len(names) + 1) // 2] if is_moment else names)
        if is_moment:
            die()

    storage.delete = half


def prepare_to_die(moment: str, output: str) -> None:
    """Arrange for the end of this process at a moment."""
    moments = {
        "growing": Replacing(output, f"{NEXT}/_RUN.json".__eq__, after=True),
        "first_file": Replacing(output, lambda name: re.match(rf"{NEXT}/[a-z.]", name) is not None, after=True),
        "whole": Replacing(output, f"{NEXT}/_MANIFEST.json".__eq__),
        "begun": Replacing(output, f"{NEXT}/_MANIFEST.json".__eq__, after=True),
        "cleared": Replacing(output, lambda name: name.startswith(f"{NEXT}/.cleared"), after=True),
        "half_in": Replacing(output, lambda name: re.fullmatch(r"\w[^/]*", name) is not None, after=True),
        "in": Replacing(output, "_MANIFEST.json".__eq__),
        "changed_over": Replacing(output, "_MANIFEST.json".__eq__, after=True),
    }
    if moment == "half_away":
        die_half_away(output)
    elif moment == "forgetting":
        storage.delete_folder = lambda path: die()
    else:
        os.replace = moments[moment]


def count_names(act: Callable[[int], None]) -> None:
    """Let something be done each time before a file gets a name or another one, given how many have."""
    numbers = itertools.count()

    def counted(really: Callable[..., None]) -> Callable[..., None]:
        def name(*arguments: str) -> None:
            act(next(numbers))
            really(*arguments)

        return name

    os.replace, os.link = counted(os.replace), counted(os.link)


def die_at(number: int) -> None:
    count_names(lambda n: die() if n == number else None)


def count_into(path: Path) -> None:
    count_names(lambda n: os.truncate(path, n))


def replace_and_die(prepare: Callable[[], None], command: list[str], said: Path) -> None:
    with said.open("wb") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    prepare()
    raise SystemExit(cli.run(command))


def replaced(prepare: Callable[[], None], command: list[str], said: Path) -> int | None:
    """Run a command in a process of its own, which prepares first; return its exit code."""
    process = PROCESSES.Process(target=replace_and_die, args=(prepare, command, said))
    process.start()
    process.join(120)
    return process.exitcode


@pytest.mark.parametrize(("name", "moment", "helper"), CASES)
def test_a_set_is_the_old_one_or_the_new_one(
    name: str, moment: str, helper: str, sets_of: Callable[[str], Sets], tmp_path: Path
) -> None:
    sets, output, said = sets_of(name), tmp_path / "out", tmp_path / "said"
    put(sets.old, output)
    (output / "notes.txt").write_text("mine")
    command = [*sets.command, "--output", str(output)]
    code = replaced(partial(prepare_to_die, moment, str(output)), command, said)
    assert code == -signal.SIGKILL, said.read_text()

    if moment in BEFORE:
        assert files_of(output) == {**sets.old, "notes.txt": b"mine"}
        assert run("verify", output) == 0
    if helper == "verify":
        assert run("verify", output) == 0
        assert files_of(output) == {**sets.new, "notes.txt": b"mine"}
        command = [flag for flag in command if flag not in ("--overwrite", "--update")]
    assert run(*command) == 0
    assert files_of(output) == {**sets.new, "notes.txt": b"mine"}
    assert not (output / NEXT).exists()
    assert run("verify", output) == 0
    # with its mark gone the new set was complete, and the command put its own in the place of that one
    place = sets.new if (moment, helper) == ("forgetting", "command") else sets.old
    summary = json.loads((output / "summary.json").read_bytes())
    assert summary["replaces"] == hashlib.sha256(place["_MANIFEST.json"]).hexdigest()
    assert summary["command"]["options"] is not None


def test_a_disk_that_is_full_between_two_sets(sets_of: Callable[[str], Sets], small_disk: Path, tmp_path: Path) -> None:
    sets, output, said = sets_of("extract update"), small_disk / "out", tmp_path / "said"
    put(sets.old, output)
    command = [*sets.command, "--output", str(output)]
    assert replaced(partial(prepare_to_die, "cleared", str(output)), command, said) == -signal.SIGKILL, said.read_text()
    (output / "_LOCK").write_text("as much as a lock takes")
    full = small_disk / "full"
    with pytest.raises(OSError, match="No space left"), full.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    with pytest.raises(OSError, match=f"No space left on device; {output} stays between two sets until the same"):
        run(*command)
    full.unlink()
    assert run(*command) == 0
    assert files_of(output) == sets.new


@pytest.mark.slow
@pytest.mark.parametrize("name", UPDATES)
def test_an_update_goes_on_wherever_it_was_killed(name: str, sets_of: Callable[[str], Sets], tmp_path: Path) -> None:
    sets, counted, said = sets_of(name), tmp_path / "counted", tmp_path / "said"
    put(sets.old, tmp_path / "whole")
    counted.touch()
    assert replaced(partial(count_into, counted), [*sets.command, "--output", str(tmp_path / "whole")], said) == 0
    last = counted.stat().st_size
    assert last > N_KILLS
    for number in range(N_KILLS):
        moment, output = number * last // (N_KILLS - 1), tmp_path / f"{number}"
        put(sets.old, output)
        command = [*sets.command, "--output", str(output)]
        assert replaced(partial(die_at, moment), command, said) == -signal.SIGKILL, said.read_text()
        assert run(*command) == 0
        assert files_of(output) == sets.new, f"killed at name {moment} of {last}"
        assert not (output / NEXT).exists()
        shutil.rmtree(output)


def test_readers_never_see_a_mixture(sets_of: Callable[[str], Sets], tmp_path: Path) -> None:
    sets, output = sets_of("extract"), tmp_path / "out"
    put(sets.old, output)
    replacing = start_process(*sets.command, "--output", output)
    codes = []
    while replacing.poll() is None:
        codes.append(run("verify", output))
    assert replacing.returncode == 0
    assert set(codes) == {0}
    assert len(codes) > 5
    assert files_of(output) == sets.new
