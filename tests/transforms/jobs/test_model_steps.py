from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.files.output_target import OutputTarget
from beam_curator.models.turn_job import TurnJob
from beam_curator.transforms.jobs.model_steps import PrepareRecordings, WriteResults
from beam_curator.transforms.jobs.recording_steps import shown_of
from tests.fakes_models import write_sound
from tests.files.parts import target_of
from tests.models.test_turn_job import TALK, TALK_RTTM, ready_of, said, task_of, write_ready

JOB = TurnJob(DiarizeRules(), TurnRules())


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A recording of four seconds at 8 kHz."""
    return write_sound(tmp_path / "in" / "talk.wav", 4.0, TALK, 8000)


def test_what_is_whole_is_not_looked_into_again(talk: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    target = target_of(tmp_path / "out")
    part = write_ready(target, ready_of(talk, {"id": 1}, {"id": 2}), said(4.0, TALK), DiarizeRules(uem=True))
    tasks = [task_of(talk, {"id": 1}, {"id": 2}), task_of(talk.parent / "gone.wav", name="gone")]
    talk.unlink()
    with beam.Pipeline("FnApiRunner") as pipeline:
        prepared = pipeline | beam.Create(tasks) | PrepareRecordings(JOB, target)
        assert_that(prepared.ready, equal_to([]), label="ready")
        files = prepared.parts | beam.FlatMap(lambda some: some.files)
        gone = [("failures-diarize", 1), ("turns", 0)]
        kinds = files | beam.Map(lambda record: (record.kind, record.n_rows))
        assert_that(kinds, equal_to([("turns", 2), *gone]), label="kinds")
        kept = prepared.parts | "Kept" >> beam.Filter(lambda some: some.files[-1].n_rows == 2)
        assert_that(kept, equal_to([part]), label="kept")


def test_what_is_heard_and_what_is_not_become_parts(talk: Path, tmp_path: Path) -> None:
    target = OutputTarget(directory=str(tmp_path / "out"))
    tasks = [task_of(talk), task_of(talk.parent / "gone.wav", {"id": 1}, {"id": 2}, name="gone")]
    with beam.Pipeline("FnApiRunner") as pipeline:
        prepared = pipeline | beam.Create(tasks) | PrepareRecordings(JOB, target)
        results = prepared.ready | beam.Map(lambda ready: PredictionResult(ready, said(4.0, TALK)))
        written = results | WriteResults(JOB, target)
        parts = (written, prepared.parts) | beam.Flatten()
        found = parts | beam.FlatMap(lambda part: part.files) | beam.Map(lambda record: (record.kind, record.n_rows))
        assert_that(found, equal_to([("turns", 1), ("turns", 0), ("failures-diarize", 2)]), label="files")
        shown = parts | "Shown" >> beam.FlatMap(shown_of, JOB.shown)
        counts = [("diarize.turns", 1), ("diarize.audio_us", 4_000_000), ("diarize.failures", 2)]
        assert_that(shown, equal_to([(f"progress.{name}", n) for name, n in counts]), label="shown")
    assert (tmp_path / "out" / "rttm" / "talk.rttm").read_text() == TALK_RTTM
