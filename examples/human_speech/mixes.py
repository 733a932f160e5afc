"""Conversations of people who never met: prompts laid one after the other, in which pauses are known to be pauses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from conversations import Conversation, SpokenTurn, in_a_room
from numpy.typing import NDArray
from readers import SAMPLE_RATE

Floats = NDArray[np.float32]

_FRAME = SAMPLE_RATE // 100
_PAUSE_FRAMES = 25
_PAUSE_DB = -32.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where people talk, and for how long.

    Attributes:
      seconds: length of the conversation.
      noise_db: level of white noise, below full scale.
      room: an echo is heard.
    """

    seconds: float
    noise_db: float = -60.0
    room: bool = False


def spoken_parts(samples: Floats) -> list[tuple[int, int]]:
    """Return samples `[start, stop)` of speech: all but pauses of 0.25 s or more, 32 dB below the level of the whole.

    Example:
      >>> second = np.full(SAMPLE_RATE, 0.1, np.float32)
      >>> spoken_parts(np.concatenate([second, 0 * second, second, 0 * second[:3200], second]))
      [(0, 16000), (32000, 67200)]
    """
    n_frames = len(samples) // _FRAME
    power = (samples[: n_frames * _FRAME].reshape(n_frames, _FRAME).astype(np.float64) ** 2).mean(1)
    if not power.any():
        return []
    loud = np.flatnonzero(power > power.mean() * 10 ** (_PAUSE_DB / 10))
    breaks = np.flatnonzero(np.diff(loud) > _PAUSE_FRAMES)
    starts, stops = loud[np.r_[0, breaks + 1]], loud[np.r_[breaks, len(loud) - 1]] + 1
    return [(int(start) * _FRAME, int(stop) * _FRAME) for start, stop in zip(starts, stops, strict=True)]


def make_mix(
    prompts: Sequence[Sequence[Floats]], speakers: Sequence[int], setting: Setting, random: np.random.Generator
) -> Conversation:
    """Let some people talk: turns of 1 to 3 prompts, gaps of 0.1 to 0.9 s, one turn in seven into the one before it.

    Args:
      prompts: of each person.
      speakers: numbers of those who take part; each speaks at least once, where there is time.
      setting: where, and for how long.
      random: decides everything else.
    """
    n_samples = round(setting.seconds * SAMPLE_RATE)
    samples = np.zeros(n_samples, np.float32)
    levels = -24 + random.uniform(-3, 3, len(speakers))
    shares = random.uniform(0.3, 1.0, len(speakers))
    waiting = [int(place) for place in random.permutation(len(speakers))]
    turns: list[SpokenTurn] = []
    start, last = round(random.uniform(0, 1) * SAMPLE_RATE), -1
    while start < n_samples - SAMPLE_RATE // 2:
        place = waiting.pop() if waiting else _next(shares, last, random)
        turn = _turn(prompts[speakers[place]], random)[: n_samples - start]
        level = levels[place] + random.uniform(-1, 1)
        turn = turn * np.float32(10 ** (level / 20) / np.sqrt((turn**2).mean()))
        samples[start : start + len(turn)] += turn
        for first, stop in spoken_parts(turn):
            turns.append(SpokenTurn(start=start + first, stop=start + stop, voice=speakers[place]))
        begin, last = start, place
        start += len(turn) + round(random.uniform(0.1, 0.9) * SAMPLE_RATE)
        if random.random() < 1 / 7:
            start = max(begin + SAMPLE_RATE // 2, begin + len(turn) - round(random.uniform(0.2, 1.2) * SAMPLE_RATE))
    return Conversation(samples=_recorded(samples, setting, random), turns=tuple(turns))


def _next(shares: NDArray[np.float64], last: int, random: np.random.Generator) -> int:
    """Choose who speaks next: another one, where there is one."""
    weights = shares.copy()
    if len(weights) > 1 and last >= 0:
        weights[last] = 0
    return int(random.choice(len(weights), p=weights / weights.sum()))


def _turn(prompts: Sequence[Floats], random: np.random.Generator) -> Floats:
    """Return 1 to 3 prompts, or as many as last a second."""
    parts: list[Floats] = []
    n_prompts = int(random.integers(1, 4))
    while len(parts) < 2 * n_prompts or sum(map(len, parts)) < SAMPLE_RATE:
        prompt = prompts[int(random.integers(len(prompts)))]
        parts += [prompt, np.zeros(round(random.uniform(0.05, 0.3) * SAMPLE_RATE), np.float32)]
    return np.concatenate(parts[:-1])


def _recorded(samples: Floats, setting: Setting, random: np.random.Generator) -> Floats:
    heard = in_a_room(samples, random) if setting.room else samples
    noise = random.standard_normal(len(samples)) * 10 ** (setting.noise_db / 20)
    return np.float32(np.clip(heard + noise, -1, 1))
