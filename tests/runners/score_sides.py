"""Two sides to score, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from beam_curator.diarization.rttm import render_rttm
from beam_curator.runners.options import UsageError
from tests.manifests import run


def write_turns(path: Path, *recordings: tuple[str, list[tuple[float, float, str]]]) -> Path:
    """Write an RTTM of several recordings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(render_rttm(name, turns) for name, turns in recordings), encoding="utf-8")
    return path


def write_sides(root: Path) -> None:
    """Write two trees: 1 of 10 s of `a` is missed, `b` is right, `lost` is not there, `silent` has 2 s of turns."""
    write_turns(root / "ref/one/a.rttm", ("a", [(0, 6, "ann"), (6, 10, "bob")]))
    write_turns(root / "ref/many.rttm", ("b", [(0, 20, "ann")]), ("lost", [(5, 15, "ann")]))
    write_turns(root / "ref/silent.rttm")
    write_turns(root / "hyp/a.rttm", ("a", [(1, 6, "speaker_1"), (6, 10, "speaker_0")]))
    write_turns(root / "hyp/b.RTTM", ("b", [(0, 20, "speaker_0")]))
    write_turns(root / "hyp/silent.rttm", ("silent", [(3, 5, "speaker_0")]))
    write_turns(root / "hyp/extra.rttm", ("extra", [(0, 5, "speaker_0")]))
    for noise in ("hyp/a.ctm", "hyp/notes.txt", "hyp/.hidden.rttm"):
        (root / noise).write_text("no RTTM")


def scores(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Score, and return what is said as JSON."""
    assert run("score", *arguments, "--format", "json") == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def errors_of(report: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    """Return miss, false alarm and confusion of each recording, in seconds, with the first collar."""
    return {
        item["recording_id"]: (item["missed_seconds"], item["false_alarm_seconds"], item["confusion_seconds"])
        for item in report["tables"][0]["recordings"]
    }


def refused(*arguments: object) -> str:
    with pytest.raises(UsageError) as caught:
        run("score", *arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


ALL = {"a": (1, 0, 0), "b": (0, 0, 0), "lost": (10, 0, 0), "silent": (0, 2, 0)}
