"""How probabilities become turns: thresholds and durations, and the published sets of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from beam_curator.rules import number_problems, option, raise_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRules:
    """How probabilities become turns; names, defaults and order of the steps are those of NeMo's PostProcessingParams.

    `offset` may exceed `onset`, as in two of the published sets: a probability between the two then starts and ends
    a turn every 10 ms, and padding or `min_duration_off` joins the pieces. Padding may be negative: it shortens.

    Raises:
      ValueError: all rules that cannot hold, each with value, limit and cure.

    Example:
      >>> TurnRules(onset=1.5, min_duration_on=-1)
      Traceback (most recent call last):
      ValueError: turn rules: onset 1.5 must be 0-1: choose a value between them; \
min_duration_on -1 is below 0: raise it
    """

    onset: float = option(0.5, "a turn begins above this probability")
    offset: float = option(0.5, "a turn ends below this probability")
    pad_onset: float = option(0.0, "seconds added before a turn")
    pad_offset: float = option(0.0, "seconds added after a turn")
    min_duration_on: float = option(0.0, "shortest turn to keep, in seconds")
    min_duration_off: float = option(0.0, "shortest pause to keep between turns of a speaker, in seconds")

    def __post_init__(self) -> None:
        limits = {
            "onset": (0.0, 1.0),
            "offset": (0.0, 1.0),
            "pad_onset": (-math.inf, math.inf),
            "pad_offset": (-math.inf, math.inf),
            "min_duration_on": (0.0, math.inf),
            "min_duration_off": (0.0, math.inf),
        }
        raise_problems("turn rules", number_problems(self, limits))


TURN_PRESETS: Mapping[str, TurnRules] = MappingProxyType(
    {
        "default": TurnRules(),
        "v1-callhome": TurnRules(
            onset=0.53, offset=0.49, pad_onset=0.23, pad_offset=0.01, min_duration_on=0.42, min_duration_off=0.34
        ),
        "v1-dihard3": TurnRules(
            onset=0.64, offset=0.74, pad_onset=0.06, pad_offset=0.0, min_duration_on=0.1, min_duration_off=0.15
        ),
        "v2-callhome": TurnRules(
            onset=0.641, offset=0.561, pad_onset=0.229, pad_offset=0.079, min_duration_on=0.511, min_duration_off=0.296
        ),
        "v2-dihard3": TurnRules(
            onset=0.56, offset=1.0, pad_onset=0.063, pad_offset=0.002, min_duration_on=0.007, min_duration_off=0.151
        ),
        "cascade": TurnRules(onset=0.3, offset=0.1),
    }
)
"""Name to rules, as NVIDIA publishes them in NeMo's `examples/speaker_tasks/diarization/conf/post_processing`.

`v1` belongs to `sortformer_diar_4spk-v1`, `v2` to `diar_streaming_sortformer_4spk-v2`; each was tuned on part 1 of
CALLHOME or on the development part of DIHARD III. `cascade` belongs to the model of that name, and is ours: chosen on
`examples/human_speech`.
"""
