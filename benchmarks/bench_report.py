"""Measure a page of 100,000 recordings with 4 million turns: the command beside a bare reading of the rows.

make bench-report
python benchmarks/bench_report.py --recordings 10000
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from measuring import run_command

from beam_curator.sets.output_set import FileRecord, render_manifest

N_TURNS = 40
A_SHARD = 10_000
MOST_MB = 300


def row_of(number: int, draw: random.Random) -> bytes:
    """Return the row of a recording, as `diarize` writes it."""
    at, segments = 0.0, []
    for _ in range(N_TURNS):
        end = round(at + draw.uniform(0.5, 9), 2)
        metrics = {"bandwidth": draw.randrange(2000, 8000, 31)}
        segments.append({"start": at, "end": end, "speaker": f"speaker_{draw.randrange(4)}", "metrics": metrics})
        at = round(end + draw.uniform(0, 1), 2)
    name = f"/data/{number // 1000:03d}/talk-{number:06d}.wav"
    row = {"audio_filepath": name, "audio_sample_rate": 16000, "duration": at, "segments": segments, "num_speakers": 4,
           "snr_db": round(draw.gauss(25, 8), 2), "_origin": {"source": name, "offset": 0}}  # fmt: skip
    return msgspec.json.encode(row) + b"\n"


def make_set(folder: Path, n_recordings: int) -> None:
    """Write a set of turns."""
    draw, files = random.Random(0), []
    n_shards = -(-n_recordings // A_SHARD)
    for shard in range(n_shards):
        name = f"turns-{shard:05d}-of-{n_shards:05d}.jsonl"
        numbers = range(shard * A_SHARD, min(n_recordings, (shard + 1) * A_SHARD))
        text = b"".join(row_of(number, draw) for number in numbers)
        (folder / name).write_bytes(text)
        digest = hashlib.sha256(text).hexdigest()
        files.append(FileRecord(name=name, n_bytes=len(text), sha256=digest, n_rows=len(numbers), kind="turns"))
    counts = {"read.rows": n_recordings, "plan.rows": n_recordings, "diarize.turns": n_recordings}
    manifest = render_manifest(command="diarize", config={}, inputs=[], counts=counts, files=files)
    (folder / "_MANIFEST.json").write_bytes(manifest)


def seconds_to_read(folder: Path) -> float:
    begin = time.perf_counter()
    for path in sorted(folder.glob("turns-*.jsonl")):
        with path.open("rb") as stream:
            for line in stream:
                json.loads(line)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=100_000, help="number of recordings (default: 100,000)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        turns, page = Path(temporary) / "turns", Path(temporary) / "page"
        turns.mkdir()
        make_set(turns, arguments.recordings)
        reading = seconds_to_read(turns)
        run = run_command("report", turns, "--output", page, "--no-waveforms")
        files = [path for path in page.rglob("*") if path.is_file()]
        mb = sum(path.stat().st_size for path in files) / 1e6
        first = [page / "page_files" / f"{name}.js" for name in ("overview", "table-00000")]
        first_mb = sum(path.stat().st_size for path in first) / 1e6
    print(f"{arguments.recordings:,} recordings, {arguments.recordings * N_TURNS:,} turns")
    print(f"page {mb:,.1f} MB in {len(files)} files (at most {MOST_MB} MB); first view reads {first_mb:.2f} MB")
    times = run.seconds / reading
    print(f"rows read by json in {reading:.1f} s; page in {run.seconds:.1f} s, {times:.1f} times that")
    print(f"peak {run.peak:.0f} MB")
    if mb > MOST_MB:
        sys.exit("the page is too large")


if __name__ == "__main__":
    main()
