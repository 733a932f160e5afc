"""Messages to a topic of Pub/Sub or Kafka."""

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.files.message_places import send_messages
from beam_curator.live.outgoing import Outgoing
from beam_curator.transforms.live.write_sessions import WriteBundleFn


class PublishMessages(beam.PTransform[PCollection[Outgoing], PCollection[None]]):
    """Publish messages, all of a bundle at once; a bundle that is done again publishes them again.

    Args:
      topic: its full name.
    """

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, messages: PCollection[Outgoing]) -> PCollection[None]:
        return messages | "Publish" >> beam.ParDo(WriteBundleFn(self._topic, send_messages))
