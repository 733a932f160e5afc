"""`beam-curator convert`: turns of any kind in the formats of other tools, as an output set; without a pipeline."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from beam_curator.files import storage
from beam_curator.files.converting import convert
from beam_curator.files.listing import MANIFEST_EXTENSIONS, list_inputs, said_left_out
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.files.searching import NoInputError
from beam_curator.files.storage import UnknownSchemeError
from beam_curator.formats.convert_options import ConvertOptions
from beam_curator.formats.losses import said_of_losses
from beam_curator.formats.registry import FORMATS
from beam_curator.rules import config_of
from beam_curator.runners.convert_arguments import SECTIONS
from beam_curator.runners.cures import cures_of
from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.options import UsageError, given_options, resolve
from beam_curator.runners.run_directory import locked, refuse_overlap
from beam_curator.runners.set_command import Made, SetCommand
from beam_curator.runners.stages import Stage, dropped_of, failures_of, number_of, read_stage
from beam_curator.runners.summary import render_reasons, render_table
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import Config
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


class _Command(SetCommand):
    """One conversion as it was asked for."""

    kind = CONVERT

    def __init__(
        self, inputs: tuple[str, ...], output: str, options: dict[str, Any], arguments: argparse.Namespace
    ) -> None:
        self._options: ConvertOptions = options["convert"]
        self._reading: InputOptions = options["input"]
        try:
            run = RunOptions(tolerate=arguments.tolerate, overwrite=arguments.overwrite)
            super().__init__(inputs, output, target_beside(inputs, output, CONVERT), run)
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
                self.inputs,
                keep_duplicates=self._reading.keep_duplicates,
                left_out=left_out,
                extensions=MANIFEST_EXTENSIONS if form is None else (form.ending.lower(),),
            )
        except (NoInputError, UnknownSchemeError) as err:
            raise UsageError(str(err)) from err
        refuse_overlap(self.inputs, files, self.output, CONVERT)
        if left_out:
            print(f"beam-curator: {said_left_out(left_out)} (a file that is named is read)", file=sys.stderr)
        return files

    def made(self, files: Sequence[InputFile], target: OutputTarget) -> Made:
        """Write the files of the format."""
        done = convert(files, target, self._options, self._reading)
        return Made(counts=done.counts, files=done.files)

    def stages(self, counts: Counter[str], n_files: int) -> list[Stage]:
        """Return reading, planning, and the recordings, segments and files that are written."""
        return _stages(counts, n_files)

    def say(self, stages: list[Stage], made: Made, seconds: float) -> None:
        """Print the stages, and the parts that the format has no place for."""
        counts, names = made.counts, [file.name for file in made.files]
        lost = {name.removeprefix(_LOST): n for name, n in counts.items() if name.startswith(_LOST)}
        of = FORMATS[self._options.to]
        print(render_table(stages))
        for line in [*render_reasons(stages), *cures_of(self.output, names)]:
            print(line)
        print(said_of_losses(of, lost))
        if n := counts["convert.without_length"]:
            print(f"{number_of(n, 'recordings')} of unknown length.")
        recordings = number_of(counts["convert.recordings"], "recordings")
        written = number_of(counts["convert.segments"], "segments")
        print(f"{recordings}, {written} as {of.name} in {seconds:.2f} s: {self.output}")


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
