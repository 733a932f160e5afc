"""The `windows` job: training windows from diarized manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beam_curator.files.output_target import OutputTarget
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.stages import Stage, Times, failures_of, number_of, read_stage, time_left, with_times
from beam_curator.sets.output_set import MANIFEST_NAME, Config
from beam_curator.sets.set_kinds import WINDOWS
from beam_curator.windows.window_advice import window_advice
from beam_curator.windows.window_counts import LOSSES
from beam_curator.windows.window_options import why_none_are_kept, window_config

if TYPE_CHECKING:
    from beam_curator.transforms.windows.window_set import BuildWindowSet, ChooseWindows


class WindowsJob(Job):
    """Training windows from diarized manifests."""

    kind = WINDOWS
    label = "Curate windows"

    def choice(self) -> ChooseWindows:
        """Return the composite that reads and chooses, and writes nothing."""
        from beam_curator.transforms.windows.window_set import ChooseWindows

        options = self.options
        return ChooseWindows(
            self.inputs, rules=options["windows"], overlap=options["overlap"], reading=options["input"]
        )

    def config(self) -> Config:
        options = self.options
        rules = options["windows"]
        overlap = options["overlap"].rules(rules)
        return window_config(rules, overlap, options["input"], options["output"], self.target().n_shards)

    def transform(self, target: OutputTarget) -> BuildWindowSet:
        from beam_curator.transforms.windows.window_set import BuildWindowSet

        return BuildWindowSet(self.choice(), target, output=self.options["output"])

    def why_none_are_kept(self) -> str | None:
        return why_none_are_kept(self.options["overlap"].scope, self.options["output"])

    def plan_lines(self) -> list[str]:
        return [f"windows-*, failures-* where there are any, {MANIFEST_NAME}, summary.json"]

    @staticmethod
    def stages(counts: Counter[str], n_files: int, times: Times) -> list[Stage]:
        read_failures = counts["read.failures"] + counts["file.failures"]
        lost = {reason: n for reason in ("bad_segments", *LOSSES) if (n := counts[f"build.{reason}"])}
        dropped = {"overlap": counts["overlap.dropped"]} if counts["overlap.dropped"] else {}
        starts = counts["build.segments"] + counts["build.bad_segments"]
        rows, n_windows, n_kept = counts["read.rows"], counts["build.windows"], counts["overlap.windows"]
        entries, audio, kept_audio = (
            counts["build.rows"],
            counts["build.audio_us"] / 1e6,
            counts["overlap.audio_us"] / 1e6,
        )
        stages = [
            read_stage(counts),
            Stage(name="build", what_in="rows", n_in=rows, what_out="entries", n_out=entries,
                  failures=failures_of(counts, "build"), seconds=audio),
            Stage(name="windows", what_in="starts", n_in=starts, what_out="windows", n_out=n_windows, dropped=lost),
            Stage(name="overlap", what_in="windows", n_in=n_windows, what_out="kept", n_out=n_kept,
                  dropped=dropped, seconds=kept_audio),
            Stage(name="write", what_in="rows", n_in=entries + read_failures + counts["build.failures"],
                  what_out="files", n_out=n_files),
        ]  # fmt: skip
        return with_times(stages, times)

    @staticmethod
    def progress(counts: Counter[str], share_read: float, seconds: float) -> str:
        rows = counts["read.rows"]
        failures = sum(counts[f"{stage}.failures"] for stage in ("file", "read", "build"))
        hours = counts["build.audio_us"] / 3.6e9
        kept = counts["overlap.windows"]
        return (
            f"{rows:,} rows  {share_read * 100:.0f} %  {hours:,.1f} h of speech  {kept:,} windows kept  "
            f"{failures:,} failures  {rows / max(seconds, 0.1):,.0f} rows/s{time_left(share_read, seconds)}"
        )

    def result(self, stages: Sequence[Stage]) -> str:
        return (
            f"{number_of(stages[1].n_out, 'entries')}, {number_of(stages[2].n_out, 'windows')}, "
            f"{stages[3].n_out:,} kept, {stages[3].seconds:.1f} s"
        )

    def hint(self, counts: Counter[str]) -> str | None:
        return window_advice(counts, self.options["windows"])
