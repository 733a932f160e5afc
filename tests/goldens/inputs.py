"""Small inputs for the frozen sets: rows of all forms, broken lines, recordings of which some cannot be read."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import soundfile

from tests.fakes_models import write_band_model, write_sound
from tests.manifests import BAD_LINES, line_of, speech, write_lines

RATE = 8000
SECONDS = 6
BAD = ("cut off", "NaN", "segments missing", "time string", "bandwidth list")


def write_inputs(folder: Path) -> None:
    """Write all inputs below a folder: `manifests`, `audio` with `pieces.jsonl` and `meetings.jsonl`, `talks`."""
    write_manifests(folder / "manifests")
    write_audio(folder / "audio")
    write_pieces(folder / "audio" / "pieces.jsonl")
    write_meetings(folder / "audio" / "meetings.jsonl")
    write_talks(folder / "talks")
    write_band_model(folder / "model")


def write_manifests(folder: Path) -> None:
    """Write two manifests, one compressed, whose entries name five recordings."""
    words = [{"word": "yes", "start": 1.0, "end": 1.5}]
    entries = [speech(3 + number, f"{number % 3}.wav", id=number) for number in range(5)]
    entries[1]["segments"][0] |= {"words": words, "text": "yes ✓"}
    entries[2]["segments"][1]["metrics"] = {"bandwidth": 4000}
    odd = [speech(5, f"odd{number}.wav", id=f"odd {number}") for number in range(2)]
    odd[0]["segments"][1] |= {"metrics": None, "words": None}
    odd[1]["segments"][1]["end"] = None
    bad = [BAD_LINES[name][0] for name in BAD]
    lines = [*map(line_of, entries), *bad, line_of(speech(4, audio_sample_rate=8000)), *map(line_of, odd)]
    write_lines(folder / "a.jsonl", lines)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(line_of(speech(6, "1.wav")) + b"\n\n", mtime=0))


def write_audio(folder: Path) -> None:
    """Write four recordings, of which two have one stem, one of text, and one with a NaN in its fourth second."""
    for number, name in enumerate(("x/a.wav", "y/a.wav", "b.wav", "c.wav", "nan.wav")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = (np.arange(SECONDS * RATE) * (7 + number) % 2001 - 1000) / np.float32(4096)
        if name == "nan.wav":
            samples[3 * RATE + 100] = np.nan
        stereo = np.stack([samples, -samples / 2], axis=1) if name == "c.wav" else samples
        soundfile.write(path, stereo, RATE, subtype="FLOAT" if name == "nan.wav" else "PCM_16")
    (folder / "text.wav").write_text("no audio")


def write_pieces(path: Path) -> None:
    """Write a manifest with rows of all forms: pieces, pieces of speakers, turns of pieces, and entries."""
    turn = {"start": 0.5, "end": 1.75, "speaker": "a"}
    window = {"segments": [turn, {"start": 2.0, "end": 3.0, "speaker": "b"}]}
    rows = [
        {"original_file": "x/a.wav", "original_start_ms": 250, "original_end_ms": 1250, "mos": 3.5},
        {"original_file": "y/a.wav", "original_start_ms": 250, "original_end_ms": 1250, "speaker_id": "spk/1"},
        {"original_file": "b.wav", "original_start_ms": 0, "original_end_ms": 4000, "speaker_id": "b",
         "diar_segments": [[0.5, 1.0], [2.0, 3.0]]},
        {"audio_filepath": "b.wav", "audio_sample_rate": RATE, "segments": [turn]},
        {"audio_filepath": "c.wav", "audio_sample_rate": RATE, "filtered_windows": [window], "segments": [turn]},
        {"audio_filepath": "c.wav", "offset": 1.0, "duration": 2.0, "text": "a piece"},
        {"original_file": "x/a.wav", "original_start_ms": 5500, "original_end_ms": 9000},
        {"original_file": "x/a.wav"},
        {"original_file": "b.wav", "speaker_id": "a", "diar_segments": [[3.0, 2.0]]},
        {"original_file": "gone.wav", "original_start_ms": 0, "original_end_ms": 500},
        {"original_file": "text.wav", "original_start_ms": 0, "original_end_ms": 500},
        {"original_file": "nan.wav", "original_start_ms": 2900, "original_end_ms": 3100},
        {"original_file": "b.wav", "original_start_ms": 60_000, "original_end_ms": 61_000},
    ]  # fmt: skip
    write_lines(path, [*map(line_of, rows), b'{"original_file": ', b"\xff"])


def write_meetings(path: Path) -> None:
    """Write a manifest that says who speaks when in three recordings; two rows and two recordings fail."""
    rows = [
        {"audio_filepath": name, "id": number, "segments": [
            {"start": 1.5 * k + number / 8, "end": 1.5 * k + 1.75, "speaker": f"s{(k + number) % 2}"} for k in range(3)
        ]}
        for number, name in enumerate(("x/a.wav", "y/a.wav", "c.wav", "text.wav", "gone.wav"))
    ]  # fmt: skip
    write_lines(path, [*map(line_of, rows), b"{", line_of({"audio_filepath": "b.wav"})])


def write_talks(folder: Path) -> None:
    """Write recordings in which speakers are tones, a page in place of one, and a manifest that asks for pieces."""
    write_sound(folder / "one.wav", 8.0, [(0.8, 2.4, 0), (2.0, 4.0, 1), (4.8, 7.2, 0)])
    write_sound(folder / "two.wav", 4.0, [(0.4, 3.6, 2)])
    (folder / "page.wav").write_bytes(b"<html>")
    rows = [{"audio_filepath": "one.wav", "id": 7}, {"audio_filepath": "one.wav", "offset": 0.8, "duration": 4.0}]
    write_lines(folder / "talks.jsonl", [*map(line_of, rows), b"{broken", line_of({"audio_filepath": "gone.wav"})])
