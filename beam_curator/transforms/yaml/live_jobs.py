"""Live streams for Beam YAML: plain keyword arguments in; events go to topics, results to a directory."""

from typing import Any, Optional

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.diarization.diarize_rules import TurnOptions
from beam_curator.live.live_options import LiveModelOptions, LiveRules, LiveSinks, LiveStreamingOptions
from beam_curator.models.live_hearing import LiveModel
from beam_curator.models.model_checks import turn_preset_of
from beam_curator.option_names import FlatOptions
from beam_curator.transforms.live.message_source import MessageSource
from beam_curator.transforms.live.stream_messages import StreamMessages
from beam_curator.transforms.live.stream_subscription import StreamSubscription

_STREAM = FlatOptions(LiveModelOptions, LiveStreamingOptions, TurnOptions, LiveRules, LiveSinks)


@_STREAM.in_signature
class StreamSpeech(beam.PTransform[PBegin, PCollection[None]]):
    """Tell who speaks when in live streams, while they go on.

    Args:
      output: directory for RTTM, entries and, where it is local, events.
      folder: of the chunks; local.
      subscription: of Pub/Sub with the chunks, in place of a folder.
      native: read and publish as Dataflow does by itself: give it there, with a subscription.
      until_idle: seconds without a chunk after which the job ends; none for never.

    Raises:
      ValueError: options that cannot hold, neither or both of folder and subscription, or no model.
    """

    _yaml_requires_inputs = False  # Beam YAML asks the class whether it has to follow another step

    def __init__(
        self,
        output: str,
        folder: str = "",
        subscription: str = "",
        native: bool = False,
        until_idle: Optional[float] = None,  # noqa: UP045  # as Beam's schemas understand it
        **options: Any,
    ) -> None:
        super().__init__()
        if bool(folder) == bool(subscription):
            raise ValueError("give a folder of chunks, or a subscription, and not both")
        if native and not subscription:
            raise ValueError("native is for subscriptions: leave it out, or give one")
        chosen = _STREAM.chosen(options)
        model, rules = chosen[LiveModelOptions], chosen[LiveRules]
        load = LiveModel(
            model=model,
            walk=chosen[LiveStreamingOptions].parameters(),
            turns=chosen[TurnOptions].rules(turn_preset_of(model)),
            dead_air_gate=rules.dead_air_gate,
        ).load
        if native:
            self._job: beam.PTransform[PBegin, PCollection[None]] = StreamSubscription(
                subscription, output, rules=rules, load=load, sinks=chosen[LiveSinks]
            )
        else:
            source = MessageSource(folder, subscription, 0.0 if until_idle is None else until_idle)
            self._job = StreamMessages(source, output, rules=rules, load=load, sinks=chosen[LiveSinks])

    def expand(self, begin: PBegin) -> PCollection[None]:
        return begin | "Stream" >> self._job
