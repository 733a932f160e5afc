"""One job as it was asked for: from flags and config to inputs, options, an engine and the composite that does it."""

import argparse
import os
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from beam_curator.files import storage
from beam_curator.files.listing import Lister, list_inputs, said_left_out, with_forms
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.files.searching import NoInputError
from beam_curator.files.storage import UnknownSchemeError
from beam_curator.runners.cores import worker_processes
from beam_curator.runners.job_options import AUTO, JOBS, RunOptions
from beam_curator.runners.options import UsageError, given_options, nearest, origins, read_config, resolve
from beam_curator.runners.presets import GIVEN, Engine, resolve_engine
from beam_curator.runners.run_directory import refuse_overlap
from beam_curator.runners.stages import Stage, Times
from beam_curator.sets.blocks import InputFile, plan_blocks
from beam_curator.sets.output_set import Config
from beam_curator.sets.recording_jobs import RecordingJob
from beam_curator.sets.set_kinds import SetKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(ABC):
    """One job as it was asked for.

    Attributes:
      inputs: as given.
      output: where to.
      options: by section.
      origins: where an option that is not at its default was set, by `section.key`.
      engine: where it runs, with the options of that engine.
      codes: of failures that an update tries again, where not all are.
      kind: what its sets hold.
      label: of the composite in the pipeline.
      shares_cores: one process of it keeps one core busy, so that several are faster.
    """

    kind: ClassVar[SetKind]
    label: ClassVar[str]
    shares_cores: ClassVar[bool] = True

    inputs: tuple[str, ...]
    output: str
    options: dict[str, Any]
    origins: dict[str, str]
    engine: Engine
    codes: tuple[str, ...] = ()

    @property
    def run(self) -> RunOptions:
        """How the job runs."""
        options: RunOptions = self.options["run"]
        return options

    def sized(self, files: Sequence[InputFile]) -> Self:
        """Return the job with the number of worker processes that `--jobs auto` stands for with these inputs."""
        if self.run.jobs != AUTO or self.engine.name != "direct" or not self.shares_cores:
            return self
        run = replace(self.run, jobs=str(worker_processes(len(plan_blocks(with_forms(files))))))
        return replace(self, options=self.options | {"run": run})

    def target(self) -> OutputTarget:
        """Return where the job writes, before it is prepared.

        Raises:
          UsageError: that is no place for its set.
        """
        try:
            return target_beside(self.inputs, self.output, self.kind, self.options["output"].shards)
        except ValueError as err:
            raise UsageError(str(err)) from err

    @abstractmethod
    def transform(self, target: OutputTarget) -> Any:
        """Return the composite that does the whole job; it has a `config`, and its result has `counts`."""

    def recording_job(self) -> RecordingJob[Any, Any] | None:
        """Return the work on each recording; None for a job that works on rows alone."""
        return None

    @property
    def lister(self) -> Lister:
        """The function that lists the files of the inputs."""
        return list_inputs

    def beside(self) -> tuple[str, ...]:
        """Return the files that decide the rows besides the inputs."""
        return ()

    def problem(self) -> str | None:
        """Return the reason why the job cannot run, its inputs aside, as far as it shows beforehand; None for none."""
        return None

    def why_none_are_kept(self) -> str | None:
        """Return the reason why an update with these options does all again; None where it does not."""
        return None

    def why_not_moved(self) -> str | None:
        """Return the reason why an update with these options cannot follow inputs to another place; None if it can."""
        return "blocks of rows are known by their lines, wherever these lie" if self.kind.of_blocks else None

    def notices(self) -> list[str]:
        """Return the lines that a person should read before the job begins."""
        return []

    @abstractmethod
    def config(self) -> Config:
        """Return the options that decide the rows, by section; the composite has the same, but needs Beam."""

    @abstractmethod
    def plan_lines(self) -> list[str]:
        """List the files that would be written, as patterns."""

    @staticmethod
    @abstractmethod
    def stages(counts: Counter[str], n_files: int, times: Times) -> list[Stage]:
        """Put the counts of such a job into stages, for its summary."""

    @staticmethod
    @abstractmethod
    def progress(counts: Counter[str], share_read: float, seconds: float) -> str:
        """Say in one line how far such a job is; `share_read` is the part of the input that was read, 0 to 1."""

    @abstractmethod
    def result(self, stages: Sequence[Stage]) -> str:
        """Sum up the outcome in a few words."""

    def hint(self, counts: Counter[str]) -> str | None:
        """Return advice on the outcome, such as why nothing came out and how to change that; None for no advice."""
        del counts
        return None

    def next_step(self, names: Sequence[str]) -> str | None:
        """Return the command that goes on from a set with files of these names; None for no proposal."""
        del names
        return None

    def recorded(self) -> dict[str, Any]:
        """Return the command as a summary holds it, so that it can be given again."""
        given = {path for path in self.origins if path not in _OF_ONE_RUN}
        return {
            "inputs": self.inputs,
            "options": {path: getattr(self.options[path.partition(".")[0]], path.partition(".")[2]) for path in given},
            "beam": [option.argument() for option in self.engine.options if option.why == GIVEN],
            "directory": os.getcwd(),
        }

    @classmethod
    def config_of_file(cls, path: str) -> dict[str, Any]:
        """Return the options in a file.

        Raises:
          UsageError: it is not there, or no mapping.
        """
        return read_config(path)

    @classmethod
    def of(cls, arguments: argparse.Namespace, beam_arguments: Sequence[str], output: str | None) -> Self:
        """Put a job together from flags, `--set` and `--config`.

        Raises:
          UsageError: options that cannot hold, all problems at once.
        """
        defaults = JOBS[cls.kind.command]
        config = cls.config_of_file(arguments.config) if arguments.config else {}
        from_config = _as_list(config.pop("inputs", []))
        inputs = arguments.inputs or from_config
        given_output = config.pop("output_dir", None)
        beam_arguments = [*beam_arguments, *_beam_section(config.pop("beam", {}))]
        flags = {name: value for name, value in vars(arguments).items() if "." in name}
        given = given_options(defaults.sections, config, arguments.settings, flags)
        options = resolve(defaults.sections, given)
        if output == "":
            raise UsageError("--output is empty: name a directory")
        if not inputs:
            raise UsageError("no INPUT given: name a file, a glob or a directory, or 'inputs' in --config")
        return cls(
            inputs=tuple(storage.plain_path(str(given)) for given in inputs),
            output=storage.plain_path(str(output or given_output or defaults.output)),
            options=options,
            origins=origins(defaults.sections, given),
            engine=resolve_engine(options["run"], beam_arguments, cls.kind.command),
            codes=getattr(arguments, "codes", ()),
        )


