"""Conversations that never took place: utterances laid one after the other, with overlaps, pauses, rooms and noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from voices import SAMPLE_RATE, VOICES_EACH

FRAME_SAMPLES = 1280
"""Samples of one frame of probabilities: 80 ms."""

N_SPEAKERS = 4
"""Most speakers of a conversation, and slots of the model."""

Floats = NDArray[np.float32]
Utterances = Sequence[NDArray[np.int16]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenTurn:
    """Who speaks when: samples [start, stop), and the number of the voice."""

    start: int
    stop: int
    voice: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What is heard, float32 [n_samples] at 16 kHz within -1 and 1, and who speaks, in order of time."""

    samples: Floats
    turns: tuple[SpokenTurn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How people talk.

    Attributes:
      overlap: chance that a turn begins before the last one ends.
      longest_overlap: seconds.
      pause: seconds between turns, on average.
      stay: chance that anybody may speak next, the last speaker too.
      echo: chance of a room that is heard.
    """

    overlap: float = 0.25
    longest_overlap: float = 1.5
    pause: float = 0.45
    stay: float = 0.15
    echo: float = 0.4


def choose_speakers(n_voices: int, n_speakers: int, random: np.random.Generator) -> list[int]:
    """Choose voices of different variants."""
    variants = random.choice(n_voices // VOICES_EACH, n_speakers, replace=False)
    return [int(variant) * VOICES_EACH + int(random.integers(VOICES_EACH)) for variant in variants]


def make_conversation(
    voices: Sequence[Utterances],
    speakers: Sequence[int],
    seconds: float,
    random: np.random.Generator,
    habits: Habits = Habits(),
) -> Conversation:
    """Let some voices talk for some time.

    Args:
      voices: utterances of each voice.
      speakers: numbers of the voices that take part, 1 to 4.
      seconds: length of the conversation; what does not fit is cut off.
      random: decides everything else.
      habits: how they talk.
    """
    n_samples = int(seconds * SAMPLE_RATE)
    samples = np.zeros(n_samples, np.float32)
    gains = 10 ** (random.uniform(-8, 0, len(speakers)) / 20) / 32768
    tilts = random.uniform(-0.4, 0.4, len(speakers)).astype(np.float32)
    turns: list[SpokenTurn] = []
    position, last = random.uniform(0, 1.2), -1
    while position * SAMPLE_RATE < n_samples - SAMPLE_RATE // 5:
        speaker = _next_speaker(len(speakers), last, random, habits)
        utterances = voices[speakers[speaker]]
        utterance = utterances[int(random.integers(len(utterances)))]
        start = int(position * SAMPLE_RATE)
        stop = min(n_samples, start + len(utterance))
        samples[start:stop] += _coloured(utterance[: stop - start], tilts[speaker]) * np.float32(gains[speaker])
        turns.append(SpokenTurn(start=start, stop=stop, voice=speakers[speaker]))
        position = max(_pause_after(stop / SAMPLE_RATE, random, habits), start / SAMPLE_RATE + 0.3)
        last = speaker
    return Conversation(samples=_recorded(samples, random, habits), turns=tuple(turns))


def _coloured(utterance: NDArray[np.int16], tilt: np.float32) -> Floats:
    """Return what reaches the microphone: brighter with a tilt above 0, duller below."""
    heard = utterance.astype(np.float32)
    heard[1:] -= tilt * heard[:-1]
    return heard


def _next_speaker(n_speakers: int, last: int, random: np.random.Generator, habits: Habits) -> int:
    others = [speaker for speaker in range(n_speakers) if speaker != last]
    return int(random.integers(n_speakers) if random.random() < habits.stay or not others else random.choice(others))


def _pause_after(end: float, random: np.random.Generator, habits: Habits) -> float:
    """Return when the next turn begins, in seconds."""
    if random.random() < habits.overlap:
        return float(end - random.uniform(0, habits.longest_overlap))
    return float(end + random.exponential(habits.pause))


def _recorded(samples: Floats, random: np.random.Generator, habits: Habits) -> Floats:
    """Return what a microphone in a room hears: an echo that decays, noise of some colour, and a level."""
    n_samples = len(samples)
    if random.random() < habits.echo:
        samples = in_a_room(samples, random)
    noise = random.standard_normal(n_samples).astype(np.float32)
    if random.random() < 0.5:
        noise[1:] += np.float32(random.uniform(0.5, 0.95)) * noise[:-1]
    heard = samples + noise * np.float32(10 ** (random.uniform(-70, -32) / 20))
    level = 10 ** (random.uniform(-20, 0) / 20)
    return np.float32(heard * (level / (np.abs(heard).max() + 1e-6)))


def in_a_room(samples: Floats, random: np.random.Generator) -> Floats:
    """Return what is heard of samples where walls echo, for up to a quarter of a second."""
    n_samples = len(samples)
    length = int(random.uniform(0.05, 0.25) * SAMPLE_RATE)
    response = random.standard_normal(length) * np.exp(-np.arange(length) / (length / 5))
    response[0] = random.uniform(3, 12)
    response /= np.sqrt((response**2).sum())
    size = 1 << (n_samples + length).bit_length()
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size))[:n_samples]


def gated(conversation: Conversation) -> Floats:
    """Return the samples with zeros where nobody talks, as of a noise gate, or of speech that was put together."""
    silent = np.ones(len(conversation.samples), bool)
    for turn in conversation.turns:
        silent[turn.start : turn.stop] = False
    return np.where(silent, np.float32(0), conversation.samples)


def label_frames(conversation: Conversation, n_frames: int) -> tuple[NDArray[np.bool_], list[int]]:
    """Tell who speaks in each frame, for more than half of it.

    Returns:
      bool [n_frames, n_voices], voices in the order in which they are first heard, and their numbers.
    """
    voices = list(dict.fromkeys(turn.voice for turn in conversation.turns))
    spoken = np.zeros((len(voices), n_frames * FRAME_SAMPLES), bool)
    for turn in conversation.turns:
        spoken[voices.index(turn.voice), turn.start : turn.stop] = True
    frames = spoken.reshape(len(voices), n_frames, FRAME_SAMPLES).sum(2) > FRAME_SAMPLES // 2
    heard = [place for place in range(len(voices)) if frames[place].any()]
    heard.sort(key=lambda place: int(frames[place].argmax()))
    return frames[heard].T, [voices[place] for place in heard]
