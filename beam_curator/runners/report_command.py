"""`beam-curator report`: a page that shows sets, as an output set; without a pipeline."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any

from beam_curator.files import storage
from beam_curator.files.embedding_tables import read_embeddings
from beam_curator.files.explained_rows import dead_letters, set_rows
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.files.report_files import PageTooLargeError, packed_page
from beam_curator.files.reporting import SourceSet, write_report
from beam_curator.files.searching import file_of
from beam_curator.files.storage import UnknownSchemeError
from beam_curator.files.unfinished_sets import unfinished_set
from beam_curator.report.funnel import cures_of, losses_of, steps_of
from beam_curator.report.maps import MOST_POINTS, map_of
from beam_curator.report.report_options import ReportOptions
from beam_curator.rules import config_of
from beam_curator.runners.cures import MOST_READ, letters_in
from beam_curator.runners.exit_codes import DONE
from beam_curator.runners.explain_command import stages_of
from beam_curator.runners.job_options import JOBS, RunOptions
from beam_curator.runners.option_trials import limits_of, trials_in
from beam_curator.runners.options import UsageError, given_options, resolve
from beam_curator.runners.output_files import check_output_file, write_output_file
from beam_curator.runners.report_arguments import SECTIONS
from beam_curator.runners.row_fates import MadeSet
from beam_curator.runners.run_directory import locked, refuse_overlap
from beam_curator.runners.score_command import EVAL
from beam_curator.runners.score_inputs import read_turns
from beam_curator.runners.set_command import Made, SetCommand
from beam_curator.runners.stages import Stage, number_of
from beam_curator.runners.verify_command import manifest_of
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_kinds import REPORT, SET_KINDS

_ONE_FILE = ".html"
_MOST_BYTES = 20_000_000
"""Of a page that is one file: a browser reads all of it before it shows anything."""


def run_report_command(arguments: argparse.Namespace) -> int:
    """Write the page; return the exit code.

    Raises:
      UsageError: an option, a set or the output cannot be used.
    """
    given = {name: value for name, value in vars(arguments).items() if "." in name}
    options = resolve(SECTIONS, given_options(SECTIONS, {}, [], given))
    sets = tuple(map(storage.plain_path, arguments.sets))
    output = storage.plain_path(arguments.output)
    command = _Command(sets, output, options["report"], arguments)
    files = command.listed()
    if command.is_file:
        return command.write_file(files)
    with locked(output):
        return command.run(files)


class _Command(SetCommand):
    """One page as it was asked for."""

    kind = REPORT

    def __init__(
        self, sets: tuple[str, ...], output: str, options: ReportOptions, arguments: argparse.Namespace
    ) -> None:
        self.is_file = output.lower().endswith(_ONE_FILE)
        if storage.is_remote(output):
            raise UsageError(f"output {output} is in an object store, where no browser opens a page: give a local one")
        try:
            for directory in sets:
                storage.check_store(directory)
            target = OutputTarget(directory=output) if self.is_file else target_beside(sets, output, REPORT)
            super().__init__(sets, output, target, RunOptions(overwrite=arguments.overwrite))
        except (ValueError, UnknownSchemeError) as err:
            raise UsageError(str(err)) from err
        if self.is_file and options.copy_audio:
            raise UsageError(f"--copy-audio puts files beside a page, and {output} is one file: give a directory")
        self._options = options
        self._reference = arguments.reference
        turns = read_turns(arguments.reference) if arguments.reference else None
        self._turns, self._turn_files = (turns.recordings, turns.files) if turns is not None else ({}, [])
        self._sets = [_made_of(directory, partial=arguments.partial) for directory in sets]

    @property
    def config(self) -> Config:
        """The options, and the sets by their names."""
        return {"report": config_of(self._options) | {"sets": list(self.inputs), "reference": self._reference}}

    def listed(self) -> list[InputFile]:
        """Return the files of rows of all sets."""
        files = [
            InputFile(name=storage.join(made.directory, record.name), size=record.n_bytes)
            for made in self._sets
            for record in made.manifest.files
            if SET_KINDS[made.manifest.command].has_row_file(record.name)
        ]
        files += [file_of(name) for name in self._turn_files]
        refuse_overlap(self.inputs, files, self.output, REPORT)
        return files

    def made(self, files: Sequence[InputFile], target: OutputTarget) -> Made:
        """Write the page."""
        del files
        title = self._options.title or ", ".join(os.path.basename(name.rstrip("/")) for name in self.inputs)
        sources = [_source_of(made) for made in self._sets]
        try:
            limit = _MOST_BYTES if self.is_file else None
            done = write_report(sources, target, self._options, title, self._turns, limit)
        except ModuleNotFoundError as err:
            raise UsageError(f"--reference needs pyannote.metrics, and {err.name} is not installed: {EVAL}") from err
        return Made(counts=done.counts, files=done.files)

    def write_file(self, files: Sequence[InputFile]) -> int:
        """Write the page as one file, which is no output set; return the exit code.

        Raises:
          UsageError: the page is too large, or another file is there.
        """
        begin = time.monotonic()
        check_output_file(self.output, [file.name for file in files])
        place = os.path.dirname(os.path.realpath(self.output))
        with TemporaryDirectory() as directory:
            try:
                made = self.made(files, OutputTarget(directory=directory, replaces=place))
            except PageTooLargeError as err:
                raise UsageError(
                    f"the page has more than the {_MOST_BYTES / 1e6:g} MB that one file may hold: give a directory, "
                    f"such as --output {self.output[: -len(_ONE_FILE)]}"
                ) from err
            data = packed_page(directory, made.files)
        if not self._run.overwrite and storage.read_bytes(self.output) not in (None, data):
            raise UsageError(f"{self.output} is there with other contents: replace it with --overwrite, or rename it")
        write_output_file(self.output, data)
        self.say(self.stages(made.counts, 1), made, time.monotonic() - begin)
        return DONE

    def stages(self, counts: Counter[str], n_files: int) -> list[Stage]:
        """Return reading and writing."""
        n_rows, n_recordings = counts["read.rows"], counts["report.recordings"]
        return [
            Stage(name="read", what_in="rows", n_in=n_rows, what_out="recordings", n_out=n_recordings),
            Stage(name="write", what_in="recordings", n_in=n_recordings, what_out="files", n_out=n_files),
        ]

    def say(self, stages: list[Stage], made: Made, seconds: float) -> None:
        """Print where the page is."""
        n_unheard = made.counts["report.unheard"]
        if n_unheard:
            print(f"{number_of(n_unheard, 'recordings')} could not be read: the page shows them without sound")
        if self._turns and not made.counts["report.compared"]:
            print(f"{self._reference} has none of these recordings: their names must be the same")
        shown = number_of(made.counts["report.recordings"], "recordings")
        print(f"{shown} of {number_of(len(self.inputs), 'sets')} in {seconds:.2f} s")
        print(f"open {self.output if self.is_file else os.path.join(self.output, 'index.html')}")


def _made_of(directory: str, *, partial: bool) -> MadeSet:
    unfinished = unfinished_set(directory) if partial else None
    manifest = manifest_of(directory) if unfinished is None else unfinished
    if manifest.command not in JOBS:
        raise UsageError(f"{directory} was written by {manifest.command}: give the set that it was made from")
    return MadeSet(directory=directory, manifest=manifest, options={})


def _source_of(made: MadeSet) -> SourceSet:
    manifest, directory = made.manifest, made.directory
    is_partial = not manifest.config_sha256
    # the counts of an unfinished job are those of its recordings alone: they do not add up yet
    stages = [] if is_partial else [asdict(stage) for stage in stages_of(made)]
    letters = islice(letters_in(directory, [file.name for file in manifest.files]), MOST_READ)
    overview = {
        "directory": directory,
        "command": manifest.command,
        "stages": stages,
        "steps": steps_of(manifest.command, stages),
        "losses": losses_of(stages),
        "is_partial": is_partial,
        "map": _map_of(made),
        "failures": manifest.n_failures,
        "cures": cures_of(
            ((letter.code, letter.cure, letter.message) for letter in letters), ["beam-curator", "retry", directory]
        ),
        "trials": {"options": [], "why": ""} if is_partial else trials_in(made),
    }
    return SourceSet(
        overview=overview,
        rows=lambda: set_rows(manifest, directory, whole=True, tables=("rejected",)),
        letters=lambda: dead_letters(manifest, directory),
        limits=limits_of(manifest.config),
    )


def _map_of(made: MadeSet) -> dict[str, Any]:
    """Return the places of the speakers of a set on a map, the first of many, and how many there are."""
    names: list[str] = []
    vectors: list[Any] = []
    n = 0
    for record in made.manifest.files:
        if record.kind == "speaker-embeddings" and record.name.endswith(".parquet"):
            path = storage.join(made.directory, record.name)
            some, their, n_here = read_embeddings(path, max(1, MOST_POINTS - len(names)))
            names, vectors, n = names + some, vectors + their, n + n_here
    places = map_of(vectors[:MOST_POINTS])
    return {"n": n, "points": [[name, *place] for name, place in zip(names, places, strict=False)]}
