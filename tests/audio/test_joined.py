from __future__ import annotations

import numpy as np
import pytest

from beam_curator.audio import AudioReader, encode_audio, open_audio
from beam_curator.audio.joined import join_channels
from beam_curator.failures import EntryError
from tests.audio.corpus import Recipe, in_16_bits, speech_like, write_sound

RATE = 8000
STEREO = in_16_bits(speech_like(20_000, RATE, 2))


def reader_of(n_samples: int = 20_000, *, channel: int = 0, audio_format: str = "wav", rate: int = RATE) -> AudioReader:
    return open_audio(encode_audio(STEREO[:n_samples, channel : channel + 1], rate, audio_format))


def test_file_i_is_channel_i() -> None:
    joined = join_channels([reader_of(channel=0), reader_of(channel=1, audio_format="flac")], ["a.wav", "b.flac"])
    info = joined.info
    assert (info.n_samples, info.n_channels, info.sample_rate, info.container) == (20_000, 2, RATE, "mixed")
    np.testing.assert_array_equal(joined.read(), STEREO)
    np.testing.assert_array_equal(joined.read(7, 19_999), STEREO[7:19_999])
    pieces = list(joined.pieces(5, 20_000, piece_samples=3000))
    assert [len(piece) for piece in pieces] == [3000] * 6 + [1995]
    np.testing.assert_array_equal(np.concatenate(pieces), STEREO[5:])


def test_the_codec_is_that_of_the_most_bits() -> None:
    deep = open_audio(write_sound(STEREO[:, :1], Recipe("WAV", "PCM_24", RATE)))
    for files in ([reader_of(), deep], [deep, reader_of()]):
        assert join_channels(files, ["a.wav", "b.wav"]).info.codec == "pcm_24"


def test_the_shortest_file_ends_it_where_lengths_differ_by_up_to_10_ms() -> None:
    joined = join_channels([reader_of(20_000), reader_of(19_920, channel=1)], ["a.wav", "b.wav"])
    assert joined.info.n_samples == 19_920
    np.testing.assert_array_equal(joined.read(), STEREO[:19_920])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: reader_of(19_919), "b.wav has 19919 samples (2.490 s) and a.wav 20000 (2.500 s), expected lengths "
         "within 10 ms"),
        (lambda: reader_of(rate=16000), "a.wav has 8000 Hz and b.wav 16000 Hz, expected one sample rate"),
        (lambda: open_audio(encode_audio(STEREO, RATE, "wav")), "b.wav has 2 channels, expected one in each file of an "
         "array"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_say_why(other: object, message: str) -> None:
    with pytest.raises(EntryError) as caught:
        join_channels([reader_of(), other()], ["a.wav", "b.wav"])  # type: ignore[operator]  # a function
    assert (caught.value.code, caught.value.message) == ("bad_channels", message)
    assert caught.value.cure


def test_an_error_in_the_middle_names_its_file() -> None:
    bad = STEREO[:, :1].copy()
    bad[12_345] = np.nan
    broken = open_audio(write_sound(bad, Recipe("WAV", "FLOAT", RATE)))
    joined = join_channels([reader_of(), broken], ["a.wav", "x/b.wav"])
    np.testing.assert_array_equal(joined.read(0, 12_345)[:, 0], STEREO[:12_345, 0])
    with pytest.raises(EntryError) as caught:
        joined.read(12_000, 13_000)
    assert (caught.value.code, caught.value.message[:30]) == ("non_finite", "x/b.wav: sample 12345 is [nan]")


def test_a_file_that_was_cut_off_makes_the_recording_one_that_was() -> None:
    whole = encode_audio(STEREO[:, :1], RATE, "wav")
    cut = [open_audio(whole[:-100]) for _ in range(2)]
    info = join_channels(cut, ["a.wav", "b.wav"]).info
    assert (info.n_samples, info.n_claimed, info.truncated) == (19_950, 20_000, True)
