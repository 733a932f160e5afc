"""Embeddings of speakers and of turns as tables of a set: hidden rows of each recording, merged into Parquet."""

import base64
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from beam_curator.diarization.models import Floats
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.entries.json_lines import encode
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.row_tables import StreamOf
from beam_curator.sets.embedding_columns import PARQUET_OPTIONS, embedding_schema, embedding_table

METADATA_KEY = "beam_curator"
"""Of the metadata of the schema: what made the embeddings, as JSON."""

_ROWS_A_GROUP = 8192


def hidden_row(name: str, vector: Floats | None, model: ModelIdentity | None) -> dict[str, Any] | None:
    """Return an embedding as a hidden row; None where there is no embedding."""
    if vector is None:
        return None
    numbers = base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()
    return {"id": name, "embedding": numbers, "model": model._asdict() if model is not None else {}}


class WriteEmbeddings:
    """Writes embeddings into a Parquet file with the columns `id` and `embedding`.

    The schema is that of `embedding_schema`, with the model in its metadata. The same rows give the same bytes.

    Args:
      method: how they were made of what the model says.
    """

    def __init__(self, method: str) -> None:
        self._method = method

    def __call__(self, file: AtomicFile, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows, of which there is at least one.

        Raises:
          EntryError: they are of two models.
        """
        remaining = iter(rows)
        first = next(remaining)
        about = encode({"model": first["model"], "method": self._method}).decode()
        schema = embedding_schema(len(_vector_of(first)), {METADATA_KEY: about})
        with pq.ParquetWriter(StreamOf(file), schema, **PARQUET_OPTIONS) as writer:
            for names, vectors in _groups(chain([first], remaining), first["model"]):
                writer.write_table(embedding_table(names, vectors, schema))


def _groups(rows: Iterable[dict[str, Any]], model: dict[str, str]) -> Iterator[tuple[list[str], list[Floats]]]:
    remaining = iter(rows)
    while group := list(islice(remaining, _ROWS_A_GROUP)):
        other = next((row for row in group if row["model"] != model), None)
        if other is not None:
            raise EntryError(
                FailureCode.BAD_TYPE,
                f"the embedding of {other['id']} was made by {other['model']}, others by {model}: they cannot be "
                "compared",
                "make them anew with one model: give its revision behind its name, and --overwrite",
            )
        yield [row["id"] for row in group], [_vector_of(row) for row in group]


def _vector_of(row: dict[str, Any]) -> Floats:
    return np.frombuffer(base64.b64decode(row["embedding"]), "<f4")


def read_embeddings(path: str, most: int) -> tuple[list[str], list[Floats], int]:
    """Read the first embeddings of a finished file: their ids, the vectors, and how many the file has."""
    with storage.open_raw(path) as stream:
        table = pq.ParquetFile(stream)
        first = next(table.iter_batches(batch_size=most), None)
        if first is None:
            return [], [], 0
        vectors = first["embedding"].flatten().to_numpy().reshape(len(first), -1)
        return first["id"].to_pylist(), [*vectors], int(table.metadata.num_rows)
