"""Files that an earlier run saw: stamps, and hashes of inputs that need not be read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from beam_curator.files import known_files, storage
from beam_curator.files.known_files import hash_input, keep_inputs, known_inputs, stamp_of
from beam_curator.files.opened_recordings import is_unchanged, seen_now
from beam_curator.sets.output_set import MANIFEST_NAME, InputRecord
from tests.files.parts import target_of

SECOND = 10**9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an hour have passed since a file was written."""
    really = known_files.time.time_ns
    monkeypatch.setattr(known_files.time, "time_ns", lambda: really() + 3600 * SECOND)


def written(path: Path, data: bytes = b"RIFF") -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.usefixtures("clock")
def test_a_stamp_changes_with_size_bytes_and_status(tmp_path: Path) -> None:
    name = written(tmp_path / "a.wav")
    stamps = [stamp_of(name)]
    written(tmp_path / "a.wav", b"RIFFRIFF")
    stamps.append(stamp_of(name))
    os.utime(name, ns=(7, 7))
    stamps.append(stamp_of(name))
    # another file of this size and time takes its place
    other = written(tmp_path / "b.wav", b"RIFXRIFX")
    os.utime(other, ns=(7, 7))
    os.replace(other, name)
    stamps.append(stamp_of(name))
    assert len(set(stamps)) == 4 and all(stamps)
    assert stamp_of(name) == stamps[-1]


def test_a_file_written_a_moment_ago_has_no_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = written(tmp_path / "a.wav")
    changed = os.stat(name).st_ctime_ns
    monkeypatch.setattr(known_files.time, "time_ns", lambda: changed + 1_000_000)
    assert stamp_of(name) == ""
    monkeypatch.setattr(known_files.time, "time_ns", lambda: changed + 50_000_000)
    assert (stamp_of(name) == "") == (changed % SECOND == 0)


@pytest.mark.usefixtures("clock")
def test_known_inputs_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = written(tmp_path / "m.jsonl", b"{}\n")
    (tmp_path / "set").mkdir()
    target = target_of(tmp_path / "set")
    record = hash_input(name)
    keep_inputs(target, [record, InputRecord(name="gone", n_bytes=None, sha256=None)])
    (tmp_path / "set" / MANIFEST_NAME).write_bytes(b"{}")
    known = known_inputs(str(tmp_path / "set"))
    assert list(known) == [name]

    def never(path: str) -> None:
        raise AssertionError(path)

    with monkeypatch.context() as patched:
        patched.setattr(storage, "hash_file", never)
        assert hash_input(name, known) == record
    written(tmp_path / "m.jsonl", b"[]\n")
    assert hash_input(name, known) != record


@pytest.mark.usefixtures("clock")
def test_bytes_are_read_again_where_stamps_are_not_trusted(tmp_path: Path) -> None:
    name = written(tmp_path / "a.wav")
    seen = seen_now(name)
    assert is_unchanged(name, seen) and is_unchanged(name, seen, rehash=True)
    forged = type(seen)(stamp=seen.stamp, content="0" * 64)
    assert is_unchanged(name, forged)
    assert not is_unchanged(name, forged, rehash=True)


@pytest.mark.usefixtures("clock")
def test_two_files_of_a_recording_are_seen_together(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{number}.wav") for number in range(2)]
    name = f'["{paths[0]}", "{paths[1]}"]'
    seen = seen_now(name)
    assert seen.stamp.count("\n") == seen.content.count("\n") == 1
    written(tmp_path / "1.wav", b"RIFX")
    assert not is_unchanged(name, seen)
    assert not seen_now(str(tmp_path / "gone.wav"))
