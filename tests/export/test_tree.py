from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.export import tree
from beam_curator.failures import EntryError, FailureCode


@pytest.mark.parametrize("root", ["out", "out/", "/data/out", "gs://bucket/out/"])
def test_the_seven_directories(root: str) -> None:
    base = root.rstrip("/")
    assert tree.clips_dir(root) == f"{base}/clips"
    assert tree.clips_dir(root, filtered=True) == f"{base}/filtered_clips"
    assert tree.previews_dir(root) == f"{base}/previews"
    assert tree.metas_dir(root) == tree.metas_dir(root, "v0") == f"{base}/metas/v0"
    assert tree.embeddings_dir(root, "titanet-l") == f"{base}/titanet-l_embd"
    assert tree.embeddings_parquet_dir(root, "titanet-l") == f"{base}/titanet-l_embd_parquet"
    assert tree.processed_audios_dir(root) == f"{base}/processed_audios"
    assert tree.processed_clip_chunks_dir(root) == f"{base}/processed_clip_chunks"


def test_the_root_of_a_file_system_is_a_root() -> None:
    assert tree.clips_dir("/") == "/clips"


def test_no_root_is_refused() -> None:
    with pytest.raises(ValueError, match="the output root is empty, expected a directory or a URI: give one"):
        tree.clips_dir("")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "é", "x" * 65, "a b", "a\n"])
def test_names_that_cannot_be_folders_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"embedding algorithm .* cannot be the name of a folder: use up to 64"):
        tree.embeddings_dir("out", name)
    with pytest.raises(ValueError, match="metadata version"):
        tree.metas_dir("out", name)


def test_names_within() -> None:
    clip = "60c3f272-9a1f-5943-a345-da0925594fbb"
    assert tree.clip_file(clip) == f"clips/{clip}.flac"
    assert tree.clip_file(clip, filtered=True) == f"filtered_clips/{clip}.flac"
    assert tree.preview_files(clip, 32000) == (f"previews/{clip}/0_32000.png", f"previews/{clip}/0_32000.ogg")
    assert tree.clip_document(clip) == f"metas/v0/{clip}.json"
    assert tree.embedding_file(clip, "titanet-l") == f"titanet-l_embd/{clip}.npy"
    assert tree.recording_document("talks/a.wav") == "processed_audios/talks/a.wav.json"
    assert tree.chunk_document("talks/a.wav", 12) == "processed_clip_chunks/talks/a.wav_12.json"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 10**9), st.integers(0, 10**9))
def test_ids_are_those_of_the_standard_library(recording: str, first: int, stop: int) -> None:
    assert tree.clip_uuid(recording, first, stop) == str(uuid.uuid5(uuid.NAMESPACE_URL, f"{recording}_{first}_{stop}"))
    chunk = uuid.uuid5(uuid.NAMESPACE_URL, f"{recording}_{first}")
    assert tree.chunk_embeddings_file(recording, first, "a") == f"a_embd_parquet/{chunk}.parquet"


def test_a_name_of_other_bytes_than_utf8_has_an_id_of_its_own() -> None:
    names = ["talk-\udcff.wav", "talk-\udcfe.wav", "talk-\\xff.wav"]
    assert len({tree.clip_uuid(name, 0, 1) for name in names}) == 3
    with pytest.raises(EntryError) as refused:
        tree.clip_uuid("talk-\ud800.wav", 0, 1)
    assert refused.value.code == FailureCode.BAD_UNICODE
