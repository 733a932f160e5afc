"""The `diarize` job: who speaks when in recordings."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from beam_curator.diarization.diarize_rules import (
    DiarizeRules,
    InferenceOptions,
    ModelOptions,
    TurnOptions,
)
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.files import storage
from beam_curator.files.listing import Lister, list_either
from beam_curator.files.output_target import OutputTarget
from beam_curator.models.model_checks import (
    check_embedding_model,
    check_embeddings,
    check_model,
    check_vad,
    check_walk,
    files_beside,
    is_cascade,
    notices_of,
    turn_preset_of,
    with_embedding_model,
    with_own_vad,
)
from beam_curator.models.resolving import default_models
from beam_curator.models.turn_job import TurnJob, turn_config
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.jobs.clips import unmixed_hint
from beam_curator.runners.next_windows import windows_command
from beam_curator.runners.options import UsageError
from beam_curator.runners.run_directory import configs_in
from beam_curator.runners.stages import Stage, Times, failures_of, number_of, pace, read_stage, time_left, with_times
from beam_curator.sets.output_set import MANIFEST_NAME, Config, config_sha256
from beam_curator.sets.set_kinds import DIARIZE, EMBEDDING_TABLES
from beam_curator.vad.vad_options import ENERGY, SILERO

if TYPE_CHECKING:
    from beam_curator.transforms.diarization.diarize_recordings import Diarize


class DiarizeJob(Job):
    """Who speaks when in recordings."""

    kind = DIARIZE
    label = "Diarize"
    shares_cores = False  # the model's threads use all of them

    @classmethod
    def of(cls, arguments: argparse.Namespace, beam_arguments: Sequence[str], output: str | None) -> Self:
        """Put a job together. Models that are not named are those that a set there was begun with, else the defaults.

        Raises:
          UsageError: options that cannot hold, all problems at once.
        """
        job = super().of(arguments, beam_arguments, output)
        given: ModelOptions = job.options["model"]
        named = bool(given.model_name or given.model_path)
        models = [given] if named else [given.named(name) for name in default_models(given.cache_dir or None)]
        jobs = [
            replace(job, options=job.options | {"model": model, "diarization": rules})
            for model in models
            for rules in job._rules_for(model)
        ]
        begun = set() if job.run.overwrite or storage.is_remote(job.output) else configs_in(job.output)
        same = (job for job in jobs if begun and config_sha256(cls.kind.command, job.config()) in begun)
        return next(same, jobs[0])

    def _rules_for(self, model: ModelOptions) -> list[DiarizeRules]:
        """Return the rules with their models: one of each VAD that may be, the default first, if they name none."""
        rules = with_embedding_model(self.options["diarization"], model)
        own = with_own_vad(rules, model, is_elsewhere=self.engine.name == "dataflow")
        other = replace(own, vad=ENERGY if own.vad == SILERO else SILERO)
        return [own] if rules.vad is not None or rules.vad_path else [own, other]

    @property
    def lister(self) -> Lister:
        return list_either

    def beside(self) -> tuple[str, ...]:
        return files_beside(self._model(), self.options["diarization"])

    def problem(self) -> str | None:
        rules, walk = self.options["diarization"], self.options["streaming"].parameters()
        is_elsewhere = self.engine.name == "dataflow"
        try:
            model = self._model() if is_elsewhere else self.options["model"]
            check_embeddings(model, rules)
            check_walk(model, walk, self.options["speakers"])
            if is_elsewhere:
                return None
            check_model(model, walk)
            check_vad(rules, model)
            if rules.embedding_model:
                check_embedding_model(rules, self.options["model"])
        except ValueError as err:  # of all that can be wrong with a model
            return str(err)
        return None

    def notices(self) -> list[str]:
        model, is_elsewhere = self.options["model"], self.engine.name == "dataflow"
        said = notices_of(model, look_up=not is_elsewhere)
        vad = self.options["diarization"].vad
        default = with_own_vad(DiarizeRules(), model, is_elsewhere=is_elsewhere).vad
        if "diarization.vad" not in self.origins and not self.options["diarization"].vad_path and vad != default:
            said.append(f"{self.output} was begun with --vad {vad}, which stays: else give --vad and --overwrite")
        if model.model_path or "model.model_name" in self.origins:
            return said
        if model.model_name != default_models(model.cache_dir or None)[0]:
            said.append(
                f"{self.output} was begun with model {model.model_name}, which stays: for another one give "
                "--model-name and --overwrite"
            )
        elif is_elsewhere and is_cascade(model):
            said.append(
                f"the workers must have {model.model_name}, as this machine has: in their image, or as --model-path "
                "gs://… (docs/engines.md); else give --model-name demo"
            )
        return said

    def config(self) -> Config:
        options = self.options
        return turn_config(
            self.options["diarization"],
            self._model(),
            options["streaming"].parameters(),
            self._turns(),
            options["speakers"],
            self._inference(),
            reading=options["input"],
            output=options["output"],
            n_shards=self.target().n_shards,
        )

    def transform(self, target: OutputTarget) -> Diarize:
        from beam_curator.transforms.diarization.diarize_recordings import Diarize

        return Diarize(
            self.inputs,
            target,
            model=self._model(),
            streaming=self.options["streaming"],
            speakers=self.options["speakers"],
            turns=self._turns(),
            rules=self.options["diarization"],
            inference=self._inference(),
            output=self.options["output"],
            reading=self.options["input"],
            beside=self.beside(),
            warns=False,
        )

    def recording_job(self) -> TurnJob:
        return TurnJob(self.options["diarization"], self._turns())

    def why_not_moved(self) -> str | None:
        has_embeddings = self.options["diarization"].embeddings
        return "embeddings of turns are named by hashes of the recordings' paths" if has_embeddings else None

    def _turns(self) -> TurnRules:
        turns: TurnOptions = self.options["turns"]
        return turns.rules(turn_preset_of(self.options["model"]))

    def _model(self) -> ModelOptions:
        """Return which model listens, and on what: where workers have a GPU, all processes of a machine share one.

        Raises:
          UsageError: options that mean nothing to workers elsewhere, or leave what they have idle.
        """
        given: ModelOptions = self.options["model"]
        if self.engine.name != "dataflow":
            return given
        accelerator = self.engine.accelerator
        if accelerator is not None and given.device == "cpu":
            raise UsageError(f"--device cpu leaves {accelerator} idle: leave --device out, or --gpu")
        if accelerator is None and given.device == "cuda":
            raise UsageError("--device cuda needs workers with a GPU: give --gpu, or leave --device out")
        return replace(given, device="cuda") if accelerator is not None else given

    def _inference(self) -> InferenceOptions:
        """Share the cores of a machine among its worker processes; Dataflow starts one for each core."""
        given: InferenceOptions = self.options["inference"]
        if given.threads:
            return given
        if self.engine.name == "dataflow" and self.engine.accelerator is None:
            return replace(given, threads=1)
        if self.run.n_jobs == 1:
            return given
        return replace(given, threads=max(1, (os.cpu_count() or 1) // self.run.n_jobs))

    def plan_lines(self) -> list[str]:
        rules = self.options["diarization"]
        kinds = [".rttm", *([".uem"] if rules.uem else []), *([".ctm"] if rules.overlaps else [])]
        beside = [f"{rules.rttm_out_dir}/ID{kind}" for kind in kinds] if rules.rttm_out_dir else []
        model = self.options["model"]
        latency = f"; latency of a streaming model: {self.options['streaming'].parameters().latency:.2f} s"
        heard = f"model {model.model_path or model.model_name}{'' if is_cascade(model) else latency}"
        tables = [f"{table}-*.parquet" for table in EMBEDDING_TABLES if rules.embeddings]
        return [
            f"turns-*, failures-* where there are any ({heard})",
            *([", ".join(beside)] if beside else []),
            *([", ".join(tables)] if tables else []),
            f"{MANIFEST_NAME}, summary.json",
        ]

    @staticmethod
    def stages(counts: Counter[str], n_files: int, times: Times) -> list[Stage]:
        n_asked = counts["plan.rows"]
        n_heard = counts["diarize.turns"]
        stages = [
            read_stage(counts),
            Stage(name="plan", what_in="rows", n_in=counts["read.rows"], what_out="recordings", n_out=n_asked,
                  failures=failures_of(counts, "plan")),
            Stage(name="listen", what_in="recordings", n_in=n_asked, what_out="recordings", n_out=n_heard,
                  failures=failures_of(counts, "diarize"), seconds=counts["diarize.audio_us"] / 1e6),
            Stage(name="turns", what_in="recordings", n_in=n_heard, what_out="turns",
                  n_out=counts["diarize.segments"], seconds=counts["diarize.speech_us"] / 1e6),
            Stage(name="write", what_in="recordings", n_in=n_asked, what_out="files", n_out=n_files),
        ]  # fmt: skip
        asked, missing = (
            sum(counts[f"diarize.{table}{what}"] for table in EMBEDDING_TABLES) for what in ("", ".missing")
        )
        if asked:
            dropped = {"never_alone": missing} if missing else {}
            stages.insert(-1, Stage(name="embed", what_in="speakers and turns", n_in=asked, what_out="embeddings",
                                    n_out=asked - missing, dropped=dropped))  # fmt: skip
        if "load" in times:
            total, mean = times["load"]
            n_models = round(total / mean) if mean else 1
            stages.insert(2, Stage(name="load", what_in="models", n_in=n_models, what_out="models", n_out=n_models))
        return with_times(stages, times)

    @staticmethod
    def progress(counts: Counter[str], share_read: float, seconds: float) -> str:
        """Say in one line how far such a job is.

        Example:
          >>> counts = Counter({"plan.rows": 40, "progress.diarize.turns": 9, "progress.diarize.failures": 1})
          >>> counts["progress.diarize.audio_us"] = 3_600_000_000
          >>> DiarizeJob.progress(counts, 1.0, 2.0)
          '10 of 40 recordings  1.0 h heard  1 failures  1,800x real time'
        """
        del share_read
        failures = sum(counts[f"{stage}.failures"] for stage in ("file", "read", "plan", "progress.diarize"))
        n_done = counts["progress.diarize.turns"] + counts["progress.diarize.failures"]
        audio = counts["progress.diarize.audio_us"] / 1e6
        left = time_left(n_done / max(counts["plan.rows"], 1), seconds)
        return f"{n_done:,} of {counts['plan.rows']:,} recordings  {pace(audio, 'heard', failures, seconds)}{left}"

    def result(self, stages: Sequence[Stage]) -> str:
        heard, turns = (next(stage for stage in stages if stage.name == name) for name in ("listen", "turns"))
        return f"{number_of(heard.n_out, 'recordings')}, {number_of(turns.n_out, 'turns')}, {heard.seconds or 0:,.1f} s"

    def next_step(self, names: Sequence[str]) -> str | None:
        return windows_command(self.output, names)

    def hint(self, counts: Counter[str]) -> str | None:
        unmixed = unmixed_hint(counts["diarize.unmixed"], "recordings")
        hints = [] if unmixed is None else [unmixed]
        n_saturated, n_silent = counts["diarize.saturated"], counts["diarize.silent"]
        non_speech = counts["diarize.non_speech_us"] / 1e6
        if non_speech:
            hints.append(f"{non_speech:,.1f} s of turns were left out, as nobody speaks there; --vad none keeps them.")
        if counts["diarize.clipped"]:
            hints.append(
                f"{number_of(counts['diarize.clipped'], 'recordings')} with clipped samples, three or more in a row at "
                "full scale: clipped_ratio of the row says how many."
            )
        if n_saturated:
            hints.append(
                f"{number_of(n_saturated, 'recordings')} with speech from as many speakers as the model can tell apart "
                "(speakers_saturated): there may be more; a model with more speakers would tell."
            )
        crosstalk = counts["diarize.crosstalk_us"] / 1e6
        if crosstalk and not n_saturated:
            hints.append(
                f"{crosstalk:,.1f} s of turns were the same speech as on a louder channel, and were left to it."
            )
        if n_silent and n_silent == counts["diarize.turns"]:
            hints.append("No recording has a turn: look whether they hold speech, or lower --onset.")
        return " ".join(hints) or None
