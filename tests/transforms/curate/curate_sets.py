"""Sets of curated clips: how a job is run that writes one, and what is in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import soundfile
from apache_beam.options.pipeline_options import PipelineOptions

from beam_curator.curate.curate_rules import Concatenation, CurateOptions, CurateVad
from beam_curator.files.output_target import OutputTarget
from beam_curator.transforms.curate.curate_speech import CurateSpeech
from tests.fakes_models import BandHandler, Speech
from tests.manifests import assert_nothing_left_over, failures_in, files_below, lines_in, manifest_of, run

TALK: list[Speech] = [(0.8, 4.0, 0), (4.0, 7.2, 1), (10.4, 13.6, 0)]
"""Of 16 s; nothing moves from 7.2 to 10.4 s, nor at the end."""

ENERGY = CurateVad(engine="energy")
OPTIONS = CurateOptions(vad=ENERGY, concatenation=Concatenation(silence_duration_sec=0.552))
"""All that sounds is speech; with this silence turns lie on the grid of the model's frames again."""


def curate(inputs: object, out: Path, *options: object, model: Path | None = None, code: int = 0) -> Path:
    """Run the command without a model for speech, check its exit code and the set it leaves, and return the set."""
    given = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    named = () if model is None else ("--model-path", model)
    assert run("curate", *given, "--output", out, "--vad", "energy", *named, *options) == code
    check_set(out)
    return out


def curate_here(
    inputs: Sequence[object],
    target: Path | OutputTarget,
    options: CurateOptions = OPTIONS,
    *,
    handler: Any = None,
    runner_options: Sequence[str] = (),
    **more: Any,
) -> Path:
    """Run the composite with a model of hand-worked answers, check the set it leaves, and return the set."""
    out = Path(target.directory) if isinstance(target, OutputTarget) else target
    where = target if isinstance(target, OutputTarget) else str(target)
    listener = handler if handler is not None else BandHandler()
    with beam.Pipeline("FnApiRunner", PipelineOptions(list(runner_options))) as pipeline:
        _ = pipeline | CurateSpeech([str(path) for path in inputs], where, options, handler=listener, **more)
    check_set(out)
    return out


def check_set(out: Path) -> None:
    """Check that a set is whole, that nothing else lies beside it, and that its books balance, counted here."""
    assert run("verify", out) == 0
    assert_nothing_left_over(out)
    counts: Counter[str] = Counter(manifest_of(out)["counts"])
    letters, clips, rejected = failures_in(out), clips_in(out), rejected_in(out)
    n_failed = sum(letter["stage"] == "curate" for letter in letters) - counts["curate.clips_failed"]
    levels = Counter(row["level"] for row in rejected)
    is_listed = not counts["curate.unlisted"]
    assert counts["read.rows"] == counts["plan.rows"] + sum(letter["stage"] == "plan" for letter in letters)
    assert counts["plan.rows"] == counts["curate.rows"] + n_failed + counts["curate.rejected_recordings"]
    assert counts["curate.clips"] == len(clips)
    assert counts["curate.samples"] == sum(stop - first for row in clips for first, stop in row["spans"])
    if is_listed:
        assert (
            counts["curate.found"]
            == len(clips) + levels["clip"] + counts["curate.dropped"] + counts["curate.clips_failed"]
        )
        assert (levels["segment"], levels["recording"]) == (
            counts["curate.rejected_segments"], counts["curate.rejected_recordings"]
        )  # fmt: skip
        lost = sum(stop - first for row in rejected if row["level"] == "clip" for first, stop in row["spans"])
        assert counts["curate.rejected_samples"] == lost
    assert names_of_clips(out) == {name for row in clips for name, *_ in row["files"]}


def clips_in(out: Path) -> list[dict[str, Any]]:
    """Return the rows of clips, in order."""
    return [json.loads(line) for line in lines_in(out, "clips-*.jsonl")]


def rejected_in(out: Path) -> list[dict[str, Any]]:
    """Return the rows of what was rejected, in order."""
    return [json.loads(line) for line in lines_in(out, "rejected-*.jsonl")]


def names_of_clips(out: Path) -> set[str]:
    """Return the names of the clips that lie in a set."""
    folder = out / "clips"
    return {str(path.relative_to(out)) for path in files_below(folder)} if folder.exists() else set()


def found_in(out: Path) -> list[tuple[str, list[list[int]]]]:
    """Return who speaks in each clip, and its spans."""
    return [(row.get("speaker_id", ""), row["spans"]) for row in clips_in(out)]


def assert_clips_hold_what_rows_say(out: Path) -> int:
    """Compare the samples of all clips with those of their recordings; return how many there are."""
    rows = clips_in(out)
    for row in rows:
        source, rate = soundfile.read(row["original_file"], always_2d=True, dtype="float32")
        clip, clip_rate = soundfile.read(out / row["audio_filepath"], always_2d=True, dtype="float32")
        mono = source.mean(axis=1) if row.get("channel") is None else source[:, row["channel"]]
        first, stop = row["spans"][0][0], row["spans"][-1][1]
        expected = np.zeros(stop - first, np.float32)
        for start, end in row["spans"]:
            expected[start - first : end - first] = mono[start:end]
        assert (clip_rate, clip.shape) == (rate, (stop - first, 1))
        np.testing.assert_allclose(clip[:, 0], expected, atol=1.01 / 32768)
        assert row["duration"] == round(len(clip) / rate, 6)
    return len(rows)
