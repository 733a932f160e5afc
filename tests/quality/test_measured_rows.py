from __future__ import annotations

from typing import Any

import pytest

from beam_curator.quality.measured_rows import Measures, count_measured, measured_row
from beam_curator.quality.sound_meter import Sound

SOUND = Sound(rms_dbfs=-20.5, peak_dbfs=-3.0, clipped_ratio=0.25, snr_db=12.0)
OWN = {"rms_dbfs": -20.5, "peak_dbfs": -3.0, "clipped_ratio": 0.25, "snr_db": 12.0}


def row_of(fields: dict[str, Any], **changes: Any) -> dict[str, Any]:
    measures = Measures(**{"sample_rate": 8000, "n_channels": 2, "seconds": 2.0, "sound": SOUND} | changes)
    return measured_row(fields, measures, "segments")


def test_measures_stand_behind_the_keys_of_the_row() -> None:
    made = row_of({"audio_filepath": "a.wav", "text": "hm"}, scores={"dnsmos_ovrl": 2.5})
    assert list(made.items()) == [
        ("audio_filepath", "a.wav"),
        ("text", "hm"),
        ("duration", 2.0),
        ("audio_sample_rate", 8000),
        ("num_channels", 2),
        *OWN.items(),
        ("dnsmos_ovrl", 2.5),
    ]


@pytest.mark.parametrize("duration", [2, 2.0])
def test_a_value_that_is_the_same_stays_in_its_place(duration: float) -> None:
    made = row_of({"duration": duration, "audio_filepath": "a.wav", "rms_dbfs": None})
    assert list(made)[:3] == ["duration", "audio_filepath", "rms_dbfs"]
    assert type(made["duration"]) is type(duration)
    assert made["rms_dbfs"] == -20.5


def test_another_value_moves_aside_and_nothing_is_lost() -> None:
    fields = {"duration": 3, "input_duration": 4, "snr_db": 1}
    made = row_of(fields)
    assert {key: made[key] for key in ("duration", "input_duration", "input_input_duration")} == {
        "duration": 2.0,
        "input_duration": 3,
        "input_input_duration": 4,
    }
    assert (made["snr_db"], made["input_snr_db"]) == (12.0, 1)
    assert row_of(made) == made


def test_a_track_s_duration_says_how_long_its_speaker_talks() -> None:
    made = row_of({"duration": 1.5, "track_duration": 2.0})
    assert (made["duration"], "input_duration" in made) == (1.5, False)
    assert ("audio_us", 2_000_000) in list(count_measured(made))


def test_segments_get_their_bandwidth_beside_what_they_have() -> None:
    segments = [{"start": 0, "metrics": {"squim": 3, "bandwidth": 100}}, [0, 1], {"metrics": None}, {"start": 2}]
    made = row_of({"segments": segments}, bandwidths={0: 3400, 2: 8000})
    assert made["segments"] == [
        {"start": 0, "metrics": {"squim": 3, "input_bandwidth": 100, "bandwidth": 3400}},
        [0, 1],
        {"metrics": {"bandwidth": 8000}},
        {"start": 2},
    ]
    assert segments[0] == {"start": 0, "metrics": {"squim": 3, "bandwidth": 100}}


def test_counts_say_what_was_found() -> None:
    silent = Sound(rms_dbfs=None, peak_dbfs=None, clipped_ratio=0.0, snr_db=None)
    assert dict(count_measured(row_of({}))) == {"audio_us": 2_000_000, "clipped": 1}
    found = dict(count_measured(row_of({}, sound=silent, unmixed=1)))
    assert found == {"audio_us": 2_000_000, "silent": 1, "no_snr": 1, "unmixed": 1}
