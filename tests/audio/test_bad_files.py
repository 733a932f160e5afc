from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.audio import AudioInfo, encode_audio, open_audio
from beam_curator.failures import EntryError, FailureCode
from tests.audio.corpus import RECIPES, decode_audio, packet_file, sound_bytes, speech_like

NOT_AUDIO, EMPTY, CUT = FailureCode.NOT_AUDIO, FailureCode.EMPTY_AUDIO, FailureCode.TRUNCATED_AUDIO
REFUSED = {
    "zero_bytes.wav": (EMPTY, "the file has 0 bytes"),
    "page.wav": (NOT_AUDIO, "a file of 1100 bytes that begins like no audio format"),
    "random.wav": (NOT_AUDIO, "a file of 20000 bytes that begins like no audio format"),
    "header_only.wav": (EMPTY, "the wav file holds no samples"),
    "header_only.flac": (EMPTY, "the flac file holds no samples"),
    "truncated.m4a": (CUT, "the m4a file ends before its index (moov)"),
    "damaged.ogg": (NOT_AUDIO, "the Ogg file is damaged: the page at byte "),
    "chained.ogg": (NOT_AUDIO, "the Ogg file holds several streams"),
    "no_rate.wav": (NOT_AUDIO, "libsndfile does not decode it: "),
    "playlist.m4a": (NOT_AUDIO, "a file of 79 bytes that begins like no audio format"),
}
FAILS_WHEN_READ = {
    "truncated.flac": (CUT, "samples 0 to 24123 gave 0 of 24123; the file ends early or is damaged"),
    "damaged.flac": (CUT, "samples 0 to 24123 gave 0 of 24123; the file ends early or is damaged"),
    "claims_2_36_frames.flac": (CUT, "samples 0 to 68719476735 gave 0 of 68719476735"),
    "nan.wav": (FailureCode.NON_FINITE, "sample 12000 is [nan]"),
    "inf.wav": (FailureCode.NON_FINITE, "sample 12000 is [inf]"),
}
SHORT = {
    "truncated.wav": (12050, 24123),  # 24,145 bytes less a header of 44, two bytes each
    "truncated.ogg": (None, None),
    "truncated.mp3": (None, 24123),
    "truncated_behind_index.m4a": (None, 24128),
    "claims_2_31_frames.wav": (24123, 0x7FFFFFFF),
}
FINE = {"above_one.wav": (24123, 1), "many_channels.wav": (24, 1000)}


def test_every_bad_file_is_in_a_table(bad_files: dict[str, Path]) -> None:
    assert {*REFUSED, *FAILS_WHEN_READ, *SHORT, *FINE} == set(bad_files)


@pytest.mark.parametrize("name", REFUSED)
def test_these_are_not_opened(name: str, bad_files: dict[str, Path]) -> None:
    code, message = REFUSED[name]
    with pytest.raises(EntryError) as caught, bad_files[name].open("rb") as file:
        open_audio(file)
    assert (caught.value.code, caught.value.message[: len(message)]) == (code, message)


@pytest.mark.parametrize("name", FAILS_WHEN_READ)
def test_these_fail_when_what_is_bad_is_read(name: str, bad_files: dict[str, Path]) -> None:
    code, message = FAILS_WHEN_READ[name]
    good, _ = decode_audio(encode_audio(speech_like(24123, 16000), 16000, "flac"))
    with open_audio(bad_files[name].read_bytes()) as reader:
        for _ in range(2):
            with pytest.raises(EntryError) as caught:
                reader.read()
            assert (caught.value.code, caught.value.message[: len(message)]) == (code, message)
            assert len(reader.read(2000, 4000)) == 2000
        if name.endswith("flac"):
            np.testing.assert_array_equal(reader.read(2000, 4000), good[2000:4000], strict=True)


@pytest.mark.parametrize("name", SHORT)
def test_of_these_what_is_there_is_read_and_no_more(name: str, bad_files: dict[str, Path]) -> None:
    n_samples, n_claimed = SHORT[name]
    with open_audio(bad_files[name].read_bytes()) as reader:
        info = reader.info
        assert info.truncated
        assert n_samples in (None, info.n_samples)
        assert info.n_claimed == n_claimed
        assert 5000 < info.n_samples < 60000
        assert len(reader.read()) == info.n_samples
        beyond = info.n_samples + 1
        with pytest.raises(EntryError) as caught:
            reader.read(100, beyond)
        assert caught.value.code == FailureCode.TRUNCATED_AUDIO
        promise = "its end is missing" if n_claimed is None else f"its header claims {n_claimed}"
        expected = f"samples 100 to {beyond} of a recording of {info.n_samples} samples; {promise}"
        assert caught.value.message == expected
        if n_claimed is not None:
            with pytest.raises(EntryError, match="out_of_range"):
                reader.read(100, n_claimed + 1)


