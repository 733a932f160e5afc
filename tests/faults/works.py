"""Work for the fault tests: the jobs of each command, their inputs, and how their files are known again."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.fakes_models import write_band_model, write_sound

RATE = 16_000
N_RECORDINGS = 40
MODEL = "model"
"""Beside the input of a job that needs one; among its flags it stands for the path."""
SECONDS_A_PIECE = 3


def write_talks(folder: Path, n_entries: int) -> Path:
    """Write a manifest of short talks in which windows are found, and a broken line in every thousand."""
    lines = []
    for number in range(40):
        draw = random.Random(number)
        clock, segments = 0.0, []
        for _ in range(40):
            end = clock + draw.uniform(2.0, 6.0)
            speaker = draw.choice("abc")
            segments.append({"start": clock, "end": end, "speaker": speaker, "metrics": {"bandwidth": 8000}})
            clock = end + draw.uniform(0.0, 2.0)
        entry = {"audio_filepath": f"{number}.wav", "audio_sample_rate": 16000, "segments": segments}
        lines.append(json.dumps(entry).encode() + b"\n")
    path = folder / "talks.jsonl"
    with path.open("wb") as stream:
        for index in range(n_entries):
            stream.write(b'{"broken\n' if index % 1000 == 999 else lines[index % len(lines)])
    return path


def write_recordings(folder: Path, seconds: int, n_recordings: int = N_RECORDINGS) -> Path:
    """Write noisy tones, and a manifest that asks for 2.5 s of every 3 s of each, by turns of all recordings.

    Rows of even recordings have speakers, those of odd ones have none. Four rows fail: a broken line, a recording that
    is not there, a piece that ends before it begins, and one that lies behind the end of recording 0.
    """
    noise = np.random.default_rng(0).normal(0.0, 0.02, seconds * RATE).astype(np.float32)
    time = np.arange(seconds * RATE, dtype=np.float32) / RATE
    for number in range(n_recordings):
        tone = 0.3 * np.sin(2 * np.pi * (120 + 5 * number) * time, dtype=np.float32)
        soundfile.write(folder / f"{number:02d}.wav", tone + np.roll(noise, 997 * number), RATE, subtype="PCM_16")
    rows = [
        piece(number, 1000 * second, 1000 * second + 2500)
        for second in range(0, seconds - SECONDS_A_PIECE + 1, SECONDS_A_PIECE)
        for number in range(n_recordings)
    ]
    behind = 1000 * seconds + 10
    bad = [piece(n_recordings + 50, 0, 500), piece(1, 900, 400), piece(0, behind, behind + 500)]
    lines = [json.dumps(row) for row in [*rows[: len(rows) // 2], *bad, *rows[len(rows) // 2 :]]]
    path = folder / "pieces.jsonl"
    path.write_text("\n".join([*lines[:7], '{"broken', *lines[7:]]) + "\n")
    return path


def write_speakers(folder: Path, seconds: int) -> Path:
    """Write recordings in which four speakers talk in turn, and a model that tells them apart; return their folder.

    Two of them fail: a page, and a file without a byte.
    """
    write_band_model(folder / MODEL)
    recordings = folder / "in"
    for number in range(N_RECORDINGS):
        draw = random.Random(number)
        speech = [(start + 0.08, start + 0.8, draw.randrange(4)) for start in range(seconds)]
        write_sound(recordings / f"{number:02d}.wav", seconds, speech)
    (recordings / "page.wav").write_bytes(b"<html>")
    (recordings / "nothing.wav").write_bytes(b"")
    return recordings


def write_meetings(folder: Path, seconds: int) -> Path:
    """Write recordings, and a manifest that says who of four speakers talks when in each.

    Two rows fail: a broken line, and a recording that is not there.
    """
    write_recordings(folder, seconds)
    lines = []
    for number in [*range(N_RECORDINGS), N_RECORDINGS + 50]:
        draw = random.Random(number)
        turns = [{"start": at, "end": at + 1.75, "speaker": draw.randrange(4)} for at in range(0, seconds - 2, 2)]
        lines.append(json.dumps({"audio_filepath": f"{number:02d}.wav", "segments": turns}))
    path = folder / "meetings.jsonl"
    path.write_text("\n".join([*lines[:7], '{"broken', *lines[7:]]) + "\n")
    return path


def piece(number: int, start: int, end: int) -> dict[str, Any]:
    """Ask for a piece of a recording, from and to milliseconds."""
    row = {"original_file": f"{number:02d}.wav", "original_start_ms": start, "original_end_ms": end}
    return row if number % 2 else row | {"speaker_id": f"speaker_{start // 1000 % 3}"}


@dataclass(frozen=True)
class Work:
    """A job of one command.

    Attributes:
      command: what is run.
      flags: its options.
      write: makes its input in a folder, of so many entries or so many seconds a recording; returns the input.
      least_size: that the smallest job has in which something happens at every moment.
      size: that a quick job has.
      slow_size: that a job of at least 10 s has.
      kept: paths of files, below the output, that the same command keeps, once they are there.
      n_parts: how many such files there are before the rows are merged, where they go then; else 0.
    """

    command: str
    flags: tuple[str, ...]
    write: Callable[[Path, int], Path]
    least_size: int
    size: int
    slow_size: int
    kept: str
    n_parts: int = 0

    def options(self, manifest: Path) -> tuple[str, ...]:
        """Return its options for an input that it wrote."""
        return tuple(str(manifest.parent / MODEL) if flag == MODEL else flag for flag in self.flags)

    def n_kept(self, names: set[str]) -> int:
        """Count the files that are there for good."""
        return sum(self.keeps(name) for name in names)

    def keeps(self, name: str) -> bool:
        return re.fullmatch(self.kept, name) is not None


WORKS = {
    "windows": Work(
        "windows", ("--layout", "spans"), write_talks, 4_000, 9_000, 60_000, r"(windows|failures)-.+\.jsonl"
    ),
    "extract": Work(
        "extract", ("--output-format", "flac"), write_recordings, 9, 60, 300, r"\d\d_(speaker_\d_)?segment_\d{3}\.flac"
    ),
    "extract into tars": Work(
        "extract",
        ("--output-format", "flac", "--pack", "nemo-tar", "--shards", "16"),
        write_recordings,
        9,
        60,
        300,
        r"audio_\d+\.tar",
    ),
    "diarize": Work(
        "diarize",
        ("--model-path", MODEL, "--latency", "ultra-low", "--embeddings"),
        write_speakers,
        4,
        8,
        60,
        r"rttm/\d\d\.rttm",
    ),
    "curate": Work(
        "curate",
        ("--model-path", MODEL, "--vad", "energy", "--min-duration", "0.5", "--min-duration-sec", "0.5"),
        write_speakers,
        4,
        8,
        60,
        r"clips/\d\d/speaker_\d_\d{9}-\d{9}\.wav",
    ),
    "separate": Work(
        "separate", ("--output-format", "flac"), write_meetings, 9, 60, 300, r"tracks/\d\d_speaker_\d\.flac"
    ),
    "filter": Work(
        "filter",
        ("--where", "metrics.bandwidth >= 7000", "--where", "speaker != b"),
        write_talks,
        4_000,
        9_000,
        60_000,
        r"(filtered|failures)-.+\.jsonl",
    ),
    "measure": Work(
        "measure",
        ("--vad", "energy"),
        write_meetings,
        9,
        60,
        300,
        r"\.measured-.+\.part\.beam_curator\.tmp",
        n_parts=N_RECORDINGS + 1,
    ),
}
