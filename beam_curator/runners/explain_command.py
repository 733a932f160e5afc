"""`beam-curator explain`: why the pieces of a set, or of one recording, were kept, dropped or failed."""

import argparse
import difflib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from heapq import nlargest
from itertools import chain
from typing import Any

from beam_curator.failures import EntryError
from beam_curator.files import storage
from beam_curator.files.explained_rows import InputGoneError, NamedRow, Origin
from beam_curator.runners import exit_codes
from beam_curator.runners.job_options import JOBS
from beam_curator.runners.jobs import kind_of_job
from beam_curator.runners.options import Given, UsageError, resolve
from beam_curator.runners.row_fates import MadeSet, Values, explain_rows
from beam_curator.runners.stages import Stage
from beam_curator.runners.summary import render_reasons, render_table, table_of
from beam_curator.runners.verify_command import manifest_of
from beam_curator.sets.output_set import Manifest
from beam_curator.windows.window_counts import LOSSES

_MOST_SHOWN, _MOST_KNOWN = 10, 20_000
_FAILED = "failed"


def run_explain_command(arguments: argparse.Namespace) -> int:
    """Explain a set, or one recording in it; return the exit code.

    Raises:
      UsageError: there is no set, nothing or several things have the name, or the inputs are gone or have changed.
    """
    directory = storage.plain_path(arguments.directory)
    made = made_set(directory, manifest_of(directory))
    name = arguments.name
    if name is None:
        stages, most = stages_of(made), losses_of(made)
        lost = [{"recording": recording, "lost": dict(of)} for recording, of in most]
        values = {"set": directory, "stages": [asdict(stage) for stage in stages], "lost_most": lost}
        lines = _funnel_lines(stages, most)
    else:
        inside = os.path.abspath(directory) + os.sep
        name = os.path.abspath(name).removeprefix(inside) if os.path.abspath(name).startswith(inside) else name
        try:
            rows = explain_rows(made, origins_of_name(made, name))
        except InputGoneError as err:
            raise UsageError(str(err)) from err
        except EntryError as err:
            raise UsageError(
                f"{directory} was made by another version, this one refuses its row: {err.message}"
            ) from err
        rows = [_narrowed(row, name) for row in rows]
        values, lines = {"set": directory, "rows": rows}, (line for row in rows for line in _lines_of(row))
    print(json.dumps(values, indent=2, ensure_ascii=False) if arguments.format == "json" else "\n".join(lines))
    return exit_codes.DONE


def made_set(directory: str, manifest: Manifest) -> MadeSet:
    """Return a set with the options that its manifest records.

    Raises:
      UsageError: a version with other options made it.
    """
    if manifest.command not in JOBS:
        why = "its failures-*.jsonl and summary.json have the reasons"
        raise UsageError(f"{directory} was written by {manifest.command}: {why}")
    sections = {name: options for name, options in JOBS[manifest.command].sections.items() if name in manifest.config}
    given = {f"{name}.{key}": value for name in sections for key, value in manifest.config[name].items()}
    try:
        # a model may be described by keys that are no options, and none of the rules of its job is asked again
        has_model = "model" in JOBS[manifest.command].sections
        options = {} if has_model else resolve(sections, Given(config=given, settings=(), flags={}))
    except UsageError as err:
        raise UsageError(f"{directory} was made by another version: {err}; run its job again with --overwrite") from err
    return MadeSet(directory=directory, manifest=manifest, options=options)


def origins_of_name(made: MadeSet, name: str) -> list[Origin]:
    """Return the places of the rows that a name means.

    Raises:
      UsageError: it means none, with the nearest names; or rows of several recordings, with their names.
      InputGoneError: the inputs are gone, or have changed.
    """
    best = 0
    meant: dict[Origin, str] = {}
    known: dict[str, None] = {}
    for row in chain(made.placed_rows(), made.letters(), made.inputs()):
        closeness = row.closeness(name)
        if closeness > best:
            best, meant = closeness, {}
        if closeness and closeness == best:
            meant[row.origin] = row.recording or meant.get(row.origin, "")
        if len(known) < _MOST_KNOWN:
            known |= dict.fromkeys(sorted(row.short_names | row.names))
    if not meant:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        cure = f"did you mean {' or '.join(near)}?" if near else "give a recording, a clip, or MANIFEST:OFFSET of a row"
        raise UsageError(f"{made.directory} has nothing of the name {name!r}: {cure}")
    recordings = sorted({recording or f"{origin[0]}:{origin[1]}" for origin, recording in meant.items()})
    if len(recordings) > 1:
        shown = ", ".join(recordings[:_MOST_SHOWN]) + (", …" if len(recordings) > _MOST_SHOWN else "")
        raise UsageError(f"{name!r} means {len(recordings)} recordings: give one of {shown}")
    return sorted(meant)


