"""Steps for Beam YAML: plain keyword arguments in, rows with a schema out, one row at a time.

A type in YAML has the name of the library's transform that does the same to blocks; `beam_curator/providers.yaml` lists
them, and `beam_curator.transforms.yaml.set_jobs` has those that do a whole job.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Optional, cast

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput
from apache_beam.typehints.schemas import named_fields_from_element_type

from beam_curator.failures import Failure
from beam_curator.files.storage import plain_path
from beam_curator.option_names import FlatOptions
from beam_curator.sets.blocks import LineBlock
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.jobs import manifests
from beam_curator.transforms.jobs.without_files import block_of_line, failures_of
from beam_curator.transforms.yaml.yaml_rows import (
    BuiltRow,
    ErrorRow,
    LineRow,
    ManifestRow,
    WindowsRow,
    build_row,
    error_row,
    filter_row,
    letter_of,
    read_row,
    refusal_of,
)
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.window_rules import WindowRules

ErrorHandling = Optional[Mapping[str, str]]  # noqa: UP045  Beam's schemas do not understand `| None`
"""None, or `{"output": NAME}`: the output that takes the rows that fail."""
Outputs = PCollection[Any] | dict[str, PCollection[Any]]
"""The rows; with error handling, the rows as `output` and the errors under the name given."""
Failed = TaggedOutput[Literal["failures"], Failure]

_MAIN = "output"
_CURE = "read with ReadManifests, or name the columns so with MapToFields"
_READ, _WINDOWS = FlatOptions(InputOptions), FlatOptions(WindowRules)
_OVERLAP = FlatOptions(OverlapRules, left_out=("scope",))


@_READ.in_signature
class ReadManifests(beam.PTransform[PBegin, Outputs]):
    """Read manifests line by line.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      error_handling: where failed lines go; without it, the first failure ends the job.

    Returns:
      Rows of `source`, `offset` and `row`, the line itself.

    Raises:
      RowRefusedError: a line fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, inputs: Sequence[str], *, error_handling: ErrorHandling = None, **options: Any) -> None:
        super().__init__()
        self._read = manifests.ReadManifests(paths_of(inputs), reading=_READ.chosen(options)[InputOptions])
        self._errors = error_output(error_handling)

    def expand(self, begin: PBegin) -> "Outputs":
        blocks, unreadable = begin | "Read blocks" >> self._read
        read = blocks | "Take lines" >> beam.FlatMap(take_lines).with_outputs("failures", main="rows")
        broken = unreadable | "Take failures" >> beam.FlatMap(failures_of)
        return with_errors(read["rows"], (broken, read["failures"]), self._errors)


def take_lines(block: LineBlock) -> Iterator[ManifestRow | Failed]:
    """Yield the lines of a block as rows; those that are no text as failures."""
    for line in block.lines:
        row = read_row(block.ref.source, line)
        yield TaggedOutput("failures", row) if isinstance(row, Failure) else row


@_WINDOWS.in_signature
class BuildTrainingWindows(beam.PTransform[PCollection[beam.Row], Outputs]):
    """Build the training windows of each row.

    Args:
      error_handling: where failed rows go; without it, the first failure ends the job.

    Returns:
      Rows of `source`, `offset`, columns to query, and `row` with `windows`, `stats` and
      `truncation_events`.

    Raises:
      ValueError: rules that cannot hold, or rows without `source`, `offset` and `row`.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, *, error_handling: ErrorHandling = None, **options: Any) -> None:
        super().__init__()
        self._rules = _WINDOWS.chosen(options)[WindowRules]
        self._errors = error_output(error_handling)

    def expand(self, rows: PCollection[Any]) -> "Outputs":
        check_columns(rows, "BuildTrainingWindows", ManifestRow._fields, _CURE)
        built = rows | "Build row" >> beam.FlatMap(_built, self._rules).with_outputs("failures", main="rows")
        return with_errors(built["rows"], (built["failures"],), self._errors)


def _built(row: Any, rules: WindowRules) -> Iterator[BuiltRow | Failed]:
    built = build_row(row, rules)
    yield TaggedOutput("failures", built) if isinstance(built, Failure) else built


@_OVERLAP.in_signature
class FilterOverlaps(beam.PTransform[PCollection[beam.Row], Outputs]):
    """Filter the windows of each row; the windows of one row compete with one another only.

    Args:
      error_handling: where failed rows go; without it, the first failure ends the job.

    Returns:
      Rows of `source`, `offset`, columns to query, and `row` with `filtered_windows` and what goes
      with it.

    Raises:
      ValueError: rules that cannot hold, or rows without `source`, `offset` and `row`.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, *, error_handling: ErrorHandling = None, **options: Any) -> None:
        super().__init__()
        self._rules = _OVERLAP.chosen(options)[OverlapRules]
        self._errors = error_output(error_handling)

    def expand(self, rows: PCollection[Any]) -> "Outputs":
        check_columns(rows, "FilterOverlaps", ManifestRow._fields, _CURE)
        kept = rows | "Filter row" >> beam.FlatMap(_filtered, self._rules).with_outputs("failures", main="rows")
        return with_errors(kept["rows"], (kept["failures"],), self._errors)


