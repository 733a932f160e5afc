"""The part that jobs share in which a model tells who speaks when: which one, on what, with how many threads."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions, TurnOptions
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.files import storage
from beam_curator.models.model_checks import is_cascade, notices_of, turn_preset_of
from beam_curator.models.resolving import default_models
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.options import UsageError
from beam_curator.runners.presets import Engine
from beam_curator.runners.run_directory import configs_in
from beam_curator.sets.output_set import config_sha256


class ListeningJob(Job):
    """A job in which a model tells who speaks when; it has sections `model`, `turns` and `inference`."""

    shares_cores = False  # the model's threads use all of them

    @classmethod
    def of(cls, arguments: argparse.Namespace, beam_arguments: Sequence[str], output: str | None) -> Self:
        """Put a job together. Models that are not named are those that a set there was begun with, else the defaults.

        Raises:
          UsageError: options that cannot hold, all problems at once.
        """
        job = super().of(arguments, beam_arguments, output)
        given: ModelOptions = job.options["model"]
        is_named = bool(given.model_name or given.model_path)
        models = [given] if is_named else [given.named(name) for name in default_models(given.cache_dir or None)]
        jobs = [each for model in models for each in job.with_model(model)]
        begun = set() if job.run.overwrite or storage.is_remote(job.output) else configs_in(job.output)
        same = (job for job in jobs if begun and config_sha256(cls.kind.command, job.config()) in begun)
        return next(same, jobs[0])

    def with_model(self, model: ModelOptions) -> list[Self]:
        """Return the job with a model, in each way that a set may have been begun with it, the default first."""
        return [replace(self, options=self.options | {"model": model})]

    def notices(self) -> list[str]:
        model, is_elsewhere = self.options["model"], self.engine.name == "dataflow"
        said = notices_of(model, look_up=not is_elsewhere)
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

    def _turns(self) -> TurnRules:
        turns: TurnOptions = self.options["turns"]
        return turns.rules(turn_preset_of(self.options["model"]))

    def _model(self) -> ModelOptions:
        """Return which model listens, and on what."""
        return device_of_workers(self.engine, self.options["model"])

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


def device_of_workers(engine: Engine, given: ModelOptions) -> ModelOptions:
    """Return a model with the device of the workers: where they have a GPU, all processes of a machine share one.

    Raises:
      UsageError: options that mean nothing to workers elsewhere, or leave what they have idle.
    """
    if engine.name != "dataflow":
        return given
    accelerator = engine.accelerator
    if accelerator is not None and given.device == "cpu":
        raise UsageError(f"--device cpu leaves {accelerator} idle: leave --device out, or --gpu")
    if accelerator is None and given.device == "cuda":
        raise UsageError("--device cuda needs workers with a GPU: give --gpu, or leave --device out")
    return replace(given, device="cuda") if accelerator is not None else given
