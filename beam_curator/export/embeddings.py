"""Embeddings of clips: out of a row, as bytes of a file, and looked up in a Parquet file."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beam_curator.entries.json_lines import kind_of
from beam_curator.failures import EntryError, FailureCode
from beam_curator.sets.embedding_columns import PARQUET_OPTIONS, Embedding, embedding_schema, embedding_table


def embedding_of(row: Mapping[str, Any], key: str) -> Embedding | None:
    """Return the embedding that a row carries.

    Args:
      row: the row's fields.
      key: where the array of numbers is.

    Returns:
      float32 [n_dimensions], or None where the key is absent or null.

    Raises:
      EntryError: the value is not an array of numbers, is empty, or a number is not finite as float32.

    Example:
      >>> embedding_of({"embedding": [1, 0.5]}, "embedding"), embedding_of({}, "embedding")
      (array([1. , 0.5], dtype=float32), None)
    """
    value = row.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        found = "an empty array" if isinstance(value, list) else kind_of(value)
        raise EntryError(
            FailureCode.BAD_TYPE, f"'{key}' is {found}, expected an array of numbers", "write the vector, or null"
        )
    for index, number in enumerate(value):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise EntryError(
                FailureCode.BAD_TYPE,
                f"'{key}[{index}]' is {kind_of(number)}, expected a number",
                "write the vector as one array of numbers",
            )
    with np.errstate(over="ignore"):
        vector = np.array([_as_double(number) for number in value]).astype(np.float32)
    return _finite(vector, f"'{key}'")


def npy_bytes(vector: Embedding) -> bytes:
    """Return a vector as a `.npy` file: NumPy's format 1.0, little-endian float32, no pickle.

    Args:
      vector: float32 [n_dimensions].
    """
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(vector, dtype="<f4"), allow_pickle=False)
    return buffer.getvalue()


def parquet_bytes(ids: Sequence[str], vectors: Sequence[Embedding]) -> bytes:
    """Return embeddings as a Parquet file with the columns `id` and `embedding`, the same bytes for the same input.

    The schema is that of `embedding_schema`; pages carry checksums. The bytes follow from the input and the version of
    pyarrow, which Parquet's `created_by` states.

    Args:
      ids: one for each vector.
      vectors: float32 [n_dimensions] each, all of one length.

    Raises:
      EntryError: a vector's length differs from that of the first.
      ValueError: there are no vectors, or their number is not that of the ids.
    """
    import pyarrow.parquet as pq

    if not vectors or len(ids) != len(vectors):
        raise ValueError(
            f"{len(ids)} ids and {len(vectors)} vectors, expected one id a vector, at least one: leave the file out"
        )
    buffer = io.BytesIO()
    table = embedding_table(ids, vectors, embedding_schema(len(vectors[0])))
    pq.write_table(table, buffer, **PARQUET_OPTIONS)
    return buffer.getvalue()


def check_vector(vector: Embedding, clip: str) -> Embedding:
    """Return a vector found for a clip if it can be used.

    Raises:
      EntryError: it is empty, or holds a number that is not finite.
    """
    if not len(vector):
        raise EntryError(
            FailureCode.BAD_TYPE, f"the embedding of {clip} is empty, expected numbers", "write the vector, or null"
        )
    return _finite(vector, f"the embedding of {clip}")


def _as_double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _finite(vector: Embedding, what: str) -> Embedding:
    wrong = np.flatnonzero(~np.isfinite(vector))
    if len(wrong):
        raise EntryError(
            FailureCode.NON_FINITE,
            f"number {wrong[0]} of {what} is NaN, infinite or beyond float32",
            "compute the embedding again, or write null",
        )
    return vector
