"""Rows of clips, key by key."""

from __future__ import annotations

from typing import Any

from beam_curator.curate.clip_plan import PlannedClip
from beam_curator.curate.curated_rows import ClipFacts, RecordingFacts, clip_row, count_clip, rejected_row
from beam_curator.curate.filters import Filter, Verdict
from beam_curator.sets.output_set import WrittenFile

RECORDING = RecordingFacts(
    original_file="a.wav",
    recording_id="a",
    sample_rate=8000,
    sha256="ff",
    models={"vad": {"name": "v", "sha256": "1"}},
    config_sha256="c0",
)
PLAN = PlannedClip(spans=((8001, 16000), (20000, 24001)), speaker="speaker_1")


def row(fields: dict[str, Any], **changes: Any) -> dict[str, Any]:
    facts = ClipFacts(
        recording=RECORDING,
        plan=PLAN,
        num_speakers=2,
        channel=None,
        scores={"snr_db": 12.5, "rms_dbfs": None},
        verdict=Verdict(("snr",), (), None),
    )
    return clip_row(fields, facts, **changes)


def test_the_keys_and_their_order() -> None:
    file = WrittenFile("clips/a/x.wav", 9, "ee")
    assert row({"audio_filepath": "a.wav", "lang": "de", "duration": 7}, file=file) == {
        "audio_filepath": "clips/a/x.wav",
        "lang": "de",
        "input_duration": 7,
        "original_file": "a.wav",
        "original_start_ms": 1000,  # 1000.125 rounded down
        "original_end_ms": 3000,
        "duration_ms": 2000,
        "duration": 2.0,
        "speaker_id": "speaker_1",
        "num_speakers": 2,
        "speaking_duration": 1.5,
        "sample_rate": 8000,
        "snr_db": 12.5,
        "spans": [[8001, 16000], [20000, 24001]],
        "source_sha256": "ff",
        "recording_id": "a",
        "models": {"vad": {"name": "v", "sha256": "1"}},
        "config_sha256": "c0",
        "filters_passed": ["snr"],
        "filters_failed": [],
        "files": [["clips/a/x.wav", 9, "ee"]],
    }


def test_without_a_clip_the_row_still_names_its_recording() -> None:
    made = row({"audio_filepath": "a.wav"})
    assert (made["audio_filepath"], made["files"]) == ("a.wav", [])


def test_chosen_keys() -> None:
    made = row({"audio_filepath": "a.wav"}, passed=("speaker_id", "sample_rate"))
    assert ("speaker_id" in made, "sample_rate" in made) == (True, True)
    assert not {"num_speakers", "speaking_duration", "snr_db"} & made.keys()
    assert {"spans", "original_start_ms", "filters_passed"} <= made.keys()


def test_counts() -> None:
    made = row({}) | {"filters_failed": ["snr"]}
    assert dict(count_clip(made)) == {"samples": 12000, "clips_us": 2_000_000, "annotated.snr": 1}


def test_what_was_rejected() -> None:
    by = Filter(name="snr", key="snr_db", least=20)
    assert rejected_row(RECORDING, "clip", PLAN, by, {"snr_db": 12.5}) == {
        "original_file": "a.wav",
        "level": "clip",
        "reason": "snr",
        "key": "snr_db",
        "score": 12.5,
        "threshold": 20,
        "original_start_ms": 1000,
        "original_end_ms": 3000,
        "speaker_id": "speaker_1",
        "spans": [[8001, 16000], [20000, 24001]],
        "recording_id": "a",
        "scores": {"snr_db": 12.5},
    }
