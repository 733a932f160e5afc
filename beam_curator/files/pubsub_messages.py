"""Messages of Pub/Sub: pulled, acknowledged, handed back and published; `beam-curator[gcp]` has the client."""

import re
from collections import deque
from functools import cache
from importlib import import_module
from typing import Any

from beam_curator.live.messages import Chunk, message_bytes

EXTRA = "pip install 'beam-curator[gcp]'"
_MOST_PULLED = 100
_MOST_IDS = 500
_PULL_SECONDS, _CALL_SECONDS = 5.0, 30.0
_NAMES = {kind: re.compile(rf"projects/[^/]+/{kind}s/[^/]+") for kind in ("subscription", "topic")}


class PubSubError(ValueError):
    """A subscription or a topic that cannot be used: value, expectation and cure."""


def check_subscription(subscription: str) -> None:
    """Check that messages can be pulled from a subscription.

    Raises:
      PubSubError: the name is none, there is no such subscription, it may not be read, or the client is missing.
    """
    _check("subscription", subscription, lambda: _subscriber().get_subscription(subscription=subscription))


def check_topic(topic: str) -> None:
    """Check that messages can be published to a topic.

    Raises:
      PubSubError: the name is none, there is no such topic, it may not be used, or the client is missing.
    """
    _check("topic", topic, lambda: _publisher().get_topic(topic=topic))


def _check(kind: str, name: str, look: Any) -> None:
    if not _NAMES[kind].fullmatch(name):
        raise PubSubError(f"{kind} {name!r} is no name of one: write projects/PROJECT/{kind}s/NAME")
    try:
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
    except ImportError as err:
        raise PubSubError(f"{kind} {name} needs Google's client of Pub/Sub, which is not installed: {EXTRA}") from err
    try:
        look()
    except (GoogleAPICallError, RetryError, GoogleAuthError, OSError) as err:
        why = str(err).partition("\n")[0]
        cure = "look at its name, and whether you may use it"
        raise PubSubError(f"{kind} {name} cannot be used: {why}: {cure}") from err


@cache
def _subscriber() -> Any:
    """Return the client of this process: readers come and go."""
    return import_module("google.cloud.pubsub_v1").SubscriberClient()


@cache
def _publisher() -> Any:
    return import_module("google.cloud.pubsub_v1").PublisherClient()


class PulledMessages:
    """The messages of a subscription, as they come, in any order and some of them twice.

    Args:
      subscription: its full name.
    """

    def __init__(self, subscription: str) -> None:
        self._subscription = subscription
        self._next: deque[tuple[str, bytes]] = deque()
        self._given: list[str] = []

    def next_message(self) -> bytes | None:
        """Return the next message; None while there is none, and while the server does not answer."""
        if not self._next:
            self._pull()
        if not self._next:
            return None
        ack_id, message = self._next.popleft()
        self._given.append(ack_id)
        return message

    def _pull(self) -> None:
        from google.api_core.exceptions import DeadlineExceeded, ServiceUnavailable

        request = {"subscription": self._subscription, "max_messages": _MOST_PULLED, "return_immediately": True}
        try:
            answer = _subscriber().pull(request=request, retry=None, timeout=_PULL_SECONDS)
        except (DeadlineExceeded, ServiceUnavailable):
            # the reader asks again, twenty times a second
            return
        for received in answer.received_messages:
            body = message_bytes(dict(received.message.attributes), received.message.data)
            self._next.append((received.ack_id, body))

    def take_acks(self) -> tuple[str, ...]:
        """Return the ids that acknowledge the messages given since the previous call."""
        taken, self._given = tuple(self._given), []
        return taken

    def close(self) -> None:
        """Hand back the messages that were pulled and not given: others get them at once."""
        ids = [ack_id for ack_id, _ in self._next]
        self._next.clear()
        if ids:
            _subscriber().modify_ack_deadline(
                subscription=self._subscription, ack_ids=ids, ack_deadline_seconds=0, timeout=_CALL_SECONDS
            )


def acknowledge(subscription: str, ack_ids: tuple[str, ...]) -> None:
    """Tell the server that messages need not come again."""
    for first in range(0, len(ack_ids), _MOST_IDS):
        some = list(ack_ids[first : first + _MOST_IDS])
        _subscriber().acknowledge(subscription=subscription, ack_ids=some, timeout=_CALL_SECONDS)


def publish_chunk(topic: str, chunk: Chunk) -> None:
    """Publish a chunk, and wait until the server has it."""
    _publisher().publish(topic, chunk.data, **chunk.attributes()).result(timeout=_CALL_SECONDS)
