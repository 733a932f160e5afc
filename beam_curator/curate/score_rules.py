"""The options of models that score clips; sections and keys of the reference have its names and its defaults."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from beam_curator.quality.measure_rules import MeasureRules
from beam_curator.quality.scorers import SCORERS
from beam_curator.rules import check_types, number_problems, option, raise_problems, same_option

SCORED = ("dnsmos", "utmos", "sigmos")
"""Sections of options, each of the scorer of its name."""

SCORE_KEYS = tuple(key for name in SCORED for key in SCORERS[name].outputs)
"""Keys of scores, which are the names of their filters, too."""

_HIGHEST_SCORE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dnsmos:
    """The scores of DNSMOS, whose weights `models install` fetches."""

    enable: bool = option(False, "score clips by DNSMOS", flag="dnsmos")
    path: str = option("", "folder of the model dnsmos, used instead of the installed one", flag="dnsmos-path")
    hop: float = same_option(MeasureRules, "dnsmos_hop", flag="dnsmos-hop")
    ovrl_threshold: float | None = option(None, "least overall score of a clip by DNSMOS", flag="dnsmos-ovrl-threshold")
    sig_threshold: float | None = option(None, "least score of its speech", flag="dnsmos-sig-threshold")
    bak_threshold: float | None = option(None, "least score of its background", flag="dnsmos-bak-threshold")
    p808_threshold: float | None = option(None, "least score of a clip by DNSMOS P.808", flag="dnsmos-p808-threshold")

    def __post_init__(self) -> None:
        check_types("dnsmos", self)
        raise_problems("dnsmos", score_problems(self) + number_problems(self, {"hop": (0.1, 3600)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Utmos:
    """The score of UTMOS, whose weights are in no package."""

    enable: bool = same_option(Dnsmos, "enable", help_text="score clips by UTMOS", flag="utmos")
    path: str = same_option(
        Dnsmos, "path", help_text="graph of UTMOS, a file of your own: docs/measure.md says which", flag="utmos-path"
    )
    mos_threshold: float | None = option(3.4, "least UTMOS of a clip; null for no limit")

    def __post_init__(self) -> None:
        check_types("utmos", self)
        raise_problems("utmos", score_problems(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigmos:
    """The scores of SIGMOS, whose weights are in no package."""

    enable: bool = same_option(Dnsmos, "enable", help_text="score clips by SIGMOS", flag="sigmos")
    path: str = same_option(
        Dnsmos, "path", help_text="graph of SIGMOS, a file of your own: docs/measure.md says which", flag="sigmos-path"
    )
    noise_threshold: float | None = option(4.0, "least SIGMOS noise score of a clip; null for no limit")
    ovrl_threshold: float | None = option(3.5, "least SIGMOS overall score of a clip; null for no limit")
    sig_threshold: float | None = same_option(
        Dnsmos, "sig_threshold", help_text="least SIGMOS signal score of a clip", flag=None
    )
    col_threshold: float | None = option(None, "least SIGMOS coloration score of a clip")
    disc_threshold: float | None = option(None, "least SIGMOS discontinuity score of a clip")
    loud_threshold: float | None = option(None, "least SIGMOS loudness score of a clip")
    reverb_threshold: float | None = option(None, "least SIGMOS reverberation score of a clip")

    def __post_init__(self) -> None:
        check_types("sigmos", self)
        raise_problems("sigmos", score_problems(self))


def score_problems(options: Any) -> list[str]:
    """Check the thresholds of a scorer, and that its files are of use; return the problems."""
    names = [field.name for field in fields(options) if field.name.endswith("threshold")]
    given = [name for name in names if getattr(options, name) is not None]
    unused = [f"path is given, and enable is false: set it to true, too, or leave {options.path} out"]
    problems = unused if options.path and not options.enable else []
    return problems + number_problems(options, dict.fromkeys(given, (0.0, _HIGHEST_SCORE)))


def least_of(options: Any, name: str, key: str) -> float | None:
    """Return the limit of a score; None where there is none, or nobody asked for the scorer.

    Args:
      options: of the scorer.
      name: of the scorer.
      key: of the score.

    Example:
      >>> least_of(Sigmos(enable=True, path="s.onnx"), "sigmos", "sigmos_noise")
      4.0
      >>> least_of(Utmos(), "utmos", "utmos_mos")
    """
    least: float | None = getattr(options, f"{key.removeprefix(f'{name}_')}_threshold")
    return least if options.enable else None
