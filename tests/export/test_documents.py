from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from beam_curator.export.documents import (
    ChunkMeta,
    ClipMeta,
    ClipWindow,
    EncodedClip,
    ExportedClip,
    RecordingMeta,
    render_chunk_meta,
    render_clip_meta,
    render_recording_meta,
)
from beam_curator.failures import EntryError, FailureCode

WINDOW = ClipWindow(start_sample=0, end_sample=16000, transcripts={"canary": "Grüezi", "text": "hello"})
CLIP = ClipMeta(
    span_uuid="60c3f272-9a1f-5943-a345-da0925594fbb",
    source_audio="/in/talks/a.wav",
    duration_span=(1.5, 2.5),
    sample_rate_source=44100,
    channels_source=2,
    codec_source="PCM_24",
    clip_location="out/clips/60c3f272-9a1f-5943-a345-da0925594fbb.flac",
    encoded=EncodedClip(sample_rate=16000, channels=1, num_samples=16000, num_bytes=12345, audio_codec="flac"),
    scores={"utmos": 3.5, "n_speakers": 2},
    errors=("parakeet_transcript_missing",),
    windows=(WINDOW,),
)
RECORDING = RecordingMeta(
    audio="/in/talks/a.wav",
    sample_rate=44100,
    channels=2,
    num_samples=441000,
    duration=10.0,
    audio_codec="PCM_24",
    container="WAV",
    num_total_clips=300,
    num_clip_chunks=2,
)
FULL_CLIP = rb"""{
    "span_uuid": "60c3f272-9a1f-5943-a345-da0925594fbb",
    "source_audio": "/in/talks/a.wav",
    "duration_span": [
        1.5,
        2.5
    ],
    "sample_rate_source": 44100,
    "channels_source": 2,
    "codec_source": "PCM_24",
    "clip_location": "out/clips/60c3f272-9a1f-5943-a345-da0925594fbb.flac",
    "sample_rate": 16000,
    "channels": 1,
    "num_samples": 16000,
    "num_bytes": 12345,
    "audio_codec": "flac",
    "utmos": 3.5,
    "n_speakers": 2,
    "errors": [
        "parakeet_transcript_missing"
    ],
    "windows": [
        {
            "start_sample": 0,
            "end_sample": 16000,
            "canary_transcript": "Gr\u00fcezi",
            "text_transcript": "hello"
        }
    ],
    "valid": true
}"""

CHUNK = rb"""{
    "audio": "/in/talks/a.wav",
    "clip_chunk_index": 1,
    "num_clips_filtered": 2,
    "num_clips_filtered_by_band": 1,
    "num_clips_filtered_by_snr": 2,
    "num_clips_passed": 3,
    "num_clips_transcoded": 3,
    "num_clips_with_embeddings": 1,
    "num_clips_with_transcript": 3,
    "num_clips_with_preview": 1,
    "total_clip_duration": 5.75,
    "max_clip_duration": 2.0,
    "clips": [
        "u0",
        "u3",
        "u4"
    ],
    "filtered_clips": [
        "u1",
        "u2"
    ],
    "all_windows": {
        "u0": {
            "0_16000": "Gr\u00fcezi"
        },
        "u3": {
            "0_16000": "only text"
        },
        "u4": {}
    }
}"""


def test_a_clip_with_everything() -> None:
    assert render_clip_meta(CLIP) == FULL_CLIP


def test_a_clip_with_nothing_but_its_place() -> None:
    bare = replace(CLIP, encoded=None, scores={}, errors=(), windows=())
    assert list(json.loads(render_clip_meta(bare)).items()) == [
        ("span_uuid", "60c3f272-9a1f-5943-a345-da0925594fbb"),
        ("source_audio", "/in/talks/a.wav"),
        ("duration_span", [1.5, 2.5]),
        ("sample_rate_source", 44100),
        ("channels_source", 2),
        ("codec_source", "PCM_24"),
        ("clip_location", "out/clips/60c3f272-9a1f-5943-a345-da0925594fbb.flac"),
        ("windows", []),
        ("valid", False),
    ]


