"""A recording that changes while a job reads it: no result is made of two versions of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from beam_curator.audio import encode_audio
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import Cut
from beam_curator.failures import EntryError
from beam_curator.files.clip_files import encode_clip
from beam_curator.files.jobs.clip_job import ClipJob
from beam_curator.files.opened_recordings import open_recording
from beam_curator.files.recording_files import events_of
from beam_curator.models.sources import RecordingSource
from beam_curator.sets.recording_events import Made, Missed
from tests import fakes_filesystem
from tests.audio.corpus import speech_like
from tests.files.jobs.test_clip_job import asked, clips_of
from tests.manifests import whole_file
from tests.transforms.clips.clip_sets import write_recording

CHANGED = "changed_while_read"
SOURCE = {"first": 0, "stop": 24000, "sample_rate": 8000}


def touch(path: Path) -> None:
    """Give a file another time of change."""
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    write_recording(tmp_path / "a.wav")
    return tmp_path / "a.wav"


def test_a_change_is_found_when_the_reading_ends(recording: Path) -> None:
    with pytest.raises(EntryError) as caught, open_recording(str(recording)) as reader:
        assert len(reader.read()) == 24000
        write_recording(recording, seed=3)
    assert caught.value.code == CHANGED
    assert str(recording) in caught.value.message


def test_a_recording_that_stays_is_read_as_often_as_one_likes(recording: Path) -> None:
    with open_recording(str(recording)) as reader:
        version = reader.version
        reader.read(0, 10)
        reader.check_unchanged()
        reader.read(5, 20)
    with open_recording(str(recording), version=version) as reader:
        reader.read()


def test_an_error_that_comes_of_the_change_is_told_as_that(recording: Path) -> None:
    with pytest.raises(EntryError) as caught, open_recording(str(recording)) as reader:
        os.truncate(recording, 100)
        reader.read()
    assert caught.value.code == CHANGED


@pytest.mark.parametrize("store", ["gs", "s3"])
def test_an_object_that_is_replaced_has_changed(store: str) -> None:
    one, other = (encode_audio(speech_like(8000, 8000, seed=seed), 8000, "wav") for seed in (0, 1))
    path = f"{fakes_filesystem.start(f'{store}://store')}/changed.wav"
    fakes_filesystem.put(path, one)
    with pytest.raises(EntryError) as caught, open_recording(path) as reader:
        reader.read()
        fakes_filesystem.put(path, other)
    assert caught.value.code == CHANGED


def test_a_model_hears_the_recording_that_was_looked_into(recording: Path) -> None:
    with open_recording(str(recording)) as reader:
        version = reader.version
    source = RecordingSource(name=str(recording), version=version, **SOURCE)  # type: ignore[arg-type]  # three numbers
    assert sum(map(len, source.pieces())) == 48000
    touch(recording)
    with pytest.raises(EntryError, match=CHANGED):
        next(source.pieces())


def test_a_clip_of_a_changed_recording_is_closed(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_curator.clips.cutting.LONG_CLIP", 1)
    with open_recording(str(recording)) as reader:
        encode_clip(reader, Cut(first=0, stop=100), CutRules(), "wav").clip.close()
        touch(recording)
        with pytest.raises(EntryError, match=CHANGED):
            encode_clip(reader, Cut(first=0, stop=100), CutRules(), "wav")


def test_clips_from_before_the_change_stay_and_the_others_fail(recording: Path) -> None:
    requests = [(n, asked(1000 * n, 1000 * n + 500)) for n in range(3)]
    events = events_of(ClipJob(CutRules(), "wav"), clips_of(recording, (whole_file("1.jsonl"), requests)))
    before = [next(events), next(events)]
    touch(recording)
    made = [*before, *events]
    assert [event.order for event in made if isinstance(event, Made)] == [(0,)]
    missed = [event for event in made if isinstance(event, Missed)]
    assert [(event.order, event.failure.code) for event in missed] == [((1,), CHANGED), ((2,), CHANGED)]
