from __future__ import annotations

import io
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_curator.export.embeddings import check_vector, embedding_of, npy_bytes, parquet_bytes
from beam_curator.failures import EntryError, FailureCode


def test_an_embedding_out_of_a_row() -> None:
    found = embedding_of({"e": [1, -0.5, 0.1]}, "e")
    assert found is not None
    assert found.dtype == np.float32
    assert found.tolist() == [1.0, -0.5, float(np.float32(0.1))]
    assert embedding_of({"e": None}, "e") is None
    assert embedding_of({}, "e") is None


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ("1, 2", FailureCode.BAD_TYPE, "'e' is a string, expected an array of numbers"),
        (1.5, FailureCode.BAD_TYPE, "'e' is a number, expected an array of numbers"),
        ({}, FailureCode.BAD_TYPE, "'e' is an object, expected an array of numbers"),
        ([], FailureCode.BAD_TYPE, "'e' is an empty array, expected an array of numbers"),
        ([[1.0, 2.0]], FailureCode.BAD_TYPE, "'e[0]' is an array, expected a number"),
        ([1.0, None], FailureCode.BAD_TYPE, "'e[1]' is null, expected a number"),
        ([True], FailureCode.BAD_TYPE, "'e[0]' is a boolean, expected a number"),
        ([1.0, math.nan], FailureCode.NON_FINITE, "number 1 of 'e' is NaN, infinite or beyond float32"),
        ([1e39], FailureCode.NON_FINITE, "number 0 of 'e' is NaN, infinite or beyond float32"),
        ([10**400], FailureCode.NON_FINITE, "number 0 of 'e' is NaN, infinite or beyond float32"),
    ],
)
def test_what_is_no_embedding_is_refused(value: object, code: FailureCode, message: str) -> None:
    with pytest.raises(EntryError) as refused:
        embedding_of({"e": value}, "e")
    assert (refused.value.code, refused.value.message) == (code, message)


def test_an_npy_file_is_plain() -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
    expected = b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117) + b"\n" + b"\x00\x00\x80\x3f\x00\x00\x00\xc0"
    assert npy_bytes(np.float32([1.0, -2.0])) == expected
    assert np.load(io.BytesIO(expected), allow_pickle=False).tolist() == [1.0, -2.0]
    assert npy_bytes(np.float32([1.0, 9.0, -2.0, 9.0])[::2]) == expected


def test_a_parquet_file_says_what_it_holds() -> None:
    vectors = [np.float32([1, 2, 3]), np.float32([4, 5, 0.1])]
    written = parquet_bytes(["b", "a"], vectors)
    element = pa.field("element", pa.float32(), nullable=False)
    assert pq.read_schema(io.BytesIO(written)).equals(
        pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("embedding", pa.list_(element, 3), nullable=False),
            ]
        )
    )
    assert pq.read_table(io.BytesIO(written)).to_pylist() == [
        {"id": "b", "embedding": [1.0, 2.0, 3.0]},
        {"id": "a", "embedding": [4.0, 5.0, float(np.float32(0.1))]},
    ]
    assert parquet_bytes(["b", "a"], vectors) == written


def test_embeddings_of_two_models_do_not_go_together() -> None:
    with pytest.raises(EntryError) as refused:
        parquet_bytes(["a", "b"], [np.float32([1, 2, 3]), np.float32([1])])
    assert refused.value.code == FailureCode.BAD_TYPE
    assert refused.value.message == "the embedding of b has 1 dimensions, others have 3"


@pytest.mark.parametrize(("ids", "n_vectors"), [([], 0), (["a"], 2), (["a", "b"], 1)])
def test_ids_and_vectors_belong_together(ids: list[str], n_vectors: int) -> None:
    with pytest.raises(ValueError, match="expected one id a vector, at least one"):
        parquet_bytes(ids, [np.float32([1])] * n_vectors)


def test_a_vector_that_was_found_is_checked() -> None:
    assert check_vector(np.float32([1]), "u0").tolist() == [1.0]
    with pytest.raises(EntryError, match="bad_type: the embedding of u0 is empty"):
        check_vector(np.float32([]), "u0")
    with pytest.raises(EntryError, match="non_finite: number 1 of the embedding of u0 is NaN"):
        check_vector(np.float32([1, np.inf]), "u0")
