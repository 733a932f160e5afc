"""The `measure` job: the sound of recordings, without a diarizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beam_curator.files.listing import Lister, list_either
from beam_curator.files.output_target import OutputTarget
from beam_curator.models.measure_job import MeasureJob as Measuring
from beam_curator.models.measure_job import measure_config
from beam_curator.models.silero import find_silero
from beam_curator.models.sound_scoring import load_asked, own_files
from beam_curator.models.speech_detectors import with_vad
from beam_curator.quality.measure_rules import MeasureRules
from beam_curator.quality.measured_rows import MEASURE_STAGE
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.jobs.clips import joined_hints, unmixed_hint
from beam_curator.runners.stages import Stage, Times, failures_of, number_of, read_stage, recordings_done, with_times
from beam_curator.sets.output_set import MANIFEST_NAME, Config
from beam_curator.sets.set_kinds import MEASURE
from beam_curator.vad.vad_options import SILERO

if TYPE_CHECKING:
    from beam_curator.transforms.quality.measure_recordings import MeasureRecordings


class MeasureJob(Job):
    """The sound of recordings, added to their rows."""

    kind = MEASURE
    label = "Measure recordings"

    @property
    def lister(self) -> Lister:
        return list_either

    @property
    def _rules(self) -> MeasureRules:
        return with_vad(self.options["measure"], is_elsewhere=self.engine.name == "dataflow")

    def problem(self) -> str | None:
        rules = self._rules
        if self.engine.name == "dataflow":
            return None
        try:
            if rules.vad == SILERO:
                find_silero(rules.vad_path)
            load_asked(rules)
        except (ValueError, FileNotFoundError) as err:  # of all that can be wrong with a model
            return str(err)
        return None

    def beside(self) -> tuple[str, ...]:
        return own_files(self._rules)

    def config(self) -> Config:
        options = self.options
        return measure_config(self._rules, options["input"], options["output"], self.target().n_shards)

    def transform(self, target: OutputTarget) -> MeasureRecordings:
        from beam_curator.transforms.quality.measure_recordings import MeasureRecordings

        options = self.options
        return MeasureRecordings(
            self.inputs, target, rules=self._rules, output=options["output"], reading=options["input"]
        )

    def recording_job(self) -> Measuring:
        return Measuring(self._rules)

    def plan_lines(self) -> list[str]:
        return [
            f"{MEASURE.rows}-*, failures-* where there are any (vad: {self._rules.vad})",
            f"{MANIFEST_NAME}, summary.json",
        ]

    @staticmethod
    def stages(counts: Counter[str], n_files: int, times: Times) -> list[Stage]:
        n_asked, n_done = counts["plan.rows"], counts["measure.measured"]
        stages = [
            read_stage(counts),
            Stage(name="plan", what_in="rows", n_in=counts["read.rows"], what_out="recordings", n_out=n_asked,
                  failures=failures_of(counts, "plan")),
            Stage(name=MEASURE_STAGE, what_in="recordings", n_in=n_asked, what_out="rows", n_out=n_done,
                  failures=failures_of(counts, MEASURE_STAGE), seconds=counts["measure.audio_us"] / 1e6),
            Stage(name="write", what_in="rows", n_in=n_asked, what_out="files", n_out=n_files),
        ]  # fmt: skip
        if n_segments := counts["measure.segments"]:
            n_bad = counts["measure.bad_segments"]
            dropped = {"bad_segments": n_bad} if n_bad else {}
            stages.insert(3, Stage(name="segments", what_in="segments", n_in=n_segments, what_out="segments",
                                   n_out=n_segments - n_bad, dropped=dropped))  # fmt: skip
        return with_times(stages, times)

    @staticmethod
    def progress(counts: Counter[str], share_read: float, seconds: float) -> str:
        del share_read
        return recordings_done(counts, "measure", "measured", "measured", seconds)

    def result(self, stages: Sequence[Stage]) -> str:
        return f"{number_of(stages[2].n_out, 'rows')}, {stages[2].seconds or 0:,.1f} s"

    def hint(self, counts: Counter[str]) -> str | None:
        n, no_snr = counts["measure.measured"], counts["measure.no_snr"] - counts["measure.silent"]
        said = None
        if no_snr == n > 0 and self._rules.vad != SILERO:
            said = (
                f"No row has snr_db, as --vad {self._rules.vad} finds no noise beside speech: beam-curator models "
                "install silero-vad."
            )
        return joined_hints(unmixed_hint(counts["measure.unmixed"], "recordings"), said)
