"""Recordings that libsndfile decodes. Importing this module loads soundfile; reading and encoding do so when used."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import soundfile

from beam_curator.audio.checking import DataClaim
from beam_curator.audio.files import SourceFile
from beam_curator.audio.flac import flac_without_frames
from beam_curator.audio.information import AudioInfo, not_audio, truncated_audio
from beam_curator.audio.mpeg import mpeg_stream
from beam_curator.audio.ogg import ogg_layout
from beam_curator.audio.open_rules import Opening
from beam_curator.audio.real_lengths import with_real_length
from beam_curator.audio.spans import Samples, SeekingSpans, Spans
from beam_curator.failures import EntryError, FailureCode

_SAMPLE_BYTES = {"pcm_u8": 1, "pcm_s8": 1, "ulaw": 1, "alaw": 1}
_SAMPLE_BYTES |= {"pcm_16": 2, "pcm_24": 3, "pcm_32": 4, "float": 4, "double": 8}
_CODECS = {"MPEG_LAYER_I": "mp1", "MPEG_LAYER_II": "mp2", "MPEG_LAYER_III": "mp3"}
_CONTAINERS = {"WAVEX": "wav"}
# SF_COUNT_MAX, which libsndfile reports where a header does not say
_UNKNOWN_LENGTH = (1 << 63) - 1
_PROBE_VALUES = 1 << 22
_NIST_HEADER_BYTES = 1024
_PACKED_NIST = re.compile(rb"^sample_coding\s+-\S+\s+(\S*embedded-\S+)", re.MULTILINE)
_NEVER = 1 << 63
_UNIT_16 = np.float32(2.0**-15)


class NotSoundFileError(EntryError):
    """libsndfile does not open a file; FFmpeg may."""


class SequentialSoundFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile is not typed for mypy
    """A sound file that libsndfile is not told to seek to where it stands.

    soundfile does so after each read and write of a seekable file. That costs time, and it changes the last bits of
    what MP3 decodes to next.
    """

    def seekable(self) -> bool:
        """Say no, so that soundfile leaves the position alone; `seek` works all the same."""
        return False


class SoundDecoder:
    """Decodes one file with libsndfile, from a view of it that is its own.

    16-bit PCM is read as it is and scaled here by 2^-15, as libsndfile would: it asks for 8 KiB at a time otherwise,
    and each time calls back into Python.

    Args:
      source: the file; `skipped` samples at its beginning are left out.
    """

    def __init__(self, source: SourceFile, skipped: int = 0) -> None:
        self._source = source.behind(0)
        self.damage: str | None = None
        try:
            self._sound = SequentialSoundFile(self._source)
        except soundfile.LibsndfileError as err:
            self._source.raise_error()
            raise NotSoundFileError(
                FailureCode.NOT_AUDIO,
                f"libsndfile does not decode it: {err.error_string}",
                "give a file that is audio, or convert it: ffmpeg -i FILE OUT.flac",
            ) from err
        self.sample_rate: int = self._sound.samplerate
        self.n_samples: int = self._sound.frames
        self.n_channels: int = self._sound.channels
        self.container = _CONTAINERS.get(self._sound.format, self._sound.format.lower())
        self.codec = _CODECS.get(self._sound.subtype, self._sound.subtype.lower())
        self._read_as = np.int16 if self.codec == "pcm_16" else np.float32
        if skipped:
            self.read(skipped)

    def read(self, n_samples: int) -> Samples:
        """Return the next samples, fewer than asked at the end only."""
        out = np.empty((n_samples, self.n_channels), self._read_as)
        try:
            samples: Samples = self._sound.read(out=out)
        except soundfile.LibsndfileError as err:
            self._source.raise_error()
            self.damage = err.error_string
            samples = out[:0]
        self._source.raise_error()
        return samples if self._read_as is np.float32 else np.multiply(samples, _UNIT_16, dtype=np.float32)

    def seek(self, sample: int) -> bool:
        """Go to a sample; return whether that worked."""
        try:
            there = self._sound.seek(sample) == sample
        except soundfile.LibsndfileError as err:
            self.damage = err.error_string
            there = False
        self._source.raise_error()
        return there

    def close(self) -> None:
        """Release the decoder; the file stays open."""
        self._sound.close()


def open_sound_file(source: SourceFile, container: str, opening: Opening) -> tuple[AudioInfo, Spans]:
    """Open a recording of a container among `formats.SOUND_FILES`.

    Raises:
      EntryError: it cannot be decoded, is damaged in a way that libsndfile would pass over, or is refused.
    """
    if container == "mp3":
        return _open_mp3(source, opening)
    if container == "ogg":
        return _open_ogg(source, opening)
    if container == "nist":
        _refuse_packed(source)
    source, claim = with_real_length(source, container)
    decoder = _open_unless_cut(source, claim)
    # a view may be that of another container, which holds a longer length
    info = replace(_information(decoder), container=container)
    decoders = _first_then_new(decoder, source)
    if info.container == "flac":
        # a FLAC header may claim any number of samples: a long span is probed before memory is taken for it
        spans: Spans = SeekingSpans(decoders, n_channels=info.n_channels, probe_above=_PROBE_VALUES)
        # libsndfile reports the samples that the header promises, though no frame is there
        info = info.with_samples(0) if flac_without_frames(source) else info
    elif info.codec in _SAMPLE_BYTES:
        # no probing: the bytes are counted below
        spans = SeekingSpans(decoders, n_channels=info.n_channels, probe_above=_NEVER)
        info = _within_bytes(info, claim, source.size)
    else:
        spans = opening.spans(decoders, info.n_channels)
        if claim is not None and claim.claimed is not None:
            # compressed blocks (adpcm, gsm) have no width of a sample: bytes are taken in proportion
            claimed = info.n_samples * claim.claimed // max(1, claim.there)
            info = info.with_samples(info.n_samples, n_claimed=claimed)
    if not 0 <= info.n_samples < _UNKNOWN_LENGTH:
        return _counted(info, spans, source, opening)
    return info, spans


def _refuse_packed(source: SourceFile) -> None:
    """Name the program that unpacks a NIST SPHERE file, where its samples are compressed, as in corpora of the LDC."""
    coding = _PACKED_NIST.search(source.read_at(0, _NIST_HEADER_BYTES))
    if coding is not None:
        raise not_audio(
            f"the samples of this SPHERE file are compressed ({coding[1].decode('ascii', 'replace')})",
            "unpack it with the LDC's sph2pipe: sph2pipe -f wav FILE OUT.wav",
        )


def _open_unless_cut(source: SourceFile, claim: DataClaim | None) -> SoundDecoder:
    """Open a file; of one that libsndfile refuses because it is cut (caf), say so."""
    try:
        return SoundDecoder(source)
    except NotSoundFileError as err:
        if claim is None or not claim.cut:
            raise
        raise truncated_audio(
            f"the header claims {claim.claimed} bytes of samples, and {claim.there} are there"
        ) from err


def _within_bytes(info: AudioInfo, claim: DataClaim | None, file_bytes: int) -> AudioInfo:
    """Limit a number of samples of one width to the bytes that are there for them."""
    frame_bytes = _SAMPLE_BYTES[info.codec] * info.n_channels
    there = min(info.n_samples, (file_bytes if claim is None else claim.there) // frame_bytes)
    claimed = info.n_samples if claim is None or claim.claimed is None else claim.claimed // frame_bytes
    return info.with_samples(there, n_claimed=claimed)


def _first_then_new(first: SoundDecoder, source: SourceFile, skipped: int = 0) -> Callable[[], SoundDecoder]:
    """Return a function that gives the decoder that is open already, and new ones after that."""
    ready = [first]
    return lambda: ready.pop() if ready else SoundDecoder(source, skipped)


def _information(decoder: SoundDecoder) -> AudioInfo:
    return AudioInfo(
        sample_rate=decoder.sample_rate,
        n_samples=decoder.n_samples,
        n_channels=decoder.n_channels,
        container=decoder.container,
        codec=decoder.codec,
    )


def _counted(info: AudioInfo, spans: Spans, source: SourceFile, opening: Opening) -> tuple[AudioInfo, Spans]:
    """Decode a recording whose header does not know its length once to count it."""
    spans.close()
    forward = opening.spans(lambda: SoundDecoder(source), info.n_channels)
    n_samples = opening.count(forward, info)
    return info.with_samples(n_samples, truncated=forward.damage is not None), forward


def _open_ogg(source: SourceFile, opening: Opening) -> tuple[AudioInfo, Spans]:
    layout = ogg_layout(source)
    if layout.damage is not None:
        raise not_audio(f"the Ogg file is damaged: {layout.damage}", "copy the file again from its source")
    if layout.chained:
        raise not_audio(
            "the Ogg file holds several streams, one behind the other, expected one",
            "write them as one: ffmpeg -i FILE -c:a flac OUT.flac",
        )
    decoder = SoundDecoder(source)
    info = _information(decoder)
    spans = opening.spans(_first_then_new(decoder, source), info.n_channels)
    n_samples = info.n_samples if 0 <= info.n_samples < _UNKNOWN_LENGTH else opening.count(spans, info)
    return info.with_samples(n_samples, truncated=not layout.ended), spans


def _open_mp3(source: SourceFile, opening: Opening) -> tuple[AudioInfo, Spans]:
    stream = mpeg_stream(source)
    if stream is None:
        raise not_audio("no two MPEG frames follow each other")
    decoder = SoundDecoder(stream.view)
    info = _information(decoder)
    skipped = 0
    if stream.n_samples is not None:
        # libsndfile leaves out a fixed decoder delay, less than the silent frame put in front: skip the rest
        skipped = max(0, info.n_samples - stream.n_samples)
        info = info.with_samples(stream.n_samples, n_claimed=stream.n_claimed)
        decoder.read(skipped)
    spans = opening.spans(_first_then_new(decoder, stream.view, skipped), info.n_channels)
    if stream.doubtful or not 0 <= info.n_samples < _UNKNOWN_LENGTH:
        n_samples = opening.count(spans, info)
        # only what a header says is a claim; libsndfile's estimate from the file size is none
        claimed = info.n_samples if stream.claims and n_samples < info.n_samples < _UNKNOWN_LENGTH else None
        info = info.with_samples(n_samples, n_claimed=claimed)
    return info, spans
