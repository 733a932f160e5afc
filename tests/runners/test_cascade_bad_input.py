"""Bad and odd recordings through `diarize` with the cascade and its real weights: each has its outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from beam_curator.diarization.models import Floats
from tests.audio.corpus import make_bad_files
from tests.cascade_sounds import SAMPLE_RATE, music, seconds, silence
from tests.manifests import failures_in, run
from tests.models.real_models import need_model
from tests.runners.test_diarize_bad_input import BYTES, ODD, OK, write_odd
from tests.transforms.diarization.turn_sets import by_id, check_set, entries_in

pytestmark = pytest.mark.heavy

Turns = list[tuple[float, float]]


def two_in_turn(length: float = 2.5) -> Floats:
    """Return two voices that take turns, four times each."""
    return np.concatenate([
        part for start in np.arange(4) * length for voice in (0, 1)
        for part in (seconds(voice, start, start + length), silence(0.4))
    ])  # fmt: skip


def softer_by_20_db(samples: Floats) -> Floats:
    """Return a voice that is soft in its second half."""
    return samples * np.where(np.arange(len(samples)) < len(samples) / 2, 1, 0.1).astype(np.float32)


def write_sounds(folder: Path) -> None:
    """Write recordings that are hard for a cascade."""
    sounds = {
        "a_second": np.concatenate([silence(0.2), seconds(0, 0.5, 1.5), silence(0.2)]),
        "music": music(8),
        "at_once": seconds(0, 0, 12) + seconds(1, 0, 12),
        "two_levels": softer_by_20_db(seconds(0, 0, 14)),
        "two": two_in_turn(),
        "long_pause": np.concatenate([seconds(0, 0, 6), silence(24), seconds(0, 6, 12)]),
    }
    for name, samples in sounds.items():
        soundfile.write(folder / f"{name}.wav", samples, SAMPLE_RATE)
    soundfile.write(folder / "8_khz.wav", soxr.resample(sounds["two"], SAMPLE_RATE, 8000), 8000)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set of all of them, made by one run."""
    need_model("cascade")
    folder = tmp_path_factory.mktemp("bad") / "in"
    make_bad_files(folder / "bad")
    write_odd(folder)
    write_sounds(folder)
    (folder / "gone.wav").symlink_to("nowhere.wav")
    made = folder.parent / "out"
    assert run("diarize", folder, "--model-name", "cascade", "--output", made, "--threads", "1") == 3
    check_set(made)
    return made


@pytest.fixture(scope="module")
def entries(out: Path) -> dict[str, Any]:
    return by_id(out)


def turns_of(entry: Any) -> Turns:
    return [(turn["start"], turn["end"]) for turn in entry["segments"]]


def test_every_bad_file_is_the_failure_that_it_is_with_a_sortformer(out: Path) -> None:
    codes = {Path(letter["source"]).name: letter["code"] for letter in failures_in(out)}
    assert codes == {name: code for name, code in BYTES.items() if code != OK} | {"gone.wav": "not_found"}
    for letter in failures_in(out):
        assert min(len(letter["message"]), len(letter["cure"])) > 10
        assert json.loads(letter["payload"])["audio_filepath"] == letter["source"]


def test_every_odd_one_has_an_entry(out: Path) -> None:
    names = {Path(entry["audio_filepath"]).name for entry in entries_in(out)}
    assert set(ODD) | {name for name, code in BYTES.items() if code == OK} <= names


@pytest.mark.parametrize("name", ["silence", "159_samples", "160_samples", "one_sample", "music", "alone", "eight"])
def test_nobody_speaks_in_silence_tones_and_music(name: str, entries: dict[str, Any], out: Path) -> None:
    assert (entries[name]["segments"], entries[name]["num_speakers"]) == ([], 0)
    assert (out / "rttm" / f"{name}.rttm").read_bytes() == b""


def test_a_second_of_speech_is_one_turn(entries: dict[str, Any]) -> None:
    ((start, end),) = turns_of(entries["a_second"])
    assert start < 0.4 and 1.0 < end <= 1.4


def test_one_voice_at_two_levels_is_one_speaker(entries: dict[str, Any]) -> None:
    assert entries["two_levels"]["num_speakers"] == 1
    assert sum(end - start for start, end in turns_of(entries["two_levels"])) > 12


@pytest.mark.parametrize("name", ["two", "8_khz"])
def test_two_who_take_turns(name: str, entries: dict[str, Any]) -> None:
    assert entries[name]["num_speakers"] == 2
    assert 18 < sum(end - start for start, end in turns_of(entries[name])) < 24


def test_two_who_never_stop_talking_at_once_are_two(entries: dict[str, Any]) -> None:
    entry = entries["at_once"]
    assert entry["num_speakers"] == 2
    assert sorted(turns_of(entry)) == [(0.0, pytest.approx(12, abs=0.1))] * 2


def test_windows_without_anyone_have_no_turns(entries: dict[str, Any]) -> None:
    assert entries["long_pause"]["num_speakers"] == 1
    assert not [turn for turn in turns_of(entries["long_pause"]) if 6.5 < turn[0] < 29.5]
    assert max(end for _, end in turns_of(entries["long_pause"])) > 35


def test_more_speakers_asked_for_than_there_are(out: Path, tmp_path: Path) -> None:
    given = ("--model-name", "cascade", "--num-speakers", "40", "--output", tmp_path / "out")
    assert run("diarize", out.parent / "in" / "two.wav", *given) == 0
    (entry,) = entries_in(tmp_path / "out")
    assert 2 <= entry["num_speakers"] < 40
    assert 18 < sum(end - start for start, end in turns_of(entry)) < 24
