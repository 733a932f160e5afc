"""Recordings in all codecs, and bad ones, made of synthesised speech-like tones; the same bytes every time."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

import av
import numpy as np
import soundfile

from beam_curator.audio import AudioEncoder, Samples, encode_audio, open_audio
from beam_curator.audio.files import SinkFile, WritableFile
from beam_curator.audio.mpeg import frame_header
from beam_curator.audio.ogg import FixedSerialFile


def speech_like(n_samples: int, sample_rate: int, n_channels: int = 1, seed: int = 0) -> Samples:
    """Synthesise syllables: a voice of 11 partials that glides, rises and falls, above faint noise; peaks below 0.9."""
    time = np.arange(n_samples) / sample_rate
    random = np.random.default_rng(seed)
    channels = []
    for channel in range(n_channels):
        pitch = 120 + 40 * channel + 10 * seed % 50 + 30 * np.sin(2 * np.pi * 0.7 * time)
        phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
        partials = [np.sin(k * phase) / k for k in range(1, 12) if k * 400 < sample_rate / 2]
        loudness = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time + channel)
        channels.append(0.2 * np.sum(partials, axis=0) * loudness + 0.003 * random.standard_normal(n_samples))
    return np.stack(channels, axis=1).astype(np.float32)


def decode_audio(source: bytes | BinaryIO, start: int = 0, stop: int | None = None) -> tuple[Samples, int]:
    """Return samples `[start, stop)` of a recording, float32 [n_samples, n_channels], and its sample rate."""
    with open_audio(source) as reader:
        return reader.read(start, stop), reader.info.sample_rate


def encode_pieces(
    pieces: Iterable[Samples],
    sample_rate: int,
    n_channels: int,
    audio_format: str,
    file: WritableFile,
    subtype: str | None = None,
) -> int:
    """Encode a clip that comes in pieces; return its number of samples."""
    encoder = AudioEncoder(sample_rate, n_channels, audio_format, file, subtype)
    try:
        for piece in pieces:
            encoder.write(piece)
        return encoder.finish()
    finally:
        encoder.close()


class Recipe(NamedTuple):
    """How libsndfile writes one file of the corpus."""

    container: str
    subtype: str
    sample_rate: int = 16000
    n_channels: int = 1
    bitrate_mode: str | None = None


RECIPES = {
    "u8.wav": Recipe("WAV", "PCM_U8"),
    "pcm16.wav": Recipe("WAV", "PCM_16"),
    "pcm24.wav": Recipe("WAV", "PCM_24"),
    "pcm32.wav": Recipe("WAV", "PCM_32"),
    "float.wav": Recipe("WAV", "FLOAT"),
    "double.wav": Recipe("WAV", "DOUBLE"),
    "ulaw.wav": Recipe("WAV", "ULAW", 8000),
    "alaw.wav": Recipe("WAV", "ALAW", 8000),
    "ima_adpcm.wav": Recipe("WAV", "IMA_ADPCM"),
    "gsm.wav": Recipe("WAV", "GSM610", 8000),
    "extensible.wav": Recipe("WAVEX", "PCM_24", 48000, 2),
    "eight_channels.wav": Recipe("WAVEX", "PCM_16", 16000, 8),
    "11025.wav": Recipe("WAV", "PCM_16", 11025),
    "44100_stereo.wav": Recipe("WAV", "PCM_16", 44100, 2),
    "192k.wav": Recipe("WAV", "PCM_24", 192000),
    "big.rf64": Recipe("RF64", "PCM_16"),
    "wave64.w64": Recipe("W64", "PCM_16"),
    "pcm16.aiff": Recipe("AIFF", "PCM_16", 22050),
    "pcm16.au": Recipe("AU", "PCM_16"),
    "pcm16.caf": Recipe("CAF", "PCM_16"),
    "pcm16.flac": Recipe("FLAC", "PCM_16"),
    "pcm24.flac": Recipe("FLAC", "PCM_24", 48000, 2),
    "vorbis.ogg": Recipe("OGG", "VORBIS"),
    "vorbis_stereo.ogg": Recipe("OGG", "VORBIS", 44100, 2),
    "opus.ogg": Recipe("OGG", "OPUS", 16000),
    "opus_stereo.opus": Recipe("OGG", "OPUS", 48000, 2),
    "constant.mp3": Recipe("MP3", "MPEG_LAYER_III", 16000, 1, "CONSTANT"),
    "variable.mp3": Recipe("MP3", "MPEG_LAYER_III", 44100, 2, "VARIABLE"),
}
"""The corpus but for what FFmpeg writes and for special cases; each name is that of a file."""

EXACT = {"pcm16.wav", "11025.wav", "44100_stereo.wav", "eight_channels.wav", "big.rf64", "wave64.w64", "pcm16.flac"}
EXACT |= {"pcm16.aiff", "pcm16.au", "pcm16.caf"}
"""Files whose samples are `in_16_bits(speech_like(...))`, bit for bit."""


def in_16_bits(samples: Samples) -> Samples:
    """Round samples to what 16-bit PCM holds."""
    return (np.clip(np.round(samples * 32768), -32768, 32767) / 32768).astype(np.float32)


def n_samples_of(recipe: Recipe, seconds: float) -> int:
    """Return how many samples a file of the corpus has: not a whole number of frames of any codec."""
    return int(recipe.sample_rate * seconds) + 123


def sound_bytes(recipe: Recipe, seconds: float = 1.5) -> bytes:
    """Write speech-like tones with libsndfile."""
    samples = in_16_bits(speech_like(n_samples_of(recipe, seconds), recipe.sample_rate, recipe.n_channels))
    return write_sound(samples, recipe)


def write_sound(samples: Samples, recipe: Recipe) -> bytes:
    """Write samples with libsndfile in blocks, Ogg with a fixed serial number."""
    file = io.BytesIO()
    sink = SinkFile(FixedSerialFile(file) if recipe.container == "OGG" else file)
    with soundfile.SoundFile(
        sink,
        "w",
        recipe.sample_rate,
        samples.shape[1],
        recipe.subtype,
        format=recipe.container,
        bitrate_mode=recipe.bitrate_mode,
        compression_level=None if recipe.bitrate_mode is None else 0.5,
    ) as sound:
        for here in range(0, len(samples), 1 << 14):
            sound.write(samples[here : here + (1 << 14)])
    sink.raise_error()
    return _without_peak_time(file.getvalue())


def _without_peak_time(data: bytes) -> bytes:
    """Set to 0 when the PEAK chunk of a float wav was written: 4 bytes behind id, size and version."""
    at = data[:200].find(b"PEAK")
    return data if at < 0 else data[: at + 12] + bytes(4) + data[at + 16 :]


def packet_bytes(samples: Samples, sample_rate: int, container: str, codec: str) -> bytes:
    """Write samples with FFmpeg in memory, without dates and random ids."""
    file = io.BytesIO()
    write_packets(file, samples, sample_rate, container, codec)
    return file.getvalue()


def write_packets(
    file: io.BytesIO | str, samples: Samples, sample_rate: int, container: str, codec: str, **options: str
) -> None:
    """Write samples with FFmpeg into a file, without dates and random ids."""
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    with av.open(file, "w", format=container, options={"fflags": "+bitexact", **options}) as out:
        stream = out.add_stream(codec, rate=sample_rate, layout=layout)
        stream.codec_context.flags |= 1 << 23  # AV_CODEC_FLAG_BITEXACT: no version in the stream
        codec_format = stream.codec_context.codec.audio_formats[0]
        resampler = av.AudioResampler(codec_format.name, layout, sample_rate)
        for here in range(0, len(samples), 960):
            block = np.ascontiguousarray(samples[here : here + 960].T)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = sample_rate, here, Fraction(1, sample_rate)
            for made in resampler.resample(frame):
                out.mux(stream.encode(made))
        out.mux(stream.encode(None))


PACKETS = {
    "aac.m4a": ("ipod", "aac", 44100, 2),
    "alac.m4a": ("ipod", "alac", 16000, 1),
    "opus.webm": ("webm", "libopus", 48000, 1),
    "flac.mka": ("matroska", "flac", 16000, 1),
    "narrow.amr": ("amr", "libopencore_amrnb", 8000, 1),
}
"""What FFmpeg writes: format, codec, sample rate, channels."""


def packet_file(name: str, seconds: float = 1.5) -> bytes:
    """Write one of PACKETS."""
    container, codec, sample_rate, n_channels = PACKETS[name]
    samples = in_16_bits(speech_like(int(sample_rate * seconds) + 123, sample_rate, n_channels))
    if name == "narrow.amr":
        samples = samples[: len(samples) // 160 * 160]
    return packet_bytes(samples, sample_rate, container, codec)


def without_xing(data: bytes) -> bytes:
    """Cut the first frame of an mp3 off, which says how many follow."""
    header = frame_header(data[:4])
    assert header is not None
    return data[header.n_bytes :]


def make_corpus(folder: Path) -> dict[str, Path]:
    """Write good recordings of 1.5 s into a folder; return them by name. Others may import this."""
    files = {name: sound_bytes(recipe) for name, recipe in RECIPES.items()}
    files |= {name: packet_file(name) for name in PACKETS}
    stereo = speech_like(24123, 16000, 2)
    stereo[:, 1] = 0
    files["one_dead_channel.wav"] = encode_audio(stereo, 16000, "wav")
    files["one_sample.wav"] = encode_audio(np.float32([[0.5]]), 16000, "wav")
    files["one_sample.flac"] = encode_audio(np.float32([[0.5]]), 16000, "flac")
    files["no_xing.mp3"] = without_xing(files["variable.mp3"])
    files["mp3_inside.wav"] = files["constant.mp3"]
    files["silence.wav"] = encode_audio(np.zeros((16000, 1), np.float32), 16000, "wav")
    return _written(files, folder)


def make_bad_files(folder: Path) -> dict[str, Path]:
    """Write bad recordings into a folder; return them by name. test_bad_files.py says what becomes of each."""
    speech = speech_like(24123, 16000)
    wav, flac, ogg = (encode_audio(speech, 16000, audio_format) for audio_format in ("wav", "flac", "ogg"))
    longer = encode_audio(speech_like(80000, 16000), 16000, "ogg")
    mp3, m4a = sound_bytes(RECIPES["constant.mp3"]), packet_file("aac.m4a")
    folder.mkdir(parents=True, exist_ok=True)
    indexed = folder / "truncated_behind_index.m4a"
    write_packets(str(indexed), speech, 16000, "ipod", "aac", movflags="+faststart")
    front = indexed.read_bytes()
    holes = {name: _with(speech, 12000, value) for name, value in (("nan", np.nan), ("inf", np.inf), ("loud", 1.75))}
    files = {
        "zero_bytes.wav": b"",
        "page.wav": b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n" * 20,
        "random.wav": np.random.default_rng(0).bytes(20000),
        "header_only.wav": wav[:44],
        "header_only.flac": flac[:86],
        "truncated.wav": wav[: len(wav) // 2],
        "truncated.flac": flac[: len(flac) // 2],
        "truncated.ogg": longer[: len(longer) // 2],
        "truncated.mp3": mp3[: len(mp3) // 2],
        "truncated.m4a": m4a[: len(m4a) // 2],
        "truncated_behind_index.m4a": front[: 2 * len(front) // 3],
        "damaged.flac": _flipped(flac, len(flac) // 2),
        "damaged.ogg": _flipped(ogg, len(ogg) // 2),
        "chained.ogg": ogg + encode_audio(speech[:8000], 16000, "ogg"),
        "nan.wav": write_sound(holes["nan"], RECIPES["float.wav"]),
        "inf.wav": write_sound(holes["inf"], RECIPES["float.wav"]),
        "above_one.wav": write_sound(holes["loud"], RECIPES["float.wav"]),
        "claims_2_31_frames.wav": _claiming(wav, 0x80000000 * 2 - 2),
        "claims_2_36_frames.flac": _claiming_flac(flac),
        "no_rate.wav": wav[:24] + bytes(4) + wav[28:],
        "many_channels.wav": wav[:22] + struct.pack("<H", 1000) + wav[24:32] + struct.pack("<H", 2000) + wav[34:],
        "playlist.m4a": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    }
    return _written(files, folder)


def _with(samples: Samples, at: int, value: float) -> Samples:
    changed = samples.copy()
    changed[at] = value
    return changed


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 4]) + data[at + 4 :]


def _claiming(wav: bytes, n_bytes: int) -> bytes:
    return wav[:40] + struct.pack("<I", n_bytes) + wav[44:]


def _claiming_flac(flac: bytes) -> bytes:
    """Write 2^36 - 1 into the 36 bits of STREAMINFO that count samples (they begin in the middle of byte 21)."""
    return flac[:21] + bytes([flac[21] | 0x0F]) + b"\xff\xff\xff\xff" + flac[26:]


def _written(files: dict[str, bytes], folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in files}
