"""Messages of Pub/Sub: pulled, acknowledged, handed back and published; `beam-curator[gcp]` has the client."""

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from beam_curator.files.leases import Leases
from beam_curator.intervals import Seconds
from beam_curator.live.messages import Sent, message_bytes
from beam_curator.live.outgoing import Outgoing

EXTRA = "pip install 'beam-curator[gcp]'"
_MOST_PULLED = 100
_MOST_IDS = 500
_PULL_SECONDS, _CALL_SECONDS = 5.0, 30.0
_SECONDS_AFTER_ERROR = 1.0
_NAMES = {kind: re.compile(rf"projects/[^/]+/{kind}s/[^/]+") for kind in ("subscription", "topic")}


class PubSubError(ValueError):
    """A subscription or a topic that cannot be used: value, expectation and cure."""


def check_subscription(subscription: str) -> None:
    """Check that messages can be pulled from a subscription.

    Raises:
      PubSubError: the name is none, there is no such subscription, it may not be read, or the client is missing.
    """
    _check("subscription", subscription, _subscriber, "pubsub.subscriptions.consume")


def check_topic(topic: str) -> None:
    """Check that messages can be published to a topic.

    Raises:
      PubSubError: the name is none, there is no such topic, it may not be used, or the client is missing.
    """
    _check("topic", topic, _publisher, "pubsub.topics.publish")


def _look(client: Any, kind: str, name: str, permission: str) -> None:
    """Look at a subscription or a topic, which who may use it need not be allowed to look at.

    Raises:
      PermissionDenied: it may not be used.
    """
    from google.api_core.exceptions import PermissionDenied

    try:
        getattr(client, f"get_{kind}")(**{kind: name}, timeout=_CALL_SECONDS)
    except PermissionDenied:
        request = {"resource": name, "permissions": [permission]}
        if permission not in client.test_iam_permissions(request=request).permissions:
            raise


def _check(kind: str, name: str, client: Callable[[], Any], permission: str) -> None:
    if not _NAMES[kind].fullmatch(name):
        raise PubSubError(f"{kind} {name!r} is no name of one: write projects/PROJECT/{kind}s/NAME")
    try:
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
    except ImportError as err:
        raise PubSubError(f"{kind} {name} needs Google's client of Pub/Sub, which is not installed: {EXTRA}") from err
    try:
        _look(client(), kind, name, permission)
    except (GoogleAPICallError, RetryError, GoogleAuthError, OSError) as err:
        why = str(err).partition("\n")[0]
        cure = "look at its name, and at your roles: Pub/Sub Subscriber reads, Pub/Sub Publisher writes"
        raise PubSubError(f"{kind} {name} cannot be used: {why}: {cure}") from err


@cache
def _subscriber() -> Any:
    """Return the client of this process: readers come and go."""
    return import_module("google.cloud.pubsub_v1").SubscriberClient()


@cache
def _publisher() -> Any:
    return import_module("google.cloud.pubsub_v1").PublisherClient()


@dataclass(slots=True)
class _Pulled:
    """Messages that this process pulled and has not given: an engine makes a new reader several times a second."""

    messages: deque[tuple[str, Sent]] = field(default_factory=deque)
    reader: object = None
    asks_from: Seconds = 0.0


@cache
def _pulled_from(subscription: str) -> _Pulled:
    del subscription
    return _Pulled()


class PulledMessages:
    """The messages of a subscription, as they come, in any order and some of them twice.

    The latest reader of this process takes over what the one before has pulled.

    Args:
      subscription: its full name.
      clock: the time, in seconds.

    Attributes:
      place: where the reader stands; a subscription remembers it by itself.
    """

    place = 0

    def __init__(self, subscription: str, clock: Callable[[], Seconds] = time.monotonic) -> None:
        self._subscription, self._clock = subscription, clock
        self._pulled = _pulled_from(subscription)
        self._pulled.reader = self
        self._next = self._pulled.messages
        self._given: list[str] = []

    def next_message(self) -> Sent | None:
        """Return the next message; None while there is none, and while the server does not answer."""
        if not self._next and self._clock() >= self._pulled.asks_from:
            self._pull()
        if not self._next:
            return None
        ack_id, message = self._next.popleft()
        self._given.append(ack_id)
        return message

    def _pull(self) -> None:
        from google.api_core.exceptions import Aborted, ServerError, TooManyRequests

        request = {"subscription": self._subscription, "max_messages": _MOST_PULLED, "return_immediately": True}
        try:
            answer = _subscriber().pull(request=request, retry=None, timeout=_PULL_SECONDS)
        except (Aborted, ServerError, TooManyRequests):
            # the reader asks again
            self._pulled.asks_from = self._clock() + _SECONDS_AFTER_ERROR
            return
        leases().hold(self._subscription, [received.ack_id for received in answer.received_messages])
        for received in answer.received_messages:
            body = message_bytes(dict(received.message.attributes), received.message.data)
            self._next.append((received.ack_id, Sent(body, received.message.publish_time.timestamp())))

    def take_acks(self) -> tuple[str, ...]:
        """Return the ids that acknowledge the messages given since the previous call."""
        taken, self._given = tuple(self._given), []
        return taken

    def close(self) -> None:
        """Hand back the messages that were pulled and not given, or not acknowledged: others get them at once.

        A reader from whom another one took over leaves those that were not given to that one.
        """
        ids = list(self.take_acks())
        if self._pulled.reader is self:
            ids += [ack_id for ack_id, _ in self._next]
            self._next.clear()
        leases().let_go(ids)
        _set_deadline(self._subscription, ids, 0)


@cache
def leases() -> Leases:
    """Return the leases of this process, whose messages any of its readers may have pulled."""
    made = Leases(_set_deadline)
    made.watch()
    return made


def _set_deadline(subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
    for first in range(0, len(ack_ids), _MOST_IDS):
        _subscriber().modify_ack_deadline(
            subscription=subscription,
            ack_ids=list(ack_ids[first : first + _MOST_IDS]),
            ack_deadline_seconds=seconds,
            timeout=_CALL_SECONDS,
        )


def acknowledge(subscription: str, ack_ids: Sequence[str]) -> None:
    """Tell the server that messages need not come again."""
    leases().let_go(ack_ids)
    for first in range(0, len(ack_ids), _MOST_IDS):
        some = list(ack_ids[first : first + _MOST_IDS])
        _subscriber().acknowledge(subscription=subscription, ack_ids=some, timeout=_CALL_SECONDS)


def publish_all(topic: str, messages: Iterable[Outgoing]) -> None:
    """Publish messages, and wait until the server has them all.

    Raises:
      PubSubError: it does not take them.
    """
    from google.api_core.exceptions import GoogleAPICallError, RetryError

    sent = [_publisher().publish(topic, message.data, **message.attributes) for message in messages]
    try:
        for each in sent:
            each.result(timeout=_CALL_SECONDS)
    except (TimeoutError, GoogleAPICallError, RetryError) as err:
        why = str(err).partition("\n")[0] or f"no answer within {_CALL_SECONDS:g} s"
        raise PubSubError(
            f"topic {topic} does not take messages: {why}: look at the server, and at your roles"
        ) from err
