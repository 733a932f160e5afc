"""The `extract` job: clips cut out of recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from beam_curator.files import storage
from beam_curator.files.jobs.clip_job import clip_config
from beam_curator.files.listing import is_output_set
from beam_curator.files.output_target import OutputTarget
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.jobs.clips import clamped_hint, clip_progress, clip_result, clip_stages
from beam_curator.runners.stages import Stage
from beam_curator.sets.output_set import MANIFEST_NAME, Config, FileRecord
from beam_curator.sets.set_kinds import EXTRACT, SetKind

if TYPE_CHECKING:
    from beam_curator.transforms.clips.extract_clips import ExtractClips


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractJob(Job):
    """Clips cut out of recordings."""

    kind: ClassVar[SetKind] = EXTRACT
    label: ClassVar[str] = "Extract clips"

    def config(self) -> Config:
        options = self.options
        return clip_config(options["clips"], options["input"], options["output"], self.target().n_shards)

    def transform(self, target: OutputTarget) -> ExtractClips:
        from beam_curator.transforms.clips.extract_clips import ExtractClips

        options = self.options
        return ExtractClips(
            self.inputs, target, rules=options["clips"], output=options["output"], reading=options["input"]
        )

    def plan_lines(self) -> list[str]:
        output = self.options["output"]
        audio = {
            "none": f"*_segment_*.{output.output_format}",
            "webdataset": "shard-*.tar",
            "nemo-tar": "audio_*.tar and sharded_manifests/",
        }[output.pack]
        index = "metadata.csv" + (", metadata.parquet" if output.index == "parquet" else "")
        if any(storage.is_directory(given) and not is_output_set(given) for given in self.inputs):
            index += ", manifest.jsonl"
        rows = "clips-*, failures-* where there are any"
        return [audio, index, rows, f"extraction_summary.json, {MANIFEST_NAME}, summary.json"]

    @staticmethod
    def stages(
        counts: Mapping[str, int], files: Sequence[FileRecord], times: Mapping[str, tuple[float, float]]
    ) -> list[Stage]:
        return clip_stages(counts, files, times)

    @staticmethod
    def progress(counts: Mapping[str, int], share_read: float, seconds: float) -> str:
        return clip_progress(counts, share_read, seconds)

    def result(self, stages: Sequence[Stage]) -> str:
        return clip_result(stages)

    def hint(self, counts: Mapping[str, int]) -> str | None:
        return clamped_hint(counts)
