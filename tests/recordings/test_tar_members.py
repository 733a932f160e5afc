from __future__ import annotations

import contextlib
import gzip
import io
import subprocess
import tarfile
import tempfile
import tracemalloc
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from beam_curator.failures import EntryError, FailureCode
from beam_curator.recordings.tar_members import (
    MAX_HEADER_BYTES,
    MemberFile,
    MemberSpan,
    find_member,
    member_locator,
    nemo_member,
    read_index,
    split_locator,
)

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
LONG = "x" * 120 + "/" + "y" * 90 + ".wav"
"""A name that ustar splits in two, and that PAX and GNU tar write in front."""

NEMO = "d/sharded_manifests/manifest_3.json"


def archive(*members: tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Make a tar with the standard library."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, form: int = tarfile.GNU_FORMAT) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(form)


def extended(text: bytes, kind: bytes = tarfile.XHDTYPE, size: int | None = None) -> bytes:
    """Make an extended header with this text, padded, that claims this size."""
    claimed = len(text) if size is None else size
    return header("././@PaxHeader", kind, claimed) + text + bytes(-len(text) % 512)


ONE = archive(("a", b"1"))
TWO = archive(("a", bytes(9)), ("b", bytes(700)))


def contents(data: bytes) -> dict[str, bytes]:
    """Read all members of an archive through its index."""
    file = io.BytesIO(data)
    return {name: MemberFile(file, span.offset, span.size).read() for name, span in read_index(file).items()}


def refused(data: bytes) -> tuple[FailureCode, str]:
    with pytest.raises(EntryError) as caught:
        read_index(io.BytesIO(data))
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a/b.tar::x/y.wav", ("a/b.tar", "x/y.wav")),
        ("gs://b/A.TAR::y.wav", ("gs://b/A.TAR", "y.wav")),
        ("a.tar::b.tar::c.wav", ("a.tar", "b.tar::c.wav")),
        ("a::b.tar::c.wav", ("a::b.tar", "c.wav")),
        ("a.tar::../../x", ("a.tar", "../../x")),
        ("a.tar::\nx", ("a.tar", "\nx")),
        (".tar::x", (".tar", "x")),
        ("a.tar::", ("a.tar::", None)),
        ("a.tar", ("a.tar", None)),
        ("a.tar:x", ("a.tar:x", None)),
        ("a.tar.gz::x", ("a.tar.gz::x", None)),
        ("atar::x", ("atar::x", None)),
        ("a.wav", ("a.wav", None)),
        ("", ("", None)),
    ],
)
def test_a_locator_names_an_archive_and_a_member(path: str, found: tuple[str, str | None]) -> None:
    assert split_locator(path) == found


@given(st.text(), st.text(min_size=1))
def test_locators_are_put_together_and_split_again(stem: str, member: str) -> None:
    assume(".tar::" not in stem.lower())
    assert split_locator(member_locator(f"{stem}.tar", member)) == (f"{stem}.tar", member)


@pytest.mark.parametrize(("path", "member"), [("a.zip", "x"), ("a.tar", ""), ("a.tar::b.tar", "x")])
def test_what_would_not_be_split_again_is_no_locator(path: str, member: str) -> None:
    with pytest.raises(ValueError, match="does not name a member"):
        member_locator(path, member)


@pytest.mark.parametrize(
    ("source", "name", "shard", "locator"),
    [
        (NEMO, "a.wav", 3, "../audio_3.tar::a.wav"),
        (f"{NEMO}l", "a.wav", 3, "../audio_3.tar::a.wav"),
        (f"gs://b/{NEMO}", "a.wav", 3, "../audio_3.tar::a.wav"),
        ("sharded_manifests/manifest_0.json", "a.wav", 0, "../audio_0.tar::a.wav"),
        (NEMO, "a-sub12.wav", 3, "../audio_3.tar::a.wav"),
        (NEMO, "a-sub1-sub2", 3, "../audio_3.tar::a-sub1"),
        (NEMO, "a-subtitle.wav", 3, "../audio_3.tar::a-subtitle.wav"),
        (NEMO, "-sub1.wav", 3, "../audio_3.tar::-sub1.wav"),
        (NEMO, "a.wav", 4, None),
        (NEMO, "a.wav", "3", None),
        (NEMO, "a.wav", None, None),
        ("d/sharded_manifests/manifest_1.json", "a.wav", True, None),
        ("d/sharded_manifests/manifest_03.json", "a.wav", 3, None),
        (NEMO, "x/a.wav", 3, "../audio_3.tar::x/a.wav"),
        (NEMO, "x/y/a-sub2.wav", 3, "../audio_3.tar::x/y/a.wav"),
        (NEMO, "/x/a.wav", 3, None),
        (NEMO, "gs://x/a.wav", 3, None),
        (NEMO, "", 3, None),
        (NEMO, None, 3, None),
        ("d/manifest_3.json", "a.wav", 3, None),
        ("d/not_sharded_manifests/manifest_3.json", "a.wav", 3, None),
        (f"{NEMO}.gz", "a.wav", 3, None),
        ("d/tarred_audio_manifest.json", "a.wav", 3, None),
    ],
)
def test_rows_of_a_nemo_tarred_dataset_name_their_member(
    source: str, name: object, shard: object, locator: str | None
) -> None:
    assert nemo_member(source, {"audio_filepath": name, "shard_id": shard}) == locator
    assert nemo_member(source, {"shard_id": shard}) is None


