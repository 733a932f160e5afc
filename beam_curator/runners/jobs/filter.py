"""The `filter` job: rows, and segments of rows, kept by their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beam_curator.entries.filtering import ROWS, SEGMENTS
from beam_curator.files.jobs.filter_job import filter_config
from beam_curator.files.output_target import OutputTarget
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.stages import (
    Stage,
    Times,
    dropped_of,
    failures_of,
    number_of,
    read_stage,
    time_left,
    with_times,
)
from beam_curator.sets.output_set import MANIFEST_NAME, Config
from beam_curator.sets.set_kinds import FILTER

if TYPE_CHECKING:
    from beam_curator.transforms.rows.filter_manifests import FilterManifests


class FilterJob(Job):
    """Rows, and segments of rows, kept by their values."""

    kind = FILTER
    label = "Filter manifests"

    def config(self) -> Config:
        options = self.options
        return filter_config(options["filter"], options["input"], options["output"], self.target().n_shards)

    def transform(self, target: OutputTarget) -> FilterManifests:
        from beam_curator.transforms.rows.filter_manifests import FilterManifests

        options = self.options
        return FilterManifests(
            self.inputs, target, options["filter"], output=options["output"], reading=options["input"]
        )

    def problem(self) -> str | None:
        return (
            None if self.options["filter"].where else "no condition is given: write for example --where 'duration >= 2'"
        )

    def plan_lines(self) -> list[str]:
        return [f"{FILTER.rows}-*, failures-* where there are any, {MANIFEST_NAME}, summary.json"]

    @staticmethod
    def stages(counts: Counter[str], n_files: int, times: Times) -> list[Stage]:
        rows = counts["filter.rows"]
        stages = [
            read_stage(counts),
            Stage(name=ROWS, what_in="rows", n_in=counts["read.rows"], what_out="rows", n_out=rows,
                  dropped=dropped_of(counts, ROWS), failures=failures_of(counts, ROWS)),
            Stage(name="write", what_in="rows", n_in=rows + counts["filter.failures"] + counts["read.failures"]
                  + counts["file.failures"], what_out="files", n_out=n_files),
        ]  # fmt: skip
        if counts["segments.in"]:
            stages.insert(2, Stage(name=SEGMENTS, what_in="segments", n_in=counts["segments.in"], what_out="segments",
                                   n_out=counts["segments.kept"], dropped=dropped_of(counts, SEGMENTS)))  # fmt: skip
        return with_times(stages, times)

    @staticmethod
    def progress(counts: Counter[str], share_read: float, seconds: float) -> str:
        rows, failures = counts["read.rows"], sum(counts[f"{stage}.failures"] for stage in ("file", "read", ROWS))
        return (
            f"{rows:,} rows  {share_read * 100:.0f} %  {counts['filter.rows']:,} kept  {failures:,} failures  "
            f"{rows / max(seconds, 0.1):,.0f} rows/s{time_left(share_read, seconds)}"
        )

    def result(self, stages: Sequence[Stage]) -> str:
        told = [f"{stages[1].n_out:,} of {number_of(stages[1].n_in, 'rows')} kept"]
        told += [f"{s.n_out:,} of {number_of(s.n_in, 'segments')}" for s in stages if s.name == SEGMENTS]
        return ", ".join(told)

    def hint(self, counts: Counter[str]) -> str | None:
        return filter_hint(counts)


def filter_hint(counts: Counter[str]) -> str | None:
    """Return advice where nothing was kept, or every row lacks a key; None where there is none.

    Example:
      >>> filter_hint(Counter({"read.rows": 2, "filter.dropped": 2, "filter.dropped.missing snr": 2}))
      'No row has a value at key snr: look how it is spelled; --keep-missing keeps such rows.'
    """
    for stage, n_in, what in ((ROWS, counts["read.rows"], "row"), (SEGMENTS, counts["segments.in"], "segment")):
        for name, n in sorted(counts.items()):
            key = name.removeprefix(f"{stage}.dropped.missing ")
            if key != name and n == n_in:
                return f"No {what} has a value at key {key}: look how it is spelled; --keep-missing keeps such {what}s."
    return None
