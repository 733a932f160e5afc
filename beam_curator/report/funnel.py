"""The funnel of a set: hours from stage to stage, and losses by reason; all of it counted by the job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from beam_curator.failures import FAILURE_DOCS
from beam_curator.sets.counting import said_of_drop

_LABELS = {
    ("diarize", "listen"): "heard",
    ("diarize", "turns"): "turns",
    ("windows", "build"): "turns read",
    ("windows", "overlap"): "windows kept",
    ("separate", "separate"): "heard",
    ("separate", "tracks"): "tracks",
    ("curate", "speech"): "speech",
    ("curate", "clips"): "clips",
    ("measure", "measure"): "heard",
    ("extract", "cut"): "clips",
    ("export", "cut"): "clips",
}
"""What the audio is that comes out of a stage, where its name does not say it."""


def steps_of(command: str, stages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the stages of which the seconds of audio are known, with their names for people.

    Example:
      >>> steps_of("extract", [{"name": "cut", "seconds": 7.5, "n_out": 2, "what_out": "clips"}])
      [{'label': 'clips', 'seconds': 7.5, 'n': 2, 'what': 'clips'}]
    """
    return [
        {
            "label": _LABELS.get((command, stage["name"]), stage["name"]),
            "seconds": stage["seconds"],
            "n": stage["n_out"],
            "what": stage["what_out"],
        }
        for stage in stages
        if stage["seconds"] is not None
    ]


def losses_of(stages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return drops and failures by stage and reason, with the meaning.

    Example:
      >>> losses_of([{"name": "cut", "what_in": "clips", "dropped": {}, "failures": {"timeout": 2}}])[0]["reason"]
      'timeout'
    """
    found = []
    for stage in stages:
        for part, meaning in (("dropped", said_of_drop), ("failures", _said_of_failure)):
            for reason, n in stage[part].items():
                found.append(
                    {"stage": stage["name"], "of": part, "reason": reason, "n": n, "what": stage["what_in"],
                     "meaning": meaning(reason)}
                )  # fmt: skip
    return found


def _said_of_failure(code: str) -> str:
    return f"{code}, {FAILURE_DOCS[code]}" if code in FAILURE_DOCS else code


def cures_of(letters: Iterable[tuple[str, str, str]], retry: Sequence[str]) -> list[dict[str, Any]]:
    """Count dead letters by code and cure, the most first.

    Args:
      letters: code, cure and message of each.
      retry: the words of the command that tries all again; none where there is no such command.

    Example:
      >>> cures_of([("timeout", "wait", "took 9 s")], ["beam-curator", "retry", "out"])[0]["command"]
      ['beam-curator', 'retry', 'out', '--code', 'timeout']
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for code, cure, message in letters:
        command = [*retry, "--code", code] if retry else []
        entry = found.setdefault(
            (code, cure), {"code": code, "cure": cure, "n": 0, "example": message, "command": command}
        )
        entry["n"] += 1
    return sorted(found.values(), key=lambda entry: (-entry["n"], entry["code"], entry["cure"]))
