"""Make conversations of human voices, as FLAC, and who speaks when in them, as RTTM: to choose and to report by.

    python examples/human_speech/make.py human_speech

The voices come from packages of Debian (`readers.py`), which are downloaded into `human_speech/packages`, by apt-get.
`human_speech/choose` and `human_speech/report` have 20 conversations each, of 1 to 8 people, and nobody is in both;
`human_speech/crowd` has one of 60 voices, the same people at three paces. `audio` and `rttm` in them are what
`beam-curator diarize` and `beam-curator score` take. The same seed gives the same conversations, as far as the packages
are the same.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

sys.path.insert(0, str(Path(__file__).parents[1] / "demo_model"))

from conversations import Conversation
from mixes import Floats, Setting, make_mix
from readers import READERS, SAMPLE_RATE, Reader, fetch, load_prompts

from beam_curator.diarization.rttm import render_rttm

PLAN = (
    (1, 60), (2, 75), (3, 90), (4, 75), (2, 60), (3, 90), (5, 120), (1, 60), (2, 75), (4, 90),
    (6, 120), (3, 60), (8, 150), (2, 60), (4, 90), (7, 120), (3, 60), (1, 75), (4, 600), (2, 90),
)  # fmt: skip
"""People and seconds of each conversation of a half."""

CROWD_SECONDS = 900
PACES = (0.87, 1.0, 1.15)
"""Of each person in the crowd: who is faster is higher, too, and sounds like somebody else."""


def setting_of(number: int) -> tuple[Setting, int]:
    """Return the setting of a conversation, and the sample rate of its recording.

    Example:
      >>> setting_of(0)
      (Setting(seconds=60, noise_db=-60.0, room=False), 16000)
      >>> setting_of(7)
      (Setting(seconds=60, noise_db=-45.0, room=True), 8000)
    """
    noise_db = -45.0 if number % 3 == 1 else -60.0
    return Setting(seconds=PLAN[number][1], noise_db=noise_db, room=number % 5 == 2), 8000 if number % 4 == 3 else 16000


def choose_people(readers: tuple[Reader, ...], n_people: int, random: np.random.Generator) -> list[int]:
    """Choose some people, each once."""
    weights = np.array([reader.weight for reader in readers], float)
    return [int(person) for person in random.choice(len(readers), n_people, replace=False, p=weights / weights.sum())]


def write(folder: Path, name: str, talk: Conversation, readers: tuple[Reader, ...], sample_rate: int) -> None:
    """Write a conversation and its turns."""
    samples = talk.samples if sample_rate == SAMPLE_RATE else soxr.resample(talk.samples, SAMPLE_RATE, sample_rate)
    soundfile.write(folder / "audio" / f"{name}.flac", samples, sample_rate, subtype="PCM_16")
    turns = [(turn.start / SAMPLE_RATE, turn.stop / SAMPLE_RATE, readers[turn.voice].name) for turn in talk.turns]
    (folder / "rttm" / f"{name}.rttm").write_text(render_rttm(name, turns))


def make_half(folder: Path, half: str, packages: Path, seed: int) -> None:
    """Make the conversations of one half."""
    for part in ("audio", "rttm"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    readers = READERS[half]
    prompts = [load_prompts(reader, packages) for reader in readers]
    for number, (n_people, _) in enumerate(PLAN):
        random = np.random.default_rng([seed, list(READERS).index(half), number])
        setting, sample_rate = setting_of(number)
        talk = make_mix(prompts, choose_people(readers, n_people, random), setting, random)
        write(folder, f"{half}-{number:02d}-of-{n_people}", talk, readers, sample_rate)


def at_pace(prompts: list[Floats], pace: float) -> list[Floats]:
    """Return prompts as a tape plays them that runs faster or slower.

    Example:
      >>> [len(prompt) for prompt in at_pace([np.ones(1600, np.float32)], 0.8)]
      [2000]
    """
    return [soxr.resample(prompt, pace * SAMPLE_RATE, SAMPLE_RATE) for prompt in prompts]


def make_crowd(folder: Path, packages: Path, seed: int) -> None:
    """Make a conversation of everybody of both halves, each at every pace."""
    for part in ("audio", "rttm"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    people = [(reader, load_prompts(reader, packages)) for half in READERS.values() for reader in half]
    voices = tuple(replace(reader, name=f"{reader.name}-{pace:g}") for reader, _ in people for pace in PACES)
    prompts = [at_pace(said, pace) for _, said in people for pace in PACES]
    random = np.random.default_rng([seed, len(READERS)])
    talk = make_mix(prompts, range(len(voices)), Setting(seconds=CROWD_SECONDS), random)
    write(folder, f"crowd-00-of-{len(voices)}", talk, voices, SAMPLE_RATE)


def main() -> None:
    """Make the conversations of both halves, and the crowd."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--packages", type=Path, help="where the packages are, or go (default: FOLDER/packages)")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    packages = arguments.packages or arguments.folder / "packages"
    fetch(packages)
    for half in READERS:
        make_half(arguments.folder / half, half, packages, arguments.seed)
    make_crowd(arguments.folder / "crowd", packages, arguments.seed)


if __name__ == "__main__":
    main()
