"""Sets of tracks: recordings, rows with turns, how a job is run that separates them, and what is in its set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import soundfile
from apache_beam.options.pipeline_options import PipelineOptions

from beam_curator.audio import Samples
from beam_curator.files.output_target import OutputTarget
from beam_curator.transforms.separation.separate_speakers import SeparateSpeakers
from tests.manifests import assert_nothing_left_over, failures_in, line_of, lines_in, manifest_of, run, write_lines

RATE = 8000
Turns = list[list[Any]]


def write_noise(
    path: Path, seconds: float, subtype: str = "PCM_16", sample_rate: int = RATE, n_channels: int = 1, seed: int = 0
) -> None:
    """Write a recording of which no two samples in a row are alike."""
    noise = np.random.default_rng(seed).uniform(-0.9, 0.9, (round(seconds * sample_rate), n_channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise, sample_rate, subtype=subtype)


def row(path: object, *turns: list[Any], **more: Any) -> dict[str, Any]:
    """Make a row: `row("a.wav", [0, 2, "ana"])`."""
    return {"audio_filepath": str(path), "segments": list(turns)} | more


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    return write_lines(path, map(line_of, rows))


def separate(inputs: object, out: Path, *options: object, code: int = 0) -> Path:
    """Run the command, check its exit code and the set it leaves, and return the set."""
    given = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    assert run("separate", *given, "--output", out, *options) == code
    check_set(out)
    return out


def separate_here(
    inputs: Sequence[object], target: Path | OutputTarget, *, runner_options: Sequence[str] = (), **options: Any
) -> Path:
    """Run the composite, check the set it leaves, and return the set."""
    out = Path(target.directory) if isinstance(target, OutputTarget) else target
    where = target if isinstance(target, OutputTarget) else str(target)
    with beam.Pipeline("FnApiRunner", PipelineOptions(list(runner_options))) as pipeline:
        _ = pipeline | SeparateSpeakers([str(path) for path in inputs], where, **options)
    check_set(out)
    return out


def check_set(out: Path) -> None:
    """Check that a set is whole, that nothing else lies beside it, and that its books balance, counted here."""
    assert run("verify", out) == 0
    assert_nothing_left_over(out)
    counts, letters = manifest_of(out)["counts"], failures_in(out)
    n_failed = sum(letter["stage"] == "separate" for letter in letters)
    n_unplanned = sum(letter["stage"] == "plan" for letter in letters)
    assert counts.get("read.rows", 0) == counts.get("plan.rows", 0) + n_unplanned
    assert counts.get("plan.rows", 0) == counts.get("separate.rows", 0) + n_failed
    found = tracks_in(out) if list(out.glob("tracks-*.jsonl")) else []
    if not list(out.glob("tracks-*.parquet")) + list(out.glob("tracks-*.avro")):
        gone = counts.get("separate.dropped", 0) + counts.get("separate.speakers_failed", 0)
        assert counts.get("plan.speakers", 0) == len(found) + gone
        assert names_of_tracks(out) == {name for each in found for name, *_ in each["files"]}


def tracks_in(out: Path) -> list[dict[str, Any]]:
    """Return the rows of a set, in order."""
    return [json.loads(line) for line in lines_in(out, "tracks-*.jsonl")]


def names_of_tracks(out: Path) -> set[str]:
    """Return the names of the tracks that lie in a set."""
    return {str(path.relative_to(out)) for path in (out / "tracks").iterdir()} if (out / "tracks").exists() else set()


def samples_of(path: Path) -> Samples:
    """Read a file with libsndfile, float64 [n_samples, n_channels], in which 24 bits and float32 are exact."""
    return soundfile.read(path, always_2d=True)[0]  # type: ignore[no-any-return]  # soundfile is not typed


def assert_tracks_hold_what_rows_say(out: Path, folder: Path) -> int:
    """Compare the samples of all tracks with those of their recordings; return how many there are."""
    rows = tracks_in(out)
    for each in rows:
        source = samples_of(folder / each["source_audio_filepath"])
        track = samples_of(out / each["audio_filepath"])
        rate = each["audio_sample_rate"]
        cuts = [(round(start * rate), round(end * rate)) for start, end in each["diar_segments"]]
        expected = np.zeros_like(source)
        for first, stop in cuts:
            expected[first:stop] = source[first:stop]
        if len(track) != len(source):
            expected = np.concatenate([source[first:stop] for first, stop in cuts])
        np.testing.assert_array_equal(track, expected)
        assert each["track_duration"] == len(track) / rate
        for segment, (first, stop) in zip(each["segments"], cuts, strict=True):
            on_track = slice(round(segment["start"] * rate), round(segment["end"] * rate))
            np.testing.assert_array_equal(track[on_track], source[first:stop])
    return len(rows)
