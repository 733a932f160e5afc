"""Make the recordings that `talks.jsonl` names, as tones that come and go with the words, a pitch for each speaker.

    python examples/make_recordings.py harbour kitchen    # these two, in examples/audio
    python examples/make_recordings.py                    # all six, kettle.wav and pieces.jsonl

Nothing is random, so the files are the same wherever they are made.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from make_talks import TALKS, make_talk
from numpy.typing import NDArray

FOLDER = Path(__file__).parent
VOICES = sorted({speaker for _, _, speakers, _ in TALKS for speaker in speakers})
FORMANTS = ((730, 1090), (270, 2290), (300, 870), (530, 1840))
"""Resonances of four vowels, Hz (Peterson and Barney, 1952: men, as in 'hod', 'heed', 'who'd' and 'head')."""

PIECES_RATE = 8000
PIECES: tuple[tuple[int, int, str, str, float], ...] = (
    (200, 1100, "ana", "is the kettle on", 27.5),
    (1250, 2050, "ben", "it broke again", 24.125),
    (2300, 3300, "ana", "that is the third time", 26.75),
    (3450, 4050, "ben", "I know", 9.5),
)
"""Start and end in milliseconds, speaker, text, and signal-to-noise ratio in dB."""


def tone(speaker: str, vowel: int, sample_rate: int) -> NDArray[np.float32]:
    """Return one second of a vowel: float32 [sample_rate], a whole number of periods."""
    pitch = 90 + 25 * VOICES.index(speaker)
    harmonics = np.arange(pitch, min(4000, sample_rate // 2), pitch)
    weights = sum(1 / (1 + ((harmonics - formant) / 120) ** 2) for formant in FORMANTS[vowel]) + 0.02
    turns = 2 * np.pi * np.arange(sample_rate) / sample_rate
    wave = sum(weight * np.sin(harmonic * turns) for weight, harmonic in zip(weights, harmonics, strict=True))
    return np.float32(0.3 / np.abs(wave).max() * wave)


def recording(segments: list[dict[str, Any]], duration: float, sample_rate: int) -> NDArray[np.int16]:
    """Return the samples of a recording, int16 [n_samples]: each word a vowel in the pitch of who says it."""
    samples = np.zeros(round(duration * sample_rate), np.float32)
    tones: dict[tuple[str, int], NDArray[np.float32]] = {}
    for segment in segments:
        for word in segment["words"]:
            length = len(word["word"])
            key = segment["speaker"], length % len(FORMANTS)
            if key not in tones:
                tones[key] = tone(*key, sample_rate)
            spoken = samples[round(word["start"] * sample_rate) : round(word["end"] * sample_rate)]
            arch = np.sin(np.pi * (np.arange(len(spoken)) + 0.5) / len(spoken))
            spoken += np.resize(tones[key], len(spoken)) * np.sqrt(arch) / (1 + length % 3)
    return np.int16(np.rint(samples * 32767))


def words_of(text: str, start: float, end: float) -> list[dict[str, Any]]:
    """Spread the words of a piece evenly over its time, in seconds."""
    words = text.split()
    times = np.linspace(start, end, len(words) + 1).tolist()
    spans = zip(words, pairwise(times), strict=True)
    return [{"word": word, "start": begin, "end": stop} for word, (begin, stop) in spans]


def make_pieces() -> None:
    """Write `pieces.jsonl`, rows as the reference has them, and the recording that they cut."""
    lines, segments = [], []
    for start, end, speaker, text, snr in PIECES:
        row = {
            "original_file": "kettle.wav",
            "original_start_ms": start,
            "original_end_ms": end,
            "duration_ms": end - start,
            "duration": (end - start) / 1000,
            "speaker_id": speaker,
            "num_speakers": 2,
            "text": text,
            "snr": snr,
        }
        lines.append(json.dumps(row | ({"rejected_by": "snr"} if snr < 10 else {})))
        segments.append({"speaker": speaker, "words": words_of(text, start / 1000, end / 1000)})
    (FOLDER / "pieces.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    soundfile.write(FOLDER / "kettle.wav", recording(segments, 4.25, PIECES_RATE), PIECES_RATE, subtype="PCM_16")


def main() -> None:
    """Write the recordings named on the command line, or all."""
    names = sys.argv[1:] or ["kettle", *(talk[0] for talk in TALKS)]
    if "kettle" in names:
        make_pieces()
    for row in (make_talk(*talk) for talk in TALKS if talk[0] in names):
        path, sample_rate = FOLDER / row["audio_filepath"], row["audio_sample_rate"]
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, recording(row["segments"], row["duration"], sample_rate), sample_rate, subtype="PCM_16")


if __name__ == "__main__":
    main()
