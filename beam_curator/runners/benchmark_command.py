"""`beam-curator benchmark`: time the windows job on a manifest repeated N times; the reference's two result files."""

import argparse
import json
import operator
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from beam_curator.files import atomic_files, storage
from beam_curator.files.annotation_manifests import AnnotationReading
from beam_curator.files.listing import with_forms
from beam_curator.files.manifest_files import read_rows
from beam_curator.runners import cli, exit_codes
from beam_curator.runners.engines.guard import ServerFailedError
from beam_curator.runners.engines.opening import find_engine
from beam_curator.runners.job_run import JobFailedError, run_job
from beam_curator.runners.jobs.base import listed
from beam_curator.runners.jobs.windows import WindowsJob
from beam_curator.runners.options import UsageError, nearest, read_config
from beam_curator.runners.run_directory import locked, prepare
from beam_curator.runners.summary import peak_memory_mb
from beam_curator.sets.blocks import (
    CHUNK_BYTES,
    MAX_DOCUMENT_BYTES,
    ONE_BLOCK,
    InputFile,
    LineBlock,
    plan_blocks,
    split_document,
)
from beam_curator.sets.set_options import InputOptions

DEFAULT_RESULTS = "./benchmark"
_COMPARISONS = {"min_value": operator.ge, "max_value": operator.le, "exact_value": operator.eq}


