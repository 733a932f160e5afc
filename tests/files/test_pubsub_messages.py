"""Pub/Sub without permission, and away for a while: a server in this process answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("google.cloud.pubsub_v1", reason="needs beam-curator[gcp]")

import grpc
from google.api_core.exceptions import NotFound
from google.pubsub_v1 import types

from beam_curator.files.chunk_folders import put_chunk
from beam_curator.files.message_places import send_chunk
from beam_curator.files.pubsub_messages import (
    PubSubError,
    PulledMessages,
    check_subscription,
    check_topic,
    leases,
)
from beam_curator.live.messages import chunk_of
from beam_curator.runners import cli
from beam_curator.runners.options import UsageError
from tests.fakes_models import write_band_model
from tests.fakes_pubsub import FakePubSub, fake_pubsub
from tests.live.test_bad_messages import CHUNKS, GOOD
from tests.manifests import run

SUBSCRIPTION, TOPIC = "projects/p/subscriptions/s", "projects/p/topics/t"


@pytest.fixture(scope="module")
def server() -> Iterator[FakePubSub]:
    with fake_pubsub() as fake:
        yield fake


@pytest.fixture
def pubsub(server: FakePubSub) -> FakePubSub:
    """Return a server that refuses nothing and has nothing."""
    for kept in (server.refuses, server.answers, server.n_calls, server.permissions, server.published):
        kept.clear()
    return server


def pulled(*n_times: int) -> types.PullResponse:
    message = types.PubsubMessage(data=GOOD.data, attributes=GOOD.attributes(), publish_time={"seconds": 10**9})
    return types.PullResponse(received_messages=[{"ack_id": f"a{n}", "message": message} for n in n_times])


def test_no_permission_is_wrong_usage(pubsub: FakePubSub) -> None:
    pubsub.refuses = dict.fromkeys(("GetSubscription", "GetTopic"), grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(UsageError) as raised:
        cli.run(["stream", "--subscription", SUBSCRIPTION])
    said = f"subscription {SUBSCRIPTION} cannot be used: 403 User not authorized to perform this action.: look at"
    assert str(raised.value).startswith(said)
    with pytest.raises(PubSubError, match="topic projects/p/topics/t cannot be used: 403"):
        check_topic(TOPIC)


def test_who_may_read_need_not_be_allowed_to_look(pubsub: FakePubSub) -> None:
    pubsub.refuses = dict.fromkeys(("GetSubscription", "GetTopic"), grpc.StatusCode.PERMISSION_DENIED)
    pubsub.permissions = ["pubsub.subscriptions.consume", "pubsub.topics.publish"]
    check_subscription(SUBSCRIPTION)
    check_topic(TOPIC)


def test_a_server_that_is_away_is_asked_again_a_second_later(pubsub: FakePubSub) -> None:
    now = 0.0
    messages = PulledMessages(SUBSCRIPTION, clock=lambda: now)
    for status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL):
        pubsub.refuses["Pull"] = status
        n_before = pubsub.n_calls["Pull"]
        assert [messages.next_message() for _ in range(3)] == [None] * 3
        assert pubsub.n_calls["Pull"] == n_before + 1
        now += 1.0
    pubsub.refuses.clear()
    pubsub.answers["Pull"] = [pulled(1)]
    found = messages.next_message()
    assert found is not None
    assert (chunk_of(found.data), found.sent) == (GOOD, 1e9)


def test_a_subscription_that_is_deleted_fails_the_job(pubsub: FakePubSub) -> None:
    pubsub.refuses["Pull"] = grpc.StatusCode.NOT_FOUND
    with pytest.raises(NotFound, match="User not authorized"):
        PulledMessages(SUBSCRIPTION).next_message()


def test_leases_are_held_until_messages_are_acknowledged_or_handed_back(pubsub: FakePubSub) -> None:
    pubsub.answers["Pull"] = [pulled(2, 3, 4)]
    messages = PulledMessages(SUBSCRIPTION)
    n_before = len(leases())
    assert messages.next_message() is not None
    assert len(leases()) == n_before + 3
    messages.close()
    assert (len(leases()), pubsub.n_calls["ModifyAckDeadline"]) == (n_before, 1)


def test_events_and_dead_letters_go_to_topics(pubsub: FakePubSub, tmp_path: Path) -> None:
    folder = tmp_path / "chunks"
    folder.mkdir()
    for chunk in CHUNKS:
        put_chunk(str(folder), chunk)
    (folder / "odd.chunk").write_bytes(replace(GOOD, sample_rate=16001).to_bytes())
    model = ("--model-path", write_band_model(tmp_path / "model"), "--latency", "low")
    topics = ("--events-topic", TOPIC, "--failures-topic", f"{TOPIC}-dead", "--events", "pyannote")
    assert run("stream", folder, "--output", tmp_path / "out", *model, *topics, "--until-idle", "0.2") == 3
    events = [json.loads(message.data) for message in pubsub.published[TOPIC]]
    assert [(event["type"][20:], event["data"]["timestamp"], event["data"]["speaker"]) for event in events] == [
        ("start", 0.16, "SPEAKER_00"),
        ("end", 1.04, "SPEAKER_00"),
        ("start", 1.6, "SPEAKER_01"),
        ("end", 3.2, "SPEAKER_01"),
    ]
    first = pubsub.published[TOPIC][0].attributes
    assert (first["type"], first["stream_id"], first["event_id"]) == ("turn_started", "a", "a:0")
    lines = [json.loads(line) for line in (tmp_path / "out" / "events" / "a.jsonl").read_bytes().splitlines()]
    assert lines == events
    (dead,) = pubsub.published[f"{TOPIC}-dead"]
    assert (dead.data, dead.attributes["seq"], dead.attributes["sample_rate"]) == (GOOD.data, "4", "16001")
    assert dead.attributes["failure_code"] == "bad_message"
    # the shape is not that of listen
    with pytest.raises(UsageError, match="has events in another shape: begin stream with --events own"):
        run("listen", tmp_path / "out")


def test_a_topic_that_takes_no_messages(pubsub: FakePubSub) -> None:
    pubsub.refuses["Publish"] = grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(PubSubError, match="topic projects/p/topics/t does not take messages: 403 User not authorized"):
        send_chunk(TOPIC, GOOD)


def test_a_topic_that_may_not_be_used_is_wrong_usage(pubsub: FakePubSub, tmp_path: Path) -> None:
    pubsub.refuses = {"GetTopic": grpc.StatusCode.NOT_FOUND}
    (tmp_path / "chunks").mkdir()
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="topic projects/p/topics/t cannot be used: 404"):
        cli.run(["stream", str(tmp_path / "chunks"), "--output", str(out), "--failures-topic", TOPIC])
    assert not out.exists()