def test_spans_are_those_of_the_layout() -> None:
    data = archive(("a.wav", b"12345"), ("b/c.wav", bytes(512)), ("d", b""), form=tarfile.USTAR_FORMAT)
    assert read_index(io.BytesIO(data)) == {
        "a.wav": MemberSpan(offset=512, size=5),
        "b/c.wav": MemberSpan(offset=1536, size=512),
        "d": MemberSpan(offset=2560, size=0),
    }


@pytest.mark.parametrize("form", FORMATS)
def test_all_formats_are_read(form: int) -> None:
    members = [("a.wav", b"a" * 1000), (LONG, b"long"), ("ü/語.wav", b"unicode"), ("e" * 100, b"exactly")]
    assert contents(archive(*members, form=form)) == dict(members)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300).map(
            lambda name: f"n{name}n"
        ),
        st.binary(max_size=1500),
        max_size=6,
    ),
    st.sampled_from(FORMATS[1:]),
)
def test_the_index_finds_what_was_written(members: dict[str, bytes], form: int) -> None:
    assert contents(archive(*members.items(), form=form)) == members


def test_names_are_keys_and_never_paths() -> None:
    members = [("../../x", b"1"), ("/etc/passwd", b"2"), ("a/../../y", b"3"), ("~/z", b"4"), ("file://q", b"5")]
    assert contents(archive(*members)) == dict(members)


def test_a_leading_dot_is_no_part_of_a_name() -> None:
    index = read_index(io.BytesIO(archive(("./a.wav", b"1"), ("././/b.wav", b"2"), (".c.wav", b"3"), ("../d", b"4"))))
    assert list(index) == ["a.wav", "b.wav", ".c.wav", "../d"]
    assert find_member(index, "./a.wav") == find_member(index, "a.wav") == index["a.wav"]


def test_a_member_that_is_not_there_is_not_found() -> None:
    with pytest.raises(EntryError, match="not_found: the archive holds no file 'b' among its 1: "):
        find_member(read_index(io.BytesIO(ONE)), "b")


def test_of_one_name_the_last_member_counts() -> None:
    assert contents(archive(("a", b"first"), ("b", b"other"), ("./a", b"last"))) == {"b": b"other", "a": b"last"}
    link = header("a", tarfile.SYMTYPE)
    assert contents(archive(("a", b"first"))[:1024] + link + archive(("c", b"3"))) == {"c": b"3"}


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])  # links, devices, a directory, a pipe
def test_what_is_no_plain_file_has_no_entry_and_no_data(kind: bytes) -> None:
    assert contents(header("a", kind, 4096) + archive(("b", b"2"))) == {"b": b"2"}


def test_an_unknown_kind_has_data_and_no_entry() -> None:
    assert contents(header("a", b"D", 5) + bytes(512) + archive(("b", b"2"))) == {"b": b"2"}


