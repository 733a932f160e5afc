from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_curator.export.embedding_table import EmbeddingTable
from beam_curator.export.embeddings import parquet_bytes
from beam_curator.failures import EntryError, FailureCode

LISTS = pa.list_(pa.float32())


def written(ids: Any, vectors: Any, kind: pa.DataType = LISTS, **options: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    table = pa.table({"more": [None] * len(ids), "id": ids, "embedding": pa.array(vectors, kind)})
    pq.write_table(table, buffer, **options)
    return buffer


def plain(vector: Any) -> Any:
    return None if vector is None else vector.tolist()


@pytest.mark.parametrize(
    "kind",
    [
        LISTS,
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float32(), 2),
        pa.list_(pa.float64(), 2),
    ],
)
@pytest.mark.parametrize("row_group_size", [1, 2, 100])
def test_lookups(kind: pa.DataType, row_group_size: int) -> None:
    ids = ["c", "a", "b", None, "n"]
    vectors = [[1, 2], [3, 4], [5, 6], [7, 8], None]
    table = EmbeddingTable(written(ids, vectors, kind, row_group_size=row_group_size), "e.parquet")
    assert len(table) == 5
    assert plain(table.get("a")) == [3.0, 4.0]
    assert plain(table.get("c")) == [1.0, 2.0]
    assert table.get("n") is None
    assert table.get("absent") is None
    assert table.get("") is None
    assert [plain(found) for found in table.get_many(["b", "absent", "c", "n", "b"])] == [
        [5.0, 6.0],
        None,
        [1.0, 2.0],
        None,
        [5.0, 6.0],
    ]
    found = table.get("a")
    assert found is not None
    assert found.dtype == np.float32


def test_what_was_written_is_found() -> None:
    ids = [f"u{number}" for number in range(300)]
    vectors = np.arange(900, dtype=np.float32).reshape(300, 3)
    table = EmbeddingTable(io.BytesIO(parquet_bytes(ids, list(vectors))), "e.parquet")
    found = table.get_many(ids[::-1])
    assert np.array_equal(np.stack([vector for vector in found if isinstance(vector, np.ndarray)]), vectors[::-1])


def test_of_one_id_twice_the_first_counts() -> None:
    table = EmbeddingTable(written(["a", "b", "a"], [[1], [2], [3]], row_group_size=1), "e.parquet")
    assert plain(table.get("a")) == [1.0]


class Colliding(EmbeddingTable):
    @staticmethod
    def _digest_of(clip: str) -> bytes:
        return bytes(8)


def test_hashes_that_collide_are_told_apart() -> None:
    table = Colliding(written(["a", "b", "c"], [[1], [2], [3]]), "e.parquet")
    assert [plain(found) for found in table.get_many(["c", "a", "x", "b"])] == [[3.0], [1.0], None, [2.0]]


def test_a_large_row_group_is_read_in_parts() -> None:
    vectors = np.random.default_rng(0).random((1000, 8), np.float32)
    ids = [f"u{number}" for number in range(1000)]
    table = EmbeddingTable(io.BytesIO(parquet_bytes(ids, list(vectors))), "e.parquet", cache_bytes=4000)
    for number in (5, 999, 500, 501, 0, 999):
        assert np.array_equal(table.get(f"u{number}"), vectors[number])
    assert len(table._ids) < 200


def test_an_empty_file_has_nothing() -> None:
    table = EmbeddingTable(written(pa.array([], pa.string()), []), "e.parquet")
    assert (len(table), table.get("a"), table.get_many(["a", "b"])) == (0, None, [None, None])


def test_the_index_is_small() -> None:
    n_rows = 20_000
    table = EmbeddingTable(written([f"{row:032x}" for row in range(n_rows)], [[0.0]] * n_rows), "e.parquet")
    assert table._hashes.nbytes + table._rows.nbytes == 12 * n_rows


@pytest.mark.parametrize(
    ("vector", "code", "message"),
    [
        ([1.0, None], FailureCode.BAD_TYPE, "the embedding of a holds a null, expected numbers"),
        ([], FailureCode.BAD_TYPE, "the embedding of a is empty, expected numbers"),
        ([1.0, float("nan")], FailureCode.NON_FINITE, "number 1 of the embedding of a is NaN, infinite or beyond"),
        ([1e39], FailureCode.NON_FINITE, "number 0 of the embedding of a is NaN, infinite or beyond float32"),
    ],
)
def test_a_bad_vector_is_the_failure_of_its_clip(vector: Any, code: FailureCode, message: str) -> None:
    table = EmbeddingTable(written(["a", "b"], [vector, [2.0]], pa.list_(pa.float64())), "e.parquet")
    with pytest.raises(EntryError) as refused:
        table.get("a")
    assert refused.value.code == code
    assert refused.value.message.startswith(message)
    assert plain(table.get("b")) == [2.0]
    failed, found = table.get_many(["a", "b"])
    assert isinstance(failed, EntryError)
    assert (failed.code, plain(found)) == (code, [2.0])


@pytest.mark.parametrize(
    ("columns", "code", "message"),
    [
        ({"id": ["a"]}, FailureCode.MISSING_KEY, "e.parquet has no column 'embedding', only id"),
        ({"embedding": [[1.0]]}, FailureCode.MISSING_KEY, "e.parquet has no column 'id', only embedding"),
        ({"id": [1], "embedding": [[1.0]]}, FailureCode.BAD_TYPE, "column 'id' of e.parquet is int64, expected string"),
        (
            {"id": ["a"], "embedding": [1.0]},
            FailureCode.BAD_TYPE,
            "column 'embedding' of e.parquet is double, expected a list of float or double",
        ),
        (
            {"id": ["a"], "embedding": [["x"]]},
            FailureCode.BAD_TYPE,
            "column 'embedding' of e.parquet is list<element: string>, expected a list of float or double",
        ),
    ],
)
def test_another_table_is_refused(columns: Any, code: FailureCode, message: str) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    with pytest.raises(EntryError) as refused:
        EmbeddingTable(buffer, "e.parquet")
    assert (refused.value.code, refused.value.message) == (code, message)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"id,embedding\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_not_parquet_is_refused(content: bytes) -> None:
    with pytest.raises(
        EntryError, match=r"not_readable: e.parquet cannot be read as Parquet: .*: write the file again"
    ):
        EmbeddingTable(io.BytesIO(content), "e.parquet")


def test_a_null_among_lists_of_a_fixed_size_costs_its_own_clip_alone() -> None:
    file = written(["a", "b", "c"], [[1.0], None, [3.0]], pa.list_(pa.float32(), 1))
    table = EmbeddingTable(file, "e.parquet")
    assert [plain(found) for found in table.get_many(["a", "b", "c"])] == [[1.0], None, [3.0]]


def test_ids_may_be_categories() -> None:
    table = EmbeddingTable(written(pa.array(["a", "b"]).dictionary_encode(), [[1.0], [2.0]]), "e.parquet")
    assert plain(table.get("b")) == [2.0]


def test_damage_is_noticed_when_it_is_met() -> None:
    ids = [f"u{number}" for number in range(2000)]
    vectors = list(np.random.default_rng(0).random((2000, 16), np.float32))
    whole = bytearray(parquet_bytes(ids, vectors))
    middle = len(whole) // 2
    whole[middle] ^= 1
    found = EmbeddingTable(io.BytesIO(whole), "e.parquet").get_many([*ids, "absent"])
    failed = [str(error) for error in found if isinstance(error, EntryError)]
    assert len(failed) == 2000
    assert all("not_readable: e.parquet cannot be read as Parquet: " in error and "CRC" in error for error in failed)
    assert found[-1] is None