def run_benchmark_command(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Run `beam-curator benchmark`; return its exit code."""
    requirements: list[dict[str, Any]] = []
    if arguments.entry:
        arguments, requirements = _from_entry(arguments)
    factor = arguments.repeat_factor if arguments.repeat_factor is not None else 1
    if factor < 1:
        raise UsageError(f"--repeat-factor {factor} is below 1: raise it")
    results = arguments.results or DEFAULT_RESULTS
    FileSystems.set_options(PipelineOptions(beam_arguments))
    os.makedirs(results, exist_ok=True)
    given = WindowsJob.of(arguments, beam_arguments, os.path.join(results, "rows"))
    with _repeated(given, factor) as (manifest, n_bytes):
        job = replace(given, inputs=(manifest,)).sized([InputFile(name=manifest, size=n_bytes)])
        metrics = _measure(job, arguments, n_bytes)
    _merge_json(os.path.join(results, "params.json"), _params(replace(job, inputs=given.inputs), factor, metrics))
    _merge_json(os.path.join(results, "metrics.json"), metrics)
    for name, value in metrics.items():
        print(f"{name:<28} {value}")
    missed = [text for text in (_missed(requirement, metrics) for requirement in requirements) if text]
    for text in missed:
        print(f"beam-curator: requirement missed: {text}", file=sys.stderr)
    return exit_codes.DONE if metrics["is_success"] and not missed else exit_codes.FAILED


def _from_entry(arguments: argparse.Namespace) -> tuple[argparse.Namespace, list[dict[str, Any]]]:
    """Take the arguments of a named entry of a benchmark file; explicit ones come after it and win."""
    if not arguments.config:
        raise UsageError("--entry needs --config with the file that holds it")
    listed_entries = read_config(arguments.config).get("entries")
    if not isinstance(listed_entries, list) or not all(
        isinstance(item, dict) and "name" in item for item in listed_entries
    ):
        raise UsageError(f"{arguments.config} has no list 'entries' of names with args: see benchmarks/benchmark.yaml")
    entries = {entry["name"]: entry for entry in listed_entries}
    if arguments.entry not in entries:
        raise UsageError(f"{arguments.config} has no entry {arguments.entry!r}{nearest(arguments.entry, entries)}")
    entry = entries[arguments.entry]
    folder = os.path.dirname(os.path.abspath(arguments.config))
    text = str(entry.get("args", "")).replace("{benchmark_dir}", shlex.quote(folder))
    parser = cli.parser_of("benchmark")
    merged = parser.parse_intermixed_args(shlex.split(text))
    given = vars(arguments).items()  # options by section are there only if they were given
    explicit = {name: value for name, value in given if "." in name or (value is not False and value not in (None, []))}
    for name, value in explicit.items():
        setattr(merged, name, value)
    merged.config = None
    return merged, entry.get("requirements", [])


@contextmanager
def _repeated(job: WindowsJob, factor: int) -> Iterator[tuple[str, int]]:
    """Write the input's rows N times into one temporary manifest, so that the job reads as many real lines."""
    files = listed(job)
    with tempfile.TemporaryDirectory(prefix="beam_curator-benchmark-") as directory:
        path = os.path.join(directory, "manifest.jsonl")
        with open(path, "wb") as target:
            for _ in range(factor):
                for file in with_forms(files):
                    try:
                        _append(file, target, job.options["input"])
                    except (OSError, *storage.DAMAGED) as err:
                        raise UsageError(f"{file.name} cannot be read: {err}") from err
        yield path, os.path.getsize(path)


def _append(file: InputFile, target: Any, reading: InputOptions) -> None:
    if file.form == "document":
        with storage.open_text(file.name) as source:
            text = source.read(MAX_DOCUMENT_BYTES)
        target.writelines(line.raw.replace(b"\n", b" ") + b"\n" for line in split_document(text))
        return
    if file.form in ONE_BLOCK:
        for ref in plan_blocks([file]):
            for item in read_rows(ref, reading.max_line_bytes, AnnotationReading.for_windows(reading)):
                target.writelines(line.raw + b"\n" for line in (item.lines if isinstance(item, LineBlock) else ()))
        return
    last = b"\n"
    with storage.open_text(file.name) as source:
        while chunk := source.read(CHUNK_BYTES):
            target.write(chunk)
            last = chunk[-1:]
    if last != b"\n":
        target.write(b"\n")


def _measure(job: WindowsJob, arguments: argparse.Namespace, n_bytes: int) -> dict[str, Any]:
    """Run the job and return the metrics; on failure all counts are 0."""
    found = find_engine(job.engine)
    if not job.run.wait:
        raise UsageError("--no-wait: a benchmark needs the end of its job: leave it out")
    if arguments.no_write and not found.workers_here:
        raise UsageError(
            f"--no-write counts by notes on this machine's disk, which runner {job.run.runner} does not see"
        )
    shutil.rmtree(job.output, ignore_errors=True)
    begin = time.time()
    try:
        with locked(job.output):
            files = listed(job)
            prepared = prepare(job.output, job.kind, job.config(), files, overwrite=True)
            begin = time.time()
            finished = run_job(job, found, files, prepared, instead=job.choice() if arguments.no_write else None)
            taken = time.time() - begin
        assert finished is not None
    except (JobFailedError, ServerFailedError) as err:
        print(f"beam-curator: the job failed: {err}", file=sys.stderr)
        return _metrics(Counter(), 0, time.time() - begin, n_bytes) | {"is_success": False}
    finally:
        if not arguments.keep_rows:
            shutil.rmtree(job.output, ignore_errors=True)
    n_out = sum(record.n_rows for record in finished.files)
    return {
        **_metrics(finished.counts, sum(record.n_bytes for record in finished.files), taken, n_bytes),
        "startup_s": round(finished.timing["startup"], 3),
        "rows_written": n_out,
        "rows_kept": bool(arguments.keep_rows),
        **{f"peak_memory_{name}_mb": value for name, value in peak_memory_mb().items()},
    }


def _metrics(counts: Counter[str], output_bytes: int, taken: float, input_bytes: int) -> dict[str, Any]:
    def rate(number: int) -> float:
        return number / taken if taken else 0.0

    return {
        "is_success": True,
        "time_taken_s": taken,
        "num_input_entries": counts["read.rows"] + counts["read.failures"] + counts["file.failures"],
        "num_output_entries": counts["overlap.rows"],
        "entries_with_windows": counts["overlap.rows_with_windows"],
        "total_builder_windows": counts["build.windows"],
        "total_filtered_windows": counts["overlap.windows"],
        "total_filtered_dur_s": counts["overlap.audio_us"] / 1e6,
        "throughput_entries_per_sec": rate(counts["overlap.rows"]),
        "throughput_windows_per_sec": rate(counts["build.windows"]),
        "num_failures": counts["file.failures"] + counts["read.failures"] + counts["build.failures"],
        "input_bytes": input_bytes,
        "output_bytes": output_bytes,
    }


_RULES = ("target_window_duration", "tolerance", "min_sample_rate", "min_bandwidth", "min_speakers", "max_speakers")


def _params(job: WindowsJob, factor: int, metrics: Mapping[str, Any]) -> dict[str, Any]:
    windows, overlap = job.options["windows"], job.options["overlap"]
    return {
        "executor": job.run.runner,
        "input_manifest": list(job.inputs) if len(job.inputs) > 1 else job.inputs[0],
        "num_input_entries": metrics["num_input_entries"],
        **{name: getattr(windows, name) for name in _RULES},
        "overlap_percentage": overlap.overlap_percentage,
        "repeat_factor": factor,
        "overlap_scope": overlap.scope,
        "layout": job.options["output"].layout,
        "row_format": job.options["output"].row_format,
        "jobs": job.run.n_jobs,
    }


def _merge_json(path: str, values: Mapping[str, Any]) -> None:
    """Update a JSON file, as the reference does."""
    try:
        with open(path, encoding="utf-8") as stream:
            merged = json.load(stream)
    except (OSError, ValueError):
        merged = {}
    merged.update(values)
    text = json.dumps(merged, indent=2).encode() + b"\n"
    atomic_files.write_bytes(os.path.dirname(path) or ".", os.path.basename(path), text)


def _missed(requirement: Mapping[str, Any], metrics: Mapping[str, Any]) -> str | None:
    """Say how the metrics miss a requirement; None where they meet it."""
    name = requirement["metric"]
    if name not in metrics:
        return f"{name} is not a metric{nearest(name, metrics)}"
    for kind, holds in _COMPARISONS.items():
        if kind in requirement and not holds(metrics[name], requirement[kind]):
            return f"{name} is {metrics[name]}, expected {kind} {requirement[kind]}"
    return None
