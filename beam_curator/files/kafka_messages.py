"""Messages of Kafka: consumed, committed and produced; `beam-curator[kafka]` has the client.

A place is written kafka://HOST:PORT/TOPIC, with several servers parted by commas, and for a reader ?group=NAME.
Attributes are headers, and the key of a message is its stream, so that the chunks of a stream stay in order.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from beam_curator.live.messages import Sent, message_bytes
from beam_curator.live.outgoing import Outgoing

EXTRA = "pip install 'beam-curator[kafka]'"
SCHEME = "kafka://"
_NAME = re.compile(r"kafka://([^/?]+)/([A-Za-z0-9._-]+)(?:\?group=([^&?]+))?")
_GROUP = "beam-curator"
_CALL_SECONDS = 30.0


class KafkaError(ValueError):
    """A topic that cannot be used: value, expectation and cure."""


class KafkaPlace(NamedTuple):
    """A topic, and the group that reads it.

    Attributes:
      servers: to begin with, HOST:PORT parted by commas.
      topic: its name.
      group: whose offsets are committed.
    """

    servers: str
    topic: str
    group: str

    @classmethod
    def of(cls, name: str) -> "KafkaPlace":
        """Read the name of a place.

        Raises:
          KafkaError: it is none.

        Example:
          >>> KafkaPlace.of("kafka://one:9092,two:9092/chunks?group=night")
          KafkaPlace(servers='one:9092,two:9092', topic='chunks', group='night')
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise KafkaError(f"{name!r} is no topic of Kafka: write kafka://HOST:PORT/TOPIC, or …/TOPIC?group=NAME")
        return cls(found[1], found[2], found[3] or _GROUP)


def check_kafka(name: str) -> None:
    """Check that a topic is there.

    Raises:
      KafkaError: the name is none, no server answers, there is no such topic, or the client is missing.
    """
    place = KafkaPlace.of(name)
    try:
        client = import_module("confluent_kafka")
    except ImportError as err:
        raise KafkaError(f"{name} needs the client of Kafka, which is not installed: {EXTRA}") from err
    try:
        topics = _consumer(name).list_topics(place.topic, timeout=_CALL_SECONDS / 3).topics
    except client.KafkaException as err:
        raise KafkaError(f"{name} cannot be used: {err.args[0].str()}: look at the address of its servers") from err
    if topics[place.topic].error is not None:
        raise KafkaError(f"{name} cannot be used: {topics[place.topic].error.str()}: look at the name, and your rights")


@cache
def _consumer(name: str) -> Any:
    """Return the client of this process: readers come and go."""
    place = KafkaPlace.of(name)
    return import_module("confluent_kafka").Consumer(
        {
            "bootstrap.servers": place.servers,
            "group.id": place.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 2,
        }
    )


@cache
def _assigned(name: str) -> Any:
    """Return the client, which reads all partitions from the offsets that were committed.

    It is no member of the group: who leaves one without a word would keep its partitions for a while.
    """
    consumer, topic = _consumer(name), KafkaPlace.of(name).topic
    partitions = consumer.list_topics(topic, timeout=_CALL_SECONDS).topics[topic].partitions
    client = import_module("confluent_kafka")
    consumer.assign([client.TopicPartition(topic, partition, client.OFFSET_STORED) for partition in partitions])
    return consumer


@cache
def _producer(servers: str) -> Any:
    return import_module("confluent_kafka").Producer({"bootstrap.servers": servers, "log_level": 2})


class ConsumedMessages:
    """The messages of a topic, as they come.

    Args:
      name: of the topic, as `KafkaPlace` reads it.

    Attributes:
      place: where the reader stands; the group remembers it.
    """

    place = 0

    def __init__(self, name: str) -> None:
        self._name = name
        self._consumer = _assigned(name)
        self._given: list[tuple[int, int]] = []

    def next_message(self) -> Sent | None:
        """Return the next message; None while there is none, and while no server answers.

        Raises:
          KafkaError: the topic cannot be read any more.
        """
        found = self._consumer.poll(0)
        if found is None:
            return None
        if found.error() is not None:
            if found.error().retriable() or found.error().code() < 0:
                # the client goes on by itself
                return None
            raise KafkaError(f"{self._name} cannot be read: {found.error().str()}: look at the topic, and your rights")
        self._given.append((found.partition(), found.offset()))
        attributes = {key: (value or b"").decode(errors="replace") for key, value in found.headers() or ()}
        return Sent(message_bytes(attributes, found.value() or b""), found.timestamp()[1] / 1000)

    def take_acks(self) -> tuple[str, ...]:
        """Return how far each partition was given since the previous call.

        Example:
          >>> messages = object.__new__(ConsumedMessages)
          >>> messages._given = [(0, 7), (1, 3), (0, 8)]
          >>> messages.take_acks()
          ('0:8', '1:3')
        """
        latest = dict(sorted(self._given))
        self._given = []
        return tuple(f"{partition}:{offset}" for partition, offset in latest.items())

    def close(self) -> None:
        """Go back to the messages that were given and not acknowledged: they come again."""
        topic_partition = import_module("confluent_kafka").TopicPartition
        first = dict(sorted(self._given, reverse=True))
        self._given = []
        for partition, offset in first.items():
            self._consumer.seek(topic_partition(KafkaPlace.of(self._name).topic, partition, offset))


def commit_kafka(name: str, ack_ids: Sequence[str]) -> None:
    """Tell the servers that messages need not come again."""
    topic_partition, topic = import_module("confluent_kafka").TopicPartition, KafkaPlace.of(name).topic
    latest = [(int(partition), int(offset)) for partition, _, offset in (each.partition(":") for each in ack_ids)]
    offsets = [topic_partition(topic, partition, offset + 1) for partition, offset in latest]
    _assigned(name).commit(offsets=offsets, asynchronous=False)


def produce_all(name: str, messages: Iterable[Outgoing]) -> None:
    """Produce messages, and wait until the servers have them all.

    Raises:
      KafkaError: they do not take them.
    """
    place, failed = KafkaPlace.of(name), []
    producer = _producer(place.servers)
    for message in messages:
        producer.produce(
            place.topic,
            message.data,
            key=message.attributes.get("stream_id"),
            headers={key: value.encode() for key, value in message.attributes.items()},
            on_delivery=lambda err, _: failed.append(err) if err is not None else None,
        )
    n_left = producer.flush(_CALL_SECONDS)
    if failed or n_left:
        why = failed[0].str() if failed else f"{n_left:,} messages were not taken within {_CALL_SECONDS:g} s"
        raise KafkaError(f"{name} cannot be written: {why}: look at its servers, and your rights")
