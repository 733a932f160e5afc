"""Live streams from Pub/Sub's emulator, on the direct runner: messages late, twice, missing, poisoned, far behind."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from beam_curator.files import pubsub_messages
from beam_curator.files.chunk_folders import put_chunk
from beam_curator.files.message_places import send_chunk
from beam_curator.live.messages import chunk_of
from beam_curator.runners import cli
from beam_curator.runners.options import UsageError
from tests.engines.live_streams import (
    SPEECH,
    SUBSCRIPTION,
    TOPIC,
    Calls,
    arrivals,
    check_sessions,
    chunks_of,
    left_in_subscription,
)
from tests.engines.pubsub_emulator import NO_EMULATOR, emulator_jar
from tests.fakes_models import write_band_model, write_sound
from tests.manifests import run

pytestmark = pytest.mark.skipif(emulator_jar() is None, reason=NO_EMULATOR)


def test_streams_of_a_subscription(server: subprocess.Popen[bytes], tmp_path: Path) -> None:
    names = [f"call-{number}" for number in range(6)]
    files = [write_sound(tmp_path / "talks" / f"{name}.wav", 12.0, SPEECH) for name in names]
    model = ("--model-path", write_band_model(tmp_path / "model"), "--latency", "low")
    assert run("diarize", tmp_path / "talks", "--output", tmp_path / "batch", *model, "--vad", "energy") == 0
    streams = [chunks_of(path) for path in files]
    # the pause of the first lacks a chunk, and the last has no end
    gap, endless = [*streams[0][:8], *streams[0][9:]], streams[5][:-1]
    for chunk in arrivals([gap, *streams[1:5], endless]):
        send_chunk(TOPIC, chunk)
    pubsub_messages._publisher().publish(TOPIC, b"poison").result()
    send_chunk(TOPIC, replace(streams[1][0], stream_id="odd", data=b"odd", final=True))
    out = tmp_path / "live"
    # a chunk is missing only once everything behind it had the time to come
    times = ("--gap-timeout", "3", "--until-idle", "5")
    assert run("stream", "--subscription", SUBSCRIPTION, "--output", out, *model, *times) == 3
    batch, live = ({path.name: path.read_text() for path in (folder / "rttm").glob("call-*.rttm")} for folder in
                   (tmp_path / "batch", out))  # fmt: skip
    # a gap in silence changes no turn, and what is cut off at the end was silent, too
    assert live == batch
    entries = {path.stem: json.loads(path.read_bytes()) for path in (out / "entries").iterdir()}
    ends = {name: entry["closed"] for name, entry in entries.items()}
    assert ends == {**dict.fromkeys(names, "final"), "call-5": "drained", "odd": "final"}
    failures = [json.loads(line) for line in (out / "failures.jsonl").read_bytes().splitlines()]
    assert sorted(failure["code"] for failure in failures) == ["bad_message", "not_audio"]
    events = [json.loads(line) for line in (out / "events" / "call-0.jsonl").read_bytes().splitlines()]
    (missing,) = (event for event in events if event["type"] == "gap")
    assert (missing["start"], missing["end"], missing["first_seq"]) == (4.0, 4.5, 8)
    assert left_in_subscription() == []


@pytest.mark.slow
def test_two_dozen_streams_far_behind(long_calls: Calls, tmp_path: Path) -> None:
    """No time goes by while chunks wait to be read: the one that lacks is known by those behind it."""
    folder, out = tmp_path / "chunks", tmp_path / "live"
    folder.mkdir()
    for chunk in long_calls.chunks:
        put_chunk(str(folder), chunk)
    # nothing was too early
    assert run("stream", folder, "--output", out, *long_calls.options) == 0
    check_sessions(out, long_calls)
    assert sorted(long_calls.ends.values()) == ["drained", *["final"] * 23]
    lines = [line for path in (out / "events").iterdir() for line in path.read_bytes().splitlines()]
    (gap,) = (event for event in map(json.loads, lines) if event["type"] == "gap")
    assert (gap["stream_id"], gap["start"], gap["end"], gap["first_seq"], gap["last_seq"]) == ("talk-0", 4.0, 4.5, 8, 8)


def test_a_recording_is_published(
    server: subprocess.Popen[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sound(tmp_path / "talk.wav", 2.0, [(0.16, 1.04, 0)])
    assert run("publish", path, "--topic", TOPIC) == 0
    assert capsys.readouterr().out == f"beam-curator: 4 chunks of 1 stream in {TOPIC}\n"
    model = ("--model-path", write_band_model(tmp_path / "model"), "--latency", "low")
    command = ("stream", "--subscription", SUBSCRIPTION, "--output", tmp_path / "live", *model, "--until-idle", "2")
    assert run(*command) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'live'}: 1 session (1 final), 2.0 s, 1 turn\n"


def test_a_server_that_is_gone_and_comes_back(server: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (chunk,) = chunks_of(write_sound(tmp_path / "talk.wav", 0.4))
    send_chunk(TOPIC, chunk)
    messages = pubsub_messages.PulledMessages(SUBSCRIPTION)
    server.send_signal(signal.SIGSTOP)
    try:
        assert messages.next_message() is None
    finally:
        server.send_signal(signal.SIGCONT)
    # the question that nobody answered may have taken the message: its lease ends after ten seconds
    until = time.monotonic() + 30
    while (found := messages.next_message()) is None and time.monotonic() < until:
        time.sleep(0.2)
    assert found is not None
    assert chunk_of(found.data) == chunk
    pubsub_messages.acknowledge(SUBSCRIPTION, messages.take_acks())


def test_what_was_pulled_and_not_given_comes_again_at_once(server: subprocess.Popen[bytes], tmp_path: Path) -> None:
    for chunk in chunks_of(write_sound(tmp_path / "again.wav", 1.4)):
        send_chunk(TOPIC, chunk)
    reader, other = (pubsub_messages.PulledMessages(SUBSCRIPTION) for _ in range(2))
    given = reader.next_message()
    pubsub_messages.acknowledge(SUBSCRIPTION, reader.take_acks())
    reader.close()
    others = [message for _ in range(20) if (message := other.next_message()) is not None]
    pubsub_messages.acknowledge(SUBSCRIPTION, other.take_acks())
    assert given is not None
    assert sorted(chunk_of(message.data).seq for message in (given, *others)) == [0, 1, 2]


def test_a_message_that_is_worked_on_for_longer_than_its_lease_comes_once(
    server: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    for chunk in chunks_of(write_sound(tmp_path / "slow.wav", 0.9)):
        send_chunk(TOPIC, chunk)
    reader, other = (pubsub_messages.PulledMessages(SUBSCRIPTION) for _ in range(2))
    assert reader.next_message() is not None
    assert reader.next_message() is not None
    # leases are of ten seconds
    until = time.monotonic() + 12
    while time.monotonic() < until:
        assert other.next_message() is None
        time.sleep(0.5)
    pubsub_messages.acknowledge(SUBSCRIPTION, reader.take_acks())
    reader.close()
    assert other.next_message() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stream", "--subscription", "chunks"), "subscription 'chunks' is no name of one: write projects/PROJECT/"),
        (
            ("stream", "--subscription", "projects/test/subscriptions/none"),
            "subscription projects/test/subscriptions/none cannot be used: 404",
        ),
        (
            ("publish", "examples/kettle.wav", "--topic", "projects/test/topics/none"),
            "topic projects/test/topics/none",
        ),
        (("stream",), "give a FOLDER of chunks, or --subscription, and not both"),
    ],
)
def test_wrong_usage(server: subprocess.Popen[bytes], arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        cli.run(arguments)
    assert str(raised.value).startswith(message)
