"""Each store by its own client, over HTTP."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

import pytest

from beam_curator.files import object_stores, storage
from beam_curator.files.object_stores import BLOCK_BYTES
from beam_curator.files.store_patience import StoreError
from tests import fakes_filesystem as store

NAMES = ("talk [dQw4].wav", "talk d.wav", "a?.wav", "ab.wav", "x*.wav", "a#1 %20+é.wav", "{y}/b.wav", "a\\b.wav")


@pytest.fixture(params=store.SCHEMES)
def at(request: pytest.FixtureRequest) -> Iterator[str]:
    """The beginning of paths in a bucket of each store, empty before and after."""
    yield store.start(f"{request.param}://names")
    store.clear()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name_and_no_pattern(at: str, name: str) -> None:
    for number, other in enumerate(NAMES):
        if other != name:
            store.put(f"{at}/{other}", b"%d" % number)
    path = f"{at}/{name}"
    assert (storage.size_of(path), storage.read_bytes(path), storage.identity_of(path)) == (None, None, "absent")
    with pytest.raises(FileNotFoundError):
        storage.open_raw(path)
    store.put(path, b"mine")
    assert (storage.size_of(path), storage.read_bytes(path)) == (4, b"mine")
    storage.delete(at, [name, name])
    assert store.names_under(at) == sorted(set(NAMES) - {name})


def test_folders_are_the_beginnings_of_names(at: str) -> None:
    store.put(f"{at}/other", b"")
    for name in ("run [12]/a", "run [12]/deep/er/b", "run 1/a", "run 1/deep2/b", "run"):
        store.put(f"{at}/{name}", b"1")
    assert storage.list_directory(f"{at}/run [12]") == ["a"]
    assert storage.folders_in(f"{at}/run [12]/") == ["deep"]
    assert storage.folders_in(at) == ["run 1", "run [12]"]
    assert [storage.is_directory(f"{at}/{name}") for name in ("run 1", "run [12]", "run", "run [1]")] == [
        True,
        True,
        False,
        False,
    ]
    storage.delete_folder(f"{at}/run [12]")
    assert store.names_under(at) == ["other", "run", "run 1/a", "run 1/deep2/b"]


def test_long_lists_come_in_pages(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.GOOGLE, "page", 2)
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    names = [f"{number:04d}" for number in range(5)]
    for name in names:
        store.put(f"{at}/many/{name}", b"")
    store.requests_of(at).clear()
    assert [path for path, _ in object_stores.list_objects(f"{at}/many/")] == [f"{at}/many/{name}" for name in names]
    assert len([request for request in store.requests_of(at) if "prefix=many" in request]) == 3
    assert storage.list_directory(f"{at}/many") == names
    assert object_stores.has_objects(f"{at}/many/")


@pytest.mark.parametrize("n_bytes", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5])
def test_what_is_written_is_read(at: str, n_bytes: int) -> None:
    store.put(f"{at}/other", b"")
    data = random.Random(n_bytes).randbytes(n_bytes)
    upload = object_stores.Upload(f"{at}/a")
    for start in range(0, n_bytes, 5_000_003):
        upload.write(memoryview(data)[start : start + 5_000_003])
    assert store.names_under(at) == ["other"]
    upload.close()
    assert store.get(f"{at}/a") == data
    with storage.open_raw(f"{at}/a") as stream:
        assert stream.seek(0, io.SEEK_END) == n_bytes
        for start in (n_bytes // 2, 0, n_bytes - 3, BLOCK_BYTES - 2):
            stream.seek(max(0, start))
            assert stream.read(7) == data[max(0, start) : max(0, start) + 7]
        stream.seek(0)
        assert stream.read() == data


def test_an_upload_that_is_given_up_leaves_nothing(at: str) -> None:
    store.put(f"{at}/other", b"")
    upload = object_stores.Upload(f"{at}/a")
    upload.write(bytes(BLOCK_BYTES + 1))
    upload.terminate()
    del upload
    assert store.names_under(at) == ["other"]


def test_a_small_object_is_one_request(at: str) -> None:
    store.put(f"{at}/a", b"12345")
    storage.size_of(f"{at}/a")
    store.requests_of(at).clear()
    with storage.open_raw(f"{at}/a") as stream:
        assert (stream.seek(0, io.SEEK_END), stream.seek(0), stream.read(3), stream.read()) == (5, 0, b"123", b"45")
    assert len(store.requests_of(at)) == 1


@pytest.mark.parametrize("statuses", [(503,), (429, 500), (0,)])
def test_what_passes_is_asked_again(at: str, statuses: tuple[int, ...]) -> None:
    store.put(f"{at}/a", b"12345")
    assert storage.size_of(f"{at}/a") == 5
    store.fail(f"{at}/a", *statuses)
    assert storage.read_bytes(f"{at}/a") == b"12345"


def test_a_refusal_says_what_the_store_says(at: str) -> None:
    store.put(f"{at}/a", b"12345")
    store.fail(f"{at}/a", 403)
    with pytest.raises(StoreError, match=r"names/a cannot be had: the store answers 403"):
        storage.read_bytes(f"{at}/a")
    assert storage.read_bytes(f"{at}/a") == b"12345"


@pytest.mark.parametrize("path", ["gs://", "s3:///a"])
def test_a_path_without_a_bucket_says_so(path: str) -> None:
    with pytest.raises(StoreError, match="names no bucket"):
        storage.is_directory(path)
