"""The `extract` job: clips cut out of recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beam_curator.clips.clip_options import why_none_are_kept
from beam_curator.files import storage
from beam_curator.files.jobs.clip_job import ClipJob, clip_config
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.replacing import is_output_set
from beam_curator.runners.jobs.clips import ClipsJob
from beam_curator.sets.output_set import MANIFEST_NAME, Config
from beam_curator.sets.set_kinds import EXTRACT

if TYPE_CHECKING:
    from beam_curator.transforms.clips.extract_clips import ExtractClips


class ExtractJob(ClipsJob):
    """Clips cut out of recordings."""

    kind = EXTRACT
    label = "Extract clips"

    def config(self) -> Config:
        options = self.options
        return clip_config(options["clips"], options["input"], options["output"], self.target().n_shards)

    def transform(self, target: OutputTarget) -> ExtractClips:
        from beam_curator.transforms.clips.extract_clips import ExtractClips

        options = self.options
        return ExtractClips(
            self.inputs, target, rules=options["clips"], output=options["output"], reading=options["input"]
        )

    def recording_job(self) -> ClipJob:
        return ClipJob(self.options["clips"], self.options["output"].output_format)

    def why_none_are_kept(self) -> str | None:
        return why_none_are_kept(self.options["output"])

    def why_not_moved(self) -> str | None:
        is_packed = self.options["output"].pack != "none"
        return "clips are in tars by hashes of the recordings' paths" if is_packed else None

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
