"""Events of a live job as they come, read beside it."""

import json
import os
from collections.abc import Iterator

from beam_curator.files.live_output import EVENTS
from beam_curator.live.events import Event


class EventReader:
    """Reads the events of a job, each once, as they come; those that come again after a crash are left out.

    Args:
      directory: the job's output.
    """

    def __init__(self, directory: str) -> None:
        self._directory = os.path.join(directory, EVENTS)
        self._read: dict[str, int] = {}
        self._latest: dict[str, int] = {}

    def new_events(self) -> Iterator[Event]:
        """Yield the events that have come since the previous call; those of a session in their order."""
        if not os.path.isdir(self._directory):
            return
        for name in sorted(os.listdir(self._directory)):
            try:
                with open(os.path.join(self._directory, name), "rb") as file:
                    file.seek(self._read.get(name, 0))
                    data = file.read()
            except FileNotFoundError:
                # another job takes the directory over
                continue
            # a line that is being written ends with the next look
            whole = data[: data.rfind(b"\n") + 1]
            self._read[name] = self._read.get(name, 0) + len(whole)
            for line in whole.splitlines():
                event = json.loads(line)
                # of another shape, events have no numbers
                seq = event.get("event_seq")
                if seq is None or seq > self._latest.get(name, -1):
                    self._latest[name] = seq if seq is not None else -1
                    yield event
