"""Messages to a topic of Pub/Sub or Kafka."""

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.files.message_places import send_messages
from beam_curator.live.outgoing import Outgoing


class PublishMessages(beam.PTransform[PCollection[Outgoing], PCollection[None]]):
    """Publish messages, all of a bundle at once; a bundle that is done again publishes them again.

    Args:
      topic: its full name.
    """

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, messages: PCollection[Outgoing]) -> PCollection[None]:
        return messages | "Publish" >> beam.ParDo(_PublishFn(self._topic))


class _PublishFn(beam.DoFn):
    def __init__(self, topic: str) -> None:
        self._topic = topic

    def start_bundle(self) -> None:
        self._held: list[Outgoing] = []

    def process(self, message: Outgoing) -> None:
        self._held.append(message)

    def finish_bundle(self) -> None:
        send_messages(self._topic, self._held)
