from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from beam_curator.runners.next_windows import window_flags, windows_command


def row(rate: int, *turns: tuple[float, float, str], bandwidth: float | None = None) -> dict[str, Any]:
    metrics = {} if bandwidth is None else {"metrics": {"bandwidth": bandwidth}}
    segments = [{"start": start, "end": end, "speaker": speaker, **metrics} for start, end, speaker in turns]
    return {"audio_filepath": "a.wav", "audio_sample_rate": rate, "segments": segments}


TALK = ((0.0, 80.0, "a"), (80.0, 150.0, "b"))


@pytest.mark.parametrize(
    ("rows", "flags"),
    [
        ([row(16000, *TALK, bandwidth=8000)], []),
        ([row(16000, *TALK, bandwidth=3990)], ["--min-bandwidth", "3900"]),
        ([row(8000, *TALK, bandwidth=3990)], ["--min-sample-rate", "8000", "--min-bandwidth", "3900"]),
        ([row(48000, *TALK), row(11025, *TALK)], ["--min-sample-rate", "11025", "--min-bandwidth", "0"]),
        ([row(16000, (1.0, 61.0, "a"), bandwidth=9e3)], ["--target-window-duration", "54", "--min-speakers", "1"]),
    ],
)
def test_options_follow_from_the_rows(rows: list[dict[str, Any]], flags: list[str]) -> None:
    assert window_flags(rows) == [*flags, "--no-truncation"]


def test_four_segments_of_five_pass_the_limit() -> None:
    rows = [row(16000, *TALK, bandwidth=500)] + [row(16000, *TALK, bandwidth=6000 + n) for n in range(4)]
    assert window_flags(rows) == ["--min-bandwidth", "6000", "--no-truncation"]


def test_the_command_names_the_set(tmp_path: Path) -> None:
    output = tmp_path / "my turns"
    output.mkdir()
    lines = [json.dumps(each) for each in (row(16000), row(16000, *TALK, bandwidth=8000))]
    (output / "turns-00000-of-00001.jsonl").write_text("\n".join(lines) + "\n")
    names = ["rttm/a.rttm", "turns-00000-of-00001.jsonl"]
    assert windows_command(str(output), names) == f"beam-curator windows '{output}' --output windows --no-truncation"


@pytest.mark.parametrize("names", [[], ["turns-00000-of-00001.parquet"], ["turns-00000-of-00001.jsonl"]])
def test_no_command_for_other_formats_or_without_turns(names: list[str], tmp_path: Path) -> None:
    (tmp_path / "turns-00000-of-00001.jsonl").write_text(json.dumps(row(16000)) + "\n")
    assert windows_command(str(tmp_path), names) is None
