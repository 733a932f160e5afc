"""Clips of recordings of voices that no model here was trained on, beside who speaks there in truth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from beam_curator.diarization.rttm import parse_rttm
from tests.manifests import run
from tests.models.real_models import need_model
from tests.transforms.curate.curate_sets import check_set, clips_in

HELD_OUT = Path(__file__).parents[1] / "data" / "held_out"
ROOT = Path(__file__).parents[2]
TABLE = ROOT / "examples" / "round_table.opus"
ALL = "all"
TICKS = 1000
"""A second, as truth is compared: whole milliseconds."""


def truth_of(talk: str) -> dict[str, set[int]]:
    """Return the milliseconds in which each speaker speaks."""
    spoken: dict[str, set[int]] = {}
    path = TABLE.with_suffix(".rttm") if talk == TABLE.stem else HELD_OUT / "rttm" / f"{talk}.rttm"
    for turn in parse_rttm(path.read_text(encoding="utf-8")):
        spoken.setdefault(turn.speaker, set()).update(range(round(turn.start * TICKS), round(turn.end * TICKS)))
    return spoken


def shares_of(out: Path) -> dict[str, float]:
    """Return how much of the speech in clips is by a clip's main speaker alone, percent: of each talk, of all."""
    alone: Counter[str] = Counter()
    speech: Counter[str] = Counter()
    for row in clips_in(out):
        rate = row["sample_rate"]
        held = {tick for first, stop in row["spans"] for tick in range(first * TICKS // rate, stop * TICKS // rate)}
        spoken = {speaker: ticks & held for speaker, ticks in truth_of(row["recording_id"]).items()}
        main = max(spoken, key=lambda speaker: len(spoken[speaker]))
        others = set().union(*(ticks for speaker, ticks in spoken.items() if speaker != main))
        for talk in (row["recording_id"], ALL):
            alone[talk] += len(spoken[main] - others)
            speech[talk] += len(spoken[main] | others)
    return {talk: 100 * alone[talk] / speech[talk] for talk in sorted(speech)}


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    need_model("silero-vad")
    found = {}
    for others in ("silence", "keep"):
        out = tmp_path_factory.mktemp("curated") / others
        options = ("--model-name", "demo", "--others", others, "--no-clips")
        assert run("curate", HELD_OUT / "audio", TABLE, "--output", out, *options) == 0
        check_set(out)
        found[others] = shares_of(out)
    return found


def test_speech_in_clips_is_that_of_one_speaker(curated: dict[str, dict[str, float]]) -> None:
    shares = curated["silence"]
    assert len(shares) == 10
    assert min(shares.values()) >= 95.0, shares
    assert shares[ALL] >= 97.0, shares


def test_what_others_say_stays_out_unless_it_is_asked_for(curated: dict[str, dict[str, float]]) -> None:
    assert curated["silence"][ALL] > curated["keep"][ALL]


def test_the_page_has_these_figures(curated: dict[str, dict[str, float]]) -> None:
    page = (ROOT / "docs" / "curate.md").read_text(encoding="utf-8")
    head, _, *lines = page.partition("<!-- truth -->\n")[2].partition("\n\n")[0].splitlines()
    talks = [cell.strip().strip("`") for cell in head.split("|")[2:-1]]
    assert len(lines) == len(curated)
    for line in lines:
        _, name, *cells, _ = line.split("|")
        shares = curated[name.strip().strip("`")]
        said = dict(zip(talks, map(float, cells), strict=True))
        assert said == {talk: pytest.approx(shares[talk], abs=1.0) for talk in talks}, shares
