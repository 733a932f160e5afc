"""The scripts that mix prompts of human voices: all that needs no package."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

EXAMPLES = Path(__file__).parents[2] / "examples"
RATE = 16000


@pytest.fixture(scope="module", autouse=True)
def scripts_are_found() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for folder in ("demo_model", "human_speech"):
            patch.syspath_prepend(str(EXAMPLES / folder))
        yield


def script(name: str) -> Any:
    return importlib.import_module(name)


def hum(seconds: float, level: float = 0.1) -> NDArray[np.float32]:
    return np.float32(level * np.sin(np.arange(round(seconds * RATE)) * 0.3))


PEOPLE = [[hum(2.0), hum(1.5)], [hum(3.0)], [hum(0.4)]]


def mix(seed: int = 1, **setting: Any) -> Any:
    mixes = script("mixes")
    return mixes.make_mix(PEOPLE, [2, 0, 1], mixes.Setting(**{"seconds": 60, **setting}), np.random.default_rng(seed))


@pytest.mark.parametrize("name", ["mixes", "readers", "make"])
def test_the_examples_in_the_scripts_hold(name: str) -> None:
    assert doctest.testmod(script(name)).failed == 0


def test_a_pause_of_a_quarter_of_a_second_is_no_speech() -> None:
    parts = script("mixes").spoken_parts
    quiet = hum(1, 0.002)  # 34 dB below the rest
    assert parts(np.concatenate([hum(1), quiet[:3840], hum(1)])) == [(0, 35840)]  # 0.24 s
    assert parts(np.concatenate([hum(1), quiet[:4320], hum(1)])) == [(0, 16000), (20320, 36320)]  # 0.27 s
    assert parts(np.zeros(RATE, np.float32)) == []


def test_everybody_speaks_in_turns_and_the_same_seed_gives_the_same() -> None:
    talk, again, other = mix(), mix(), mix(seed=2)
    assert {turn.voice for turn in talk.turns} == {0, 1, 2}
    assert (talk.samples == again.samples).all() and talk.turns == again.turns
    assert talk.turns != other.turns
    assert all(0 <= turn.start < turn.stop <= len(talk.samples) == 60 * RATE for turn in talk.turns)
    # speech is where the truth says so, at -24 dB and 4 around it; noise is everywhere else
    levels = [10 * np.log10((talk.samples[turn.start : turn.stop] ** 2).mean()) for turn in talk.turns]
    assert all(-28.5 < level < -17 for level in levels)
    spoken = np.zeros(len(talk.samples), bool)
    for turn in talk.turns:
        # the truth is on a grid of 10 ms, and leaves out less than that at the end of a turn
        spoken[turn.start : turn.stop + 160] = True
    assert 10 * np.log10((talk.samples[~spoken] ** 2).mean()) == pytest.approx(-60, abs=0.5)


def test_a_room_and_noise_are_heard() -> None:
    noisy, room = mix(noise_db=-45.0), mix(room=True)
    assert noisy.turns == room.turns == mix().turns
    assert not np.allclose(room.samples, mix().samples, atol=0.01)


def test_nobody_is_in_both_halves() -> None:
    readers = script("readers").READERS
    assert list(readers) == ["choose", "report"]
    assert not {reader.pattern for reader in readers["choose"]} & {reader.pattern for reader in readers["report"]}
    most = max(people for people, _ in script("make").PLAN)
    assert all(len(half) >= most for half in readers.values())
    assert len(script("make").PLAN) == 20
    assert len(script("make").PACES) * sum(map(len, readers.values())) == 60