@pytest.mark.parametrize("name", FINE)
def test_these_are_fine(name: str, bad_files: dict[str, Path]) -> None:
    samples, _ = decode_audio(bad_files[name].read_bytes())
    assert samples.shape == FINE[name]


def test_samples_above_one_are_kept_and_clipped_when_written(bad_files: dict[str, Path]) -> None:
    samples, _ = decode_audio(bad_files["above_one.wav"].read_bytes(), 12000, 12001)
    assert samples.tolist() == [[1.75]]
    assert decode_audio(encode_audio(samples, 16000, "wav"))[0].tolist() == [[32767 / 32768]]


@pytest.mark.parametrize("name", ["claims_2_31_frames.wav", "claims_2_36_frames.flac", "truncated.mp3"])
def test_claims_take_no_memory(name: str, bad_files: dict[str, Path]) -> None:
    data = bad_files[name].read_bytes()
    with open_audio(data):
        pass
    tracemalloc.start()
    with open_audio(data) as reader, pytest.raises(EntryError):
        reader.read(0, reader.info.n_claimed or reader.info.n_samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_without_pyav_the_cure_is_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packet_file("opus.webm", 0.1)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(EntryError) as caught:
        open_audio(data)
    assert caught.value.code == FailureCode.NOT_AUDIO
    assert caught.value.message == "libsndfile does not decode webm files, and PyAV is not installed"
    assert caught.value.cure == "pip install 'beam-curator[av]'"


@pytest.mark.parametrize("name", ["playlist.m4a", "page.wav"])
def test_no_playlist_reaches_ffmpeg_behind_a_header_of_another_kind(name: str, bad_files: dict[str, Path]) -> None:
    with pytest.raises(EntryError, match="not_audio"):
        open_audio(b"\x1a\x45\xdf\xa3" + bad_files[name].read_bytes())
    with pytest.raises(EntryError, match=r"truncated_audio|not_audio"):
        open_audio(b"\0\0\0\x14ftypM4A " + bytes(8) + bad_files[name].read_bytes())


def test_information_says_no_more_than_it_knows() -> None:
    info = AudioInfo(sample_rate=8000, n_samples=5, n_channels=1, container="wav", codec="pcm_16")
    assert (info.with_samples(7, n_claimed=7).n_claimed, info.with_samples(7, n_claimed=7).truncated) == (None, False)
    assert (info.with_samples(7, n_claimed=8).n_claimed, info.with_samples(7, n_claimed=8).truncated) == (8, True)


SMALL = [encode_audio(speech_like(4000, 16000), 16000, name) for name in ("wav", "flac", "ogg")]
SMALL += [sound_bytes(RECIPES[name], 0.2) for name in ("constant.mp3", "opus.ogg", "pcm16.aiff", "pcm16.caf")]
SMALL += [packet_file("aac.m4a", 0.2), packet_file("opus.webm", 0.2)]
DAMAGE = st.lists(st.tuples(st.integers(0, 2999), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(SMALL), DAMAGE, st.integers(0, 12000))
def test_damage_anywhere_is_an_error_of_the_entry_or_no_error(
    data: bytes, damage: list[tuple[int, bytes]], length: int
) -> None:
    for at, patch in damage:
        data = data[:at] + patch + data[at + len(patch) :]
    try:
        with open_audio(data[: max(length, 60)]) as reader:
            stop = min(reader.info.n_samples, 4000)
            assert len(reader.read(0, stop)) == stop
    except EntryError as err:
        assert err.code in {NOT_AUDIO, EMPTY, CUT, FailureCode.NON_FINITE}


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    with pytest.raises(EntryError):
        decode_audio(data)


@pytest.mark.parametrize("coding", ["pcm,embedded-shorten-v2.00", "ulaw,embedded-shorten-v1.09"])
def test_compressed_sphere_files_name_the_program_that_unpacks_them(coding: str) -> None:
    header = (
        "NIST_1A\n   1024\nchannel_count -i 2\nsample_rate -i 8000\nsample_count -i 4000\nsample_n_bytes -i 2\n"
        f"sample_byte_format -s2 01\nsample_sig_bits -i 16\nsample_coding -s{len(coding)} {coding}\nend_head\n"
    )
    with pytest.raises(EntryError) as caught:
        open_audio(header.encode().ljust(1024) + bytes(16000))
    assert caught.value.code == NOT_AUDIO
    assert coding in caught.value.message
    assert "sph2pipe -f wav" in caught.value.cure
    plain = header.replace(coding, "pcm").encode().ljust(1024) + bytes(16000)
    assert open_audio(plain).info.n_samples == 4000
