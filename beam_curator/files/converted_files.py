"""The files of a conversion: one for each recording, or some that have the lines of all."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from contextlib import ExitStack

from beam_curator.failures import Failure, render_failure
from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.output_target import OutputTarget
from beam_curator.formats.annotations import Annotation
from beam_curator.formats.registry import Format, SetFile
from beam_curator.sets.output_set import FAILURES, FileRecord, shard_file_name
from beam_curator.sets.set_kinds import CONVERT

BESIDE = "beside"
"""Kind of files that hold no segments."""


class ConvertedFiles:
    """Writes recordings in a format, one after the other.

    Args:
      target: where they go.
      of: the format.
    """

    def __init__(self, target: OutputTarget, of: Format) -> None:
        self._target = target
        self._of = of
        self._stack = ExitStack()
        self._records: list[FileRecord] = []
        self._open: list[_OpenFile] = []

    def __enter__(self) -> ConvertedFiles:
        if self._of.render is not None:
            storage.make_directory(storage.join(self._target.directory, self._of.name))
        self._open = [self._stack.enter_context(_OpenFile(self._target, file)) for file in self._of.files]
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]  # the three that it was given

    def add(self, annotation: Annotation) -> None:
        """Write a recording, whose name is that of its file."""
        for opened in self._open:
            opened.add(annotation)
        if self._of.render is None:
            return
        name = f"{annotation.name}{self._of.ending}"
        folder = storage.join(self._target.directory, self._of.name)
        # the manifest has its hash; a million small files would each wait for the disk
        with AtomicFile(folder, name, self._target.check, sync=False) as file:
            file.write_pieces([self._of.render(annotation).encode("utf-8", "replace")])
        self._records.append(_record(file, f"{self._of.name}/{name}", CONVERT.rows, len(annotation.segments)))

    def records(self) -> list[FileRecord]:
        """Return the files, once all are closed."""
        return [*self._records, *(file.record() for file in self._open if file.is_there)]


class _OpenFile:
    """A file that lines of all recordings go into; it is begun with the first of them."""

    def __init__(self, target: OutputTarget, what: SetFile) -> None:
        self._what = what
        self._file = AtomicFile(target.directory, what.name, target.check)
        self._stack = ExitStack()
        self._packer = zlib.compressobj(6, zlib.DEFLATED, 31) if what.name.endswith(".gz") else None
        self._held: list[bytes] = []
        self._n_lines = self._n_segments = 0
        self.is_there = False

    def __enter__(self) -> _OpenFile:
        return self

    def __exit__(self, *error: object) -> None:
        if error == (None, None, None):
            self._end()
        self._stack.__exit__(*error)  # type: ignore[arg-type]  # the three that it was given

    def add(self, annotation: Annotation) -> None:
        """Write the lines of a recording, or keep them until all are there."""
        lines = (line.encode("utf-8", "replace") for line in self._what.lines(annotation))
        self._n_segments += len(annotation.segments)
        if self._what.is_sorted:
            self._held += lines
        else:
            self._write(lines)

    def _end(self) -> None:
        self._write(sorted(set(self._held)))
        if not self._n_lines and self._what.is_optional:
            return
        if self._n_lines or self._what.head:
            head = () if self._n_lines else (self._what.head,)
            self._put(text.encode() for text in (*head, self._what.tail))
        self._put((), last=True)

    def _write(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            before = self._what.between if self._n_lines else self._what.head
            self._n_lines += 1
            self._put((before.encode(), line))

    def _put(self, pieces: Iterable[bytes], *, last: bool = False) -> None:
        if not self.is_there:
            self._stack.enter_context(self._file)
            self.is_there = True
        if self._packer is not None:
            pieces = [*map(self._packer.compress, pieces), *([self._packer.flush()] if last else [])]
        self._file.write_pieces(pieces)

    def record(self) -> FileRecord:
        """Return the file, once it is closed."""
        kind, n_rows = (CONVERT.rows, self._n_segments) if self._what.is_main else (BESIDE, self._n_lines)
        return _record(self._file, self._what.name, kind, n_rows)


class LetterFiles:
    """Writes dead letters, in a file for each stage that has any."""

    def __init__(self, target: OutputTarget) -> None:
        self._target = target
        self._stack = ExitStack()
        self._files: dict[str, tuple[str, AtomicFile]] = {}
        self._counts: dict[str, int] = {}

    def __enter__(self) -> LetterFiles:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]  # the three that it was given

    def add(self, failures: Iterable[Failure]) -> None:
        """Write dead letters."""
        for failure in failures:
            kind = f"{FAILURES}-{failure.stage}"
            if kind not in self._files:
                name = shard_file_name(kind, 0, 1, ".jsonl")
                opened = self._stack.enter_context(AtomicFile(self._target.directory, name, self._target.check))
                self._files[kind] = name, opened
            self._files[kind][1].write_pieces([render_failure(failure), b"\n"])
            self._counts[kind] = self._counts.get(kind, 0) + 1

    def records(self) -> list[FileRecord]:
        """Return the files, once all are closed."""
        return [_record(file, name, kind, self._counts[kind]) for kind, (name, file) in self._files.items()]


def _record(file: AtomicFile, name: str, kind: str, n_rows: int) -> FileRecord:
    return FileRecord(name=name, n_bytes=file.n_bytes, sha256=file.sha256, n_rows=n_rows, kind=kind)
