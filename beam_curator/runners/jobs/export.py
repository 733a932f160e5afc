"""The `export` job: clips with metadata, previews and embeddings as a tree."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from beam_curator.export.export_rules import ExportRules
from beam_curator.files import storage
from beam_curator.files.jobs import export_job
from beam_curator.files.jobs.export_job import embeddings_beside, export_config
from beam_curator.files.output_target import OutputTarget
from beam_curator.runners.jobs.clips import ClipsJob, joined_hints
from beam_curator.runners.options import UsageError
from beam_curator.runners.stages import Stage, Times, number_of
from beam_curator.sets.output_set import MANIFEST_NAME, Config
from beam_curator.sets.set_kinds import EXPORT

if TYPE_CHECKING:
    from beam_curator.transforms.export.export_clips import ExportClips


class ExportJob(ClipsJob):
    """Clips with metadata, previews and embeddings as a tree."""

    kind = EXPORT
    label = "Export clips"

    @property
    def rules(self) -> ExportRules:
        """The rules of the export."""
        rules: ExportRules = self.options["export"]
        return rules

    @classmethod
    def of(cls, arguments: argparse.Namespace, beam_arguments: Sequence[str], output: str | None) -> Self:
        """Put a job together, as every job is.

        Raises:
          UsageError: options that cannot hold, or a local file of embeddings that is not there.
        """
        job = super().of(arguments, beam_arguments, output)
        path = job.rules.embeddings
        if path is not None and "://" not in path and storage.size_of(path) is None:
            raise UsageError(f"embeddings {path} is not there: check the path")
        return job

    def config(self) -> Config:
        options = self.options
        return export_config(self.rules, options["clips"], options["input"], options["output"], self.target().n_shards)

    def transform(self, target: OutputTarget) -> ExportClips:
        from beam_curator.transforms.export.export_clips import ExportClips

        options = self.options
        return ExportClips(
            self.inputs,
            target,
            rules=self.rules,
            cut_rules=options["clips"],
            output=options["output"],
            reading=options["input"],
            logs_recordings=self.run.verbose,
        )

    def beside(self) -> tuple[str, ...]:
        return embeddings_beside(self.rules)

    def recording_job(self) -> export_job.ExportJob:
        return export_job.ExportJob(self.rules, self.options["clips"])

    def why_not_moved(self) -> str:
        return "documents and clips of an export are named by hashes of the recordings' paths"

    def plan_lines(self) -> list[str]:
        rules = self.rules
        lines = ["processed_audios/*.json, processed_clip_chunks/*_<chunk>.json"]
        if not rules.dry_run:
            lines.append("metas/v0/<uuid>.json")
            if rules.upload_clips:
                lines.append("clips/<uuid>.flac, filtered_clips/<uuid>.flac")
            if rules.generate_previews:
                lines.append("previews/<uuid>/<start>_<end>.png and .ogg")
            if rules.generate_embeddings:
                name = rules.embedding_algorithm
                lines.append(f"{name}_embd/<uuid>.npy, {name}_embd_parquet/<uuid>.parquet")
        return [*lines, "clips-*, failures-* where there are any", f"{MANIFEST_NAME}, summary.json"]

    @staticmethod
    def stages(counts: Counter[str], n_files: int, times: Times) -> list[Stage]:
        *stages, write = ClipsJob.stages(counts, n_files, times)
        n_passed = counts["cut.clips"] - counts["cut.filtered"]
        more = [
            Stage(name=name, what_in="clips", n_in=n_passed, what_out=name, n_out=counts[f"cut.{name}"])
            for name in ("previews", "embeddings")
            if counts[f"cut.{name}"]
        ]
        passed = Stage(name="filter", what_in="clips", n_in=counts["cut.clips"], what_out="passed", n_out=n_passed)
        return [*stages, passed, *more, write]

    def result(self, stages: Sequence[Stage]) -> str:
        found = {stage.name: stage for stage in stages}
        n_filtered = found["filter"].n_in - found["filter"].n_out
        parts = [super().result(stages)]
        if n_filtered:
            parts.append(f"{n_filtered:,} filtered")
        parts += [number_of(found[name].n_out, name) for name in ("previews", "embeddings") if name in found]
        if self.rules.dry_run:
            parts.append("dry run")
        return ", ".join(parts)

    def hint(self, counts: Counter[str]) -> str | None:
        return joined_hints(super().hint(counts), self._missing_hint(counts))

    def _missing_hint(self, counts: Counter[str]) -> str | None:
        n_passed = counts["cut.clips"] - counts["cut.filtered"]
        n_embeddings, n_transcripts = (counts[f"cut.missing_{what}"] for what in ("embeddings", "transcripts"))
        if n_passed and n_embeddings == n_passed:
            return (
                f"No clip has an embedding: rows have no key '{self.rules.embedding_key}' "
                "(--embedding-key), and no file has their uuids (--embeddings)."
            )
        missing = [
            number_of(n, what) for n, what in ((n_embeddings, "embeddings"), (n_transcripts, "transcripts")) if n
        ]
        return f"Missing: {', '.join(missing)}; clips' documents name them under errors." if missing else None
