from __future__ import annotations

import os
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beam_curator.clips.naming import (
    NameClaim,
    claim_key,
    claims_of,
    name_prefix,
    number_names,
    recordings_to_mark,
    sort_requests,
)
from beam_curator.clips.records import ClipRequest
from beam_curator.recordings.safe_names import safe_label, safe_stem, stem_of, stem_with_mark
from beam_curator.sets.blocks import Position

ANY_TEXT = st.text(st.characters(codec=None), max_size=80)
"""Lone surrogates and NUL among them."""
NASTY_TEXT = st.text(st.sampled_from([*"aA./\\: ~%\0\n_", "\u0301", "\u202e", "\ud800", "é", "日", "🎧"]), max_size=150)
TEXTS = st.one_of(ANY_TEXT, NASTY_TEXT)
SPEAKERS = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(), st.lists(TEXTS, max_size=3))


def request(combo: int = 2, start: float = 0, speaker: Any = None, index: int = 0) -> ClipRequest:
    fields = {"original_start_ms": start} | ({} if combo == 2 else {"speaker_id": speaker})
    return ClipRequest(fields=fields, combo=combo, index=index, start=start, end=start + 1, unit="ms")


def claim(stem: str, *labels: str, has_plain: bool = False, recording: str = "") -> NameClaim:
    return NameClaim(recording=recording or stem, stem=stem, labels=frozenset(labels), has_plain=has_plain)


@pytest.mark.parametrize(
    "recording", ["/x/a.wav", "a.b.flac", "/x/.hidden", "a", "/x/a.", "..", "/", "", "a.tar.gz", "/x/y.wav/", ".a.b"]
)
def test_stems_are_those_of_paths(recording: str) -> None:
    assert stem_of(recording) == Path(recording).stem


@pytest.mark.parametrize(
    "name",
    [
        "talk",
        "interview 3 (final) [v2] #1, a+b=c & d's @home!",
        "a.b-c_d",
        "-x",
        "_x",
        "entrevista_niño",
        "日本語の会話",
        "हिन्दी में बात",  # vowel signs are marks, not letters
        "ไทยที่นี่",
        "מקרה",
        "Straße",
        "x" * 120,
        "é" * 60,
    ],
)
def test_safe_names_stay(name: str) -> None:
    assert safe_stem(name) == unicodedata.normalize("NFC", name) == name


def test_names_are_composed() -> None:
    assert safe_stem("nin\u0303o") == "ni\u00f1o"


@pytest.mark.parametrize(
    ("name", "without_hash"),
    [
        ("", "_"),
        (".", "_"),
        ("..", "_."),
        (".hidden", "_hidden"),
        ("../../etc/passwd", "_._.._etc_passwd"),
        (" a ", "_a_"),
        ("a/b\\c", "a_b_c"),
        ('a:b*c?d"e<f>g|h%i~j', "a_b_c_d_e_f_g_h_i_j"),
        ("a\x00b\nc\td\x7f", "a_b_c_d_"),
        ("a\u202egpj", "a_gpj"),  # right-to-left override
        ("a\u200bb\ufeffc\u3164d\ufe0fe", "a_b_c_d_e"),  # what cannot be seen
        ("live 🎧", "live _"),
        ("a\ud800b", "a_b"),
        ("\u0301a", "_a"),
        ("a\u00a0b", "a_b"),
        ("$(rm)`x`;", "_(rm)_x__"),
        ("x" * 121, "x" * 111),
        ("é" * 61, "é" * 55),  # 111 bytes would end within a character
        ("日" * 41, "日" * 37),
    ],
)
def test_unsafe_names_are_changed_and_marked(name: str, without_hash: str) -> None:
    safe = safe_stem(name)
    assert safe[:-9] == without_hash
    assert safe[-9] == "~"
    assert int(safe[-8:], 16) >= 0


def test_names_that_are_changed_alike_stay_apart() -> None:
    alike = ["a/b", "a:b", "a\\b", "a_b", "a~b", "a\u202eb", "x" * 121, "x" * 122]
    assert len({safe_stem(name) for name in alike}) == len(alike)
    assert safe_stem("nin\u0303o/") != safe_stem("ni\u00f1o/")  # two files, where the store tells them apart


