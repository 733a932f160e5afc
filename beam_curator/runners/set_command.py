"""A command that makes an output set without a pipeline: begun, resumed, complete already, or replaced, as jobs are."""

from __future__ import annotations

import os
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from beam_curator.files import storage
from beam_curator.files.atomic_files import ForeignRunError
from beam_curator.files.committing import commit
from beam_curator.files.known_files import hash_input, known_inputs
from beam_curator.files.output_target import ChangedInputError, OutputTarget
from beam_curator.runners import exit_codes
from beam_curator.runners.complete_sets import is_complete
from beam_curator.runners.job_command import judged
from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.run_directory import Prepared, finish, finish_late, prepare, run_of, settle
from beam_curator.runners.stages import Stage
from beam_curator.runners.summary import summary_json
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import MANIFEST_NAME, Config, FileRecord, Manifest, UnbalancedBooksError
from beam_curator.sets.set_kinds import SetKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The outcome: the counts, and the files of the set."""

    counts: Counter[str]
    files: list[FileRecord]


class SetCommand(ABC):
    """One such command as it was asked for.

    Args:
      inputs: as given.
      output: directory of the set.
      target: the same, before it is prepared.
      run: how failures are judged, and whether a set may be replaced.
    """

    kind: ClassVar[SetKind]

    def __init__(self, inputs: tuple[str, ...], output: str, target: OutputTarget, run: RunOptions) -> None:
        self.inputs = inputs
        self.output = output
        self._target = target
        self._run = run

    @property
    @abstractmethod
    def config(self) -> Config:
        """The options that decide the files."""

    @abstractmethod
    def made(self, files: Sequence[InputFile], target: OutputTarget) -> Made:
        """Write the files of the set; nothing is committed."""

    @abstractmethod
    def stages(self, counts: Counter[str], n_files: int) -> list[Stage]:
        """Return the stages of the command as its summary shows them."""

    @abstractmethod
    def say(self, stages: list[Stage], made: Made, seconds: float) -> None:
        """Print a summary for people."""

    def run(self, files: Sequence[InputFile]) -> int:
        """Make the set, unless it is there; return the exit code. The caller holds the lock."""
        begin = time.monotonic()
        settled = settle(self.output)
        is_done = settled is not None and settled.same_job(run_of(self.kind, self.config, files))
        if is_done or (not self._run.overwrite and is_complete(self.output, self.kind, self.config, files, self._run)):
            return self._already_complete()
        prepared = prepare(self.output, self.kind, self.config, files, overwrite=self._run.overwrite)
        try:
            made = self._committed(files, _prepared(self._target, prepared, self.output))
        except (ForeignRunError, ChangedInputError, UnbalancedBooksError) as err:
            print(f"beam-curator: the job failed: {err}", file=sys.stderr)
            return exit_codes.FAILED
        stages = self.stages(made.counts, len(made.files))
        seconds = time.monotonic() - begin
        finish(
            self.output,
            summary_json(stages, made.counts, {"run": seconds}, self._recorded(), replaces=prepared.replaces),
        )
        self.say(stages, made, seconds)
        return judged(self._run, self.output, stages)

    def _already_complete(self) -> int:
        manifest = Manifest.from_json(storage.read_bytes(storage.join(self.output, MANIFEST_NAME)) or b"")
        counts = Counter(manifest.counts)
        stages = self.stages(counts, len(manifest.files))
        finish_late(self.output, lambda replaces: summary_json(stages, counts, {}, self._recorded(), replaces=replaces))
        print(f"{self.output} is already complete: nothing to do.")
        return judged(self._run, self.output, stages)

    def _committed(self, files: Sequence[InputFile], target: OutputTarget) -> Made:
        """Make the set and commit it."""
        made = self.made(files, target)
        known = known_inputs(self.output)
        hashed = [hash_input(name, known) for name in sorted({file.name for file in files})]
        commit(target, self.kind, self.config, made.files, made.counts, hashed)
        return made

    def _recorded(self) -> dict[str, Any]:
        options = {f"{of}.{key}": value for of, values in self.config.items() for key, value in values.items()}
        return {"inputs": self.inputs, "options": options, "beam": [], "directory": os.getcwd()}


def _prepared(target: OutputTarget, prepared: Prepared, output: str) -> OutputTarget:
    replaces = output if prepared.directory != output else None
    return replace(target, directory=prepared.directory, token=prepared.token, replaces=replaces)
