"""The whole live job on one machine: from messages to events, RTTM and entries."""

from collections.abc import Callable

import apache_beam as beam
from apache_beam.io.unbounded_source import ReadFromUnboundedSource
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.live.live_options import LiveRules, LiveSinks
from beam_curator.live.outgoing import event_messages, failure_messages
from beam_curator.live.session_state import HearingRules
from beam_curator.transforms.live.hear_streams import HearStreams
from beam_curator.transforms.live.message_source import MessageSource
from beam_curator.transforms.live.publish_messages import PublishMessages
from beam_curator.transforms.live.write_sessions import WriteLiveFailures, WriteSessions

_MOST_MESSAGES = 500
_READ_SECONDS, _POLL_SECONDS = 0.2, 0.05
"""Of a bundle, and between two looks where there is nothing: what comes waits so long at most."""


class StreamMessages(beam.PTransform[PBegin, PCollection[None]]):
    """Tell who speaks when in live streams, as their chunks come, and write it into a directory.

    Args:
      source: of the messages.
      output: for events, RTTM and entries; local, as `prepare_live_output` made it.
      rules: how chunks become sessions.
      load: loads the model.
      tolerate: failures after which one more ends the job; None for a job that goes on whatever happens.
      sinks: the shape of events, and the topics of events and failures.
    """

    def __init__(
        self,
        source: MessageSource,
        output: str,
        *,
        rules: LiveRules,
        load: Callable[[], HearingRules],
        tolerate: int | None = None,
        sinks: LiveSinks | None = None,
    ) -> None:
        super().__init__()
        if tolerate is not None and not source.stop:
            raise ValueError(f"tolerate {tolerate} ends the source, which has no stop: give MessageSource one")
        self._source = source
        self._output = output
        self._rules = rules
        self._load = load
        self._tolerate = tolerate
        self._sinks = LiveSinks() if sinks is None else sinks

    def expand(self, begin: PBegin) -> PCollection[None]:
        messages = begin | "Read messages" >> ReadFromUnboundedSource(
            self._source,
            poll_interval=_POLL_SECONDS,
            max_records_per_bundle=_MOST_MESSAGES,
            max_read_time_seconds=_READ_SECONDS,
        )
        events, failures = messages | "Hear streams" >> HearStreams(self._rules, self._load)
        sinks, stop = self._sinks, self._source.stop
        done = [
            events | "Write sessions" >> WriteSessions(self._output, shape=sinks.events),
            failures | "Write failures" >> WriteLiveFailures(self._output, tolerate=self._tolerate, stop=stop),
        ]
        if sinks.events_topic is not None:
            told = events | "Render events" >> beam.FlatMap(event_messages, sinks.events)
            done.append(told | "Publish events" >> PublishMessages(sinks.events_topic))
        if sinks.failures_topic is not None:
            dead = failures | "Render failures" >> beam.FlatMap(failure_messages)
            done.append(dead | "Publish failures" >> PublishMessages(sinks.failures_topic))
        return done | "Join" >> beam.Flatten()
