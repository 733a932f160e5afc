"""The JSON documents of the export: of a clip, of a recording, and of a chunk of clips.

Keys, their order and the text form (indent 4, ASCII escapes, no newline at the end) are those of the reference's video
writer (NeMo Curator, `stages/video/io/clip_writer.py`), with words of audio in place of those of video.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from beam_curator.failures import EntryError, FailureCode, readable_name
from beam_curator.intervals import Seconds, Span, sum_left_to_right

RESERVED_KEYS = frozenset(
    (
        *(
            "span_uuid",
            "source_audio",
            "speaker_id",
            "duration_span",
            "sample_rate_source",
            "channels_source",
            "codec_source",
        ),
        *("clip_location", "sample_rate", "channels", "num_samples", "num_bytes", "audio_codec"),
        *("errors", "windows", "valid"),
    )
)
"""Keys of a clip's document that no score may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipWindow:
    """One piece of a clip and its transcripts: `windows` of a clip's document.

    Attributes:
      start_sample: first sample of the piece, counted from the start of the clip.
      end_sample: the sample behind the last one.
      transcripts: text by model, in the order of the models; see `transcripts_of`.
    """

    start_sample: int
    end_sample: int
    transcripts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedClip:
    """The properties of a clip's audio file, as its document has them.

    Attributes:
      sample_rate: in Hz.
      channels: number of channels.
      num_samples: samples of each channel.
      num_bytes: size of the file.
      audio_codec: name of the codec.
    """

    sample_rate: int
    channels: int
    num_samples: int
    num_bytes: int
    audio_codec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipMeta:
    """The contents of a clip's document, `metas/v0/<uuid>.json`.

    Attributes:
      span_uuid: id of the clip; see `clip_uuid`.
      source_audio: path or URI of the recording, as the entry writes it.
      speaker_id: of the row, as it writes it; the key is absent where that is None.
      duration_span: where the clip lies in the recording.
      sample_rate_source: of the recording, in Hz.
      channels_source: number of channels of the recording.
      codec_source: codec of the recording.
      clip_location: path of the clip below the tree's root, whether or not it is written.
      encoded: the clip's own audio; None where there is none.
      scores: numbers by name, in the order of the document; see `scores_of`.
      errors: what went wrong, by name; the key is absent where nothing did.
      windows: the pieces of the clip.

    Raises:
      ValueError: a score has the name of another key of the document.
    """

    span_uuid: str
    source_audio: str
    speaker_id: Any = None
    duration_span: Span
    sample_rate_source: int
    channels_source: int
    codec_source: str
    clip_location: str
    encoded: EncodedClip | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    windows: tuple[ClipWindow, ...] = ()

    def __post_init__(self) -> None:
        taken = sorted(RESERVED_KEYS & self.scores.keys())
        if taken:
            raise ValueError(f"score {taken[0]!r} is a key that a clip's document has already: give it another name")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingMeta:
    """The contents of a recording's document, `processed_audios/<relative path>.json`, in its order.

    Attributes:
      audio: path or URI of the recording, as the entry writes it.
      sample_rate: in Hz.
      channels: number of channels.
      num_samples: samples of each channel.
      duration: in seconds.
      audio_codec: codec, such as pcm_16.
      container: kind of file, such as wav.
      num_total_clips: clips that could be cut, rejected ones among them.
      num_clip_chunks: chunks that they make; see `chunks_of`.
    """

    audio: str
    sample_rate: int
    channels: int
    num_samples: int
    duration: Seconds
    audio_codec: str
    container: str
    num_total_clips: int
    num_clip_chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedClip:
    """The facts about one clip that the document of its chunk counts.

    Attributes:
      uuid: id of the clip.
      duration: in seconds.
      rejected_by: rules that rejected it; see `rejection_of`.
      transcoded: whether the clip's audio could be made, written or not.
      has_embedding: whether an embedding was found.
      has_preview: whether a preview was made.
      windows: the pieces of the clip, with their transcripts.
    """

    uuid: str
    duration: Seconds
    rejected_by: tuple[str, ...] = ()
    transcoded: bool = False
    has_embedding: bool = False
    has_preview: bool = False
    windows: tuple[ClipWindow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkMeta:
    """The data from which a chunk's document, `processed_clip_chunks/<relative path>_<chunk>.json`, is made.

    Attributes:
      audio: path or URI of the recording, as the entry writes it.
      clip_chunk_index: number of the chunk in its recording, from 0.
      clips: all clips of the chunk, passed and rejected, in order.
      transcript_models: of several transcripts the first of these models is shown.
    """

    audio: str
    clip_chunk_index: int
    clips: tuple[ExportedClip, ...]
    transcript_models: tuple[str, ...] = ()


def render_clip_meta(meta: ClipMeta) -> bytes:
    """Render the document of a clip.

    `valid` says that the clip has audio and at least one piece, as in the reference.

    Raises:
      EntryError: a number is not finite.
    """
    document: dict[str, Any] = {
        "span_uuid": meta.span_uuid,
        "source_audio": readable_name(meta.source_audio),
        **({} if meta.speaker_id is None else {"speaker_id": meta.speaker_id}),
        "duration_span": list(meta.duration_span),
        "sample_rate_source": meta.sample_rate_source,
        "channels_source": meta.channels_source,
        "codec_source": meta.codec_source,
        "clip_location": readable_name(meta.clip_location),
    }
    if meta.encoded is not None:
        document |= asdict(meta.encoded)
    document |= meta.scores
    if meta.errors:
        document["errors"] = list(meta.errors)
    document["windows"] = [_window_object(window) for window in meta.windows]
    document["valid"] = meta.encoded is not None and len(meta.windows) > 0
    return _render(document)


def render_recording_meta(meta: RecordingMeta) -> bytes:
    """Render the document of a recording.

    Raises:
      EntryError: the duration is not finite.
    """
    return _render(asdict(meta) | {"audio": readable_name(meta.audio)})


def render_chunk_meta(meta: ChunkMeta) -> bytes:
    """Render the document of a chunk of clips.

    Where the reference counts two rules by name, there is one `num_clips_filtered_by_<rule>` for each rule that
    rejected a clip of this chunk, sorted, behind their total `num_clips_filtered`; a clip that several rules rejected
    counts once in the total and once for each. As in the reference, audio, transcripts and durations are counted of
    passed and rejected clips, embeddings and previews of passed ones alone, and `all_windows` has passed clips only.

    Raises:
      EntryError: a duration is not finite.
    """
    passed = [clip for clip in meta.clips if not clip.rejected_by]
    rejected = [clip for clip in meta.clips if clip.rejected_by]
    rules = sorted({rule for clip in rejected for rule in clip.rejected_by})
    by_rule = {f"num_clips_filtered_by_{rule}": sum(rule in clip.rejected_by for clip in rejected) for rule in rules}
    return _render(
        {
            "audio": readable_name(meta.audio),
            "clip_chunk_index": meta.clip_chunk_index,
            "num_clips_filtered": len(rejected),
            **by_rule,
            "num_clips_passed": len(passed),
            "num_clips_transcoded": sum(clip.transcoded for clip in meta.clips),
            "num_clips_with_embeddings": sum(clip.has_embedding for clip in passed),
            "num_clips_with_transcript": sum(
                any(_shown_transcript(window, meta.transcript_models) is not None for window in clip.windows)
                for clip in meta.clips
            ),
            "num_clips_with_preview": sum(clip.has_preview for clip in passed),
            "total_clip_duration": float(sum_left_to_right(clip.duration for clip in meta.clips)),
            "max_clip_duration": float(max((clip.duration for clip in meta.clips), default=0.0)),
            "clips": [clip.uuid for clip in passed],
            "filtered_clips": [clip.uuid for clip in rejected],
            "all_windows": {clip.uuid: _shown_transcripts(clip, meta.transcript_models) for clip in passed},
        }
    )


def _window_object(window: ClipWindow) -> dict[str, int | str]:
    return {
        "start_sample": window.start_sample,
        "end_sample": window.end_sample,
        **{f"{model}_transcript": text for model, text in window.transcripts.items()},
    }


def _shown_transcripts(clip: ExportedClip, models: Sequence[str]) -> dict[str, str]:
    shown = {f"{window.start_sample}_{window.end_sample}": _shown_transcript(window, models) for window in clip.windows}
    return {key: text for key, text in shown.items() if text is not None}


def _shown_transcript(window: ClipWindow, models: Sequence[str]) -> str | None:
    return next((window.transcripts[model] for model in models if model in window.transcripts), None)


def _render(document: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(document, indent=4, allow_nan=False).encode("ascii")
    except ValueError as err:
        name = next((place for place, number in _numbers("", document) if not math.isfinite(number)), "a number")
        raise EntryError(
            FailureCode.NON_FINITE, f"{name} is NaN or infinite, expected a finite number", "leave it out or mend it"
        ) from err


def _numbers(place: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield each float of a document with the path of keys that leads to it."""
    if isinstance(value, float):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(f"{place}.{key}" if place else str(key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _numbers(f"{place}[{index}]", item)
