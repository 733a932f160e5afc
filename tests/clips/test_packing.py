from __future__ import annotations

import io
import re
import subprocess
import tarfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.clips.packing import (
    PACKS,
    TarWriter,
    nemo_manifest_name,
    nemo_row,
    pack_member_name,
    shard_name,
)
from beam_curator.recordings.tar_members import MemberFile, MemberSpan, nemo_member, read_index, split_locator

TAR_PACKS = [pack for pack in PACKS if pack != "none"]
STEMS = st.one_of(st.text(min_size=1), st.text("a.-/_~sub0", min_size=1), st.text("é", min_size=90, max_size=110))
NAMES = st.dictionaries(
    st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=200).map(
        lambda name: f"n{name}"
    ),
    st.binary(max_size=1100),
    max_size=6,
)


def packed(members: Iterable[tuple[str, bytes]]) -> tuple[bytes, TarWriter]:
    pieces: list[bytes] = []
    writer = TarWriter(pieces.extend)
    for name, data in members:
        writer.add(name, data)
    writer.close()
    return b"".join(pieces), writer


def webdataset_samples(data: bytes) -> list[dict[str, bytes]]:
    """Group members as WebDataset does: neighbours with the same text before the first dot are one sample."""
    samples: list[dict[str, bytes]] = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|") as tar:
        for member in tar:
            found = re.fullmatch(r"((?:.*/|)[^.]+)[.]([^/]*)", member.name, re.DOTALL)
            assert found is not None
            content = tar.extractfile(member)
            assert content is not None
            if not samples or samples[-1]["key"] != found[1].encode():
                samples.append({"key": found[1].encode()})
            assert found[2].lower() not in samples[-1]
            samples[-1][found[2].lower()] = content.read()
    return samples


@pytest.mark.parametrize(
    ("clip", "pack", "member"),
    [
        ("talk_segment_000.flac", "none", "talk_segment_000.flac"),
        ("talk_segment_000.flac", "webdataset", "talk_segment_000.flac"),
        ("talk_segment_000.flac", "nemo-tar", "talk_segment_000.flac"),
        ("a.b_segment_000.flac", "none", "a.b_segment_000.flac"),
        ("a.b_segment_000.flac", "webdataset", "a_b_segment_000~#.flac"),
        ("a.b_segment_000.flac", "nemo-tar", "a_b_segment_000~#.flac"),
        ("a_b_segment_000.flac", "webdataset", "a_b_segment_000.flac"),
        ("x/a.ogg", "webdataset", "x_a~#.ogg"),
        ("../a.ogg", "nemo-tar", "___a~#.ogg"),
        ("a\nb.wav", "webdataset", "a_b~#.wav"),
        ("a-sub1.wav", "webdataset", "a-sub1.wav"),
        ("a-sub1.wav", "nemo-tar", "a_sub1~#.wav"),
        ("a-subway.wav", "nemo-tar", "a_subway~#.wav"),
        ("a-Sub1.wav", "nemo-tar", "a-Sub1.wav"),
        ("a~0123456789abcdef.wav", "nemo-tar", "a~0123456789abcdef~#.wav"),
        ("語 é.wav", "webdataset", "語 é.wav"),
        ("\ud800.wav", "webdataset", "_~#.wav"),
        ("b" * 200 + ".wav", "webdataset", "b" * 200 + ".wav"),
        ("b" * 201 + ".wav", "webdataset", "b" * 183 + "~#.wav"),
        ("é" * 101 + ".wav", "webdataset", "é" * 91 + "~#.wav"),
    ],
)
def test_members_are_named_so_that_readers_find_them(clip: str, pack: str, member: str) -> None:
    assert re.sub(r"~[0-9a-f]{16}\.", "~#.", pack_member_name(clip, pack)) == member


def test_a_changed_name_holds_the_hash_of_the_old_stem() -> None:
    name = "a_b_segment_000~53c6573fa699c4a9.ogg"  # printf %s STEM | b2sum -l 64
    assert [pack_member_name("a.b_segment_000.ogg", pack) for pack in TAR_PACKS] == [name, name]


@settings(max_examples=300)
@given(STEMS, STEMS, st.sampled_from(TAR_PACKS))
def test_names_are_safe_and_never_meet(stem: str, other: str, pack: str) -> None:
    name = pack_member_name(f"{stem}.flac", pack)
    assert re.fullmatch(r"[^./\\\x00-\x1f\x7f\ud800-\udfff]+\.flac", name)
    assert len(name.encode()) <= 255
    assert pack != "nemo-tar" or "-sub" not in name
    assert (name == pack_member_name(f"{other}.flac", pack)) == (stem == other)
    again = pack_member_name(name, pack)
    assert again != name or name == f"{stem}.flac"  # what was changed is not free to be taken by another clip


