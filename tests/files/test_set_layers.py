"""Files of sets in stores are found by their names, in the newest layer that has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from beam_curator.files import storage
from beam_curator.files.set_layers import list_located, located
from beam_curator.sets.layers import render_layers
from tests import fakes_filesystem as store

NEW, OLD, OTHER = (f"set-{number:05d}-0123abcd.beam_curator" for number in (2, 1, 3))
OUT = "gs://bucket/all/out"


@pytest.fixture(autouse=True)
def _set() -> Iterator[None]:
    """Fill a bucket with a set in three layers, a layer of another run, and a recording beside the set."""
    for name in (
        "notes.txt",
        "a_segment_000.wav",
        "b_segment_000.wav",
        f"{OLD}/b_segment_000.wav",
        f"{OLD}/clips-00000-of-00001.jsonl",
        f"{OLD}/_MANIFEST.json",
        f"{NEW}/c_segment_000.wav",
        f"{NEW}/clips-00000-of-00001.jsonl",
        f"{NEW}/_MANIFEST.json",
        f"{OTHER}/a_segment_000.wav",
    ):
        store.put(f"{OUT}/{name}", name.encode())
    store.put(f"{OUT}/_MANIFEST.json", render_layers([NEW, OLD, ""]))
    store.put("gs://bucket/all/talk.wav", b"")
    yield
    store.clear()


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("_MANIFEST.json", f"{NEW}/_MANIFEST.json"),
        ("clips-00000-of-00001.jsonl", f"{NEW}/clips-00000-of-00001.jsonl"),
        ("c_segment_000.wav", f"{NEW}/c_segment_000.wav"),
        ("b_segment_000.wav", f"{OLD}/b_segment_000.wav"),
        ("a_segment_000.wav", "a_segment_000.wav"),
        ("summary.json", f"{NEW}/summary.json"),
        (".kept.beam_curator/inputs.zst", f"{NEW}/.kept.beam_curator/inputs.zst"),
        ("_RUN.json", "_RUN.json"),
        ("notes.txt", "notes.txt"),
        (f"{OLD}/clips-00000-of-00001.jsonl", f"{OLD}/clips-00000-of-00001.jsonl"),
    ],
)
def test_a_file_is_in_the_newest_layer_that_has_it(name: str, place: str) -> None:
    assert located(f"{OUT}/{name}") == f"{OUT}/{place}"


def test_files_are_read_by_their_names() -> None:
    assert storage.read_bytes(f"{OUT}/_MANIFEST.json") == f"{NEW}/_MANIFEST.json".encode()
    assert storage.read_bytes(f"{OUT}/b_segment_000.wav") == f"{OLD}/b_segment_000.wav".encode()
    assert storage.size_of(f"{OUT}/d_segment_000.wav") is None
    assert storage.home_of(OUT) == f"{OUT}/{NEW}"


@pytest.mark.parametrize("prefix", ["gs://bucket/", "gs://bucket/all/", f"{OUT}/", f"{OUT}/b_"])
def test_lists_have_each_file_once_by_its_name(prefix: str) -> None:
    found = {path: found.n_bytes for path, found in list_located(prefix) if path.endswith(".wav")}
    expected = {
        f"{OUT}/a_segment_000.wav": 17,
        f"{OUT}/b_segment_000.wav": len(OLD) + 18,
        f"{OUT}/c_segment_000.wav": len(NEW) + 18,
        "gs://bucket/all/talk.wav": 0,
    }
    assert found == {path: n_bytes for path, n_bytes in expected.items() if path.startswith(prefix)}


def test_whoever_has_read_the_manifest_sees_that_set_until_it_is_read_again() -> None:
    storage.read_bytes(f"{OUT}/_MANIFEST.json")
    store.put(f"{OUT}/_MANIFEST.json", render_layers([OTHER]))
    store.put(f"{OUT}/{OTHER}/_MANIFEST.json", b"other")
    assert located(f"{OUT}/a_segment_000.wav") == f"{OUT}/a_segment_000.wav"
    assert storage.read_bytes(f"{OUT}/_MANIFEST.json") == b"other"
    assert located(f"{OUT}/a_segment_000.wav") == f"{OUT}/{OTHER}/a_segment_000.wav"


def test_names_that_are_of_no_set_cost_no_request() -> None:
    requests = store.requests_of(OUT)
    requests.clear()
    assert located("gs://bucket/all/talk.wav") == "gs://bucket/all/talk.wav"
    assert located("gs://bucket") == "gs://bucket"
    assert requests == []
