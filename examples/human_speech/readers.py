"""People who read prompts, letters and roles in Debian's packages: fetched, unpacked and decoded."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16000

PACKAGES = (
    "asterisk-core-sounds-fr-g722", "asterisk-core-sounds-it-g722", "asterisk-core-sounds-ru-g722",
    "asterisk-prompt-es-co", "asterisk-prompt-fr-armelle", "asterisk-prompt-it-menardi-wav", "fillets-ng-data-nl",
    "klettres-data", "pocketsphinx-testdata",
)  # fmt: skip
"""Their licences are in the `usr/share/doc` of each: CC-BY-SA, CC-BY, GPL, BSD."""

_NO_SPEECH = {"ascending-2tone", "beep", "beeperr", "descending-2tone", "tt-monkeys", "tt-weasels"}
"""Tones and animals among the prompts of Asterisk."""

_SHARE = "usr/share"
_RAW_FORMATS = {".g722": "g722", ".gsm": "gsm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One person.

    Attributes:
      name: in the truth.
      pattern: of the files with this voice, below `usr/share`.
      weight: how often to take this person, beside others: whole sentences more often than letters.
    """

    name: str
    pattern: str
    weight: int = 1


def _asterisk(name: str, pattern: str) -> Reader:
    return Reader(name=name, pattern=f"asterisk/sounds/{pattern}", weight=4)


def _letters(language: str, kind: str = "syllab") -> Reader:
    return Reader(name=f"letters_{language}", pattern=f"klettres/{language}/{kind}/*.ogg")


READERS = {
    "choose": (
        _asterisk("carlo", "it_IT_m_Carlo/*.g722"),
        _asterisk("june", "fr_CA_f_June/*.g722"),
        _asterisk("colombia", "es/*.gsm"),
        Reader(name="fish_m", pattern="games/fillets-ng/sound/*/nl/*-m-*.ogg", weight=4),
        *map(_letters, ("da", "de", "it", "lt", "pt_BR")),
        _letters("nb", "alpha"),
    ),
    "report": (
        _asterisk("ivrvoice", "ru_RU_f_IvrvoiceRU/*.g722"),
        _asterisk("menardi", "it_IT_f_Menardi/*.wav"),
        _asterisk("armelle", "fr/*.gsm"),
        Reader(name="fish_v", pattern="games/fillets-ng/sound/*/nl/*-v-*.ogg", weight=4),
        Reader(name="austen", pattern="pocketsphinx/test/data/librivox/*.wav"),
        *map(_letters, ("es", "nds", "ru", "uk")),
        _letters("cs", "alpha"),
    ),
}
"""Nobody is in both halves: one is to choose by, the other to report."""


def fetch(packages: Path) -> None:
    """Download and unpack what is not there yet."""
    packages.mkdir(parents=True, exist_ok=True)
    for name in PACKAGES:
        if not any(packages.glob(f"{name}_*.deb")):
            subprocess.run(["apt-get", "download", "-q", name], cwd=packages, check=True)
            (archive,) = packages.glob(f"{name}_*.deb")
            subprocess.run(["dpkg", "-x", archive, packages], check=True)


def load_prompts(reader: Reader, packages: Path, most: int = 120) -> list[NDArray[np.float32]]:
    """Return what a person says, float32 [n_samples] at 16 kHz each; of many prompts, some from all over the list.

    Raises:
      FileNotFoundError: there is nothing: the packages are of another version.
    """
    paths = sorted(path for path in (packages / _SHARE).glob(reader.pattern) if path.stem not in _NO_SPEECH)
    if not paths:
        raise FileNotFoundError(f"no {reader.pattern} below {packages / _SHARE}: let the packages be fetched again")
    step = -(-len(paths) // most)
    prompts = [trimmed(_decoded(path)) for path in paths[::step]]
    return [prompt for prompt in prompts if len(prompt) > SAMPLE_RATE // 5]


def _decoded(path: Path) -> NDArray[np.float32]:
    resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
    with av.open(str(path), format=_RAW_FORMATS.get(path.suffix)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def trimmed(prompt: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a prompt without the silence around it: what is 40 dB below its loudest sample.

    Example:
      >>> trimmed(np.float32([0.001, 0.5, 0.0, -0.1, 0.004])).tolist()
      [0.5, 0.0, -0.10000000149011612]
    """
    loud = np.flatnonzero(np.abs(prompt) > 0.01 * np.abs(prompt).max(initial=0.0))
    return prompt[loud[0] : loud[-1] + 1] if len(loud) else prompt[:0]
