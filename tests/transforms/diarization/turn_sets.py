"""Sets of turns: how a job is run that writes one, and what is in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_curator.files.output_target import OutputTarget
from beam_curator.transforms.diarization.diarize_recordings import Diarize
from beam_curator.transforms.diarization.sortformer_handler import SortformerModelHandler
from tests.fakes_models import BandHandler
from tests.manifests import assert_nothing_left_over, failures_in, files_below, lines_in, manifest_of, run


def diarize(inputs: object, out: Path, *options: object, model: Path, code: int = 0) -> Path:
    """Run the command, check its exit code and the set it leaves, and return the set."""
    given = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    assert run("diarize", *given, "--output", out, "--model-path", model, *options) == code
    check_set(out)
    return out


def diarize_here(
    inputs: Sequence[object],
    target: Path | OutputTarget,
    handler: SortformerModelHandler | None = None,
    *,
    runner_options: Sequence[str] = (),
    **options: Any,
) -> Path:
    """Run the composite with a model of hand-worked answers, check the set it leaves, and return the set."""
    out = Path(target.directory) if isinstance(target, OutputTarget) else target
    where = target if isinstance(target, OutputTarget) else str(target)
    listener = handler if handler is not None else BandHandler()
    with beam.Pipeline("FnApiRunner", PipelineOptions(list(runner_options))) as pipeline:
        _ = pipeline | Diarize([str(path) for path in inputs], where, handler=listener, **options)
    check_set(out)
    return out


def check_set(out: Path) -> None:
    """Check that a set is whole, that nothing else lies beside it, and that its books balance, counted here."""
    assert run("verify", out) == 0
    assert_nothing_left_over(out)
    counts, letters = manifest_of(out)["counts"], failures_in(out)
    n_unread = sum(letter["stage"] in ("file", "read") for letter in letters)
    n_unplanned = sum(letter["stage"] == "plan" for letter in letters)
    assert counts.get("file.failures", 0) + counts.get("read.failures", 0) == n_unread
    assert counts.get("read.rows", 0) == counts.get("plan.rows", 0) + n_unplanned
    n_rows = sum(file["rows"] for file in manifest_of(out)["files"] if file["kind"] == "turns")
    assert counts.get("plan.rows", 0) == n_rows + len(letters) - n_unread - n_unplanned
    assert counts.get("diarize.turns", 0) == n_rows


def entries_in(out: Path) -> list[dict[str, Any]]:
    """Return the entries of a set, in order."""
    return [json.loads(line) for line in lines_in(out, "turns-*.jsonl")]


def by_id(out: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a set by the ids of their recordings."""
    return {entry["recording_id"]: entry for entry in entries_in(out)}


def bytes_of(out: Path) -> dict[str, bytes]:
    """Return what lies in a set, but for the summary, which holds times."""
    paths = [path for path in files_below(out) if path.name != "summary.json"]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def names_below(folder: Path) -> list[str]:
    """Return the names of the files in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())