_OF_ONE_RUN = ("run.overwrite", "run.update", "run.rehash", "run.moved", "run.plan", "run.show_options", "run.verbose")


def _beam_section(section: object) -> list[str]:
    """Turn the `beam` section of a config into Beam's flags.

    Raises:
      UsageError: it is no mapping, or names a flag that Beam does not have.
    """
    if not isinstance(section, dict):
        raise UsageError(f"section 'beam' of the config holds {section!r}, expected Beam's options and their values")
    if not section:
        return []
    from beam_curator.runners.beam_options import known_flags  # Beam is loaded for its flags

    flags = known_flags()
    for name in section:
        if f"--{name}" not in flags:
            raise UsageError(f"unknown option 'beam.{name}'{nearest(str(name), [flag[2:] for flag in flags])}")
    return [
        f"--{name}" if value is True else f"--{name}={value}" for name, value in section.items() if value is not False
    ]


def _as_list(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise UsageError(f"'inputs' of the config is {value!r}, expected a path or a list of paths")


def listed(job: Job) -> list[InputFile]:
    """List the input files, and say which are repeated, and how many were left out of directories.

    Raises:
      UsageError: an input names nothing, or the output lies inside one.
    """
    left_out: Counter[str] = Counter()
    try:
        storage.check_store(job.output)
        files, repeated = job.lister(
            job.inputs, keep_duplicates=job.options["input"].keep_duplicates, left_out=left_out
        )
    except (NoInputError, UnknownSchemeError) as err:
        raise UsageError(str(err)) from err
    refuse_overlap(job.inputs, files, job.output, job.kind)
    if repeated and not job.options["input"].keep_duplicates:
        named = ", ".join(repeated[:3]) + (", …" if len(repeated) > 3 else "")
        print(f"beam-curator: listed more than once, read once: {named} (--keep-duplicates)", file=sys.stderr)
    if left_out:
        print(f"beam-curator: {said_left_out(left_out)} (a file that is named is read)", file=sys.stderr)
    return files
