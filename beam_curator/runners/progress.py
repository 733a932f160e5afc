"""Progress: workers leave small files of counts, and a thread of the driver adds them up for people."""

import glob
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.sets.counting import Count

Line = Callable[[Counter[str], float, float], str]
"""Says how far a job is, from its counts, the share of the input that was read, and the seconds so far."""

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
        # a process may hold several instances of this step, each with its own counts
        self._path = _notes_path(self._scratch, f"{os.getpid()}-{id(self)}")
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
        with suppress(FileNotFoundError), open(self._path, "w", encoding="utf-8") as stream:  # gone with its driver
            json.dump({"first": self._first, "counts": self._counts}, stream)


def _notes_path(scratch: str, worker: str) -> str:
    return os.path.join(scratch, f"progress-{worker}.json")


def read_progress(scratch: str) -> tuple[Counter[str], float | None]:
    """Add up the workers' notes: counts, and when the first of them came (seconds since the epoch)."""
    counts: Counter[str] = Counter()
    first: list[float] = []
    for path in glob.glob(_notes_path(glob.escape(scratch), "*")):
        try:
            with open(path, encoding="utf-8") as stream:
                noted: dict[str, Any] = json.load(stream)
        except (OSError, ValueError):
            continue  # being written, or swept
        counts.update(noted["counts"])
        first.append(noted["first"])
    return counts, min(first, default=None)


class Progress:
    """Shows how far a job is while it runs: a line on a terminal, a log line every 30 s elsewhere."""

    def __init__(self, scratch: str, n_bytes: int, line: Line, stream: TextIO | None = None) -> None:
        self._scratch = scratch
        self._line = line
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
                # back to the beginning of the line, and erase it
                self._stream.write("\r\x1b[K")
                self._stream.flush()

    def _run(self) -> None:
        drawn = time.time()
        while not self._stop.wait(_DRAW_EVERY if self._terminal else 0.5):
            counts, first = read_progress(self._scratch)
            if first is not None and self.first_read is None:
                self.first_read = first
            if self._terminal:
                self._stream.write("\r" + self._text(counts) + "\x1b[K")
                self._stream.flush()
            elif time.time() - drawn >= _LOG_EVERY:
                drawn = time.time()
                print(self._text(counts), file=self._stream, flush=True)

    def _text(self, counts: Counter[str]) -> str:
        # reading ends before the job does, so 100 % would be shown too early
        share = min(0.99, counts["read.bytes"] / max(self._n_bytes, 1))
        return self._line(counts, share, time.time() - self._begin)
