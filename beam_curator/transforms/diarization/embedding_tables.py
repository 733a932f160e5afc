"""Embeddings of speakers and of turns as tables of a set: hidden rows of each recording, merged into Parquet."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from beam_curator.diarization.models import Floats
from beam_curator.embedding_columns import PARQUET_OPTIONS, embedding_schema, embedding_table
from beam_curator.json_lines import encode
from beam_curator.transforms.atomic_files import AtomicFile
from beam_curator.transforms.row_tables import StreamOf

_ROWS_A_GROUP = 8192


def embedding_row(name: str, vector: Floats | None) -> dict[str, Any] | None:
    """Return an embedding as a hidden row holds it; None where there is none."""
    if vector is None:
        return None
    return {"id": name, "embedding": base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()}


class WriteEmbeddings:
    """Writes embeddings into a Parquet file with the columns `id` and `embedding`.

    The schema is that of `embedding_schema`. The same rows give the same bytes.

    Args:
      about: what made them, for the metadata of the schema: under the key `beam_curator`, as JSON.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about = encode(dict(about)).decode()

    def __call__(self, file: AtomicFile, rows: Iterable[dict[str, Any]], row_format: str) -> None:
        """Write rows, of which there is at least one.

        Raises:
          EntryError: their vectors are not of one length.
        """
        del row_format
        groups = _groups(rows)
        first = next(groups)
        schema = embedding_schema(len(first[1][0]), {"beam_curator": self._about})
        with pq.ParquetWriter(StreamOf(file), schema, **PARQUET_OPTIONS) as writer:
            for names, vectors in chain([first], groups):
                writer.write_table(embedding_table(names, vectors, schema))


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[list[str], list[Floats]]]:
    remaining = iter(rows)
    while group := list(islice(remaining, _ROWS_A_GROUP)):
        vectors = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in group]
        yield [row["id"] for row in group], vectors
