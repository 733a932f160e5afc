"""The floors of cutting: what libsndfile alone takes for the same spans and the same clips, in one process.

`open`: each recording is opened once, spans are read in order, each clip is written by libsndfile to its path.
`reopen`: the reference's way, which opens the recording again for each span.
Prints the seconds that took, without start-up.

    python benchmarks/floor_clips.py open|reopen MANIFEST OUTPUT_FORMAT SCRATCH_FOLDER
"""

import json
import sys
import time
from itertools import groupby
from pathlib import Path

import soundfile

SUBTYPES = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS"}


def main() -> None:
    way, manifest, output_format, folder = sys.argv[1:]
    begin = time.perf_counter()
    with open(manifest, "rb") as lines:
        rows = [json.loads(line) for line in lines]
    for name, group in groupby(rows, key=lambda row: row["original_file"]):
        cut = cut_open if way == "open" else cut_reopening
        cut(name, list(group), output_format, Path(folder))
    print(time.perf_counter() - begin)


def cut_open(name: str, rows: list[dict], output_format: str, folder: Path) -> None:
    with soundfile.SoundFile(name) as file:
        rate = file.samplerate
        for number, row in enumerate(rows):
            start, stop = (int(row[key] * rate / 1000) for key in ("original_start_ms", "original_end_ms"))
            file.seek(start)
            samples = file.read(stop - start, dtype="float32")
            write(folder, name, number, samples, rate, output_format)


def cut_reopening(name: str, rows: list[dict], output_format: str, folder: Path) -> None:
    rate = soundfile.info(name).samplerate
    for number, row in enumerate(rows):
        start, stop = (int(row[key] * rate / 1000) for key in ("original_start_ms", "original_end_ms"))
        samples, _ = soundfile.read(name, start=start, stop=stop, dtype="float32")
        write(folder, name, number, samples, rate, output_format)


def write(folder: Path, name: str, number: int, samples: object, rate: int, output_format: str) -> None:
    path = folder / f"{Path(name).stem}_segment_{number:03d}.{output_format}"
    soundfile.write(path, samples, rate, subtype=SUBTYPES[output_format])


if __name__ == "__main__":
    main()
