"""Voices that espeak-ng speaks: variants, languages and pitches, stretched by a factor of their own."""

import hashlib
import io
import random
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SAMPLE_RATE = 16000

VOICES_EACH = 6
"""Voices that are made of each variant; they have numbers in a row."""

SENTENCES = 20
"""That each voice says."""

CACHE = Path.home() / ".cache" / "beam_curator" / "voices"

TRAINING_VARIANTS = (
    "Alex", "Andrea", "Andy", "Annie", "AnxiousAndy", "Diogo", "Gene", "Gene2", "Henrique", "Jacky", "Lee", "Marco",
    "Mario", "Michael", "Mike", "Storm", "anika", "announcer", "antonio", "aunty", "boris", "caleb", "david", "ed",
    "edward2", "f1", "f3", "f4", "f5", "grandpa", "gustave", "iven", "iven2", "iven4", "john", "kaukovalta", "linda",
    "m1", "m2", "m4", "m5", "m6", "m7", "m8", "max", "michel", "miguel", "pablo", "paul", "pedro", "quincy", "rob",
    "sandro", "shelby", "steph", "steph3", "travis", "zac",
)  # fmt: skip
HELD_OUT_VARIANTS = (
    "Alicia", "Denis", "Hugo", "adam", "belinda", "benjamin", "f2", "iven3", "m3", "marcelo", "norbert", "robert",
    "steph2", "victor",
)  # fmt: skip
"""Never heard in training, in no language and at no pitch."""

LANGUAGES = ("en-us", "en-gb", "en-gb-scotland", "de", "fr-fr", "es", "it", "nl", "pt-br", "sv")
_TEXT = (
    "about after again air all also answer any around ask away back because before big both boy call change come "
    "could country day different down each earth end even every eye far father find first follow form found four "
    "friend from give good great hand hard head help here high home house idea just keep kind know large last late "
    "learn leave letter life light line list little live long look made make many mean might more morning mother "
    "mountain move much must name near never next night number often old only open other out over page paper part "
    "people picture place plant play point question quick read really right river room said same school second see "
    "sentence should show side simple small some song soon spell start still stop story study such table take talk "
    "tell thing think three time together too tree try turn under until use very walk want watch water well went "
    "what when where which while white why window without word work world would write year young"
)
WORDS = _TEXT.split()

_SILENCE = 0.01
"""What is quieter than this, of the loudest sample, at the ends of an utterance is cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One speaker.

    Attributes:
      variant: of espeak-ng.
      language: whose sounds and melody it uses, for English words as well.
      pitch: 0 to 99, as espeak-ng takes it.
      speed: words a minute.
      stretch: factor of all frequencies, by playing it faster: another length of the vocal tract.
    """

    variant: str
    language: str
    pitch: int
    speed: int
    stretch: float


def choose_voices(variants: Sequence[str], n_each: int, seed: int) -> list[Voice]:
    """Choose some voices of each variant; the same seed gives the same voices."""
    chance = random.Random(seed)
    return [
        Voice(
            variant=variant,
            language=chance.choice(LANGUAGES),
            pitch=chance.randrange(10, 95),
            speed=chance.randrange(130, 185),
            stretch=chance.uniform(0.87, 1.15),
        )
        for variant in variants
        for _ in range(n_each)
    ]


def speak(voice: Voice, text: str) -> NDArray[np.int16]:
    """Return an utterance, int16 [n_samples] at 16 kHz, without the silence around it."""
    command = ["espeak-ng", "-v", f"{voice.language}+{voice.variant}", "-p", str(voice.pitch), "-s", str(voice.speed)]
    spoken = subprocess.run([*command, "--stdout", text], capture_output=True, check=True).stdout
    samples, sample_rate = soundfile.read(io.BytesIO(spoken), dtype="float32")
    samples = soxr.resample(samples, sample_rate * voice.stretch, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(samples) > _SILENCE * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1]
    return np.int16(np.rint(samples * (32000 / np.abs(samples).max())))


def say_sentences(voice: Voice, n_sentences: int) -> list[NDArray[np.int16]]:
    """Return utterances of 1 to 14 words, which depend on the voice alone."""
    chance = random.Random(repr(voice))
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 14))) for _ in range(n_sentences)]
    return [speak(voice, text) for text in texts]


def load_voices(voices: Sequence[Voice], n_sentences: int, cache: Path) -> list[list[NDArray[np.int16]]]:
    """Return the utterances of each voice; what was spoken before is read from a folder."""
    cache.mkdir(parents=True, exist_ok=True)

    def load(voice: Voice) -> list[NDArray[np.int16]]:
        path = cache / f"{hashlib.sha256(f'{voice} {n_sentences}'.encode()).hexdigest()[:20]}.npz"
        if not path.exists():
            utterances = say_sentences(voice, n_sentences)
            with path.with_suffix(".new").open("wb") as stream:
                np.savez(stream, *utterances)
            path.with_suffix(".new").rename(path)
        with np.load(path) as stored:
            return list(stored.values())

    with ThreadPoolExecutor() as pool:
        return list(pool.map(load, voices))