@pytest.mark.parametrize(
    ("speaker", "label"),
    [
        ("speaker_0", "0"),
        ("speaker_speaker_0", "0"),
        ("my_speaker_0_x", "my_0_x"),
        ("Speaker_0", "Speaker_0"),
        ("Ana María", "Ana María"),
        ("no-speaker", "no-speaker"),
        ("speaker_", ""),
        ("", ""),
        (None, "unknown"),
        (0, "0"),
        (1, "1"),
        (-1, "-1"),
        (1.5, "1.5"),
        (True, "true"),
        ([1, 2], "[1,2]"),
        (["a"], "[_a_]~"),
        ({"id": 1}, "__id__1_~"),
        ("../../x", "_._.._x~"),
        ("a/b", "a_b~"),
        ("x" * 40, "x" * 40),
        ("x" * 41, "x" * 31 + "~"),
    ],
)
def test_labels_of_speakers(speaker: Any, label: str) -> None:
    found = safe_label(speaker)
    assert found.partition("~")[0] + ("~" if "~" in found else "") == label


@settings(max_examples=300, deadline=None)
@given(TEXTS, SPEAKERS, st.sampled_from([2, 3, 4]), st.booleans())
@example("../../../etc/cron.d/x\0", "../../x", 4, True)
@example("/", "/", 3, False)
def test_no_name_leaves_its_directory(name: str, speaker: Any, combo: int, marked: bool) -> None:
    stem = safe_stem(stem_of(name))
    if marked:
        stem = stem_with_mark(stem, name)
    [found] = number_names([(stem, request(combo, speaker=speaker))], "flac")
    joined = os.path.normpath(os.path.join("/out/clips", found))
    assert os.path.dirname(joined) == "/out/clips"
    assert os.path.basename(joined) == found
    assert not set(found) & set('/\\:*?"<>|%\0\n\u202e')
    assert found[0] not in ". "
    assert unicodedata.is_normalized("NFC", found)
    assert len(found.encode()) <= 220  # file systems take 255
    assert len(safe_stem(name).encode()) <= 120
    assert len(safe_label(speaker).encode()) <= 40


def test_numbers_count_for_each_prefix_without_case_and_grow() -> None:
    requests = [request(2), request(4, speaker="Ana"), request(4, speaker="ana"), request(3, speaker="speaker_ana")]
    assert number_names([("Talk", each) for each in [*requests, request(2)]], "ogg") == [
        "Talk_segment_000.ogg",
        "Talk_speaker_Ana_segment_000.ogg",
        "Talk_speaker_ana_segment_001.ogg",
        "Talk_speaker_ana_segment_002.ogg",
        "Talk_segment_001.ogg",
    ]
    assert number_names([("a", request())] * 1001, "wav")[-2:] == ["a_segment_999.wav", "a_segment_1000.wav"]


def test_a_speaker_who_is_missing_or_null_is_unknown() -> None:
    nobody = ClipRequest(fields={}, combo=4, index=0, start=0, end=1, unit="ms")
    assert name_prefix("a", nobody) == name_prefix("a", request(3)) == "a_speaker_unknown_segment_"


def test_the_order_of_each_combo() -> None:
    items: list[tuple[Position, ClipRequest]] = [
        ((0, 0, 0), request(2, 500)),
        ((0, 0, 10), request(2, 20.5)),
        ((0, 0, 20), request(2, 500)),  # equal times: as the manifest has them
        ((0, 0, 30), request(3, 900, "speaker_1", index=0)),
        ((0, 0, 30), request(3, 100, "speaker_1", index=1)),
        ((0, 0, 40), request(3, 0, "speaker_1", index=0)),  # not by time, but as the manifest has them
        ((0, 0, 50), request(3, 0, "speaker_0")),
        ((0, 0, 60), request(4, 7, "b")),
        ((0, 0, 70), request(4, 3, "b")),
        ((0, 1, 0), request(4, 9, "a")),
        ((1, 0, 0), request(4, 9, 10)),
        ((1, 0, 10), request(4, 9, 9.5)),
        ((1, 0, 20), request(4, 9, None)),
        ((1, 0, 30), request(4, 9, [1])),
        ((1, 0, 40), request(4, 9, float("nan"))),
        ((1, 0, 50), request(4, 9, True)),
    ]
    expected = [1, 0, 2, 6, 3, 4, 5, 11, 10, 12, 14, 13, 9, 8, 7, 15]
    assert [items.index(item) for item in sort_requests(items)] == expected
    shuffled = list(items)
    random.Random(5).shuffle(shuffled)
    assert sort_requests(shuffled) == sort_requests(items)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([2, 3, 4]), st.integers(0, 3), SPEAKERS), max_size=8), st.randoms())
