"""Manifests of Lhotse as the input of commands: cuts, and supervisions with recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes_models import write_band_model, write_sound
from tests.manifests import line_of, lines_in, manifest_of, run, write_lines

TURNS = [(0.4, 4.6, "spk00"), (5.2, 3.0, "spk01")]
SEGMENTS = [{"start": 0.4, "end": 5.0, "speaker": "spk00"}, {"start": 5.2, "end": 8.2, "speaker": "spk01"}]
ROWS = {"separate": "tracks", "extract": "clips", "export": "clips", "windows": "windows"}
LIMITS = ("--min-bandwidth", "0", "--target-window-duration", "8")


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording of 12 seconds below `wav`, its cut from the second on, and its supervisions."""
    write_sound(tmp_path / "wav" / "talk.wav", 12.0, [(1.4, 6.0, 0), (6.2, 9.2, 1)])
    sources = [{"type": "file", "channels": [0], "source": "wav/talk.wav"}]
    recording = {"id": "t1", "sources": sources, "sampling_rate": 16000, "num_samples": 192_000, "duration": 12.0}
    turns = [{"id": who, "recording_id": "t1", "start": at, "duration": s, "speaker": who} for at, s, who in TURNS]
    cut = {"id": "t1-0", "start": 1.0, "duration": 9.0, "channel": 0, "supervisions": turns, "recording": recording}
    write_lines(tmp_path / "cuts.jsonl", [line_of(cut | {"type": "MonoCut"})])
    write_lines(tmp_path / "recordings.jsonl", [line_of(recording)])
    write_lines(tmp_path / "supervisions.jsonl", [line_of(turn) for turn in turns])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spans_in(rows: list[Any], command: str) -> list[tuple[float, float]]:
    """Return what came of the two turns, in seconds of the recording."""
    if command == "windows":
        return [(pair[1], pair[0]) for pair in rows[0]["filtered"]]
    if command == "separate":
        return [tuple(pair) for row in rows for pair in row["diar_segments"]]
    return [(row["original_start_ms"] / 1000, row["original_end_ms"] / 1000) for row in rows]


@pytest.mark.parametrize("command", sorted(ROWS))
@pytest.mark.parametrize(
    ("inputs", "later"), [(["cuts.jsonl"], 1.0), (["supervisions.jsonl", "recordings.jsonl"], 0.0)]
)
def test_manifests_of_lhotse_are_manifests(corpus: Path, inputs: list[str], later: float, command: str) -> None:
    assert run(command, *inputs, "--output", "out", *(LIMITS if command == "windows" else ())) == 0
    rows = [json.loads(line) for line in lines_in(corpus / "out", f"{ROWS[command]}-*.jsonl")]
    spans = [(each["start"] + later, each["end"] + later) for each in SEGMENTS]
    expected = [(spans[0][0], spans[1][1])] if command == "windows" else spans
    assert spans_in(rows, command) == [pytest.approx(span) for span in expected]
    manifest = manifest_of(corpus / "out")
    assert (manifest["counts"]["read.rows"], len(manifest["inputs"])) == (1, len(inputs))
    assert run("verify", "out") == 0


def test_a_cut_is_heard_and_nothing_else(corpus: Path) -> None:
    model = write_band_model(corpus / "model")
    for name in ("cuts", "recordings"):
        assert run("diarize", f"{name}.jsonl", "--model-path", model, "--output", name, "--rttm-out-dir", "") == 0
    heard, whole = (json.loads(lines_in(corpus / name, "turns-*.jsonl")[0]) for name in ("cuts", "recordings"))
    assert (heard["input_recording_id"], heard["input_offset"], heard["input_duration"]) == ("t1", 1.0, 9.0)
    assert (whole["input_recording_id"], "input_offset" in whole) == ("t1", False)
    assert manifest_of(corpus / "cuts")["counts"]["diarize.audio_us"] == 9_000_000
    assert manifest_of(corpus / "recordings")["counts"]["diarize.audio_us"] == 12_000_000


def test_supervisions_alone_end_with_the_name_of_the_missing_manifest(corpus: Path) -> None:
    with pytest.raises(ValueError, match=r"supervisions\.jsonl holds .* give recordings\.jsonl, too, or cuts"):
        run("windows", "supervisions.jsonl", "--output", "out")
    assert not (corpus / "out").exists()
