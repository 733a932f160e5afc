"""Tasks of Label Studio: what `convert` writes, and what a project exports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from beam_curator.failures import EntryError
from beam_curator.formats.label_studio import entry_of_task, label_lines, task_lines
from tests.formats.corrected import TALK


def region(start: Any, end: Any, name: str = "x", **value: Any) -> dict[str, Any]:
    kind = "textarea" if "text" in value else "labels"
    return {"id": name, "type": kind, "value": {"start": start, "end": end, "channel": 0} | value}


def task(*result: Any, audio: str = "/data/upload/3/0a1b2c3d-my%20talk.wav", **more: Any) -> dict[str, Any]:
    return {"id": 7, "data": {"audio": audio}, "annotations": [{"id": 1, "result": list(result)} | more]}


def test_what_is_written_is_read_again() -> None:
    (line,) = task_lines(TALK)
    written = json.loads(line)
    assert written["data"]["audio"] == "/data/local-files/?d=data/rec/my%20talk.wav"
    assert entry_of_task(written) == {
        "audio_filepath": "/data/rec/my talk.wav",
        "session_name": "my talk",
        "segments": [segment.fields() for segment in TALK.segments],
    }
    assert list(label_lines(TALK))[2:] == ['    <Label value="bob"/>', '    <Label value="会"/>']


@pytest.mark.parametrize(
    ("audio", "path"),
    [
        ("/data/upload/3/0a1b2c3d-my%20talk.wav", "my talk.wav"),
        ("/data/local-files/?d=day%201/a.wav", "day 1/a.wav"),
        ("s3://bucket/day/a.wav", "s3://bucket/day/a.wav"),
        ("https://host/files/a.wav?x=1", "a.wav"),
    ],
)
def test_the_recording_is_named_by_its_address(audio: str, path: str) -> None:
    entry = entry_of_task(task(region(1, 2, labels=["ana"]), region(1, 2, text=["hi", "there"]), audio=audio))
    assert entry == {
        "audio_filepath": path,
        "segments": [{"start": 1.0, "end": 2.0, "speaker": "ana", "text": "hi there"}],
    }


def test_the_annotation_that_counts() -> None:
    rows = task(region(0, 1, labels=["first"]))
    rows["annotations"] += [
        {"result": [region(0, 1, labels=["last"])]},
        {"result": [region(0, 1, labels=["no"])], "was_cancelled": True},
    ]
    rows["predictions"] = [{"result": [region(0, 1, labels=["model"])]}]

    def speaker() -> str:
        entry = entry_of_task(rows)
        assert entry is not None
        return str(entry["segments"][0]["speaker"])

    assert speaker() == "last"
    rows["annotations"][0]["ground_truth"] = True
    assert speaker() == "first"
    rows["annotations"] = []
    assert speaker() == "model"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (task(was_cancelled=True), "the task was skipped: annotate it, or leave it out of the export"),
        (task() | {"annotations": []}, "the task has neither annotations nor predictions: annotate it"),
        (task(region(None, 2, labels=[])), "annotations[0].result[0].value.start is null, expected seconds, 0 or more"),
        (task(region(-1, 2, labels=[])), "annotations[0].result[0].value.start is -1, expected seconds"),
        (task(region(3, 2, labels=["a"])), "annotations[0].result[0] ends at 2 s, before its start 3 s: correct"),
        (task(result="x"), "annotations[0].result is a string, expected an array: export the project as JSON"),
        (task(audio=""), "data.audio is a string, expected the address of the recording: name it there"),
    ],
)
def test_what_cannot_be_read(row: dict[str, Any], said: str) -> None:
    with pytest.raises(EntryError) as caught:
        entry_of_task(row)
    assert str(caught.value).startswith(f"bad_turns: {said}")


@pytest.mark.parametrize("row", [{"data": {}}, {"annotations": []}, {"data": 1, "annotations": []}, {}])
def test_other_rows_are_no_tasks(row: dict[str, Any]) -> None:
    assert entry_of_task(row) is None
