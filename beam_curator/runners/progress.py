"""Progress: workers leave small files of counts, and a thread of the driver adds them up for people."""

import glob
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.output_set import live_name
from beam_curator.transforms.metrics import Count

_WRITE_EVERY = 0.2
_DRAW_EVERY = 0.2
_LOG_EVERY = 30.0


class NoteProgress(beam.PTransform[PCollection[Count], PCollection[None]]):
    """Leave the counts that pass by in a file of this worker process.

    Args:
      scratch: a local directory that workers and driver share.
    """

    def __init__(self, scratch: str) -> None:
        super().__init__()
        self._scratch = scratch

    def expand(self, counts: PCollection[Count]) -> PCollection[None]:
        """Take the counts."""
        return counts | "Note" >> beam.ParDo(_NoteFn(self._scratch))


class _NoteFn(beam.DoFn):
    def __init__(self, scratch: str) -> None:
        self._scratch = scratch

    def setup(self) -> None:
        self._path = os.path.join(self._scratch, live_name("progress", f"{os.getpid()}-{id(self)}"))
        self._counts: Counter[str] = Counter()
        self._first = self._written = 0.0

    def process(self, count: Count) -> Iterator[None]:
        now = time.time()
        self._first = self._first or now
        self._counts[count[0]] += count[1]
        if now - self._written > _WRITE_EVERY:
            self._write(now)
        yield from ()

    def finish_bundle(self) -> None:
        if self._first:
            self._write(time.time())

    def _write(self, now: float) -> None:
        self._written = now
        with open(self._path, "w", encoding="utf-8") as stream:
            json.dump({"first": self._first, "counts": self._counts}, stream)


def read_progress(scratch: str) -> tuple[dict[str, int], float | None]:
    """Add up what the workers left: counts, and when the first of them came (seconds since the epoch)."""
    counts: Counter[str] = Counter()
    first: list[float] = []
    for path in glob.glob(os.path.join(scratch, live_name("progress", "*"))):
        try:
            with open(path, encoding="utf-8") as stream:
                noted: dict[str, Any] = json.load(stream)
        except (OSError, ValueError):
            continue  # being written, or swept
        counts.update(noted["counts"])
        first.append(noted["first"])
    return dict(counts), min(first, default=None)


class Progress:
    """Shows how far a job is while it runs: a line on a terminal, a log line every 30 s elsewhere."""

    def __init__(self, scratch: str, n_bytes: int, stream: TextIO | None = None) -> None:
        self._scratch = scratch
        self._n_bytes = n_bytes
        self._stream = stream if stream is not None else sys.stderr
        self._terminal = self._stream.isatty()
        self._stop = threading.Event()
        self._begin = time.time()
        self.first_read: float | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show progress while the body runs."""
        thread = threading.Thread(target=self._run, name="beam_curator_progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            if self._terminal:
                self._stream.write("\r\x1b[K")
                self._stream.flush()

    def _run(self) -> None:
        drawn = time.time()
        while not self._stop.wait(_DRAW_EVERY if self._terminal else 0.5):
            counts, first = read_progress(self._scratch)
            if first is not None and self.first_read is None:
                self.first_read = first
            if self._terminal:
                self._stream.write("\r" + progress_line(counts, self._n_bytes, time.time() - self._begin) + "\x1b[K")
                self._stream.flush()
            elif time.time() - drawn >= _LOG_EVERY:
                drawn = time.time()
                print(progress_line(counts, self._n_bytes, drawn - self._begin), file=self._stream, flush=True)


def progress_line(counts: dict[str, int], n_bytes: int, seconds: float) -> str:
    """Say in one line how far a job is.

    Example:
      >>> progress_line({"read.rows": 1200, "read.bytes": 50, "build.audio_us": 7_200_000_000}, 100, 2.0)
      '1,200 rows  50 %  2.0 h of speech  0 windows kept  0 failures  600 rows/s'
    """
    rows = counts.get("read.rows", 0)
    share = min(99, counts.get("read.bytes", 0) * 100 // max(n_bytes, 1))
    failures = sum(counts.get(f"{stage}.failures", 0) for stage in ("file", "read", "build"))
    hours = counts.get("build.audio_us", 0) / 3.6e9
    kept = counts.get("overlap.windows", 0)
    return (
        f"{rows:,} rows  {share} %  {hours:,.1f} h of speech  {kept:,} windows kept  "
        f"{failures:,} failures  {rows / max(seconds, 0.1):,.0f} rows/s"
    )
