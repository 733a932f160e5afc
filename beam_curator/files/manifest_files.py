"""Manifests as files: their rows in blocks, and their hashes."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from beam_curator.failures import Failure, FailureCode
from beam_curator.files import storage
from beam_curator.files.annotation_manifests import AnnotationReading, annotated_rows
from beam_curator.files.lhotse_manifests import foreign_rows, supervision_rows
from beam_curator.sets.blocks import (
    ANNOTATED,
    BlockRef,
    InputFile,
    LineBlock,
    Rows,
    read_parts,
)

FILE_STAGE = "file"


def paths_of(inputs: Sequence[str]) -> tuple[str, ...]:
    """Return a list of inputs as a tuple.

    Raises:
      TypeError: it is one string, which would be taken for a list of characters.
      ValueError: it is empty, or holds something else than paths.
    """
    if isinstance(inputs, str):
        raise TypeError(f"inputs {inputs!r} is one string, expected a list of paths: write [{inputs!r}]")
    if not inputs or not all(isinstance(path, str) and path for path in inputs):
        raise ValueError(f"inputs {inputs!r} is not a list of paths: name a manifest, a glob or a directory")
    return tuple(map(storage.plain_path, inputs))


def read_rows(
    ref: BlockRef, max_line_bytes: int, annotations: AnnotationReading = AnnotationReading()
) -> Iterator[LineBlock | Failure]:
    """Read the rows of a block from its file; an error that stops the reading is yielded last, as a failure."""
    compressed = InputFile(name=ref.source, size=0).compressed
    behind = ref.start
    try:
        with storage.open_text(ref.source) as stream:
            parts = read_parts(
                stream,
                ref,
                compressed=compressed,
                max_line_bytes=max_line_bytes,
                entries_of=_entries_of(ref, max_line_bytes, annotations),
            )
            for item in parts:
                if isinstance(item, LineBlock):
                    behind = item.lines[-1].offset + len(item.lines[-1].raw)
                yield item
    except FileNotFoundError:
        yield _file_failure(
            FailureCode.NOT_FOUND, ref, behind, "the file is no longer there", "run again, or restore it"
        )
    except storage.DAMAGED as err:
        cure = "fetch or compress the file again; the rows before the damage were read"
        yield _file_failure(FailureCode.TRUNCATED_FILE, ref, behind, f"damaged after byte {behind}: {err}", cure)
    except OSError as err:
        cure = "check that it is a file and that you may read it"
        yield _file_failure(FailureCode.NOT_READABLE, ref, behind, f"the file cannot be read: {err}", cure)


def _entries_of(ref: BlockRef, max_line_bytes: int, annotations: AnnotationReading) -> Callable[[Rows], Rows]:
    if ref.form in ANNOTATED:
        return partial(annotated_rows, source=ref.source, reading=annotations)
    if ref.form == "supervisions":
        return partial(supervision_rows, source=ref.source, max_line_bytes=max_line_bytes)
    return partial(foreign_rows, source=ref.source, reading=annotations)


def _file_failure(code: FailureCode, ref: BlockRef, offset: int, message: str, cure: str) -> Failure:
    return Failure(code=code, stage=FILE_STAGE, source=ref.source, offset=offset, message=message, cure=cure)
