"""Writing the tracks of a recording in one pass over it, with flat memory."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from beam_curator.audio import AudioInfo, AudioReader
from beam_curator.audio.encoding import block_bytes, check_size
from beam_curator.audio_formats import AudioFormat, kept_subtype
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import Cut, pieces_of
from beam_curator.files.clip_files import EncodedClip, SpooledEncoder
from beam_curator.separation.tracks import TrackPlan, pieces_of_tracks

MAX_OPEN = 64
"""The most tracks written in one pass; a recording with more speakers is read once per this many."""

_BLOCK_MEMORY = 64 << 20
_SPOOL_MEMORY = 128 << 20
_LARGEST_SPOOL = 32 << 20


def n_open(n_channels: int, output_format: AudioFormat) -> int:
    """Return how many tracks are written at once: fewer where there are many channels, as each holds a block.

    Example:
      >>> n_open(1, "wav"), n_open(8, "wav"), n_open(500, "wav")
      (64, 8, 1)
    """
    return max(1, min(MAX_OPEN, _BLOCK_MEMORY // block_bytes(n_channels, output_format)))


def encode_tracks(
    reader: AudioReader, plans: Sequence[TrackPlan], output_format: AudioFormat
) -> Iterator[list[EncodedClip]]:
    """Encode the tracks of a recording, in its own rate and depth, and with its channels but where a plan names one.

    Args:
      reader: the recording.
      plans: of its tracks; each holds at least one sample.
      output_format: of the tracks.

    Yields:
      Tracks in the order of the plans, in groups that were written in one pass over the recording.

    Raises:
      EntryError: the recording cannot be read, or the format cannot hold a track.
    """
    info = reader.info
    subtype = kept_subtype(info.codec, output_format)
    for plan in plans:
        check_size(plan.n_track_samples, _n_channels(plan, info), output_format, subtype)
    size = n_open(info.n_channels, output_format)
    for first in range(0, len(plans), size):
        yield _encode_group(reader, plans[first : first + size], output_format, subtype)


def _n_channels(plan: TrackPlan, info: AudioInfo) -> int:
    return info.n_channels if plan.channel is None else 1


def _encode_group(
    reader: AudioReader, plans: Sequence[TrackPlan], output_format: AudioFormat, subtype: str
) -> list[EncodedClip]:
    info = reader.info
    memory = min(_LARGEST_SPOOL, _SPOOL_MEMORY // len(plans))
    with ExitStack() as begun:
        encoders = []
        for plan in plans:
            n_channels = _n_channels(plan, info)
            encoder = SpooledEncoder(info.sample_rate, n_channels, output_format, subtype, memory)
            begun.callback(encoder.close)
            encoders.append(encoder)
        pieces = pieces_of(reader, Cut(first=0, stop=info.n_samples), CutRules())
        for index, samples in pieces_of_tracks(pieces, plans):
            encoders[index].write(samples)
        clips = [encoder.finish() for encoder in encoders]
        begun.pop_all()
    return clips
