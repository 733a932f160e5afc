"""Whole jobs for Beam YAML: plain keyword arguments in, rows with a schema out."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.option_names import Chosen, FlatOptions
from beam_curator.transforms.jobs import manifests
from beam_curator.transforms.jobs.without_files import failures_of
from beam_curator.transforms.windows import window_set
from beam_curator.transforms.yaml.set_jobs import SetStep
from beam_curator.transforms.yaml.steps import ErrorHandling, Outputs, error_output, paths_of, with_errors
from beam_curator.transforms.yaml.yaml_rows import CountRow, InputRow, input_row, windows_rows
from beam_curator.windows.window_options import OverlapOptions, WindowInputOptions, WindowOutputOptions
from beam_curator.windows.window_rules import WindowRules

_KINDS = (WindowRules, OverlapOptions, WindowOutputOptions, WindowInputOptions)
_BUILD = FlatOptions(*_KINDS)
_CHOOSE = FlatOptions(*_KINDS, left_out=("row_format", "shards"))


@_CHOOSE.in_signature
class ChooseWindows(beam.PTransform[PBegin, Outputs]):
    """From manifests to result rows: read, build, filter; nothing is written.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      error_handling: where failed rows go; without it, the first failure ends the job.

    Returns:
      Rows of `source`, `offset`, columns to query, and `row`, the line that `beam-curator windows` writes.

    Raises:
      ValueError: options that cannot hold.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    _yaml_requires_inputs = False  # Beam YAML asks the class whether it has to follow another step

    def __init__(self, inputs: Sequence[str], *, error_handling: ErrorHandling = None, **options: Any) -> None:
        super().__init__()
        chosen = _CHOOSE.chosen(options)
        self._choose = _choice(inputs, chosen)
        self._layout = chosen[WindowOutputOptions].layout
        self._errors = error_output(error_handling)

    def expand(self, begin: PBegin) -> "Outputs":
        chosen = begin | "Choose windows" >> self._choose
        rows = chosen.blocks | "Take rows" >> beam.FlatMap(windows_rows, self._layout)
        unreadable, failed = chosen.failures
        failures = (
            unreadable | "Take unreadable" >> beam.FlatMap(failures_of),
            failed | "Take failed" >> beam.FlatMap(failures_of),
        )
        return with_errors(rows, failures, self._errors)


@_BUILD.in_signature
class BuildWindowSet(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests to a complete output set of training windows; rows that fail are files of the set.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      output: directory of the set, outside the inputs, local or in an object store.

    Returns:
      Rows of `name` and `value`: the counts of the job, once the set is complete.

    Raises:
      ValueError: options that cannot hold, or an output that the job itself would read.
    """

    def __init__(self, inputs: Sequence[str], output: str, **options: Any) -> None:
        chosen = _BUILD.chosen(options)
        job = window_set.BuildWindowSet(_choice(inputs, chosen), output, output=chosen[WindowOutputOptions])
        super().__init__("Curate windows", job)


def _choice(inputs: Sequence[str], chosen: Chosen) -> window_set.ChooseWindows:
    return window_set.ChooseWindows(
        paths_of(inputs),
        rules=chosen[WindowRules],
        overlap=chosen[OverlapOptions],
        reading=chosen[WindowInputOptions],
        output=chosen[WindowOutputOptions],
    )


class HashInputs(beam.PTransform[PBegin, PCollection[InputRow]]):
    """Hash the input files, each once.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.

    Returns:
      Rows of `name`, `n_bytes` and `sha256`; the latter two are null where a file cannot be read.
    """

    _yaml_requires_inputs = False

    def __init__(self, inputs: Sequence[str]) -> None:
        super().__init__()
        self._hash = manifests.HashInputs(paths_of(inputs))

    def expand(self, begin: PBegin) -> PCollection[InputRow]:
        return begin | "Hash inputs" >> self._hash | "Take records" >> beam.Map(input_row)