@pytest.mark.parametrize("clip", ["", "talk", ".flac", "a.", "a.b c", "a.flac/"])
def test_a_clip_without_an_extension_is_refused(clip: str) -> None:
    with pytest.raises(ValueError, match="has no extension"):
        pack_member_name(clip, "webdataset")


@given(st.sets(STEMS, min_size=1, max_size=8), st.sampled_from(["flac", "wav", "ogg"]))
def test_members_of_a_sample_are_neighbours_and_all_are_sorted(stems: set[str], extension: str) -> None:
    clips = sorted(pack_member_name(f"{stem}.{extension}", "webdataset") for stem in stems)
    members = [
        (name, name.encode())
        for clip in clips
        for name in sorted([clip, f"{clip.removesuffix(extension)}json"])  # as a shard is written, clip by clip
    ]
    assert [name for name, _ in members] == sorted(name for name, _ in members)
    assert webdataset_samples(packed(members)[0]) == [
        {"key": key.encode(), extension: f"{key}.{extension}".encode(), "json": f"{key}.json".encode()}
        for key in (clip.removesuffix(f".{extension}") for clip in clips)
    ]


@pytest.mark.parametrize(("pack", "name"), [("webdataset", "shard-000012.tar"), ("nemo-tar", "audio_12.tar")])
def test_shards_are_named_by_their_numbers(pack: str, name: str) -> None:
    assert shard_name(pack, 12) == name


def test_packs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="has no shards"):
        shard_name("none", 0)
    for call in (lambda: shard_name("zip", 0), lambda: pack_member_name("a.wav", "zip")):
        with pytest.raises(ValueError, match="pack 'zip' is not known: choose one of none, webdataset, nemo-tar"):
            call()


@pytest.mark.parametrize(
    ("row", "made"),
    [
        ({}, {"audio_filepath": "m.wav", "duration": 0.3, "shard_id": 2}),
        (
            {"speaker": "s", "text": "hi", "shard_id": 9, "duration": 0.25, "audio_filepath": "/x.wav", "lang": None},
            {"audio_filepath": "m.wav", "duration": 0.3, "text": "hi", "speaker": "s", "lang": None, "shard_id": 2},
        ),
        (
            {"source_audio_offset": 1, "offset": 7.5, "audio_filename": "x.wav"},
            {
                "audio_filepath": "m.wav",
                "duration": 0.3,
                "source_audio_offset": 7.5,
                "source_audio_filename": "x.wav",
                "shard_id": 2,
            },
        ),
        ({"text": None}, {"audio_filepath": "m.wav", "duration": 0.3, "text": None, "shard_id": 2}),
    ],
)
def test_rows_are_those_that_nemo_reads(row: dict[str, object], made: dict[str, object]) -> None:
    before = dict(row)
    found = nemo_row(row, member="m.wav", n_samples=4800, sample_rate=16000, shard=2)
    assert list(found.items()) == list(made.items())
    assert row == before


def test_a_packed_row_names_its_member_again() -> None:
    member = pack_member_name("a-sub1.b.flac", "nemo-tar")
    row = nemo_row({}, member=member, n_samples=1, sample_rate=1, shard=7)
    locator = nemo_member(f"out/{nemo_manifest_name(7)}", row)
    assert locator is not None
    assert split_locator(locator) == (f"../{shard_name('nemo-tar', 7)}", member)


@given(NAMES)
def test_archives_are_read_back_by_tarfile_and_by_the_index(members: dict[str, bytes]) -> None:
    data, writer = packed(sorted(members.items()))
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        read = {member.name: tar.extractfile(member) for member in tar}
        assert {name: file.read() for name, file in read.items() if file} == members
        for member in tar:
            assert (member.mtime, member.mode, member.uid, member.gid) == (0, 0o644, 0, 0)
            assert (member.uname, member.gname, member.isreg()) == ("", "", True)
    assert read_index(io.BytesIO(data)) == writer.members
    assert list(writer.members) == sorted(members)
    assert writer.n_bytes == len(data)
    assert len(data) % 10_240 == 0


@given(NAMES)
def test_the_same_members_give_the_same_bytes(members: dict[str, bytes]) -> None:
    pieces: list[bytes] = []
    writer = TarWriter(pieces.extend)
    for name, data in sorted(members.items()):
        writer.add_pieces(name, len(data), (data[start : start + 100] for start in range(0, len(data), 100)))
    writer.close()
    assert b"".join(pieces) == packed(sorted(members.items()))[0]


def test_a_header_is_plain_ustar() -> None:
    data, writer = packed([("a.flac", b"12345")])
    header = b"a.flac".ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"00000000005\0" + b"0" * 11 + b"\0"
    rest = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + bytes(8 + 8 + 155 + 12)
    checksum = b"%06o\0 " % (sum(header) + 8 * 32 + sum(rest))
    assert data == header + checksum + rest + b"12345" + bytes(10_240 - 512 - 5)
    assert writer.members == {"a.flac": MemberSpan(offset=512, size=5)}


