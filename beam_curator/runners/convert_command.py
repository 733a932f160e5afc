"""`beam-curator convert`: turns of any kind in the formats of other tools, as an output set; without a pipeline."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from beam_curator.files import storage
from beam_curator.files.atomic_files import ForeignRunError
from beam_curator.files.committing import commit
from beam_curator.files.converting import Converted, convert
from beam_curator.files.known_files import hash_input, known_inputs
from beam_curator.files.listing import MANIFEST_EXTENSIONS, list_inputs, said_left_out
from beam_curator.files.output_target import ChangedInputError, OutputTarget, target_beside
from beam_curator.files.searching import NoInputError
from beam_curator.files.storage import UnknownSchemeError
from beam_curator.formats.convert_options import ConvertOptions
from beam_curator.formats.losses import said_of_losses
from beam_curator.formats.registry import FORMATS
from beam_curator.rules import config_of
from beam_curator.runners import exit_codes
from beam_curator.runners.complete_sets import is_complete
from beam_curator.runners.convert_arguments import SECTIONS
from beam_curator.runners.cures import cures_of
from beam_curator.runners.job_command import judged
from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.options import UsageError, given_options, resolve
from beam_curator.runners.run_directory import (
    Prepared,
    finish,
    finish_late,
    locked,
    prepare,
    refuse_overlap,
    run_of,
    settle,
)
from beam_curator.runners.stages import Stage, dropped_of, failures_of, number_of, read_stage
from beam_curator.runners.summary import render_reasons, render_table, summary_json
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import MANIFEST_NAME, Config, Manifest, UnbalancedBooksError
from beam_curator.sets.set_kinds import CONVERT
from beam_curator.sets.set_options import InputOptions

_LOST = "convert.lost."


def run_convert_command(arguments: argparse.Namespace) -> int:
    """Convert turns; return the exit code.

    Raises:
      UsageError: an option, an input or the output cannot be used.
    """
    if not arguments.inputs:
        raise UsageError("no INPUT given: name a file, a glob, a directory or an output set")
    given = {name: value for name, value in vars(arguments).items() if "." in name}
    options = resolve(SECTIONS, given_options(SECTIONS, {}, [], given))
    inputs = tuple(map(storage.plain_path, arguments.inputs))
    command = _Command(inputs, storage.plain_path(arguments.output), options, arguments)
    files = command.listed()
    with locked(command.output):
        return command.run(files)


class _Command:
    """One conversion as it was asked for."""

    def __init__(
        self, inputs: tuple[str, ...], output: str, options: dict[str, Any], arguments: argparse.Namespace
    ) -> None:
        self._inputs = inputs
        self.output = output
        self._options: ConvertOptions = options["convert"]
        self._reading: InputOptions = options["input"]
        try:
            self._run = RunOptions(tolerate=arguments.tolerate, overwrite=arguments.overwrite)
            self._target = target_beside(inputs, output, CONVERT)
        except ValueError as err:
            raise UsageError(str(err)) from err

    @property
    def config(self) -> Config:
        """The options that decide the files."""
        return {"convert": config_of(self._options), "input": config_of(self._reading)}

    def listed(self) -> list[InputFile]:
        """List the inputs, and say which were left out."""
        form = FORMATS.get(self._options.from_format)
        left_out: Counter[str] = Counter()
        try:
            storage.check_store(self.output)
            files, _ = list_inputs(
                self._inputs,
                keep_duplicates=self._reading.keep_duplicates,
                left_out=left_out,
                extensions=MANIFEST_EXTENSIONS if form is None else (form.ending.lower(),),
            )
        except (NoInputError, UnknownSchemeError) as err:
            raise UsageError(str(err)) from err
        refuse_overlap(self._inputs, files, self.output, CONVERT)
        if left_out:
            print(f"beam-curator: {said_left_out(left_out)} (a file that is named is read)", file=sys.stderr)
        return files

    def run(self, files: Sequence[InputFile]) -> int:
        """Make the set, unless it is there; return the exit code."""
        begin = time.monotonic()
        settled = settle(self.output)
        is_done = settled is not None and settled.same_job(run_of(CONVERT, self.config, files))
        if is_done or (not self._run.overwrite and is_complete(self.output, CONVERT, self.config, files, self._run)):
            return self._already_complete()
        prepared = prepare(self.output, CONVERT, self.config, files, overwrite=self._run.overwrite)
        try:
            done = self._made(files, _prepared(self._target, prepared, self.output))
        except (ForeignRunError, ChangedInputError, UnbalancedBooksError) as err:
            print(f"beam-curator: the job failed: {err}", file=sys.stderr)
            return exit_codes.FAILED
        stages = _stages(done.counts, len(done.files))
        seconds = time.monotonic() - begin
        finish(
            self.output,
            summary_json(stages, done.counts, {"run": seconds}, self._recorded(), replaces=prepared.replaces),
        )
        self._report(stages, done.counts, [file.name for file in done.files], seconds)
        return judged(self._run, self.output, stages)

    def _already_complete(self) -> int:
        manifest = Manifest.from_json(storage.read_bytes(storage.join(self.output, MANIFEST_NAME)) or b"")
        counts = Counter(manifest.counts)
        stages = _stages(counts, len(manifest.files))
        finish_late(self.output, lambda replaces: summary_json(stages, counts, {}, self._recorded(), replaces=replaces))
        print(f"{self.output} is already complete: nothing to do.")
        return judged(self._run, self.output, stages)

    def _made(self, files: Sequence[InputFile], target: OutputTarget) -> Converted:
        """Make the set and commit it."""
        done = convert(files, target, self._options, self._reading)
        known = known_inputs(self.output)
        hashed = [hash_input(name, known) for name in sorted({file.name for file in files})]
        commit(target, CONVERT, self.config, done.files, done.counts, hashed)
        return done

    def _report(self, stages: list[Stage], counts: Counter[str], names: list[str], seconds: float) -> None:
        lost = {name.removeprefix(_LOST): n for name, n in counts.items() if name.startswith(_LOST)}
        of = FORMATS[self._options.to]
        print(render_table(stages))
        for line in [*render_reasons(stages), *cures_of(self.output, names)]:
            print(line)
        print(said_of_losses(of, lost))
        if n := counts["convert.without_length"]:
            print(f"{number_of(n, 'recordings')} of unknown length.")
        made = number_of(counts["convert.recordings"], "recordings")
        written = number_of(counts["convert.segments"], "segments")
        print(f"{made}, {written} as {of.name} in {seconds:.2f} s: {self.output}")

    def _recorded(self) -> dict[str, Any]:
        options = {f"{of}.{key}": value for of, values in self.config.items() for key, value in values.items()}
        return {"inputs": self._inputs, "options": options, "beam": [], "directory": os.getcwd()}


def _prepared(target: OutputTarget, prepared: Prepared, output: str) -> OutputTarget:
    replaces = output if prepared.directory != output else None
    return replace(target, directory=prepared.directory, token=prepared.token, replaces=replaces)


def _stages(counts: Counter[str], n_files: int) -> list[Stage]:
    n_recordings = counts["convert.recordings"]
    return [
        read_stage(counts),
        Stage(name="plan", what_in="rows", n_in=counts["read.rows"], what_out="rows", n_out=counts["plan.rows"],
              failures=failures_of(counts, "plan")),
        Stage(name="convert", what_in="rows", n_in=counts["plan.rows"], what_out="recordings", n_out=n_recordings,
              failures=failures_of(counts, "convert")),
        Stage(name="segments", what_in="segments", n_in=counts["plan.segments"] - counts["convert.segments_failed"],
              what_out="segments", n_out=counts["convert.segments"], dropped=dropped_of(counts, "convert"),
              failures=failures_of(counts, "segment")),
        Stage(name="write", what_in="recordings", n_in=n_recordings, what_out="files", n_out=n_files),
    ]  # fmt: skip
