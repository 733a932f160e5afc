"""Runners by name. `direct` is pinned to Beam's FnApiRunner: what Beam calls DirectRunner changes its mind silently."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "direct": {"engine": "FnApiRunner", "why": "in this process; with --jobs in worker processes of their own"},
}
"""Name to what it really is."""


def engine_of(runner: str) -> str | None:
    """Return what a runner's name stands for; None where it is neither a preset nor the name of a Beam runner.

    Example:
      >>> engine_of("direct"), engine_of("PortableRunner"), engine_of("drect")
      ('FnApiRunner', 'PortableRunner', None)
    """
    if runner in PRESETS:
        return str(PRESETS[runner]["engine"])
    return runner if runner.endswith("Runner") and runner != "DirectRunner" else None
