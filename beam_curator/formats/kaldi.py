"""Data directories of Kaldi: recordings, segments as utterances, and who speaks them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from beam_curator.diarization.rttm import escape_field
from beam_curator.formats.annotations import Annotation, Segment, decimal, in_units, one_line

_NO_ONE = "unknown"
"""In ids of pieces whose speaker is not known."""


class _Utterance(NamedTuple):
    """A segment with its ids; that of the speaker begins that of the utterance, as Kaldi wants it for sorting."""

    name: str
    speaker: str
    first: int
    last: int
    segment: Segment


def _utterances(annotation: Annotation) -> Iterator[_Utterance]:
    """Yield the segments of a recording with ids, times in milliseconds.

    Speakers are those of their recording: `speaker_0` of another one is somebody else.
    """
    seen: Counter[str] = Counter()
    for first, last, segment in in_units(annotation.segments, 1000):
        speaker = f"{escape_field(annotation.name)}-{escape_field(segment.speaker or _NO_ONE)}"
        name = f"{speaker}-{first:08d}-{last:08d}"
        seen[name] += 1
        yield _Utterance(f"{name}-{seen[name]}" if seen[name] > 1 else name, speaker, first, last, segment)


def wav_lines(annotation: Annotation) -> Iterator[str]:
    """Yield the line of `wav.scp`: the recording and its file."""
    yield f"{escape_field(annotation.name)} {annotation.audio}"


def duration_lines(annotation: Annotation) -> Iterator[str]:
    """Yield the line of `reco2dur`, if the length of the recording is known."""
    if annotation.duration is not None:
        yield f"{escape_field(annotation.name)} {decimal(round(annotation.duration * 1000), 3)}"


def segment_lines(annotation: Annotation) -> Iterator[str]:
    """Yield the lines of `segments`: utterance, recording, start and end."""
    for one in _utterances(annotation):
        yield f"{one.name} {escape_field(annotation.name)} {decimal(one.first, 3)} {decimal(one.last, 3)}"


def utt2spk_lines(annotation: Annotation) -> Iterator[str]:
    """Yield the lines of `utt2spk`."""
    for one in _utterances(annotation):
        yield f"{one.name} {one.speaker}"


def spk2utt_lines(annotation: Annotation) -> Iterator[str]:
    """Yield the lines of `spk2utt`."""
    names: dict[str, list[str]] = {}
    for one in _utterances(annotation):
        names.setdefault(one.speaker, []).append(one.name)
    for speaker, spoken in names.items():
        yield " ".join([speaker, *sorted(spoken, key=str.encode)])


def text_lines(annotation: Annotation) -> Iterator[str]:
    """Yield the lines of `text`, for utterances whose text is known."""
    for one in _utterances(annotation):
        if one.segment.text:
            yield f"{one.name} {one_line(one.segment.text)}"
