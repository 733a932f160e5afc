from __future__ import annotations

import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.audio.files import SinkFile, SourceFile

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "readinto", "set", "cur", "end"]), st.integers(-8, 30), st.binary(max_size=9)
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=150)
@given(st.binary(max_size=20), st.binary(max_size=5), st.integers(0, 25), STEPS)
def test_a_view_reads_like_a_file_of_its_bytes(
    data: bytes, prefix: bytes, start: int, steps: list[tuple[str, int, bytes]]
) -> None:
    plain = io.BytesIO(prefix + data[start:])
    view = SourceFile(io.BytesIO(data), start=start, prefix=prefix)
    assert view.size == len(plain.getvalue())
    for act, number, _ in steps:
        if act == "read":
            assert view.read(number) == plain.read(number)
        elif act == "readinto":
            buffer = bytearray(abs(number))
            n_read = view.readinto(memoryview(buffer))
            assert buffer[:n_read] == plain.read(abs(number))
        elif act == "set":
            assert view.seek(abs(number)) == plain.seek(abs(number))
        else:
            whence = {"cur": os.SEEK_CUR, "end": os.SEEK_END}[act]
            assert view.seek(number, whence) == plain.seek(number, whence)
        assert view.tell() == plain.tell()


@given(st.binary(max_size=20), st.binary(max_size=5), st.integers(0, 20), st.integers(0, 25), st.binary(max_size=3))
def test_views_of_views(data: bytes, prefix: bytes, start: int, cut: int, front: bytes) -> None:
    view = SourceFile(io.BytesIO(data), start=start, prefix=prefix).behind(cut, front)
    assert view.read() == front + (prefix + data[start:])[cut:]


@settings(max_examples=150)
@given(st.binary(max_size=5), STEPS)
def test_a_sink_writes_like_a_file_of_its_own(before: bytes, steps: list[tuple[str, int, bytes]]) -> None:
    plain, file = io.BytesIO(), io.BytesIO()
    file.write(before)
    sink = SinkFile(file)
    for act, number, data in steps:
        if act == "set":
            assert sink.seek(min(abs(number), len(plain.getvalue()))) == plain.seek(
                min(abs(number), len(plain.getvalue()))
            )
        elif act == "end":
            assert sink.seek(0, os.SEEK_END) == plain.seek(0, os.SEEK_END)
        else:
            assert sink.write(data) == plain.write(data)
        assert sink.tell() == plain.tell()
    assert file.getvalue() == before + plain.getvalue()


class Closed(io.BytesIO):
    """Fails whenever it is read."""

    def readinto(self, buffer: object, /) -> int:
        raise OSError("gone")


def test_an_error_is_kept_for_later_and_raised_once() -> None:
    view = SourceFile(Closed(b"0123"))
    assert view.readinto(memoryview(bytearray(4))) == 0
    with pytest.raises(OSError, match="gone"):
        view.raise_error()
    view.raise_error()
