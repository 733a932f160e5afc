"""The whole live job on Dataflow, whose own source and sink of Pub/Sub take the place of ours."""

import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage, ReadFromPubSub, WriteToPubSub
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.files.message_places import is_kafka
from beam_curator.live.arriving import Arrived
from beam_curator.live.live_options import LiveRules, LiveSinks
from beam_curator.live.messages import message_bytes
from beam_curator.live.outgoing import Outgoing, event_messages, failure_messages
from beam_curator.live.session_state import HearingRules
from beam_curator.transforms.live.hear_streams import HearStreams
from beam_curator.transforms.live.publish_messages import PublishMessages
from beam_curator.transforms.live.write_sessions import WriteLiveFailures, WriteSessions


class StreamSubscription(beam.PTransform[PBegin, PCollection[None]]):
    """Tell who speaks when in the streams of a subscription, on an engine that has a source of Pub/Sub: Dataflow.

    Timers close gaps and sessions. A job that is drained closes what is open.

    Args:
      subscription: its full name.
      output: for RTTM, entries and dead letters: a folder in an object store.
      rules: how chunks become sessions.
      load: loads the model.
      sinks: the shape of events, and the topics of events and failures.
    """

    def __init__(
        self,
        subscription: str,
        output: str,
        *,
        rules: LiveRules,
        load: Callable[[], HearingRules],
        sinks: LiveSinks | None = None,
    ) -> None:
        super().__init__()
        self._subscription = subscription
        self._output = output
        self._rules = rules
        self._load = load
        self._sinks = LiveSinks() if sinks is None else sinks

    def expand(self, begin: PBegin) -> PCollection[None]:
        source, sinks = ReadFromPubSub(subscription=self._subscription, with_attributes=True), self._sinks
        messages = begin | "Read messages" >> source | "Take messages" >> beam.Map(arrived_of)
        events, failures = messages | "Hear streams" >> HearStreams(self._rules, self._load, ticks=False)
        if sinks.events_topic is not None:
            told = events | "Render events" >> beam.FlatMap(event_messages, sinks.events)
            _ = told | "Publish events" >> _publishing(sinks.events_topic)
        if sinks.failures_topic is not None:
            dead = failures | "Render failures" >> beam.FlatMap(failure_messages)
            _ = dead | "Publish failures" >> _publishing(sinks.failures_topic)
        written = (
            events | "Write sessions" >> WriteSessions(self._output, shape=sinks.events),
            failures | "Write failures" >> WriteLiveFailures(self._output),
        )
        return written | "Join" >> beam.Flatten()


def arrived_of(message: PubsubMessage) -> Arrived:
    """Return a message of Pub/Sub as it arrives at a shard."""
    now = time.time()
    sent = message.publish_time.timestamp() if message.publish_time is not None else now
    return message_bytes(dict(message.attributes or {}), message.data or b""), now, sent


def _publishing(topic: str) -> beam.PTransform[PCollection[Outgoing], Any]:
    return PublishMessages(topic) if is_kafka(topic) else _PublishNatively(topic)


class _PublishNatively(beam.PTransform[PCollection[Outgoing], PCollection[bytes]]):
    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, messages: PCollection[Outgoing]) -> PCollection[bytes]:
        taken = messages | "Take messages" >> beam.Map(message_of)
        return taken | "Publish" >> WriteToPubSub(self._topic, with_attributes=True)


def message_of(outgoing: Outgoing) -> PubsubMessage:
    """Return a message as the sink of Dataflow takes it."""
    return PubsubMessage(outgoing.data, outgoing.attributes)
