"""Manifests of Lhotse and of NeMo: recordings with supervisions, and a line for each segment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from beam_curator.entries.channel_key import CHANNEL_KEY
from beam_curator.entries.json_lines import encode
from beam_curator.formats.annotations import Annotation, Segment

LHOTSE_DIGITS = 8
NEMO_DIGITS = 6


def _span(segment: Segment, digits: int) -> tuple[float, float]:
    """Return start and duration, both rounded, so that the end is that of the segment."""
    start = round(segment.start, digits)
    return start, round(round(segment.end, digits) - start, digits)


def _line(fields: dict[str, Any]) -> str:
    return encode(fields).decode()


def _recording(annotation: Annotation) -> dict[str, Any]:
    rate = annotation.sample_rate or 0
    n_samples = round((annotation.duration or 0) * rate)
    channels = list(range(annotation.n_channels or 1))
    return {
        "id": annotation.name,
        "sources": [{"type": "file", "channels": channels, "source": annotation.audio}],
        "sampling_rate": rate,
        "num_samples": n_samples,
        "duration": n_samples / rate if rate else 0.0,
        "channel_ids": channels,
    }


def _supervisions(annotation: Annotation) -> list[dict[str, Any]]:
    channels = list(range(annotation.n_channels or 1))
    return [_supervision(annotation.name, number, one, channels) for number, one in enumerate(annotation.segments)]


def _supervision(recording: str, number: int, segment: Segment, channels: list[int]) -> dict[str, Any]:
    start, duration = _span(segment, LHOTSE_DIGITS)
    all_of_them = channels if len(channels) > 1 else 0
    own = segment.channel if segment.channel in channels else all_of_them
    fields: dict[str, Any] = {"id": f"{recording}-{number:06d}", "recording_id": recording}
    fields |= {"start": start, "duration": duration, CHANNEL_KEY: own}
    fields |= {"text": segment.text} if segment.text else {}
    fields |= {"speaker": segment.speaker} if segment.speaker else {}
    words = [[word.word, word.start, round(word.end - word.start, LHOTSE_DIGITS), None] for word in segment.words]
    return fields | {"alignment": {"word": words}} if words else fields


def recording_lines(annotation: Annotation) -> Iterator[str]:
    """Yield the recording as a manifest of Lhotse has it."""
    yield _line(_recording(annotation))


def supervision_lines(annotation: Annotation) -> Iterator[str]:
    """Yield the segments of a recording as supervisions."""
    yield from map(_line, _supervisions(annotation))


def cut_lines(annotation: Annotation) -> Iterator[str]:
    """Yield the recording as one cut with all its supervisions."""
    recording = _recording(annotation)
    channels = recording["channel_ids"]
    kind, channel = ("MonoCut", 0) if len(channels) == 1 else ("MultiCut", channels)
    yield _line(
        {
            "id": annotation.name,
            "start": 0.0,
            "duration": recording["duration"],
            CHANNEL_KEY: channel,
            "supervisions": _supervisions(annotation),
            "recording": recording,
            "type": kind,
        }
    )


def nemo_lines(annotation: Annotation) -> Iterator[str]:
    """Yield the segments of a recording as rows of a NeMo manifest."""
    for segment in annotation.segments:
        offset, duration = _span(segment, NEMO_DIGITS)
        fields: dict[str, Any] = {"audio_filepath": annotation.audio, "offset": offset, "duration": duration}
        fields |= {"text": segment.text} if segment.text else {}
        fields |= {"speaker": segment.speaker} if segment.speaker else {}
        yield _line(fields | ({CHANNEL_KEY: segment.channel} if segment.channel is not None else {}))
