"""The `windows` command that fits the turns of a set: options follow from its own rows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from beam_curator.files import storage
from beam_curator.windows.window_rules import WindowRules

MOST_READ = 1_000
"""Rows that are read; those that follow would hardly change the options."""


def windows_command(output: str, names: Iterable[str]) -> str | None:
    """Return the command that builds training windows from a set of turns; None if its rows are no JSON lines.

    Args:
      output: the set.
      names: of its files.
    """
    files = sorted(name for name in names if name.startswith("turns-") and name.endswith(".jsonl"))
    rows = list(islice(_rows(output, files), MOST_READ))
    if not any(row["segments"] for row in rows):
        return None
    return shlex.join(["beam-curator", "windows", output, "--output", "windows", *window_flags(rows)])


def _rows(output: str, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for name in names:
        with storage.open_raw(storage.join(output, name)) as stream:
            yield from map(json.loads, stream)


def window_flags(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return options of `windows` for rows whose rates, bandwidths, lengths or speakers its defaults do not fit.

    Args:
      rows: entries with `audio_sample_rate`, and turns as segments.

    Example:
      >>> turns = [{"start": 0, "end": 50, "speaker": "a"}, {"start": 50, "end": 70, "speaker": "b"}]
      >>> window_flags([{"audio_sample_rate": 8000, "segments": turns}])
      ['--min-sample-rate', '8000', '--min-bandwidth', '0', '--target-window-duration', '63', '--no-truncation']
    """
    rules, spoken = WindowRules(), [row for row in rows if row["segments"]]
    turns = [turn for row in spoken for turn in row["segments"]]
    flags: list[str] = []
    rate = min(row["audio_sample_rate"] for row in spoken)
    if rate < rules.min_sample_rate:
        flags += ["--min-sample-rate", f"{rate:g}"]
    widths = sorted(turn["metrics"]["bandwidth"] for turn in turns if "bandwidth" in turn.get("metrics", {}))
    # a limit that four of five segments pass
    width = widths[len(widths) // 5] // 100 * 100 if widths else 0
    if width < rules.min_bandwidth:
        flags += ["--min-bandwidth", f"{width:g}"]
    longest = max(row["segments"][-1]["end"] - row["segments"][0]["start"] for row in spoken)
    if longest < rules.min_duration:
        flags += ["--target-window-duration", f"{max(1, int(longest * 0.9))}"]
    if max(len({turn["speaker"] for turn in row["segments"]}) for row in spoken) < rules.min_speakers:
        flags += ["--min-speakers", "1"]
    # without words a segment could only be cut to nothing
    return flags if any("words" in turn for turn in turns) else [*flags, "--no-truncation"]
