"""Recordings that do not say their length are counted by decoding them, no further than is allowed."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import pytest

from beam_curator.audio import open_audio
from beam_curator.audio.open_rules import Opening
from beam_curator.failures import EntryError
from beam_curator.recordings.recording_options import DecodedLimits
from tests.audio.corpus import RECIPES, packet_file, sound_bytes


class CountingFile(io.BytesIO):
    """Counts the bytes that are read of it."""

    n_read = 0

    def readinto(self, buffer: Any) -> int:
        n_bytes = super().readinto(buffer)
        self.n_read += n_bytes
        return n_bytes

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.n_read += len(data)
        return data


def opening(**limits: Any) -> Opening:
    return Opening(check=partial(DecodedLimits(**limits).check, counted=True))


# a block has 32768 samples of two channels at 44100 Hz: 0.743 s; the third ends behind 2 s
@pytest.mark.parametrize(
    ("limits", "code", "message"),
    [
        ({"max_duration": 2}, "too_long", "the recording is at least 2 s long, beyond the 2 s of --max-duration"),
        ({"max_bytes": 600_000}, "too_large",
         "the recording decodes to at least 786432 bytes, beyond the 600000 of --max-decoded-bytes"),
    ],
)  # fmt: skip
def test_an_m4a_is_counted_up_to_the_limit_and_no_further(limits: Any, code: str, message: str) -> None:
    data = packet_file("aac.m4a", 40)
    file = CountingFile(data)
    with pytest.raises(EntryError) as caught:
        open_audio(file, opening(**limits))
    assert (caught.value.code, caught.value.message) == (code, message)
    assert file.n_read < len(data) / 4


@pytest.mark.parametrize("name", ["opus.webm", "cut.mp3"])
def test_so_is_whatever_does_not_say_its_length(name: str) -> None:
    # the first frame of the mp3 claims twice as many as are there
    cut = sound_bytes(RECIPES["variable.mp3"], 20)
    data = packet_file(name, 20) if name == "opus.webm" else cut[: len(cut) // 2]
    with pytest.raises(EntryError, match="at least"):
        open_audio(data, opening(max_duration=6))


def test_within_the_limit_it_is_counted_to_its_end() -> None:
    data = packet_file("aac.m4a", 4)
    with open_audio(data) as free, open_audio(data, opening(max_duration=5)) as reader:
        assert reader.info == free.info
        assert (reader.read() == free.read()).all()


def test_nothing_is_counted_where_nobody_asks_for_the_length() -> None:
    data = packet_file("aac.m4a", 40)
    file = CountingFile(data)
    with open_audio(file, Opening(counts=False)) as reader:
        assert (reader.info.sample_rate, reader.info.n_channels) == (44100, 2)
    assert file.n_read < len(data) / 4


def test_less_stays_in_memory_where_several_files_are_open() -> None:
    data = packet_file("aac.m4a", 10)
    with open_audio(data, Opening(kept_values=100_000)) as reader:
        assert (reader.read(200_000, 200_100) == reader.read()[200_000:200_100]).all()
