from __future__ import annotations

import io

import pytest

from beam_curator.audio import encode_audio, open_audio
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import Cut
from beam_curator.files.clip_files import EncodedClip, encode_clip
from tests.audio.corpus import in_16_bits, speech_like

SAMPLES = in_16_bits(speech_like(16000, 8000))


class TestEncodeClip:
    @pytest.mark.parametrize("output_format", ["wav", "flac", "ogg"])
    def test_a_long_clip_has_the_bytes_of_a_short_one(
        self, output_format: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rules = CutRules(sample_rate=16000)
        with open_audio(encode_audio(SAMPLES, 8000, "wav")) as reader:
            short = encode_clip(reader, Cut(first=100, stop=15000), rules, output_format).clip  # type: ignore[arg-type]  # of the list above
            monkeypatch.setattr("beam_curator.clips.cutting.LONG_CLIP", 1)
            long = encode_clip(reader, Cut(first=100, stop=15000), rules, output_format).clip  # type: ignore[arg-type]  # likewise
        assert isinstance(short.body, bytes)
        assert not isinstance(long.body, bytes)
        assert (short.n_bytes, short.sha256, short.n_samples) == (long.n_bytes, long.sha256, long.n_samples)
        assert b"".join(short.chunks()) == b"".join(long.chunks()) == b"".join(long.chunks())
        long.close()
        assert long.body.closed

    def test_chunks_of_a_file_come_from_its_start(self) -> None:
        clip = EncodedClip(body=io.BytesIO(b"x" * (3 << 20)), n_bytes=3 << 20, sha256="", n_samples=1)
        assert [len(chunk) for chunk in clip.chunks()] == [1 << 20] * 3
        assert sum(map(len, clip.chunks())) == 3 << 20
