from __future__ import annotations

import hashlib
import posixpath
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beam_curator.export.document_paths import MAX_COMPONENT_BYTES, MAX_PATH_BYTES, claim_key, relative_path
from beam_curator.export.tree import chunk_document, recording_document
from beam_curator.failures import EntryError, FailureCode
from beam_curator.recordings.channel_files import joined_name

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text(
    st.sampled_from("aA./~_ -\\:%\n\0\u202eé\u0301中\udcff"), max_size=12
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def mark(text: str) -> str:
    return "~" + hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def test_channels_in_files_of_their_own_go_by_the_first_and_all_must_lie_below() -> None:
    call = joined_name(["/in/x/a_0.wav", "/in/y/a_1.wav"])
    assert relative_path(call, "/in") == "x/a_0+1.wav"
    assert relative_path(call, "/in", distinct=True).startswith("x/a_0+1~")
    assert relative_path(joined_name(["/in/a", "/in/b", "/in/c"]), "/in") == "a+2"
    with pytest.raises(EntryError, match="path_outside_root"):
        relative_path(joined_name(["/in/a.wav", "/out/b.wav"]), "/in")


@pytest.mark.parametrize(
    ("recording", "input_path", "expected"),
    [
        ("/in/a.wav", "/in", "a.wav"),
        ("/in/a.wav", "/in/", "a.wav"),
        ("/in/a.wav", "/", "in/a.wav"),
        ("/in/x/y/a.b.wav", "/in", "x/y/a.b.wav"),
        ("gs://bucket/in/a.wav", "gs://bucket/in", "a.wav"),
        ("gs://bucket/in/a.wav", "gs://", "bucket/in/a.wav"),
        ("../in/a.wav", "../in", "a.wav"),
        ("in/a.wav", "", "in/a.wav"),
        ("/in/a.wav", "", "in/a.wav"),  # as the reference, which strips slashes
        ("gs://bucket/a.wav", "", "gs_~eab16624/bucket/a.wav"),
        ("/in/_x/Talk No 1, (final)+b=c&d'e!@;.wav", "/in", "_x/Talk No 1, (final)+b=c&d'e!@;.wav"),
        ("/in/a", "/in", "a"),
        ("/in/播客/第1集.wav", "/in", "播客/第1集.wav"),
        ("/in/हिन्दी.wav", "/in", "हिन्दी.wav"),
    ],
)
def test_names_of_careful_people_stay(recording: str, input_path: str, expected: str) -> None:
    assert relative_path(recording, input_path) == expected


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("a:b.wav", "a_b~02cfc8e5.wav"),
        ("e\u0301.wav", "é~3dee1656.wav"),  # composed otherwise than NFC
        ("a\n\u202eb😀.wav", "a__b_~48b6a20a.wav"),
        ("a%2Fb.wav", "a_2Fb~"),
        ("..%2f.wav", "_._2f~"),
        ("a\\b.wav", "a_b~"),
        ("~/a.wav", "_~"),
        ("a~350a4d57.wav", "a_350a4d57~"),  # what looks marked is marked again
        (".hidden/.a.wav", "_hidden~"),
        ("-rf", "_rf~"),
        (" a.wav", "_a~"),
        ("a.", "a.~"),
        ("a /b.wav", "a ~"),
        ("x//a.wav", "x/_~"),
        ("./a.wav", "_~"),
        ("x/", "x/_~"),
        ("talk-\udcff.wav", "talk-_~"),
        ("a.json/b.wav", "a.json~"),
        ("a.JSON/b.wav", "a.JSON~"),
    ],
)
def test_other_names_are_made_safe_and_marked(rest: str, expected: str) -> None:
    assert relative_path(f"/in/{rest}", "/in").startswith(expected)


def test_a_folder_is_not_in_the_way_of_a_document() -> None:
    document = recording_document(relative_path("/in/a.wav", "/in"))
    below = recording_document(relative_path("/in/a.wav.json/b.wav", "/in"))
    assert document == "processed_audios/a.wav.json"
    assert below == "processed_audios/a.wav.json" + mark("a.wav.json") + "/b.wav.json"