def test_names_do_not_depend_on_the_order_of_arrival(pieces: list[tuple[int, int, Any]], chance: random.Random) -> None:
    items = [((0, 0, n), request(combo, start, who)) for n, (combo, start, who) in enumerate(pieces)]
    expected = [request for _, request in sort_requests(items)]
    chance.shuffle(items)
    again = [request for _, request in sort_requests(items)]
    assert again == expected
    names = number_names([("a", each) for each in again], "wav")
    assert len({name.casefold() for name in names}) == len(names)


@pytest.mark.parametrize(
    ("claims", "marked"),
    [
        ([claim("talk_speaker_1", has_plain=True), claim("talk_speaker_2", has_plain=True)], set()),
        ([claim("talk", "1", "2"), claim("talk_speaker_2", has_plain=True)], {"talk", "talk_speaker_2"}),
        ([claim("talk", "1"), claim("talk_speaker_2", has_plain=True)], set()),
        ([claim("talk", "1"), claim("talk_speaker_1", "1")], set()),
        ([claim("a", "1_speaker_2"), claim("a_speaker_1", "2")], {"a", "a_speaker_1"}),
        (
            [claim("a", has_plain=True, recording="/x/a.wav"), claim("a", has_plain=True, recording="/y/a.wav")],
            {"/x/a.wav", "/y/a.wav"},
        ),
        ([claim("a", has_plain=True, recording="/x/a.wav"), claim("a", "1", recording="/y/a.wav")], set()),
        ([claim("a", "1", recording="/x/a.wav"), claim("a", "2", recording="/y/a.wav")], set()),
        ([claim("A", has_plain=True), claim("a", has_plain=True)], {"A", "a"}),
        ([claim("a", "Ana"), claim("A", "aNA")], {"A", "a"}),
        ([claim("STRASSE", has_plain=True), claim("straße", has_plain=True)], {"STRASSE", "straße"}),
        ([claim("É", has_plain=True), claim("é", has_plain=True)], {"É", "é"}),
        ([claim("a_SPEAKER_x", has_plain=True), claim("a", "x")], {"a_SPEAKER_x", "a"}),
        ([claim("a", has_plain=True), claim("a", has_plain=True)], set()),  # one recording, two claims
        ([claim("a_speaker_speaker_x", has_plain=True), claim("a_speaker", "x")], {"a_speaker_speaker_x", "a_speaker"}),
    ],
)
def test_recordings_whose_names_would_meet_are_marked(claims: list[NameClaim], marked: set[str]) -> None:
    assert recordings_to_mark(claims) == marked
    by_key: dict[str, list[NameClaim]] = {}
    for each in claims:
        by_key.setdefault(claim_key(each.stem), []).append(each)
    assert set().union(*(recordings_to_mark(group) for group in by_key.values())) == marked


PARTS = st.lists(
    st.sampled_from(["a", "A", "_", "_speaker_", "speaker", "_segment_", "segment", "000", "~"]), max_size=5
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(PARTS, st.lists(st.tuples(st.sampled_from([2, 4]), PARTS), max_size=4)), max_size=5))
def test_no_two_clips_share_a_name_once_recordings_are_marked(
    recordings: list[tuple[list[str], list[tuple[int, list[str]]]]],
) -> None:
    """Each recording lies in a folder of its own; claims are compared only with those of the same key."""
    asked = {
        f"/{folder}/{''.join(stem)}.wav": [request(combo, n, "".join(who)) for n, (combo, who) in enumerate(pieces)]
        for folder, (stem, pieces) in enumerate(recordings)
    }
    groups: dict[str, list[NameClaim]] = {}
    for recording, requests in asked.items():
        for claimed in claims_of(recording, requests):
            groups.setdefault(claim_key(claimed.stem), []).append(claimed)
    marked = set().union(*(recordings_to_mark(group) for group in groups.values()))
    assert marked == recordings_to_mark([claimed for group in groups.values() for claimed in group])
    names: dict[str, list[str]] = {}
    for recording, requests in asked.items():
        stem = safe_stem(stem_of(recording))
        final = stem_with_mark(stem, recording) if recording in marked else stem
        names[recording] = [name.casefold() for name in number_names([(final, each) for each in requests], "wav")]
    together = [name for group in names.values() for name in group]
    assert len(set(together)) == len(together)


def test_marks_tell_recordings_of_one_stem_apart() -> None:
    marked = {stem_with_mark("audio", f"/sessions/{n}/audio.wav") for n in range(2000)}
    assert len(marked) == 2000
    assert all(len(stem) == len("audio~0123456789abcdef") for stem in marked)
