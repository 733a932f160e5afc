from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import soundfile
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.failures import Failure
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.recording_jobs import BlockPlan, LinePlace
from beam_curator.sets.set_kinds import Balance, SetKind
from beam_curator.transforms import MakeResults, RecordingResult
from tests.manifests import failures_in, line_of, lines_in, manifest_of, write_lines
from tests.transforms.clips.clip_sets import mark_run
from tests.transforms.jobs import peak_job
from tests.transforms.jobs.peak_job import MeasurePeaks, PeakJob


def write_tone(path: Path, peak: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, peak * np.sign(np.sin(np.arange(8000))), 8000, subtype="FLOAT")
    return path


def measure(inputs: list[Path], out: Path, *, resume: bool = False) -> Path:
    """Run the job on a directory that a launcher prepared."""
    out.mkdir(exist_ok=True)
    mark_run(out, "t")
    with beam.Pipeline("FnApiRunner") as pipeline:
        target = OutputTarget(directory=str(out), token="t", resume=resume)
        _ = pipeline | MeasurePeaks(tuple(map(str, inputs)), target)
    return out


def peaks_in(out: Path) -> list[tuple[str, float]]:
    return [(row["recording_id"], row["peak_db"]) for row in map(json.loads, lines_in(out, "peaks-*"))]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Write a manifest of two recordings, one of them twice, a silent one, one that is not there, and no row."""
    for name, peak in (("loud", 1.0), ("half", 0.5), ("silent", 0.0)):
        write_tone(tmp_path / "audio" / f"{name}.wav", peak)
    rows = [line_of({"audio_filepath": f"audio/{name}.wav"}) for name in ("loud", "half", "silent", "gone", "loud")]
    return write_lines(tmp_path / "m.jsonl", [*rows, b"{"])


def test_rows_failures_and_books(manifest: Path, tmp_path: Path) -> None:
    out = measure([manifest], tmp_path / "out")
    assert peaks_in(out) == [("loud", 0.0), ("loud", 0.0), ("half", -6.02)]
    assert [failure["code"] for failure in failures_in(out)] == ["empty_audio", "not_found", "bad_json"]
    counts = manifest_of(out)["counts"]
    assert {name: n for name, n in counts.items() if name in ("read.rows", "plan.rows", "measure.peaks")} == {
        "read.rows": 6,
        "plan.rows": 5,
        "measure.peaks": 3,
    }


def test_recordings_ask_for_themselves(tmp_path: Path) -> None:
    for number in range(3):
        write_tone(tmp_path / "audio" / f"{number}.wav", 10.0**-number)
    assert peaks_in(measure([tmp_path / "audio"], tmp_path / "out")) == [("0", 0.0), ("1", -20.0), ("2", -40.0)]


def test_what_an_earlier_attempt_has_is_not_done_again(manifest: Path, tmp_path: Path) -> None:
    whole = measure([manifest], tmp_path / "whole")
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PeakJob, "kind", SetKind(command="peaks", rows="peaks", balances=(NEVER,)))
        with pytest.raises(Exception, match="nothing was committed"):
            measure([manifest], out)
    (tmp_path / "audio" / "loud.wav").write_bytes(b"changed since")
    measure([manifest], out, resume=True)
    assert peaks_in(out) == peaks_in(whole)
    assert (out / "_MANIFEST.json").read_bytes() == (whole / "_MANIFEST.json").read_bytes()


NEVER = Balance(what="rows were planned", came=("plan.rows",))


def test_a_row_that_gets_lost_stops_the_commit(manifest: Path, tmp_path: Path) -> None:
    plan_line = PeakJob._plan_line

    def lose_some(self: PeakJob, plan: BlockPlan[Any], raw: bytes, place: LinePlace) -> None:
        plan_line(self, plan, raw, place)
        if b"half" in raw:
            plan.asked.pop()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PeakJob, "_plan_line", lose_some)
        with pytest.raises(Exception, match="5 recordings were asked for"):
            measure([manifest], tmp_path / "out")
    assert not (tmp_path / "out" / "_MANIFEST.json").exists()


def test_the_same_job_without_files(manifest: Path, tmp_path: Path) -> None:
    rows = [{"audio_filepath": str(tmp_path / "audio" / f"{name}.wav")} for name in ("half", "silent")]

    def peak_of(result: RecordingResult) -> tuple[str, float]:
        return result.row["recording_id"], result.row["peak_db"]

    def code_of(failure: Failure) -> str:
        return failure.code.value

    with beam.Pipeline("FnApiRunner") as pipeline:
        made = pipeline | beam.Create(rows) | MakeResults(PeakJob())
        assert_that(made.results | beam.Map(peak_of), equal_to([("half", -6.02)]))
        assert_that(made.failures | "Codes" >> beam.Map(code_of), equal_to(["empty_audio"]), label="failures")


def test_a_job_costs_less_than_120_lines() -> None:
    assert peak_job.__file__ is not None
    assert len(Path(peak_job.__file__).read_text().splitlines()) < 120