@pytest.mark.skipif(which("tar") is None, reason="needs tar")
@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_sparse_files_and_links_of_gnu_tar_are_left_out(tmp_path: Path, form: str) -> None:
    with open(tmp_path / "holes", "wb") as file:
        for position in range(0, 40):
            file.seek(position * 200_000)
            file.write(b"x" * 5000)
    (tmp_path / "a.wav").write_bytes(b"1" * 700)
    (tmp_path / "z.wav").hardlink_to(tmp_path / "a.wav")
    (tmp_path / "z").symlink_to("a.wav")
    (tmp_path / (LONG.replace("/", "_")[:230] + "é")).write_bytes(b"2")
    names = sorted(path.name for path in tmp_path.iterdir())
    subprocess.run(["tar", "-cSf", "t.tar", f"--format={form}", *names], cwd=tmp_path, check=True)
    with open(tmp_path / "t.tar", "rb") as file:
        index = read_index(file)
        assert list(index) == [name for name in names if name not in ("holes", "z", "z.wav")]
        assert MemberFile(file, index["a.wav"].offset, index["a.wav"].size).read() == b"1" * 700


def test_a_size_in_an_extended_header_counts() -> None:
    data = extended(b"10 size=5\n") + header("a") + b"12345" + bytes(507) + archive(("b", b"2"))
    assert contents(data) == {"a": b"12345", "b": b"2"}


def test_a_header_for_all_members_changes_nothing() -> None:
    comment = extended(b"16 comment=abcd\n", tarfile.XGLTYPE)
    assert contents(comment + archive(("a", b"1"))) == {"a": b"1"}
    assert contents(comment + bytes(1024)) == {}


@pytest.mark.parametrize("padding", [0, 1, 507, 507 + 512, 507 + 1024])
def test_an_archive_without_its_end_marker_is_whole(padding: int) -> None:
    assert contents(archive(("a", b"12345"))[:517] + bytes(padding)) == {"a": b"12345"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the archive holds 0 bytes, expected at least one block"),
        (ONE[:100], "the archive ends at byte 100, inside the header at byte 0"),
        (ONE[:1025], "the archive ends at byte 1025, inside the header at byte 1024"),
        (TWO[:1200], "the archive ends at byte 1200, inside the header at byte 1024"),
        (TWO[:2000], "the archive ends at byte 2000, member 'b' at byte 2236"),
        (extended(b"9 path=a\n")[:520], "the archive ends at byte 520, inside the header at byte 512"),
        (extended(b"9 path=a\n"), "the archive ends at byte 1024, behind a header that announces a member"),
        (
            extended(b"9 path=a\n") + bytes(512),
            "the archive ends at byte 1536, behind a header that announces a member",
        ),
    ],
)
def test_a_truncated_archive_is_refused(data: bytes, message: str) -> None:
    assert refused(data) == (FailureCode.TRUNCATED_FILE, message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(ONE, mtime=0) + bytes(512), "the archive has no tar header at byte 0"),
        (b"<!DOCTYPE html>" * 100, "the archive has no tar header at byte 0"),
        (ONE[:1024] + b"?" * 512, "the archive has a damaged header at byte 1024"),
        (header("a", size=-512), "the header at byte 0 claims -512 bytes"),
        (extended(b"13 size=-512\n") + header("a"), "the extended header before byte 1024 gives '-512' as the size"),
        (
            extended(b"", size=1 << 40),
            f"the header before byte 512 claims {1 << 40} bytes, expected {MAX_HEADER_BYTES} at most",
        ),
    ],
)
def test_a_damaged_archive_is_refused(data: bytes, message: str) -> None:
    assert refused(data) == (FailureCode.NOT_READABLE, message)


@pytest.mark.parametrize(
    "text",
    [b"0 path=a\n", b"7 path=a\n", b"99 path=a\n", b"9 path=a ", b"9 pathaa\n", b"path=a\n", b" \n", b"1" * 900_000]
    + [b"9 path=a\n" + behind for behind in (b"path=a\n", b"0 path=a\n")],  # the second once went round for ever
)
def test_a_damaged_record_of_an_extended_header_is_refused(text: bytes) -> None:
    found = refused(extended(text) + header("a"))
    assert found == (FailureCode.NOT_READABLE, "the extended header at byte 512 holds a damaged record")


def test_a_zero_byte_ends_the_records_of_an_extended_header() -> None:
    assert contents(extended(b"9 path=q\n\0\0junk") + archive(("a", b"1"))) == {"q": b"1"}


