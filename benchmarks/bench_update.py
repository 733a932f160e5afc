"""Measure updates: ten new recordings among a thousand, and the plan of an update where 100,000 are known.

make bench-update
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from measuring import Report, run_command

from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.entries.json_lines import encode
from beam_curator.files.asked_lines import FILES_A_BLOCK, rows_of_recordings
from beam_curator.files.kept_parts import write_archive
from beam_curator.files.known_files import Seen, keep_inputs, stamp_of
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import PartHead, key_of_requests, part_file_name
from beam_curator.files.update_plan import tasks_of_blocks
from beam_curator.models.turn_job import TurnJob
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import MANIFEST_NAME, RUN_NAME, InputRecord, Manifest, RunRecord, render_manifest

N_KNOWN, N_NEW, N_LISTED = 1000, 10, 100_000
SECONDS, RATE = 5, 16000
PLAN_SECONDS, PLAN_MEGABYTES = 15.0, 400.0
FLAGS = ("--model-name", "demo")


def write_recordings(folder: Path, first: int, n: int) -> None:
    """Write recordings of buzzing with pauses, none like another."""
    folder.mkdir(parents=True, exist_ok=True)
    times = np.arange(SECONDS * RATE) / RATE
    for number in range(first, first + n):
        draw = np.random.default_rng(number)
        voiced = np.sin(2 * np.pi * (1 + draw.random()) * times) > 0
        buzz = 0.2 * voiced * np.sign(np.sin(2 * np.pi * draw.integers(120, 320) * times))
        sound = buzz + 0.01 * draw.standard_normal(len(times))
        soundfile.write(folder / f"talk-{number:06d}.wav", sound.astype(np.float32), RATE, subtype="PCM_16")


def measure_update(root: Path, report: Report) -> None:
    """Measure a run on the new recordings alone, and an update of a set of all others."""
    write_recordings(root / "known", 0, N_KNOWN)
    write_recordings(root / "new", N_KNOWN, N_NEW)
    out = root / "set"
    run_command("diarize", root / "known", "--output", out, *FLAGS)
    alone = run_command("diarize", root / "new", "--output", root / "alone", *FLAGS)
    write_recordings(root / "known", N_KNOWN, N_NEW)
    updated = run_command("diarize", root / "known", "--output", out, *FLAGS, "--update")
    report.line(f"diarize {N_NEW} recordings of {SECONDS} s", alone.seconds, "s", None)
    report.line(f"  --update with them new among {N_KNOWN + N_NEW:,}", updated.seconds, "s", 1.5 * alone.seconds + 2)
    report.line("  the same in CPU", updated.cpu_seconds, "s", 1.5 * alone.cpu_seconds + 2)


def write_known_set(root: Path, out: Path) -> None:
    """Turn the set of one recording into one that knows many empty ones, each without a turn."""
    token = "benchmark"
    manifest = Manifest.from_json((out / MANIFEST_NAME).read_bytes())
    names = sorted(str(path) for path in root.rglob("*.wav"))
    empty = hashlib.sha256(b"").hexdigest()
    inputs = [InputRecord(name=name, n_bytes=0, sha256=empty, stamp=stamp_of(name)) for name in names]
    record = RunRecord(token=token, config_sha256="", inputs={}, cleared=True, commands=("diarize",))
    (out / RUN_NAME).write_bytes(record.to_json())
    target = OutputTarget(directory=str(out), token=token)
    keep_inputs(target, inputs)
    job = TurnJob(DiarizeRules(), TurnRules())
    blocks = rows_of_recordings([InputFile(name=name, size=0) for name in names], job.key_of_recordings)
    parts: list[tuple[str, bytes]] = []
    for task in tasks_of_blocks(job, blocks):
        requests = tuple(task.requests())
        head = PartHead(n_rows=0, columns=(), counts=(), documents=(), tables={}, key=key_of_requests(requests))
        places = tuple((request.source, request.offset) for request in requests)
        head = replace(head, places=places, recording=task.recording, seen=Seen(stamp=stamp_of(task.recording)))
        parts.append((part_file_name(job.rows.rows, task.name), encode(head) + b"\n"))
    for number, first in enumerate(range(0, len(parts), FILES_A_BLOCK)):
        name = f"turns-{number:05d}-of-{N_LISTED // FILES_A_BLOCK:05d}"
        write_archive(target, name, parts[first : first + FILES_A_BLOCK])
    (out / RUN_NAME).unlink()
    config = manifest.config
    text = render_manifest(
        command="diarize", config=config, inputs=inputs, counts=manifest.counts, files=manifest.files
    )
    (out / MANIFEST_NAME).write_bytes(text)


def measure_plan(root: Path, report: Report) -> None:
    """Measure the plan of an update of a set that knows all recordings but ten."""
    tree, out = root / "tree", root / "many"
    write_recordings(root / "one", 0, 1)
    run_command("diarize", root / "one", "--output", out, *FLAGS)
    for folder in range(100):
        (tree / f"{folder:03d}").mkdir(parents=True)
        for number in range(N_LISTED // 100):
            (tree / f"{folder:03d}" / f"talk-{folder:03d}-{number:04d}.wav").touch()
    time.sleep(0.1)  # a file that was written a moment ago has no stamp
    write_known_set(tree, out)
    write_recordings(tree / "new", 0, N_NEW)
    plan = run_command("diarize", tree, "--output", out, *FLAGS, "--update", "--plan")
    report.line(f"--update --plan with {N_LISTED:,} recordings known", plan.seconds, "s", PLAN_SECONDS)
    report.line("  the same in CPU", plan.cpu_seconds, "s", PLAN_SECONDS)
    report.line("  peak memory", plan.peak, "MB", PLAN_MEGABYTES)


def main() -> None:
    report = Report()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        measure_update(Path(folder) / "update", report)
        measure_plan(Path(folder) / "plan", report)
    sys.exit(0 if report.held else 1)


if __name__ == "__main__":
    main()