def test_an_empty_shard_is_an_empty_tar() -> None:
    data, writer = packed([])
    assert (data, writer.members) == (bytes(10_240), {})
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == []
    assert read_index(io.BytesIO(data)) == {}


@pytest.mark.skipif(which("tar") is None, reason="needs tar")
def test_tar_lists_and_unpacks_them(tmp_path: Path) -> None:
    members = {"a.flac": b"1" * 700, "b" * 150 + ".flac": b"2", "é.flac": b"", "語" * 60 + ".flac": b"3" * 512}
    for name, content in (("full", members), ("empty", dict[str, bytes]())):
        (tmp_path / f"{name}.tar").write_bytes(packed(sorted(content.items()))[0])
        listed = subprocess.run(
            ["tar", "--quoting-style=literal", "-tf", f"{name}.tar"], cwd=tmp_path, check=True, capture_output=True
        )
        assert listed.stdout.decode().splitlines() == sorted(content)
        assert listed.stderr == b""
    subprocess.run(["tar", "-xf", "full.tar"], cwd=tmp_path, check=True)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.flac")} == members


def test_a_packed_clip_is_read_in_place() -> None:
    tone = (np.sin(np.arange(4000) / 10) * 9000).astype(np.int16)
    clip = io.BytesIO()
    soundfile.write(clip, tone, 16000, format="FLAC")
    data, writer = packed([("a.flac", clip.getvalue()), ("a.json", b"{}")])
    span = writer.members["a.flac"]
    assert data[span.offset : span.offset + span.size] == clip.getvalue()
    samples, rate = soundfile.read(MemberFile(io.BytesIO(data), span.offset, span.size), dtype="int16")
    assert (rate, samples.tobytes()) == (16000, tone.tobytes())


def test_pieces_are_passed_on_and_never_held() -> None:
    seen: list[int] = []
    writer = TarWriter(lambda pieces: seen.append(sum(map(len, pieces))))
    writer.add_pieces("a", 3_000_000, (bytes(1_000_000) for _ in range(3)))
    assert seen == [512, 1_000_000, 1_000_000, 1_000_000, 320]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "plain relative path"),
        ("/a", "plain relative path"),
        ("a/", "plain relative path"),
        ("../a", "plain relative path"),
        ("a/../b", "plain relative path"),
        ("./a", "plain relative path"),
        ("a\0b", "plain relative path"),
        ("\ud800", "lone surrogates"),
        ("m", "'m' comes after 'm'"),
        ("l", "'l' comes after 'm'"),
    ],
)
def test_names_that_are_not_safe_or_not_in_order_are_refused(name: str, why: str) -> None:
    pieces: list[bytes] = []
    writer = TarWriter(pieces.extend)
    writer.add("m", b"")
    with pytest.raises(ValueError, match=why):
        writer.add(name, b"1")
    writer.add("n", b"2")
    writer.close()
    assert list(read_index(io.BytesIO(b"".join(pieces)))) == ["m", "n"]


@pytest.mark.parametrize(
    ("pieces", "why"), [([b"12"], "hold 2 bytes, expected 3"), ([b"12", b"34"], "hold more bytes, expected 3")]
)
def test_pieces_of_another_length_end_the_archive(pieces: list[bytes], why: str) -> None:
    writer = TarWriter(lambda pieces: None)
    with pytest.raises(ValueError, match=f"the pieces of 'a' {why}"):
        writer.add_pieces("a", 3, pieces)
    for use in (lambda: writer.add("b", b""), writer.close):
        with pytest.raises(ValueError, match="its last member is not whole"):
            use()


def test_an_archive_whose_sink_failed_is_not_ended() -> None:
    def full(pieces: list[bytes]) -> None:
        raise OSError(28, "No space left on device")

    writer = TarWriter(full)
    with pytest.raises(OSError, match="No space"):
        writer.add("a", b"1")
    with pytest.raises(ValueError, match="not whole"):
        writer.close()


def test_a_closed_archive_takes_nothing_more() -> None:
    writer = packed([])[1]
    for use in (lambda: writer.add("b", b""), writer.close):
        with pytest.raises(ValueError, match="is closed"):
            use()


def test_the_order_of_names_is_that_of_their_bytes() -> None:
    names = sorted(["a.flac", "a-1.flac", "A.flac", "é.flac", "語.flac", "\U0001f600.flac", "\uffee.flac"])
    assert all(one.encode() < other.encode() for one, other in pairwise(names))
    assert list(packed((name, b"") for name in names)[1].members) == names
