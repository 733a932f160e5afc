"""Embeddings looked up by id in a Parquet file that may be larger than memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from beam_curator.export.embeddings import check_vector
from beam_curator.failures import EntryError, FailureCode
from beam_curator.sets.embedding_columns import Embedding

CACHE_BYTES = 8 << 20
"""About how many bytes of rows are held at a time: a row group, or a part of one that is larger."""

_ID_BATCH_ROWS = 1 << 13
_COLUMNS = ["id", "embedding"]
_NO_IDS: Any = ()
_MAGIC = b"PAR1"
_TAIL_BYTES = 8


class EmbeddingTable:
    """Embeddings by id in a Parquet file with `id: string` and `embedding`, a list of floats or doubles.

    The ids are read once into an index of 12 bytes a row (a 64-bit hash and a row number; the id itself is compared
    when its row is read). Rows are read on demand, the last row group stays at hand, so lookups in the order of the
    file are fast. Of rows with one id the first counts. A vector may be null. Not for several threads at a time, nor
    to be pickled.

    Args:
      file: the Parquet file, open for reading and seekable; it stays the caller's to close.
      name: name of the file in messages.
      cache_bytes: about how many bytes of rows are held at a time.

    Raises:
      EntryError: it is not Parquet, or a column is absent or of another type.
    """

    def __init__(self, file: BinaryIO, name: str, *, cache_bytes: int = CACHE_BYTES) -> None:
        import pyarrow.parquet as pq

        self._name, self._cache_bytes = name, cache_bytes
        self._group, self._start, self._ids = -1, 0, _NO_IDS
        self._batch: Any = None
        self._batches: Iterator[Any] = iter(())
        with self._readable():
            self._parquet = pq.ParquetFile(
                file,
                metadata=_plain_metadata(file),
                pre_buffer=False,
                buffer_size=1 << 20,
                page_checksum_verification=True,
            )
            self._check_schema()
            metadata = self._parquet.metadata
            n_rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            self._group_starts = np.cumsum([0, *n_rows])
            hashes = self._read_hashes()
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._rows = order.astype(np.uint32 if len(order) < 1 << 32 else np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, clip: str) -> Embedding | None:
        """Return the embedding of an id as float32 [n_dimensions], or None where the file has none or a null.

        Raises:
          EntryError: the row cannot be read, its vector is empty, or holds nulls or numbers that are not finite.
        """
        wanted = self._hash_of(clip)
        position = int(np.searchsorted(self._hashes, wanted))
        while position < len(self._hashes) and self._hashes[position] == wanted:
            row = int(self._rows[position])
            with self._readable():
                self._seek(row)
                if self._ids[row - self._start].as_py() == clip:
                    return self._vector_at(row - self._start, clip)
            position += 1
        return None

    def get_many(self, clips: Sequence[str]) -> list[Embedding | EntryError | None]:
        """Return for each id the result of `get`, or the error that it raises, so that one bad vector fails alone.

        The file is read in its own order, whatever that of the ids.
        """
        found: list[Embedding | EntryError | None] = [None] * len(clips)
        if not len(self._rows):
            return found
        hashes = np.array([self._hash_of(clip) for clip in clips], np.uint64)
        positions = np.minimum(np.searchsorted(self._hashes, hashes), len(self._rows) - 1)
        for index in np.argsort(self._rows[positions], kind="stable").tolist():
            try:
                found[index] = self.get(clips[index])
            except EntryError as err:
                found[index] = err
        return found

    @staticmethod
    def _digest_of(clip: str) -> bytes:
        return hashlib.blake2b(clip.encode("utf-8", "surrogatepass"), digest_size=8).digest()

    def _hash_of(self, clip: str) -> np.uint64:
        return np.uint64(int.from_bytes(self._digest_of(clip), "little"))

    def _read_hashes(self) -> np.typing.NDArray[np.uint64]:
        hashes, n_read = np.empty(int(self._group_starts[-1]), np.uint64), 0
        for batch in self._parquet.iter_batches(_ID_BATCH_ROWS, columns=["id"], use_threads=False):
            digests = b"".join(self._digest_of(clip or "") for clip in batch.column(0).to_pylist())
            hashes[n_read : n_read + len(batch)] = np.frombuffer(digests, "<u8")
            n_read += len(batch)
        return hashes

    def _seek(self, row: int) -> None:
        """Make the batch that holds a row the current one."""
        group = int(np.searchsorted(self._group_starts, row, side="right")) - 1
        if group != self._group or row < self._start:
            self._group, self._start, self._ids = group, int(self._group_starts[group]), _NO_IDS
            metadata = self._parquet.metadata.row_group(group)
            n_rows = max(1, metadata.num_rows * self._cache_bytes // max(metadata.total_byte_size, self._cache_bytes))
            self._batches = self._parquet.iter_batches(n_rows, row_groups=[group], columns=_COLUMNS, use_threads=False)
        while row >= self._start + len(self._ids):
            self._start += len(self._ids)
            self._batch, self._ids = None, _NO_IDS
            self._batch = next(self._batches)
            self._ids = self._batch.column("id")

    def _vector_at(self, index: int, clip: str) -> Embedding | None:
        scalar = self._batch.column("embedding")[index]
        if not scalar.is_valid:
            return None
        if scalar.values.null_count:
            raise EntryError(
                FailureCode.BAD_TYPE,
                f"the embedding of {clip} holds a null, expected numbers",
                f"mend {self._name}, or write null for the whole vector",
            )
        with np.errstate(over="ignore"):
            return check_vector(scalar.values.to_numpy(zero_copy_only=False).astype(np.float32), clip)

    def _check_schema(self) -> None:
        import pyarrow.types as kinds

        schema = self._parquet.schema_arrow
        for column in _COLUMNS:
            if schema.get_all_field_indices(column) == []:
                raise EntryError(
                    FailureCode.MISSING_KEY,
                    f"{self._name} has no column '{column}', only {', '.join(schema.names)[:200]}",
                    "write a Parquet file with the columns id and embedding",
                )
        text, vector = schema.field("id").type, schema.field("embedding").type
        listed = kinds.is_list(vector) or kinds.is_large_list(vector) or kinds.is_fixed_size_list(vector)
        if not (kinds.is_string(text) or kinds.is_large_string(text)):
            self._refuse_type("id", text, "string")
        if not listed or not kinds.is_floating(vector.value_type):
            self._refuse_type("embedding", vector, "a list of float or double")

    def _refuse_type(self, column: str, found: object, expected: str) -> None:
        raise EntryError(
            FailureCode.BAD_TYPE,
            f"column '{column}' of {self._name} is {found}, expected {expected}",
            "write a Parquet file with id as text and embedding as lists of numbers",
        )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn pyarrow's various errors about a damaged file into one kind of error."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, StopIteration) as err:
            self._group = -1  # the iterator over its rows has ended with the error
            raise EntryError(
                FailureCode.NOT_READABLE,
                f"{self._name} cannot be read as Parquet: {' '.join(str(err).split())[:300]}",
                "write the file again, with the columns id and embedding",
            ) from err


def _plain_metadata(file: BinaryIO) -> Any:
    """Return the metadata of a Parquet file without its Arrow schema; None where it is not a Parquet file.

    By that schema pyarrow would read lists as lists of a fixed size, in which it cannot read a null that it wrote
    (apache/arrow#35692).
    """
    import pyarrow.parquet as pq

    n_bytes = file.seek(0, io.SEEK_END)
    if n_bytes < _TAIL_BYTES:
        return None
    file.seek(n_bytes - _TAIL_BYTES)
    tail = file.read(_TAIL_BYTES)
    n_footer = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or n_footer > n_bytes - _TAIL_BYTES:
        return None
    file.seek(n_bytes - _TAIL_BYTES - n_footer)
    footer = file.read(n_footer).replace(b"ARROW:schema", b"arrow:schema")
    return pq.ParquetFile(io.BytesIO(_MAGIC + footer + tail)).metadata
