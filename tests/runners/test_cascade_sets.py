"""Sets of the cascade with its real weights: the same bytes however a job runs, after kills, updates and retries."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from tests.cascade_sounds import SAMPLE_RATE, seconds, silence
from tests.manifests import failures_in, manifest_of, run, start_process
from tests.models.real_models import need_model
from tests.transforms.diarization.turn_sets import bytes_of, check_set, entries_in

pytestmark = pytest.mark.heavy

FLAGS = ("--model-name", "cascade", "--embeddings", "--bandwidth")


def write_talk(path: Path, voices: list[int], length: float = 2.0) -> Path:
    """Write a recording in which voices follow one another and nothing is said twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [(seconds(voice, at * length, (at + 1) * length), silence(0.3)) for at, voice in enumerate(voices)]
    soundfile.write(path, np.concatenate([samples for part in parts for samples in part]), SAMPLE_RATE)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three recordings, one of which is damaged."""
    need_model("cascade")
    folder = tmp_path_factory.mktemp("talks") / "in"
    write_talk(folder / "a.wav", [0, 1, 0])
    write_talk(folder / "b.wav", [1, 1])
    (folder / "c.wav").write_bytes(b"no sound")
    return folder


@pytest.fixture(scope="module")
def made(folder: Path) -> Path:
    """The set of it."""
    out = folder.parent / "out"
    assert run("diarize", folder, *FLAGS, "--output", out) == 3
    check_set(out)
    return out


def test_it_says_who_heard_and_who_embedded(made: Path) -> None:
    assert manifest_of(made)["config"]["model"]["name"] == "cascade"
    assert manifest_of(made)["config"]["diarization"]["embedding_model"] == "campplus"
    about = json.loads(pq.read_schema(next(made.glob("turn-embeddings-*"))).metadata[b"beam_curator"])
    assert about["model"]["name"] == "campplus"
    entries = {entry["recording_id"]: entry["num_speakers"] for entry in entries_in(made)}
    assert entries == {"a": 2, "b": 1}
    speakers = [row["id"] for row in pq.read_table(next(made.glob("speaker-embeddings-*"))).to_pylist()]
    assert sorted(speakers) == ["a/speaker_0", "a/speaker_1", "b/speaker_0"]


def test_two_processes_with_a_thread_each(folder: Path, made: Path, tmp_path: Path) -> None:
    assert run("diarize", folder, *FLAGS, "--output", tmp_path / "two", "--jobs", "2") == 3
    assert bytes_of(tmp_path / "two") == bytes_of(made)


def test_retry_and_update_give_the_set_of_a_run_from_nothing(
    folder: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder, tmp_path / "in")
    out = tmp_path / "out"
    command = ("diarize", tmp_path / "in", *FLAGS, "--output")
    assert run(*command, out) == 3
    write_talk(tmp_path / "in" / "c.wav", [0, 0])
    capsys.readouterr()
    assert run("retry", out) == 0
    assert "2 kept, 1 tried again" in capsys.readouterr().out.replace("0 new, 0 changed, ", "").replace(", 0 gone", "")
    (tmp_path / "in" / "b.wav").unlink()
    write_talk(tmp_path / "in" / "d.wav", [1, 0])
    assert run(*command, out, "--update") == 0
    assert "2 kept, 1 new, 0 changed, 1 gone" in capsys.readouterr().out
    assert failures_in(out) == []
    assert run(*command, tmp_path / "whole") == 0
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("n_done", [1, 2])
def test_killed_and_run_again(n_done: int, tmp_path: Path) -> None:
    need_model("cascade")
    for number in range(4):
        write_talk(tmp_path / "in" / f"{number}.wav", [0, 1] * 4)
    command = ("diarize", tmp_path / "in", *FLAGS, "--threads", "1", "--output")
    process = start_process(*command, tmp_path / "out", start_new_session=True)
    while len(list(tmp_path.glob("out/rttm/*.rttm"))) < n_done and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    assert not (tmp_path / "out" / "_MANIFEST.json").exists()
    assert run(*command, tmp_path / "out") == 0
    check_set(tmp_path / "out")
    assert run(*command, tmp_path / "whole") == 0
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
