"""Embeddings as columns: the form of every Parquet file of embeddings here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_curator.failures import EntryError, FailureCode

Embedding = NDArray[np.float32]
"""One vector, float32 [n_dimensions]."""


def embedding_schema(n_dimensions: int, metadata: Mapping[str, str] | None = None) -> Any:
    """Return the Arrow schema: `id: string not null, embedding: fixed_size_list<element: float not null>[n] not null`.

    Args:
      n_dimensions: of each vector.
      metadata: of the schema.
    """
    import pyarrow as pa

    element = pa.field("element", pa.float32(), nullable=False)
    fields = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("embedding", pa.list_(element, n_dimensions), nullable=False),
    ]
    return pa.schema(fields, metadata=metadata)


def embedding_table(ids: Sequence[str], vectors: Sequence[Embedding], schema: Any) -> Any:
    """Return embeddings as an Arrow table.

    Args:
      ids: one for each vector.
      vectors: float32 [n_dimensions] each.
      schema: of `embedding_schema`.

    Raises:
      EntryError: a vector has another length.
    """
    import pyarrow as pa

    n_dimensions = schema.field("embedding").type.list_size
    for name, vector in zip(ids, vectors, strict=True):
        if len(vector) != n_dimensions:
            raise EntryError(
                FailureCode.BAD_TYPE,
                f"the embedding of {name} has {len(vector)} dimensions, others have {n_dimensions}",
                "give embeddings of one model",
            )
    numbers = pa.array(np.concatenate(vectors).astype(np.float32, copy=False))
    column = pa.FixedSizeListArray.from_arrays(numbers, type=schema.field("embedding").type)
    return pa.Table.from_arrays([pa.array(ids, pa.string()), column], schema=schema)


PARQUET_OPTIONS: Mapping[str, Any] = {"compression": "snappy", "use_dictionary": False, "write_page_checksum": True}
"""How such a file is written: the bytes follow from its rows and the version of pyarrow."""
