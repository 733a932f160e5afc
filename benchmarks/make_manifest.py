"""Manifests to measure with: the reference's sample where it lies beside the project, else one of the same shape."""

from __future__ import annotations

import json
import random
from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "shared" / "reference" / "alm" / "sample_input.jsonl"
SHAPE = ((30, 16000, 3), (34, 22050, 2), (51, 16000, 2), (36, 48000, 4), (48, 44100, 3))
"""Segments, sample rate and speakers of the sample's five entries."""


def sample_lines() -> list[bytes]:
    """Return five manifest lines of about 6 kB each."""
    if SAMPLE.exists():
        return SAMPLE.read_bytes().splitlines()
    return [_entry(number, *shape) for number, shape in enumerate(SHAPE)]


def _entry(number: int, n_segments: int, sample_rate: int, n_speakers: int) -> bytes:
    draw = random.Random(number)
    clock, segments = 0.0, []
    for index in range(n_segments):
        clock += 78.0 if index % 10 == 9 else draw.uniform(0.3, 1.0)
        end = clock + draw.uniform(2.5, 5.0)
        segments.append(
            {
                "text": "a sentence of about seven words goes here",
                "start": round(clock, 1),
                "end": round(end, 1),
                "speaker": f"speaker_{draw.randrange(n_speakers)}",
                "metrics": {"bandwidth": draw.randrange(8000, 9000, 50)},
            }
        )
        clock = end
    entry = {"audio_filepath": f"/data/audio/talk_{number:03d}.wav", "audio_sample_rate": sample_rate}
    return json.dumps({**entry, "duration": round(clock + 5, 1), "segments": segments}).encode()


def write_manifest(path: Path, n_entries: int) -> None:
    """Write so many entries, the five lines over and over."""
    lines = sample_lines()
    with path.open("wb") as stream:
        for index in range(n_entries):
            stream.write(lines[index % len(lines)] + b"\n")


def dense_entry(n_segments: int) -> dict[str, object]:
    """Make one entry of dense talk: segments of 0.6 s on average, four speakers."""
    draw = random.Random(n_segments)
    clock, segments = 0.0, []
    for _ in range(n_segments):
        end = clock + draw.uniform(0.2, 1.0)
        segments.append(
            {
                "start": round(clock, 3),
                "end": round(end, 3),
                "speaker": draw.choice("abcd"),
                "text": "well yes",
                "metrics": {"bandwidth": 9000},
            }
        )
        clock = end
    return {"audio_filepath": "dense.wav", "audio_sample_rate": 16000, "segments": segments}
