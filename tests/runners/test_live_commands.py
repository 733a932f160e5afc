"""`publish`, `stream` and `listen`: from recordings to the same RTTM as the batch job, and on to other jobs."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest

from beam_curator.diarization.sortformer_streaming import StreamingSortformer
from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS
from beam_curator.models.live_sizing import measure_steps
from beam_curator.runners import cli
from beam_curator.runners.options import UsageError
from beam_curator.runners.stream_command import stopped_by_interrupt
from tests.diarization.backends import NumpyBackend
from tests.fakes_models import Speech, write_band_model, write_sound
from tests.manifests import run

TALKS: dict[str, list[Speech]] = {
    "call.wav": [(0.16, 1.04, 0), (0.96, 1.6, 1), (4.0, 4.8, 2)],
    "desk.flac": [(0.32, 2.24, 3), (2.56, 3.6, 0)],
}
QUICK = ("--until-idle", "0.2")


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of recordings, of a model, and of their chunks."""
    folder = tmp_path_factory.mktemp("live")
    for name, speech in TALKS.items():
        write_sound(folder / "talks" / name, 6.0, speech)
    write_band_model(folder / "model")
    files = sorted((folder / "talks").iterdir())
    assert run("publish", *files, "--to", folder / "chunks", "--chunk-seconds", "0.3") == 0
    return folder


