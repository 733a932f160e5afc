"""Places of messages: topics and subscriptions of Pub/Sub, and topics of Kafka, told apart by their names."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from beam_curator.files.kafka_messages import (
    SCHEME,
    ConsumedMessages,
    KafkaError,
    check_kafka,
    commit_kafka,
    produce_all,
)
from beam_curator.files.pubsub_messages import (
    PubSubError,
    PulledMessages,
    acknowledge,
    check_subscription,
    check_topic,
    publish_all,
)
from beam_curator.live.messages import Chunk, Sent
from beam_curator.live.outgoing import Outgoing, message_of

PLACE_ERRORS = (PubSubError, KafkaError)
"""A place cannot be used: value, expectation and cure."""


class Messages(Protocol):
    """Messages as a source gives them.

    Attributes:
      place: where a reader of a folder stands; other places remember it by themselves.
    """

    @property
    def place(self) -> int: ...

    def next_message(self) -> Sent | None:
        """Return the next message; None while there is none."""
        ...

    def take_acks(self) -> tuple[str, ...]:
        """Return the ids that acknowledge the messages given since the previous call."""
        ...

    def close(self) -> None:
        """Hand back messages that were not acknowledged."""
        ...


def is_kafka(name: str) -> bool:
    """Tell whether a place is one of Kafka.

    Example:
      >>> is_kafka("kafka://localhost:9092/chunks"), is_kafka("projects/p/topics/chunks")
      (True, False)
    """
    return name.startswith(SCHEME)


def check_to_read(name: str) -> None:
    """Check that messages can be read from a place.

    Raises:
      PubSubError, KafkaError: they cannot.
    """
    (check_kafka if is_kafka(name) else check_subscription)(name)


def check_to_write(name: str) -> None:
    """Check that messages can be sent to a place.

    Raises:
      PubSubError, KafkaError: they cannot.
    """
    (check_kafka if is_kafka(name) else check_topic)(name)


def open_messages(name: str) -> Messages:
    """Return the messages of a place."""
    return ConsumedMessages(name) if is_kafka(name) else PulledMessages(name)


def acknowledge_messages(name: str, ack_ids: Sequence[str]) -> None:
    """Tell a place that messages need not come again."""
    (commit_kafka if is_kafka(name) else acknowledge)(name, ack_ids)


def send_messages(name: str, messages: Iterable[Outgoing]) -> None:
    """Send messages to a place, and wait until it has them all."""
    (produce_all if is_kafka(name) else publish_all)(name, messages)


def send_chunk(name: str, chunk: Chunk) -> None:
    """Send a chunk to a place, and wait until it has it."""
    send_messages(name, [message_of(chunk)])
