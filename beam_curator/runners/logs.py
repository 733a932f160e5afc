"""Logging: messages of engines below warnings are hidden, and so is known noise."""

import logging
import os
import re
import threading

NOISE = (
    "apitools not found",
    "This output type hint will be ignored",
    "direct_num_workers is not equal to 1",
    "No session file found",
    "Resource module is not available",
    "No semi_persistent_directory",
    "Discarding unparseable args",
    "Discarding invalid overrides",
    "Apache Beam is downloading dependencies",
    "Unparseable argument",
)
"""Beginnings of engine messages that tell a user nothing."""


_ONCE = re.compile(r"\w+://\S+ cannot be reached: .* asked for again")
"""Remarks that each process makes: they are said once, also where an engine passes them on in its own words."""


class _NoiseFilter(logging.Filter):
    """A filter for known noise and for the engine's tracebacks: the command reports a failure in one line."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        once = _ONCE.search(record.getMessage())
        if once is not None:
            record.msg, record.args, record.name = once[0].replace("\\'", "'"), (), "beam_curator"
            is_new = record.msg not in self._said
            self._said.add(record.msg)
            return is_new
        if record.levelno == logging.ERROR and "apache_beam" in (record.name, *record.pathname.split(os.sep)):
            return False
        if record.levelno == logging.ERROR and record.name.startswith("apache_beam.runners"):
            return False
        message = record.getMessage()
        return not any(noise in message for noise in NOISE)


def _say_nothing(_: threading.ExceptHookArgs) -> None:
    """Take the place of a traceback from one of the engine's threads when its worker is gone."""


def quieten(*, verbose: bool, passes_on: bool = False) -> None:
    """Set up logging for a command: warnings without noise, or everything.

    Args:
      verbose: say everything.
      passes_on: this is a worker, whose driver says again what it says, and can tell what others have said.
    """
    handler = logging.StreamHandler()
    handler.setLevel(logging.INFO if verbose else logging.WARNING)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    if not verbose:
        handler.addFilter(_NoiseFilter())
        if passes_on:
            handler.addFilter(lambda record: _ONCE.search(record.getMessage()) is None)
        threading.excepthook = _say_nothing
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler], force=True)
