from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beam_curator.audio import AudioInfo
from beam_curator.clips.cut_rules import CutRules
from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.failures import EntryError
from beam_curator.files.opened_recordings import open_recording, sample_rate_of
from beam_curator.recordings.recording_options import DecodedLimits, limits_of
from beam_curator.separation.separate_rules import SeparateRules
from tests.audio.corpus import packet_file
from tests.transforms.clips.clip_sets import write_recording

HOUR = AudioInfo(sample_rate=8000, n_samples=8000 * 3600, n_channels=2, container="flac", codec="pcm_16")


@pytest.mark.parametrize(
    ("limits", "code", "message"),
    [
        ({"max_duration": 3599.5}, "too_long", "the recording is 3600 s long, beyond the 3599.5 s of --max-duration"),
        ({"max_bytes": 230_399_999}, "too_large",
         "the recording decodes to 230400000 bytes, beyond the 230399999 of --max-decoded-bytes"),
    ],
)  # fmt: skip
def test_a_recording_beyond_a_limit_is_refused(limits: Any, code: str, message: str) -> None:
    with pytest.raises(EntryError) as caught:
        DecodedLimits(**limits).check(HOUR)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_one_at_the_limit_is_read() -> None:
    DecodedLimits(max_duration=3600, max_bytes=230_400_000).check(HOUR)
    DecodedLimits().check(HOUR)


def test_an_open_recording_is_checked(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.flac", 3.0)
    with (
        pytest.raises(EntryError, match="too_long"),
        open_recording(str(tmp_path / "a.flac"), limits=DecodedLimits(max_duration=2)),
    ):
        pass


def test_one_that_does_not_say_its_length_is_refused_while_it_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.m4a").write_bytes(packet_file("aac.m4a", 10))
    with (
        pytest.raises(EntryError, match="too_long: the recording is at least 2 s long, beyond the 2 s"),
        open_recording(str(tmp_path / "a.m4a"), limits=DecodedLimits(max_duration=2)),
    ):
        pass
    assert sample_rate_of(str(tmp_path / "a.m4a")) == 44100


@pytest.mark.parametrize("rules", [CutRules, DiarizeRules, SeparateRules])
def test_every_job_over_recordings_has_the_options(rules: Any) -> None:
    assert limits_of(rules()) == DecodedLimits()
    assert limits_of(rules(max_duration=60, max_decoded_bytes=1000)) == DecodedLimits(max_duration=60, max_bytes=1000)
    with pytest.raises(ValueError, match=r"max_duration 0 is below 0\.001: raise it"):
        rules(max_duration=0)
