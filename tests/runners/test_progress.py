import io
import json
import time
from collections.abc import Mapping
from pathlib import Path

import apache_beam as beam
import pytest

from beam_curator.runners import progress as progress_module
from beam_curator.runners.jobs.windows import WindowsJob
from beam_curator.runners.progress import NoteProgress, Progress, read_progress
from tests.manifests import names_in


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def note(directory: Path, worker: str, first: float, **counts: int) -> None:
    named = {name.replace("_", ".", 1): n for name, n in counts.items()}
    text = json.dumps({"first": first, "counts": named})
    (directory / f"progress-{worker}.json").write_text(text)


def test_the_notes_of_workers_add_up(tmp_path: Path) -> None:
    note(tmp_path, "1", 20.0, read_rows=3, build_windows=1)
    note(tmp_path, "2", 10.0, read_rows=4)
    (tmp_path / "progress-3.json").write_text("{")  # being written
    (tmp_path / "other").write_text("{}")
    assert read_progress(str(tmp_path)) == ({"read.rows": 7, "build.windows": 1}, 10.0)


def test_without_notes_there_is_nothing_to_add(tmp_path: Path) -> None:
    assert read_progress(str(tmp_path)) == ({}, None)


def test_counts_that_pass_are_noted(tmp_path: Path) -> None:
    begin = time.time()
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | beam.Create([("read.rows", 2), ("read.rows", 3), ("x", 1)]) | NoteProgress(str(tmp_path))
    counts, first = read_progress(str(tmp_path))
    assert counts == {"read.rows": 5, "x": 1}
    assert first is not None
    assert begin <= first <= time.time()
    assert all(name.startswith("progress-") for name in names_in(tmp_path))


def test_a_worker_whose_run_is_gone_leaves_no_note_and_goes_on(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | beam.Create([("read.rows", 2)]) | NoteProgress(str(tmp_path / "gone"))
    assert names_in(tmp_path) == []


def test_a_terminal_shows_a_line_that_is_wiped_in_the_end(tmp_path: Path) -> None:
    stream = Terminal()
    progress = Progress(str(tmp_path), 100, WindowsJob.progress, stream)
    with progress.shown():
        note(tmp_path, "1", 5.0, read_rows=2, read_bytes=50)
        deadline = time.monotonic() + 10
        while "2 rows  50 %" not in stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
    assert "\r2 rows  50 %" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")
    assert "\n" not in stream.getvalue()
    assert progress.first_read == 5.0


@pytest.mark.parametrize(
    ("n_read", "n_bytes", "shown"),
    [
        (0, 0, "0 of 0.0"),
        (500, 1000, "500 of 0.5"),
        (995, 1000, "995 of 0.99"),  # the last rows are not written yet
        (999, 100, "999 of 0.99"),  # a compressed file gives more bytes than it has
    ],
)
def test_the_line_gets_counts_share_and_seconds(tmp_path: Path, n_read: int, n_bytes: int, shown: str) -> None:
    stream, times = Terminal(), []

    def line(counts: Mapping[str, int], share_read: float, seconds: float) -> str:
        times.append(seconds)
        return f"{counts['read.bytes']} of {share_read}"

    note(tmp_path, "1", 5.0, read_bytes=n_read)
    begin = time.time()
    with Progress(str(tmp_path), n_bytes, line, stream).shown():
        deadline = time.monotonic() + 10
        while not stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
    assert stream.getvalue().startswith(f"\r{shown}\x1b[K")
    assert 0 < times[0] <= time.time() - begin


def test_elsewhere_it_is_plain_lines_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    note(tmp_path, "1", 5.0, read_rows=2)
    with Progress(str(tmp_path), 100, WindowsJob.progress, stream).shown():
        time.sleep(0.7)
    assert stream.getvalue() == ""
    monkeypatch.setattr(progress_module, "_LOG_EVERY", 0.0)
    with Progress(str(tmp_path), 100, WindowsJob.progress, stream).shown():
        deadline = time.monotonic() + 10
        while not stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
    assert stream.getvalue().startswith("2 rows  0 %  ")
    assert "\r" not in stream.getvalue()
