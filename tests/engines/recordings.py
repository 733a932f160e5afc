"""Recordings for jobs on engines: small, of all kinds of rows, with some that cannot be cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.random_sortformer import talk
from tests.manifests import line_of, write_lines

RATE = 8000
SECONDS = 12
N_RECORDINGS = 24


def write_pieces(folder: Path) -> Path:
    """Write recordings and a manifest of several blocks; rows of one recording lie in several of them.

    Two pairs of recordings have one stem each. What fails: two broken lines, a row without an end, turns that are no
    list, a turn that ends before it begins, a recording that is not there, one that is text, a piece with NaN inside,
    and one behind the end.
    """
    for number in range(N_RECORDINGS):
        write_tone(folder / name_of(number), number)
    (folder / "text.wav").write_text("no audio")
    samples = tone(99)
    samples[5 * RATE] = np.nan
    soundfile.write(folder / "nan.wav", samples, RATE, subtype="FLOAT")
    good = list(map(line_of, good_rows()))
    return write_lines(folder / "pieces.jsonl", [*good[:30], *bad_lines(), *good[30:]])


def write_meetings(folder: Path) -> Path:
    """Write recordings and a manifest of several blocks that says who speaks when in them, twice of each, differently.

    What fails: a broken line, a row without turns, a turn that ends before it begins; a recording that is not there,
    one that is text, and one with NaN inside.
    """
    write_pieces(folder)
    rows = []
    for take in range(2):
        for number in range(N_RECORDINGS):
            turns = [{"start": 3 * k + number / 50, "end": 3 * k + 3.25, "speaker": (k + take) % 2} for k in range(4)]
            rows.append({"audio_filepath": name_of(number), "id": number, "segments": turns})
    turn = {"start": 1, "end": 2, "speaker": 0}
    bad = [
        {"audio_filepath": "0/0.wav"},
        {"audio_filepath": "0/0.wav", "segments": [turn | {"end": 0.5}]},
        *({"audio_filepath": name, "segments": [turn]} for name in ("gone.wav", "text.wav", "nan.wav")),
    ]
    return write_lines(folder / "meetings.jsonl", [*map(line_of, rows[:30]), b"{", *map(line_of, bad + rows[30:])])


def name_of(number: int) -> str:
    """Name a recording; 0 and 1, and 2 and 3, have one stem in two directories."""
    return f"{number % 2}/{number - number % 2 if number < 4 else number}.wav"


def write_tone(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(number), RATE, subtype="PCM_16")


def tone(number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Make a tone with noise: float32 [SECONDS * RATE]."""
    time = np.arange(SECONDS * RATE) / RATE
    noise = np.random.default_rng(number).normal(0.0, 0.01, len(time))
    return (0.3 * np.sin(2 * np.pi * (150 + 10 * number) * time) + noise).astype(np.float32)


def good_rows() -> Iterator[dict[str, Any]]:
    """Yield five rows of each recording, which begin at different places: combos 2, 3 and 4, and entries."""
    pairs = [(number, second) for number in range(N_RECORDINGS) for second in range(5)]
    for number, second in sorted(pairs, key=lambda pair: (pair[0] // 3 + pair[1], pair[0])):
        begin, end = 2 * second + 0.25, 2 * second + 1.75
        row = {
            "original_file": name_of(number),
            "original_start_ms": int(1000 * begin),
            "original_end_ms": int(1000 * end),
        }
        if number % 4 == 1:
            yield row
        elif number % 4 == 2:
            yield row | {"speaker_id": "b", "diar_segments": [[begin, begin + 0.5], [begin + 0.75, end]]}
        elif number % 4 == 3:
            turns = [{"start": begin, "end": end, "speaker": 1 + second % 2}]
            yield {"audio_filepath": name_of(number), "audio_sample_rate": RATE, "segments": turns}
        else:
            yield row | {"speaker_id": f"speaker_{second % 2}", "mos": 3.5 + second}


def bad_lines() -> list[bytes]:
    piece = {"original_file": "0/0.wav", "original_start_ms": 100, "original_end_ms": 1100}
    rows = [
        {"original_file": "0/0.wav"},
        piece | {"speaker_id": "a", "diar_segments": 7},
        piece | {"speaker_id": "a", "diar_segments": [[3.0, 2.0], [4.0, 5.0]]},
        piece | {"original_file": "gone.wav"},
        piece | {"original_file": "text.wav"},
        piece | {"original_file": "nan.wav"},
        piece | {"original_file": "nan.wav", "original_start_ms": 4900, "original_end_ms": 5100},
        piece | {"original_start_ms": 1_000_000, "original_end_ms": 1_001_000},
    ]
    return [b'{"original_file": ', *map(line_of, rows), b"\xff"]


def write_talks(folder: Path) -> Path:
    """Write nine short recordings of something like talk, two of them with one stem, and three bad ones."""
    for number in range(9):
        path = folder / str(number % 3) / f"talk{max(1, number)}.{('wav', 'flac', 'ogg')[number // 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, talk(3.0 + number, seed=number), 16000)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "page.flac").write_bytes(b"<html>")
    (folder / "cut.wav").write_bytes((folder / "0" / "talk1.wav").read_bytes()[:50000])
    return folder


def write_calls(folder: Path) -> Path:
    """Write four calls of something like talk on two channels, each of which hears the other softly."""
    folder.mkdir(parents=True)
    for number in range(4):
        voices = np.stack([talk(4.0 + number, seed=2 * number + channel) for channel in (0, 1)], axis=1)
        soundfile.write(folder / f"call{number}.wav", voices + 0.1 * voices[:, ::-1], 16000)
    return folder


def write_talk_rows(folder: Path) -> Path:
    """Write those recordings, and a manifest of several blocks that asks for each of them and for a piece of each."""
    write_talks(folder)
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.*"))]
    rows = [{"audio_filepath": name, "id": number} for number, name in enumerate(names)]
    pieces = [{"audio_filepath": name, "offset": 0.5, "duration": 1.0 + number} for number, name in enumerate(names)]
    return write_lines(folder / "talks.jsonl", [*map(line_of, rows), b"{broken", *map(line_of, pieces)])
