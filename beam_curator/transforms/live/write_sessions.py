"""Events and failures of a live job, written into a local directory."""

from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.failures import Failure
from beam_curator.files.live_output import write_events, write_live_failures
from beam_curator.live.events import Event


class WriteSessions(beam.PTransform[PCollection[Event], PCollection[None]]):
    """Write events as they come, and the results of sessions when they end.

    Args:
      directory: local, as `prepare_live_output` made it.
    """

    def __init__(self, directory: str) -> None:
        super().__init__()
        self._directory = directory

    def expand(self, events: PCollection[Event]) -> PCollection[None]:
        return events | "Write events" >> beam.ParDo(_WriteFn(self._directory, write_events))


class WriteLiveFailures(beam.PTransform[PCollection[Failure], PCollection[None]]):
    """Write failures as they come, with the messages in them.

    Args:
      directory: local, as `prepare_live_output` made it.
    """

    def __init__(self, directory: str) -> None:
        super().__init__()
        self._directory = directory

    def expand(self, failures: PCollection[Failure]) -> PCollection[None]:
        return failures | "Write failures" >> beam.ParDo(_WriteFn(self._directory, write_live_failures))


class _WriteFn(beam.DoFn):
    """Writes all elements of a bundle at once."""

    def __init__(self, directory: str, write: Callable[[str, Any], None]) -> None:
        self._directory = directory
        self._write = write

    def start_bundle(self) -> None:
        self._held: list[Any] = []

    def process(self, element: Any) -> None:
        self._held.append(element)

    def finish_bundle(self) -> None:
        if self._held:
            self._write(self._directory, self._held)