def _narrowed(row: Values, name: str) -> Values:
    """Return an explanation with the pieces of one file alone, where a clip or a track was asked for."""
    last = name.rpartition("/")[2]
    pieces = [piece for piece in row["pieces"] if piece.get("why", "").partition(",")[0].rpartition("/")[2] == last]
    return row | {"pieces": pieces} if pieces else row


def _lines_of(row: Values) -> Iterator[str]:
    yield f"{row['recording'] or 'no recording named'}: row at byte {row['offset']:,} of {row['source']}"
    yield from (f"  {fact}" for fact in row["facts"])
    if row["pieces"]:
        head = dict.fromkeys(key for piece in row["pieces"] for key in piece)
        yield table_of([[*head], *([_cell(piece.get(key)) for key in head] for piece in row["pieces"])])
    for letter in row["failures"]:
        yield f"  failed in {letter['stage']}: {letter['code']}, {letter['message']} (cure: {letter['cure']})"
    yield from (f"  {change}" for change in row["changes"])


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def stages_of(made: MadeSet) -> list[Stage]:
    """Return the stages of the job that made a set, from its counts."""
    job, files = kind_of_job(made.manifest.command), made.manifest.files
    return job.stages(Counter(made.manifest.counts), len(files), {})


def _funnel_lines(stages: Sequence[Stage], most: Sequence[tuple[str, Mapping[str, float]]]) -> Iterator[str]:
    yield render_table(stages)
    yield from render_reasons(stages)
    yield from ["recordings that lost most:"] if most else []
    yield from (f"  {name}: {', '.join(f'{n:,.10g} {reason}' for reason, n in lost.items())}" for name, lost in most)


def losses_of(made: MadeSet) -> list[tuple[str, Mapping[str, float]]]:
    """Return the recordings that lost most, with their losses by reason: first those that failed."""
    lost: dict[str, Counter[str]] = {}
    failures = ((letter, f"{_FAILED}: {letter.fields['code']}", 1) for letter in made.letters())
    for row, reason, n in chain(failures, _lost_in_rows(made)):
        if n:
            name = row.recording or f"{row.origin[0]}:{row.origin[1]}"
            lost.setdefault(name, Counter())[reason] += n
    return nlargest(_MOST_SHOWN, lost.items(), key=lambda item: (_n_failed(item[1]), sum(item[1].values())))


def _n_failed(lost: Mapping[str, float]) -> float:
    return sum(n for reason, n in lost.items() if reason.startswith(_FAILED))


def _lost_in_rows(made: MadeSet) -> Iterator[tuple[NamedRow, str, Any]]:
    """Yield the losses of each row: the reason, and how many starts, seconds or pieces."""
    yield from ((row, f"rejected by {row.fields['reason']}", 1) for row in made.rejected())
    command = made.manifest.command
    section, keys, unit = _LOST.get(command, ("", (), ""))
    for row in made.rows() if keys else ():
        values = row.fields[section] if section else row.fields
        yield from ((row, f"{unit}{key}", values.get(key)) for key in keys)
        if command == "windows":
            yield row, "overlap", len(row.fields["windows"]) - len(row.fields["filtered_windows"])


_LOST: Mapping[str, tuple[str, Sequence[str], str]] = {
    "windows": ("stats", LOSSES, ""),
    "diarize": ("", ("non_speech_seconds", "crosstalk_seconds"), ""),
    "separate": ("separation", ("overlapped", "buffer", "too_short"), "s "),
}
"""Where a row of each job says what was lost: the key of an object of it, or "" for the row, keys, and their unit."""