@pytest.mark.parametrize(
    ("recording", "input_path"),
    [
        ("/other/a.wav", "/in"),
        ("/input/a.wav", "/in"),  # a prefix of the text, but not of the path
        ("/in", "/in"),
        ("/in/", "/in"),
        ("", ""),
        ("a.wav", "/"),
        ("gs://other/a.wav", "gs://bucket"),
        ("file:///in/a.wav", "/in"),
    ],
)
def test_a_recording_elsewhere_is_refused(recording: str, input_path: str) -> None:
    with pytest.raises(EntryError) as refused:
        relative_path(recording, input_path)
    assert refused.value.code == FailureCode.PATH_OUTSIDE_ROOT
    assert refused.value.message == f"recording {recording!r} does not lie in input_path {input_path!r}"
    assert refused.value.cure == "give an input_path that is a folder of every recording"


@pytest.mark.parametrize("rest", ["../a.wav", "x/../../a.wav", "x/..", "..", "a\0b.wav"])
def test_a_path_that_climbs_is_refused(rest: str) -> None:
    with pytest.raises(EntryError, match=r"path_outside_root: the path of recording .* holds") as refused:
        relative_path(f"/in/{rest}", "/in")
    assert refused.value.cure == "write the path without it"


def test_a_long_name_keeps_its_beginning_and_extension() -> None:
    assert relative_path("/in/" + "x" * 172 + ".wav", "/in") == "x" * 172 + ".wav"
    long = "x" * 173 + ".wav"
    assert relative_path(f"/in/{long}", "/in") == "x" * 163 + mark(long) + ".wav"
    folder, name = relative_path("/in/" + "é" * 100 + "/a.wav", "/in").split("/")
    assert (folder[:-9], name) == ("é" * 83, "a.wav")


def test_a_deep_path_becomes_one_folder() -> None:
    deep = "/".join(["abcdefghi"] * 80)
    assert relative_path(f"/in/{deep}", "/in") == deep
    assert relative_path(f"/in/{deep}/a.wav", "/in") == f"long path{mark(deep)}/a.wav"


def test_names_that_differ_in_case_are_told_apart_on_demand() -> None:
    recordings = ["/in/Talks/A.wav", "/in/talks/a.wav"]
    plain = [relative_path(recording, "/in") for recording in recordings]
    assert plain == ["Talks/A.wav", "talks/a.wav"]
    assert claim_key(plain[0]) == claim_key(plain[1])
    distinct = [relative_path(recording, "/in", distinct=True) for recording in recordings]
    assert distinct == [
        f"Talks/A{mark(recordings[0])}.wav",
        f"talks/a{mark(recordings[1])}.wav",
    ]
    assert claim_key(distinct[0]) != claim_key(distinct[1])
    assert claim_key("stra\u00dfe") == claim_key("STRASSE")


@settings(max_examples=500, deadline=None)
@given(PATHS, st.booleans())
@example("a" * 400 + "\u0301" * 400, False)
@example("/".join("é" * 300), True)
def test_no_name_leaves_the_tree(rest: str, distinct: bool) -> None:
    try:
        path = relative_path(f"/in/{rest}", "/in", distinct=distinct)
    except EntryError as refused:
        assert refused.code == FailureCode.PATH_OUTSIDE_ROOT
        assert not rest or "\0" in rest or ".." in rest.split("/")
        return
    parts = path.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert posixpath.normpath(f"/out/{path}") == f"/out/{path}"
    assert all(part[0] not in ".-~ " and len(part.encode()) <= MAX_COMPONENT_BYTES for part in parts)
    assert len(path.encode()) <= MAX_PATH_BYTES
    assert not set(path) & set('\\:*?"<>|%\n\t')
    assert all(character.isprintable() for character in path)
    assert unicodedata.is_normalized("NFC", path)
    assert all(len(part.encode()) <= 200 for part in chunk_document(path, 10**9).split("/"))


@settings(max_examples=500, deadline=None)
@given(st.lists(PATHS, min_size=2, max_size=2, unique=True), st.booleans())
@example(["a:b", "a/b"], False)
@example(["a//b", "a/b"], False)
def test_two_recordings_do_not_share_a_name(rests: list[str], distinct: bool) -> None:
    names = []
    for rest in rests:
        try:
            names.append(recording_document(relative_path(f"/in/{rest}", "/in", distinct=distinct)))
        except EntryError:
            return
    assert names[0] != names[1]
    if distinct:
        assert claim_key(names[0]) != claim_key(names[1])
    assert not names[0].startswith(f"{names[1]}/") and not names[1].startswith(f"{names[0]}/")
