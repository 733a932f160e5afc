"""Models that score how sound is heard: their contracts, as data. `models.sound_scoring` runs any of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from beam_curator.intervals import Seconds
from beam_curator.model_records import KNOWN_MODELS

Features = Literal["wave", "mel120", "sigmos", "band24"]
"""Input of a graph, float32: samples [n, n_samples], mel frames [n, n_frames, 120], spectra [n, 3, n_frames, 481],
energies of bands [n, 24]."""

Short = Literal["double", "as_is"]
"""Sound that is shorter than a window is put behind itself until it is long enough, or given as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredGraph:
    """A graph of a scorer: its input, and the meaning of its outputs.

    Attributes:
      file: name in the folder of an installed model; "" for the file that a user names.
      features: its input.
      outputs: keys of a row, in the order of its columns.
      calibration: for each column the coefficients of a polynomial, the highest power first; none for values as they
        are.
      labels: names of 0 and of 1, where the outputs are classes: the one that most of the sound has is the score; none
        where they are numbers.
    """

    file: str = ""
    features: Features
    outputs: tuple[str, ...]
    calibration: tuple[tuple[float, ...], ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """The contract of a model that scores sound.

    Attributes:
      name: of the scorer, and of its record where its weights lie in a package.
      sample_rate: that it hears, Hz; 0 for that of the recording.
      window: seconds that it hears at once.
      hop: seconds from one window to the next.
      short: what is done with sound that is shorter than a window; where it is given as it is, so is the rest behind
        the last window.
      graphs: one or several, which hear the same windows.
      licence: of the weights; None where they are a user's.
      sha256: of the package that carries the weights; None where they are a user's.
    """

    name: str
    sample_rate: int
    window: Seconds
    hop: Seconds
    short: Short
    graphs: tuple[ScoredGraph, ...]
    licence: str | None = None
    sha256: str | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """The keys of all scores."""
        return tuple(key for graph in self.graphs for key in graph.outputs)

    def at(self, sample_rate: int) -> Scorer:
        """Return the contract for recordings of a sample rate in Hz, which decides only where it is heard as it is.

        Example:
          >>> SCORERS["band"].at(44100).n_window, SCORERS["utmos"].at(44100).sample_rate
          (2646000, 16000)
        """
        return self if self.sample_rate else replace(self, sample_rate=sample_rate)

    @property
    def n_window(self) -> int:
        """Samples of a window."""
        return round(self.window * self.sample_rate)

    def n_windows(self, n_samples: int) -> int:
        """Return how many whole windows a sound has; of doubled ones as of DNSMOS, which asks for whole seconds.

        Example:
          >>> [SCORERS["dnsmos"].n_windows(round(seconds * 16000)) for seconds in (9, 9.01, 10.99, 11, 20)]
          [0, 1, 1, 2, 11]
        """
        if n_samples < self.n_window:
            return 0
        if self.short == "as_is":
            return (n_samples - self.n_window) // round(self.hop * self.sample_rate) + 1
        return max(1, math.floor((n_samples // self.sample_rate - self.window) / self.hop + 1e-9) + 1)


_RECORD = KNOWN_MODELS["dnsmos"]
_DNSMOS = Scorer(
    name=_RECORD.name,
    sample_rate=16000,
    window=9.01,
    hop=1.0,
    short="double",
    graphs=(
        ScoredGraph(
            file="sig_bak_ovr.onnx",
            features="wave",
            outputs=("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl"),
            calibration=(
                (-0.08397278, 1.22083953, 0.0052439),
                (-0.13166888, 1.60915514, -0.39604546),
                (-0.06766283, 1.11546468, 0.04602535),
            ),
        ),
        ScoredGraph(file="model_v8.onnx", features="mel120", outputs=("dnsmos_p808",)),
    ),
    licence=_RECORD.licence,
    sha256=_RECORD.sha256,
)

_LONGEST = 60.0
"""Seconds that a model of sound of any length hears at once: memory of a session follows it."""

_UTMOS = Scorer(
    name="utmos",
    sample_rate=16000,
    window=_LONGEST,
    hop=_LONGEST,
    short="as_is",
    graphs=(ScoredGraph(features="wave", outputs=("utmos_mos",)),),
)

_SIGMOS = Scorer(
    name="sigmos",
    sample_rate=48000,
    window=_LONGEST,
    hop=_LONGEST,
    short="as_is",
    graphs=(
        ScoredGraph(
            features="sigmos",
            outputs=tuple(f"sigmos_{name}" for name in ("col", "disc", "loud", "noise", "reverb", "sig", "ovrl")),
        ),
    ),
)

_BAND = Scorer(
    name="band",
    sample_rate=0,
    window=_LONGEST,
    hop=_LONGEST,
    short="as_is",
    graphs=(ScoredGraph(features="band24", outputs=("band_prediction",), labels=("narrow_band", "full_band")),),
)

SCORERS: Mapping[str, Scorer] = {scorer.name: scorer for scorer in (_DNSMOS, _UTMOS, _SIGMOS, _BAND)}
"""Name to contract. Weights of `dnsmos` lie in a package; of the others a user names a file."""


def calibrated(value: float, coefficients: tuple[float, ...]) -> float:
    """Return the value of a polynomial, the highest power first.

    Example:
      >>> calibrated(2.0, (3.0, 1.0, 0.5)), calibrated(2.0, (1.0, 0.0))
      (14.5, 2.0)
    """
    made = 0.0
    for coefficient in coefficients:
        made = made * value + coefficient
    return made


def named_scorers(given: Sequence[str]) -> dict[str, str]:
    """Return the paths of scorers by their names, from texts such as `dnsmos` and `utmos=utmos.onnx`.

    Returns:
      For each name the path of its file, or of the folder of an installed model; "" for the installed one.

    Raises:
      ValueError: one is unknown, given twice, or needs a file.

    Example:
      >>> named_scorers(["dnsmos", "utmos=models/utmos.onnx"])
      {'dnsmos': '', 'utmos': 'models/utmos.onnx'}
    """
    found: dict[str, str] = {}
    for text in given:
        name, _, path = text.partition("=")
        if name not in SCORERS:
            raise ValueError(f"scorer {name!r} is not known: use one of {', '.join(SCORERS)}")
        if name in found:
            raise ValueError(f"scorer {name} is given twice: leave one of them out")
        if not path and SCORERS[name].sha256 is None:
            raise ValueError(f"scorer {name} has no weights in any package: give {name}=FILE.onnx, a file of your own")
        found[name] = path
    return found
