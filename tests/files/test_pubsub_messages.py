"""Pub/Sub without permission, and away for a while: a server in this process answers as it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("google.cloud.pubsub_v1", reason="needs beam-curator[gcp]")

import grpc
from google.pubsub_v1 import types

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
from tests.fakes_pubsub import FakePubSub, fake_pubsub
from tests.live.test_bad_messages import GOOD

SUBSCRIPTION, TOPIC = "projects/p/subscriptions/s", "projects/p/topics/t"


@pytest.fixture(scope="module")
def server() -> Iterator[FakePubSub]:
    with fake_pubsub() as fake:
        yield fake


@pytest.fixture
def pubsub(server: FakePubSub) -> FakePubSub:
    """Return a server that refuses nothing and has nothing."""
    for kept in (server.refuses, server.answers, server.n_calls, server.permissions):
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


def test_leases_are_held_until_messages_are_acknowledged_or_handed_back(pubsub: FakePubSub) -> None:
    pubsub.answers["Pull"] = [pulled(2, 3, 4)]
    messages = PulledMessages(SUBSCRIPTION)
    n_before = len(leases())
    assert messages.next_message() is not None
    assert len(leases()) == n_before + 3
    messages.close()
    assert (len(leases()), pubsub.n_calls["ModifyAckDeadline"]) == (n_before, 1)
