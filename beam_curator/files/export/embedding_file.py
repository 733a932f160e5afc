"""Embeddings that rows do not carry themselves: a Parquet file that each worker opens when it first needs one."""

from collections.abc import Sequence
from contextlib import ExitStack

from beam_curator.export.embedding_table import EmbeddingTable
from beam_curator.failures import EntryError
from beam_curator.files import storage
from beam_curator.sets.embedding_columns import Embedding


class EmbeddingFileError(RuntimeError):
    """The file of embeddings cannot be used at all."""


class EmbeddingFile:
    """Looks up embeddings by span uuid.

    Args:
      path: of a Parquet file with `id` and `embedding`; None where there is none.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._table: EmbeddingTable | None = None
        self._stack = ExitStack()

    def find(self, clips: Sequence[str]) -> list[Embedding | EntryError | None]:
        """Return for each clip its embedding, an error if that cannot be used, or None if there is none.

        Raises:
          EmbeddingFileError: the file is not there, or is no table of embeddings.
        """
        if self._path is None or not clips:
            return [None] * len(clips)
        if self._table is None:
            self._table = self._opened(self._path)
        return self._table.get_many(clips)

    def close(self) -> None:
        """Close the file."""
        self._table = None
        self._stack.close()

    def _opened(self, path: str) -> EmbeddingTable:
        try:
            stream = self._stack.enter_context(storage.open_raw(path))
            return EmbeddingTable(stream, path)
        except EntryError as err:
            raise EmbeddingFileError(f"{err.message}: {err.cure}") from err
        except OSError as err:
            raise EmbeddingFileError(f"the embeddings {path} cannot be opened: {err.strerror or err}") from err