@pytest.mark.parametrize("speaker", ["ana", 3, ["a", "b"]])
def test_a_clip_names_its_speaker_behind_its_recording(speaker: Any) -> None:
    document = json.loads(render_clip_meta(replace(CLIP, speaker_id=speaker)))
    assert list(document)[:4] == ["span_uuid", "source_audio", "speaker_id", "duration_span"]
    assert document["speaker_id"] == speaker


@pytest.mark.parametrize(
    ("changes", "valid"), [({}, True), ({"windows": ()}, False), ({"encoded": None}, False), ({"errors": ("x",)}, True)]
)
def test_valid_is_audio_and_a_window(changes: dict[str, Any], valid: bool) -> None:
    assert json.loads(render_clip_meta(replace(CLIP, **changes)))["valid"] is valid


def test_a_name_of_other_bytes_than_utf8_is_shown_as_escapes() -> None:
    document = json.loads(render_clip_meta(replace(CLIP, source_audio="/in/talk-\udcff.wav")))
    assert document["source_audio"] == "/in/talk-\\xff.wav"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"scores": {"utmos": math.nan}}, "utmos"),
        ({"duration_span": (0.0, math.inf)}, "duration_span[1]"),
    ],
)
def test_numbers_that_json_does_not_have_are_refused(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(EntryError) as refused:
        render_clip_meta(replace(CLIP, **changes))
    assert refused.value.code == FailureCode.NON_FINITE
    assert refused.value.message == f"{place} is NaN or infinite, expected a finite number"


@pytest.mark.parametrize("name", ["valid", "windows", "errors", "span_uuid", "num_bytes"])
def test_a_score_does_not_replace_another_key(name: str) -> None:
    with pytest.raises(ValueError, match=f"score '{name}' is a key that a clip's document has already: give it"):
        replace(CLIP, scores={name: 1.0})


def test_a_recording() -> None:
    assert (
        render_recording_meta(RECORDING)
        == b"""{
    "audio": "/in/talks/a.wav",
    "sample_rate": 44100,
    "channels": 2,
    "num_samples": 441000,
    "duration": 10.0,
    "audio_codec": "PCM_24",
    "container": "WAV",
    "num_total_clips": 300,
    "num_clip_chunks": 2
}"""
    )
    with pytest.raises(EntryError, match="duration is NaN"):
        render_recording_meta(replace(RECORDING, duration=math.nan))


def test_a_chunk() -> None:
    second = ClipWindow(start_sample=16000, end_sample=20000)
    third = replace(WINDOW, transcripts={"text": "only text"})
    meta = ChunkMeta(
        audio="/in/talks/a.wav",
        clip_chunk_index=1,
        clips=(
            ExportedClip(
                uuid="u0",
                duration=1.25,
                transcoded=True,
                has_embedding=True,
                has_preview=True,
                windows=(WINDOW, second),
            ),
            ExportedClip(uuid="u1", duration=2.0, rejected_by=("snr", "band"), transcoded=True, windows=(WINDOW,)),
            ExportedClip(uuid="u2", duration=0.5, rejected_by=("snr",), has_embedding=True, has_preview=True),
            ExportedClip(uuid="u3", duration=1.0, transcoded=True, windows=(third,)),
            ExportedClip(uuid="u4", duration=1.0),
        ),
        transcript_models=("parakeet", "canary", "text"),
    )
    assert render_chunk_meta(meta) == CHUNK


def test_an_empty_chunk() -> None:
    document = json.loads(render_chunk_meta(ChunkMeta(audio="a", clip_chunk_index=0, clips=())))
    assert document == {
        "audio": "a",
        "clip_chunk_index": 0,
        "num_clips_filtered": 0,
        "num_clips_passed": 0,
        "num_clips_transcoded": 0,
        "num_clips_with_embeddings": 0,
        "num_clips_with_transcript": 0,
        "num_clips_with_preview": 0,
        "total_clip_duration": 0.0,
        "max_clip_duration": 0.0,
        "clips": [],
        "filtered_clips": [],
        "all_windows": {},
    }
