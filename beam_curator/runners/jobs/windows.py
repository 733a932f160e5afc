"""The `windows` job: training windows from diarized manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from beam_curator.files.output_target import OutputTarget
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.stages import Stage, failures_of, number_of, read_stage, with_times
from beam_curator.sets.output_set import MANIFEST_NAME, Config, FileRecord
from beam_curator.sets.set_kinds import WINDOWS, SetKind
from beam_curator.windows.window_counts import LOSSES
from beam_curator.windows.window_options import window_config

if TYPE_CHECKING:
    from beam_curator.transforms.windows.window_set import BuildWindowSet, ChooseWindows


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsJob(Job):
    """Training windows from diarized manifests."""

    kind: ClassVar[SetKind] = WINDOWS
    label: ClassVar[str] = "Curate windows"

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

    def plan_lines(self) -> list[str]:
        return [f"windows-*, failures-* where there are any, {MANIFEST_NAME}, summary.json"]

    @staticmethod
    def stages(
        counts: Mapping[str, int], files: Sequence[FileRecord], times: Mapping[str, tuple[float, float]]
    ) -> list[Stage]:
        def get(name: str) -> int:
            return counts.get(name, 0)

        read_failures = get("read.failures") + get("file.failures")
        lost = {reason: get(f"build.{reason}") for reason in LOSSES if get(f"build.{reason}")}
        dropped = {"overlap": get("overlap.dropped")} if get("overlap.dropped") else {}
        rows, n_windows, n_kept = get("read.rows"), get("build.windows"), get("overlap.windows")
        entries, audio, kept_audio = get("build.rows"), get("build.audio_us") / 1e6, get("overlap.audio_us") / 1e6
        stages = [
            read_stage(counts),
            Stage(name="build", what_in="rows", n_in=rows, what_out="entries", n_out=entries,
                  failures=failures_of(counts, "build"), seconds=audio),
            Stage(name="windows", what_in="starts", n_in=get("build.segments"), what_out="windows", n_out=n_windows,
                  dropped=lost),
            Stage(name="overlap", what_in="windows", n_in=n_windows, what_out="kept", n_out=n_kept,
                  dropped=dropped, seconds=kept_audio),
            Stage(name="write", what_in="rows", n_in=entries + read_failures + get("build.failures"), what_out="files",
                  n_out=len(files)),
        ]  # fmt: skip
        return with_times(stages, times)

    @staticmethod
    def progress(counts: Mapping[str, int], share_read: float, seconds: float) -> str:
        rows = counts.get("read.rows", 0)
        failures = sum(counts.get(f"{stage}.failures", 0) for stage in ("file", "read", "build"))
        hours = counts.get("build.audio_us", 0) / 3.6e9
        kept = counts.get("overlap.windows", 0)
        return (
            f"{rows:,} rows  {share_read * 100:.0f} %  {hours:,.1f} h of speech  {kept:,} windows kept  "
            f"{failures:,} failures  {rows / max(seconds, 0.1):,.0f} rows/s"
        )

    def result(self, stages: Sequence[Stage]) -> str:
        return (
            f"{number_of(stages[1].n_out, 'entries')}, {number_of(stages[2].n_out, 'windows')}, "
            f"{stages[3].n_out:,} kept, {stages[3].seconds:.1f} s"
        )

    def hint(self, counts: Mapping[str, int]) -> str | None:
        if counts.get("build.windows", 0) or not counts.get("build.segments", 0):
            return None
        rules = self.options["windows"]
        lost = {reason: counts.get(f"build.{reason}", 0) for reason in LOSSES}
        if counts.get("build.rows_without_bandwidth", 0) == counts.get("build.rows", 0) and lost["lost_bw"]:
            return "No window was built: no segment has metrics.bandwidth. Add it, or give --min-bandwidth 0."
        reason = max(lost, key=lambda name: lost[name])
        if lost[reason] < counts["build.segments"]:
            return None
        cures = {
            "lost_bw": f"Every segment is below min_bandwidth {rules.min_bandwidth:g} Hz: lower --min-bandwidth.",
            "lost_sr": f"Every entry is below min_sample_rate {rules.min_sample_rate:g} Hz: lower --min-sample-rate.",
            "lost_spk": f"No run has {rules.min_speakers}-{rules.max_speakers} speakers: "
            "check the labels, or change --min-speakers and --max-speakers.",
            "lost_win": f"No run of segments lasts {rules.min_duration:g}-{rules.max_duration:g} s: "
            "check that segments are sorted and labelled, or change --target-window-duration.",
        }
        return f"No window was built. {cures[reason]}"