def test_the_model_of_the_package_listens_where_none_is_named(
    talks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("stream", talks / "chunks", "--output", tmp_path / "live", *QUICK) == 0
    said = capsys.readouterr()
    assert "model demo is for demonstration and tests only: for real speech take a streaming Sortformer" in said.err
    assert "2 sessions (2 final), 12.0 s" in said.out
    assert re.search(r": lag from sending to heard: p50 [\d.]+ s, p95 [\d.]+ s, p99 [\d.]+ s, or less\n", said.err)


@pytest.mark.parametrize("latency", ["medium", "low"])
def test_rttm_is_that_of_the_batch_job(latency: str, talks: Path, tmp_path: Path) -> None:
    model = ("--model-path", talks / "model", "--latency", latency)
    assert run("diarize", talks / "talks", "--output", tmp_path / "batch", *model, "--uem", "--vad", "energy") == 0
    assert run("stream", talks / "chunks", "--output", tmp_path / "live", *model, *QUICK) == 0
    batch, live = ({path.name: path.read_bytes() for path in (tmp_path / name / "rttm").iterdir()} for name in
                   ("batch", "live"))  # fmt: skip
    assert live == batch
    assert len(live["call.rttm"].splitlines()) == 3


def test_other_jobs_read_the_entries(talks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "live"
    assert run("stream", talks / "chunks", "--output", out, "--model-path", talks / "model", *QUICK) == 0
    assert capsys.readouterr().out.endswith("live: 2 sessions (2 final), 12.0 s, 5 turns\n")
    assert run("extract", out / "entries", "--output", tmp_path / "clips") == 0
    assert len(list((tmp_path / "clips").rglob("*.wav"))) == 5
    rules = ("--min-bandwidth", "0", "--target-window-duration", "5", "--tolerance", "0.9", "--no-truncation")
    assert run("windows", out / "entries", "--output", tmp_path / "windows", *rules) == 0
    capsys.readouterr()
    assert run("listen", out, *QUICK) == 0
    said = capsys.readouterr().out.splitlines()
    assert "call  0.16-1.04 s  speaker_0" in said
    assert said.count("call  closed (final): 6.00 s, 3 turns") == 1


def test_failures_decide_the_exit_code(talks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "chunks", tmp_path / "out"
    folder.mkdir()
    (folder / "bad.chunk").write_bytes(b"poison")
    command = ("stream", folder, "--output", out, "--model-path", talks / "model", *QUICK)
    assert run(*command) == 3
    assert capsys.readouterr().out.splitlines() == [
        f"{out}: 0 sessions (none), 0.0 s, 0 turns",
        "failures: 1 bad_message: failures.jsonl",
    ]
    assert json.loads((out / "failures.jsonl").read_bytes())["payload"] == "poison"
    assert run(*command, "--overwrite", "--tolerate", "1") == 0


def test_more_failures_than_are_tolerated_end_the_job(
    talks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "chunks", tmp_path / "out"
    assert run("publish", talks / "talks" / "call.wav", "--to", folder, "--chunk-seconds", "0.3") == 0
    (last,) = folder.glob("*-000000019.chunk")
    last.rename(folder / "last.hidden")
    for name in ("a", "b"):
        (folder / f"{name}.chunk").write_bytes(b"poison")
    begin = time.monotonic()
    model = ("--model-path", talks / "model")
    # it would wait for the last chunk a minute long
    assert run("stream", folder, "--output", out, *model, "--until-idle", "60", "--tolerate", "1") == 3
    assert time.monotonic() - begin < 60
    said = capsys.readouterr()
    assert f"{out}: 1 session (1 drained)" in said.out
    assert "beam-curator: 2 failures, more than --tolerate 1: the job was ended" in said.err


def test_the_first_interrupt_asks_the_source_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stop = tmp_path / "stop"
    before = signal.getsignal(signal.SIGINT)
    with stopped_by_interrupt(str(stop)):
        signal.raise_signal(signal.SIGINT)
        assert stop.exists()
        assert "closing the sessions; Ctrl-C again to leave them" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


BAD = {
    "model that cannot stream": (
        ("--model-name", "cascade"),
        "cascade hears whole recordings, and live streams need a",
    ),
    "prism": (("--runner", "prism"), "runner prism lost updates of state in 6 of 20 trials in real time: give one of"),
    "flink": (("--runner", "flink"), "--state_backend_storage_path is missing: live streams on Flink keep their"),
    "another": (("--runner", "SparkRunner"), "runner SparkRunner is not known to keep the state of streams: give one"),
    "jobs": (("--jobs", "2"), "run: jobs 2: runner direct hears streams in one process: give --runner flink"),
    "store": (("--output", "gs://bucket/out"), "--output gs://bucket/out is in an object store"),
    "tolerate": (("--tolerate", "-1"), "run: tolerate -1 is below 0: raise it"),
    "room": (("--max-streams", "33"), "live: max_streams 33 exceeds the room of 32 in each shard: raise streams_per"),
    "batch": (("--batch", "0"), "live: batch 0 must be 1-256"),
    "idle": (("--idle-timeout", "0"), "live: idle_timeout 0 is below 0.1: raise it"),
}


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD)
def test_wrong_usage(given: tuple[str, ...], message: str, talks: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        cli.run(["stream", str(talks / "chunks"), "--output", str(tmp_path / "out"), *given])
    assert str(raised.value).startswith(message)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.wav", "--to", "x"), "not_found: "),
        (("call.wav", "--to", "x", "--speed", "0"), "--speed 0 is not above 0"),
        (("call.wav", "--to", "x", "--chunk-seconds", "0"), "--chunk-seconds 0 must be 0.01-60"),
        (("call.wav", "--to", "x", "--streams", "0"), "--streams 0 is below 1"),
        (("call.wav", "desk.flac", "--to", "x", "--stream-id", "a"), "--stream-id names one stream"),
        (("call.wav", "../talks/call.wav", "--to", "x"), "several files would be one stream, 'call'"),
    ],
)
def test_wrong_usage_of_publish(
    arguments: tuple[str, ...], message: str, talks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(talks / "talks")
    with pytest.raises(UsageError) as raised:
        cli.run(["publish", *arguments])
    assert str(raised.value).startswith(message)


def test_listening_where_no_job_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere has no events: name the --output of a job of beam-curator stream"):
        cli.run(["listen", str(tmp_path / "nowhere"), *QUICK])


def test_a_plan_says_how_many_streams_fit() -> None:
    engine = StreamingSortformer(NumpyBackend(), LATENCY_PRESETS["low"])
    measured = measure_steps(engine, seconds=0.3)
    assert measured.sound == pytest.approx(measured.n_steps * 0.48)
    assert measured.seconds >= 0.3
    assert measured.n_streams == int(measured.sound / measured.seconds) >= 2
    four = measure_steps(engine, seconds=0.0, n_at_once=4)
    assert (four.n_steps, four.sound) == (2, pytest.approx(4 * 2 * 0.48))


def test_a_folder_that_is_not_there(talks: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere is no folder: give the one that 'beam-curator publish --to' fills"):
        cli.run(["stream", str(tmp_path / "nowhere"), "--model-path", str(talks / "model")])
