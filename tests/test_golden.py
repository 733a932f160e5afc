"""The reference's own results, read where they lie: see shared/reference/curator-behaviour.md, sections 1.8 and 2.4."""

from __future__ import annotations

import gzip
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from beam_curator.windows.line_windows import windows_of_line
from beam_curator.windows.overlap import OverlapRules, keep_non_overlapping
from beam_curator.windows.training_windows import build_training_windows
from beam_curator.windows.window_rules import WindowRules
from tests.talks import as_json, line

REFERENCE = Path(__file__).resolve().parents[1].parent / "shared" / "reference" / "alm"
SUMS_OF_PYTHON_3_11 = "golden_py3.11.jsonl.gz"  # ours are added from left to right on every Python

pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"the reference's results are not at {REFERENCE}")

Case = dict[str, Any]


@cache
def cases() -> list[Case]:
    with gzip.open(REFERENCE / SUMS_OF_PYTHON_3_11, "rt", encoding="utf-8") as text:
        return [json.loads(row) for row in text]


@cache
def sample() -> list[bytes]:
    return (REFERENCE / "sample_input.jsonl").read_bytes().splitlines()


def rules_of(case: Case) -> WindowRules:
    """Make rules of the reference's parameters; its lists of keys are strings with commas."""
    names = ("drop_fields", "drop_fields_top_level")
    lists = {name: keys_of(case["builder_params"][name]) for name in names if name in case["builder_params"]}
    return WindowRules(**case["builder_params"] | lists)


def keys_of(commas: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in commas.split(",") if key.strip())


def sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


def curated(row: bytes, percentage: float) -> Case:
    result: Case = json.loads(windows_of_line(row, WindowRules(), OverlapRules(overlap_percentage=percentage)))
    return result


def test_there_are_300_cases_and_they_are_not_trivial() -> None:
    n_windows = [len(case["builder_output"]["windows"]) for case in cases()]
    assert len(n_windows) == 300
    assert sum(n_windows) == 786
    assert sum(case["builder_output"]["truncation_events"] > 0 for case in cases()) == 56
    assert sum(case["builder_output"]["stats"]["lost_sr"] > 0 for case in cases()) == 81


def test_windows_of_all_cases_are_equal_to_the_byte() -> None:
    wrong = []
    for case in cases():
        built = build_training_windows(case["entry"], rules_of(case))
        if as_json(built) != repr(case["builder_output"]) or sha256(built) != case["builder_sha256"]:
            wrong.append(case["seed"])
    assert wrong == []


def test_overlaps_of_all_cases_are_equal_to_the_byte() -> None:
    wrong = []
    for case in cases():
        kept = keep_non_overlapping(case["builder_output"], OverlapRules(**case["overlap_params"]))
        expected = case["builder_output"] | case["overlap_output"]
        if as_json(kept) != repr(expected) or sha256(kept) != case["overlap_sha256"]:
            wrong.append(case["seed"])
    assert wrong == []


def test_lines_of_all_cases_are_curated_alike() -> None:
    wrong = []
    for case in cases():
        row = json.loads(windows_of_line(line(case["entry"]), rules_of(case), OverlapRules(**case["overlap_params"])))
        if repr(row) != repr(case["builder_output"] | case["overlap_output"]):
            wrong.append(case["seed"])
    assert wrong == []


@pytest.mark.parametrize(
    ("index", "name", "n_segments", "n_windows", "n_cuts", "lost_win", "seconds"),
    [
        (0, "conversation_001", 30, 28, 11, 2, 601.7),
        (1, "interview_002", 34, 30, 15, 4, 608.4),
        (2, "lecture_003", 51, 46, 24, 5, 608.1000000000001),
        (3, "discussion_004", 36, 33, 16, 3, 610.5),
        (4, "workshop_005", 48, 44, 26, 4, 606.8),
    ],
)
def test_figures_of_the_sample(
    index: int, name: str, n_segments: int, n_windows: int, n_cuts: int, lost_win: int, seconds: float
) -> None:
    row = curated(sample()[index], 50)
    stats = row["stats"]
    assert name in row["audio_filepath"]
    assert (stats["total_segments"], len(row["windows"]), row["truncation_events"]) == (n_segments, n_windows, n_cuts)
    assert (stats["lost_win"], len(row["filtered_windows"]), row["filtered_dur"]) == (lost_win, 5, seconds)
    others = ("lost_bw", "lost_sr", "lost_spk", "lost_no_spkr", "lost_next_seg_bm")
    assert [stats[key] for key in others] == [0, 0, 0, 0, 0]


def test_the_sample_s_result_is_equal_to_the_byte() -> None:
    overlap = OverlapRules(overlap_percentage=50)
    rows = [keep_non_overlapping(build_training_windows(json.loads(row), WindowRules()), overlap) for row in sample()]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    assert len(text) == 332747
    assert hashlib.sha256(text).hexdigest() == "d2009af61dae5cf37b4f43a748f8eb030ac3368a3431a6b135798e215245f031"
    assert [repr(curated(row, 50)) for row in sample()] == [as_json(row) for row in rows]


@pytest.mark.parametrize(
    ("percentage", "n_kept", "seconds"),
    [
        (0, 11, 1321.7),
        (1, 11, 1321.7),
        (10, 19, 2292.9),
        (25, 25, 3035.5),
        (50, 25, 3035.5),
        (75, 28, 3421.5),
        (90, 44, 5486.6),
        (99, 124, 15894.3),
        (100, 126, 16158.0),
    ],
)
def test_windows_of_the_sample_that_stay_by_percentage(percentage: float, n_kept: int, seconds: float) -> None:
    rows = [curated(row, percentage) for row in sample()]
    assert sum(len(row["windows"]) for row in rows) == 181
    assert sum(len(row["filtered_windows"]) for row in rows) == n_kept
    assert sum(row["filtered_dur"] for row in rows) == pytest.approx(seconds, abs=0.05)
