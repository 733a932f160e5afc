"""The page of clean clips says what the code does."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from beam_curator.curate.curate_rules import FILTERS, OTHERS
from beam_curator.runners import cli
from tests.models.real_models import need_model
from tests.test_docs import ROOT, of_page, shown_after, without_times


def test_the_page_of_clean_clips_shows_what_comes_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_model("silero-vad")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    page = of_page("curate")
    command = "beam-curator curate examples/round_table.opus --model-name demo --output curated --min-snr 20"
    assert cli.run(shlex.split(command)[1:]) == 0
    # the model's figures depend on the machine, in the last digits
    printed, shown = (re.sub(r"[ -]*[\d.,]+[ -]*", " ", "\n".join(without_times(lines))) for lines in (
        capsys.readouterr().out.splitlines(), shown_after(command, page)
    ))  # fmt: skip
    assert printed == shown
    row = json.loads(Path("curated/clips-00000-of-00001.jsonl").read_text(encoding="utf-8").splitlines()[0])
    lines = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", page, re.MULTILINE)
    told = {key for line in lines for key in re.findall(r"\w+", line)}
    assert row.keys() - {"_origin"} <= told


def test_the_page_of_clean_clips_has_the_filters_and_what_becomes_of_others() -> None:
    page = of_page("curate")
    filters = page.partition("| filter | limit |")[2].partition("\n\n")[0].splitlines()[2:]
    assert {name for line in filters for name in re.findall(r"`(\w+)`", line.split("|")[1])} == {*FILTERS}
    others = page.partition("| `--others` | the clip |")[2].partition("\n\n")[0].splitlines()[2:]
    assert [re.findall(r"`(\w+)`", line)[0] for line in others] == [*OTHERS]
