"""The floor of separating: what libsndfile alone takes to write the same tracks, in one process.

Each recording is read once, a second at a time; a track gets what is its speaker's of it, and silence for the rest.
Prints the seconds that took, without start-up.

    python benchmarks/floor_tracks.py MANIFEST OUTPUT_FORMAT SCRATCH_FOLDER
"""

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soundfile


def main() -> None:
    manifest, output_format, folder = sys.argv[1:]
    begin = time.perf_counter()
    with open(manifest, "rb") as lines:
        for line in lines:
            row = json.loads(line)
            write_tracks(Path(row["audio_filepath"]), row["segments"], output_format, Path(folder))
    print(time.perf_counter() - begin)


def write_tracks(recording: Path, turns: list[dict], output_format: str, folder: Path) -> None:
    """Write a track for each speaker; turns do not overlap."""
    with ExitStack() as stack:
        source = stack.enter_context(soundfile.SoundFile(recording))
        rate, n_samples = source.samplerate, len(source)
        tracks = {}
        for speaker in sorted({turn["speaker"] for turn in turns}):
            owned = np.zeros(n_samples, bool)
            for turn in turns:
                if turn["speaker"] == speaker:
                    owned[round(turn["start"] * rate) : round(turn["end"] * rate)] = True
            path = folder / f"{recording.stem}_{speaker}.{output_format}"
            tracks[stack.enter_context(soundfile.SoundFile(path, "w", rate, 1, "PCM_16"))] = owned
        for position in range(0, n_samples, rate):
            samples = source.read(rate, dtype="float32")
            for track, owned in tracks.items():
                track.write(np.where(owned[position : position + rate], samples, np.float32(0)))


if __name__ == "__main__":
    main()
