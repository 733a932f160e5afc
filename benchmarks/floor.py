"""The floor: what any job has to do.

One process reads the lines, parses each with orjson, and writes, hashes and fsyncs the job's own output bytes.
Prints the seconds and the CPU seconds that took, without start-up.

    python benchmarks/floor.py MANIFEST OUTPUT_SET SCRATCH_FILE
"""

import hashlib
import os
import sys
import time
from pathlib import Path

import orjson

CHUNK_BYTES = 1 << 20


def main() -> None:
    manifest, output_set, scratch = map(Path, sys.argv[1:])
    rows = [path.read_bytes() for path in sorted(output_set.glob("windows-*.jsonl"))]
    begin, cpu_begin = time.perf_counter(), time.process_time()
    with manifest.open("rb") as lines:
        for line in lines:
            orjson.loads(line)
    digest = hashlib.sha256()
    with scratch.open("wb", buffering=0) as stream:
        for data in rows:
            view = memoryview(data)
            for position in range(0, len(view), CHUNK_BYTES):
                stream.write(view[position : position + CHUNK_BYTES])
                digest.update(view[position : position + CHUNK_BYTES])
        os.fsync(stream.fileno())
    print(time.perf_counter() - begin, time.process_time() - cpu_begin)
    scratch.unlink()


if __name__ == "__main__":
    main()