def _filtered(row: Any, rules: OverlapRules) -> Iterator[WindowsRow | Failed]:
    kept = filter_row(row, rules)
    yield TaggedOutput("failures", kept) if isinstance(kept, Failure) else kept


class RenderFailures(beam.PTransform[PCollection[beam.Row], PCollection[LineRow]]):
    """Render each error row as one line of JSON, the same that `beam-curator windows` writes: for WriteToText.

    Returns:
      Rows of one column, `line`.

    Raises:
      ValueError: the input is not an error output of these transforms.
    """

    def __init__(self) -> None:
        super().__init__()

    def expand(self, rows: PCollection[Any]) -> PCollection[LineRow]:
        check_columns(rows, "RenderFailures", ErrorRow._fields, "give it the error outputs of these transforms")
        return rows | "Render" >> beam.Map(letter_of)


def with_errors(rows: PCollection[Any], failures: Sequence[PCollection[Failure]], output: str | None) -> Outputs:
    """Return rows, and failures as rows under a name; without a name, the first failure ends the job."""
    collected = failures | "All failures" >> beam.Flatten()
    if output is None:
        _ = collected | "Refuse" >> beam.Map(refuse)
        return rows
    return {_MAIN: rows, output: collected | "Render errors" >> beam.Map(error_row)}


def refuse(failure: Failure) -> None:
    """End the job for a row that nobody wants to collect.

    Raises:
      RowRefusedError: always.
    """
    raise refusal_of(failure)


def error_output(error_handling: ErrorHandling) -> str | None:
    """Return the name in `{"output": NAME}`, or None.

    Raises:
      ValueError: it is anything else, or the name is taken.

    Example:
      >>> error_output({"output": "errors"})
      'errors'
    """
    if error_handling is None:
        return None
    if not isinstance(error_handling, Mapping) or set(error_handling) != {"output"} or not error_handling["output"]:
        raise ValueError(f"error_handling {error_handling!r} is not understood: write {{output: NAME}}")
    if error_handling["output"] == _MAIN:
        raise ValueError(
            f"error_handling gives the errors the name of the rows, {_MAIN!r}: choose another, such as errors"
        )
    return error_handling["output"]


def check_columns(rows: PCollection[Any], step: str, needed: Sequence[str], cure: str) -> None:
    """Check that rows have the columns that a step reads.

    Raises:
      ValueError: a column is missing, or the rows have no schema.
    """
    names = column_names(rows)
    if not set(needed) <= set(names):
        raise wrong_columns(step, ", ".join(needed), names, cure)


def column_names(rows: PCollection[Any]) -> list[str]:
    """Return the names of the columns of rows; none where rows have no schema."""
    try:
        return [name for name, _ in named_fields_from_element_type(cast(type, rows.element_type))]
    except TypeError:
        return []


def wrong_columns(step: str, needed: str, names: Sequence[str], cure: str) -> ValueError:
    """Return the error for rows that lack the columns that a step reads."""
    found = f"columns {', '.join(names)}" if names else "no schema"
    return ValueError(f"{step} needs rows with {needed}, but its input has {found}: {cure}")


def block_of_row(row: Any) -> LineBlock:
    """Return a row that has `source`, `offset` and `row` as a block of one line."""
    return block_of_line(row.source, row.offset, row.row.encode())


def paths_of(inputs: Sequence[str]) -> tuple[str, ...]:
    """Return a list of inputs as paths.

    Raises:
      ValueError: it is no list of paths, or empty.
    """
    if isinstance(inputs, str):
        raise ValueError(f"inputs {inputs!r} is one string, expected a list of paths: write [{inputs}]")
    if not isinstance(inputs, Sequence) or not inputs or not all(isinstance(path, str) and path for path in inputs):
        raise ValueError(f"inputs {inputs!r} is not a list of paths: name a manifest, a glob or a directory")
    return tuple(map(plain_path, inputs))