def test_many_extended_headers_one_behind_the_other_are_read() -> None:
    assert contents(extended(b"9 path=q\n") * 5000 + archive(("a", b"1"))) == {"q": b"1"}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=12), st.booleans()), max_size=4),
    st.integers(0, 10_240),
)
def test_damaged_archives_are_read_or_refused_and_nothing_else(
    form: int, changes: list[tuple[int, bytes, bool]], end: int
) -> None:
    data = bytearray(archive(("a", b"1"), (LONG, b"2"), ("b", bytes(600)), form=form))
    for position, piece, mend in changes:
        data[position : position + len(piece)] = piece
        start = position // 512 * 512
        if mend:  # the block's checksum, so that the nonsense looks like a header
            total = sum(data[start : start + 148]) + 8 * 32 + sum(data[start + 156 : start + 512])
            data[start + 148 : start + 156] = b"%06o\0 " % total
    with contextlib.suppress(EntryError):
        for span in read_index(io.BytesIO(bytes(data[:end]))).values():
            assert 0 < span.offset <= span.offset + span.size <= end


def test_memory_does_not_grow_with_the_size_of_members() -> None:
    data = io.BytesIO(archive(*((f"{index:03}", bytes(500_000)) for index in range(40))))
    tracemalloc.start()
    try:
        read_index(data)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG"])
def test_soundfile_reads_a_member_in_place(form: str) -> None:
    time = np.arange(16000, dtype=np.float32) / 16000
    encoded = io.BytesIO()
    soundfile.write(encoded, 0.5 * np.sin(2 * np.pi * 440 * time), 16000, format=form)
    file = io.BytesIO(archive(("junk", bytes(777)), ("tone", encoded.getvalue()), ("more", bytes(99))))
    span = find_member(read_index(file), "tone")
    expected, rate = soundfile.read(io.BytesIO(encoded.getvalue()), dtype="float32")
    found, found_rate = soundfile.read(MemberFile(file, span.offset, span.size), dtype="float32")
    assert (found_rate, found.tobytes()) == (rate, expected.tobytes())
    with soundfile.SoundFile(MemberFile(file, span.offset, span.size)) as sound:
        sound.seek(12345)
        assert sound.read(100, dtype="float32").tobytes() == expected[12345:12445].tobytes()


def seek(file: Any, position: int, whence: int) -> object:
    """Seek, and return the new position or what is wrong: files differ in their words for it."""
    try:
        return file.seek(position, whence)
    except (ValueError, OSError):
        return "refused"


@given(
    st.binary(max_size=40),
    st.binary(max_size=9),
    st.lists(st.tuples(st.sampled_from(["read", io.SEEK_SET, io.SEEK_CUR, io.SEEK_END]), st.integers(-9, 50))),
)
def test_a_member_behaves_as_a_file_of_its_own(member: bytes, before: bytes, steps: list[tuple[Any, int]]) -> None:
    shared = io.BytesIO(before + member + b"behind")
    with tempfile.TemporaryFile() as alone:
        alone.write(member)
        alone.seek(0)
        view = MemberFile(shared, len(before), len(member))
        for step, number in steps:
            shared.seek(0)  # another reader moved the archive
            if step == "read":
                assert view.read(max(number, -1)) == alone.read(max(number, -1))
            else:
                assert seek(view, number, step) == seek(alone, number, step)
            assert view.tell() == alone.tell()


def test_views_of_one_archive_do_not_disturb_each_other() -> None:
    file = io.BytesIO(b"aaaabbbb")
    first, second = MemberFile(file, 0, 4), MemberFile(file, 4, 4)
    assert [first.read(2), second.read(3), first.read(9), second.read(9)] == [b"aa", b"bbb", b"aa", b"b"]
    first.close()
    assert not file.closed
    for use in (first.tell, first.read, lambda: first.seek(0)):
        with pytest.raises(ValueError, match="closed"):
            use()
    assert (second.readable(), second.seekable(), second.writable()) == (True, True, False)


def test_an_archive_that_was_cut_after_it_was_indexed_is_refused() -> None:
    member = MemberFile(io.BytesIO(b"abc"), 1, 10)
    assert member.read(5) == b"bc"
    with pytest.raises(EntryError, match="truncated_file: the archive ends inside a member, 8 bytes before its end"):
        member.read(5)


@pytest.mark.parametrize(("offset", "size"), [(-1, 5), (0, -5)])
def test_a_span_lies_in_an_archive(offset: int, size: int) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        MemberFile(io.BytesIO(b""), offset, size)


def test_only_three_ways_to_seek_are_known() -> None:
    with pytest.raises(ValueError, match="whence 7 is not known"):
        MemberFile(io.BytesIO(b""), 0, 0).seek(0, 7)
