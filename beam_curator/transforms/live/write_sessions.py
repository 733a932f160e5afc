"""Events and failures of a live job, written into a local directory."""

from collections.abc import Callable
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.failures import Failure
from beam_curator.files.live_output import ask_to_stop, count_live_failures, write_events, write_live_failures
from beam_curator.live.events import Event
from beam_curator.live.live_options import OWN


class WriteSessions(beam.PTransform[PCollection[Event], PCollection[None]]):
    """Write events as they come, and the results of sessions when they end.

    Args:
      directory: local, as `prepare_live_output` made it.
      shape: of the events, as `LiveSinks.events`.
    """

    def __init__(self, directory: str, *, shape: str = OWN) -> None:
        super().__init__()
        self._directory = directory
        self._shape = shape

    def expand(self, events: PCollection[Event]) -> PCollection[None]:
        write = partial(write_events, shape=self._shape)
        return events | "Write events" >> beam.ParDo(WriteBundleFn(self._directory, write))


class WriteLiveFailures(beam.PTransform[PCollection[Failure], PCollection[None]]):
    """Write failures as they come, with the messages in them.

    Args:
      directory: local, as `prepare_live_output` made it.
      tolerate: failures after which one more ends the job; None for a job that goes on whatever happens.
      stop: the file that ends the job's source when it is there.
    """

    def __init__(self, directory: str, *, tolerate: int | None = None, stop: str = "") -> None:
        super().__init__()
        self._directory = directory
        self._tolerate = tolerate
        self._stop = stop

    def expand(self, failures: PCollection[Failure]) -> PCollection[None]:
        write = _WriteFailuresFn(self._directory, self._tolerate, self._stop)
        return failures | "Write failures" >> beam.ParDo(write)


class WriteBundleFn(beam.DoFn):
    """Writes all elements of a bundle at once, to a directory or another place."""

    def __init__(self, place: str, write: Callable[[str, Any], None]) -> None:
        self._place = place
        self._write = write

    def start_bundle(self) -> None:
        self._held: list[Any] = []

    def process(self, element: Any) -> None:
        self._held.append(element)

    def finish_bundle(self) -> None:
        if self._held:
            self._write(self._place, self._held)


class _WriteFailuresFn(WriteBundleFn):
    """Writes failures, and ends the source when there are too many."""

    def __init__(self, directory: str, tolerate: int | None, stop: str) -> None:
        super().__init__(directory, write_live_failures)
        self._tolerate = tolerate
        self._stop = stop

    def setup(self) -> None:
        self._n_failures = count_live_failures(self._place)

    def finish_bundle(self) -> None:
        self._n_failures += len(self._held)
        super().finish_bundle()
        if self._tolerate is not None and self._n_failures > self._tolerate:
            ask_to_stop(self._stop)
