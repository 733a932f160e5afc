"""The windows that other values of options would give, for the thresholds of a page that can be moved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

from beam_curator.entries.conditions import parse_conditions
from beam_curator.entries.entry import Entry
from beam_curator.failures import EntryError
from beam_curator.files import storage
from beam_curator.files.explained_rows import InputGoneError
from beam_curator.report.window_changes import MOST_PLANNED, OptionTrial, trials_of, try_values
from beam_curator.runners.explain_command import made_set
from beam_curator.runners.options import UsageError
from beam_curator.runners.row_fates import MadeSet
from beam_curator.sets.output_set import SUMMARY_NAME
from beam_curator.sets.set_kinds import WINDOWS

_A_BATCH = 256
_LIMITS = {"min_snr": "snr_db", "min_bandwidth": "bandwidth"}


def limits_of(config: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the thresholds of a set that its rows themselves were held to, by the key of the values.

    Example:
      >>> limits_of({"filter": {"where": ["snr_db >= 10", "speaker != x"]}, "quality": {"min_snr": 15.0}})
      {'snr_db': 15.0}
    """
    found: dict[str, float] = {}
    for text in config.get("filter", {}).get("where", ()):
        for condition in parse_conditions(text):
            if isinstance(condition.value, (int, float)) and condition.sign in (">", ">=", "<", "<="):
                found[condition.key] = condition.value
    quality = config.get("quality", {})
    return found | {key: quality[name] for name, key in _LIMITS.items() if quality.get(name) is not None}


def trials_in(made: MadeSet) -> dict[str, Any]:
    """Return how many windows other options of `windows` would keep, or why that is not known.

    Returns:
      `options`: each with its values and what they keep, and the command with "{}" for a value; or `why`.
    """
    if made.manifest.command != WINDOWS.command:
        return {"options": [], "why": ""}
    n_segments = made.manifest.counts.get("build.segments", 0)
    if n_segments * 2 > MOST_PLANNED:
        return {"options": [], "why": f"{n_segments:,} segments are too many to be planned again"}
    try:
        made = made_set(made.directory, made.manifest)
        if made.options["overlap"].scope != "row":
            return {"options": [], "why": "windows of several rows compete: run the command with another option"}
        return {"options": list(_tried(made, n_segments)), "why": ""}
    except (InputGoneError, UsageError) as err:
        return {"options": [], "why": str(err)}


def _tried(made: MadeSet, n_segments: int) -> Iterator[dict[str, Any]]:
    rules, overlap = made.options["windows"], made.options["overlap"]
    if overlap.target_duration == rules.target_window_duration:
        overlap = replace(overlap, target_duration=None)
    seen = _seen(made)
    trials = trials_of(rules, overlap, seen, n_segments)
    every = _entries(made)
    while entries := list(islice(every, _A_BATCH)):
        for trial in trials:
            try_values(entries, rules, overlap, trial)
    yield from (asdict(trial) | {"command": _command(made, trial)} for trial in trials if trial.kept)


def _entries(made: MadeSet) -> Iterator[Entry]:
    for row in made.inputs():
        with suppress(EntryError):  # it has a dead letter
            yield Entry.from_json(row.raw, strict=made.options["windows"].strict)


def _seen(made: MadeSet) -> dict[str, list[float]]:
    found: dict[str, set[float]] = {"bandwidth": set(), "sample_rate": set(), "speakers": set()}
    for entry in _entries(made):
        found["bandwidth"].update(entry.bandwidths)
        found["sample_rate"].add(entry.sample_rate)
        found["speakers"].add(len({*filter(None, entry.speakers)}))
    return {name: sorted(values) for name, values in found.items()}


def _command(made: MadeSet, trial: OptionTrial) -> list[str]:
    """Return the words of the command that makes such a set, with "{}" for the value."""
    try:
        recorded = json.loads(storage.read_bytes(storage.join(made.directory, SUMMARY_NAME)) or b"")["command"]
        inputs, options = recorded["inputs"], recorded["options"]
    except (ValueError, KeyError, TypeError):
        inputs, options = ["INPUT"], {}
    own = f"{trial.section}.{trial.name}"
    words = ["beam-curator", made.manifest.command, *inputs, "--output", f"{made.directory.rstrip('/')}-changed"]
    for name, value in options.items():
        if name != own and not name.startswith("run."):
            words += ["--set", f"{name}={json.dumps(value, ensure_ascii=False)}"]
    return [*words, f"--{trial.name.replace('_', '-')}", "{}"]
