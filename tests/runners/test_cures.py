from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from beam_curator.failures import Failure, FailureCode, render_failure
from beam_curator.runners import cures
from beam_curator.runners.cures import MOST_SHOWN, cures_of, lines_of


def letter(code: FailureCode, cure: str) -> bytes:
    failure = Failure(code=code, stage="cut", source="a.jsonl", offset=0, message="m", cure=cure, payload=b"{}")
    return render_failure(failure) + b"\n"


def test_failures_are_grouped_by_cure(tmp_path: Path) -> None:
    av = letter(FailureCode.NOT_AUDIO, "pip install 'beam-curator[av]'")
    (tmp_path / "failures-00000-of-00002.jsonl").write_bytes(av * 3)
    (tmp_path / "failures-00001-of-00002.jsonl").write_bytes(letter(FailureCode.NOT_FOUND, "check the path") + av)
    names = ["clips-00000-of-00001.jsonl", "failures-00001-of-00002.jsonl", "failures-00000-of-00002.jsonl"]
    assert cures_of(str(tmp_path), names) == [
        "  cure for 4 failures, not_audio: pip install 'beam-curator[av]'",
        "  cure for 1 failure, not_found: check the path",
    ]


def test_no_failures_no_lines(tmp_path: Path) -> None:
    assert cures_of(str(tmp_path), ["clips-00000-of-00001.jsonl"]) == []


def test_the_rarest_are_summed_up() -> None:
    counted = Counter({("not_found", f"cure {n}"): 9 - n for n in range(MOST_SHOWN + 2)})
    assert lines_of(counted)[-2:] == ["  cure for 5 failures, not_found: cure 4", "  7 failures with other cures"]


def test_no_more_than_some_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cures, "MOST_READ", 2)
    (tmp_path / "failures-0.jsonl").write_bytes(letter(FailureCode.NOT_FOUND, "check the path") * 5)
    assert cures_of(str(tmp_path), ["failures-0.jsonl"]) == ["  cure for 2 failures, not_found: check the path"]
