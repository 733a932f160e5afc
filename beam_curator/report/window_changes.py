"""The number of windows that other values of an option would keep: the rules are asked again, so that it is exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from beam_curator.entries.entry import Entry
from beam_curator.failures import EntryError
from beam_curator.sets.counting import microseconds
from beam_curator.windows.block_planning import plan_block
from beam_curator.windows.line_windows import choose_in_row
from beam_curator.windows.window_options import OverlapOptions
from beam_curator.windows.window_rules import WindowRules

MOST_PLANNED = 6_000_000
"""Segments times values of options that are planned again: more would take minutes."""
_FEW = 16

Trial = tuple[WindowRules, OverlapOptions]


@dataclass(slots=True, kw_only=True)
class OptionTrial:
    """One option of `windows`, the values to try, and the windows that each would keep.

    Attributes:
      section: of the option.
      name: of the option.
      now: its value in the set.
      values: ascending, the present one among them.
      kept: for each value the number of windows, and their microseconds.
    """

    section: str
    name: str
    now: float
    values: list[float]
    kept: list[list[int]] = field(default_factory=list)


def trials_of(
    rules: WindowRules, overlap: OverlapOptions, seen: Mapping[str, Sequence[float]], n_segments: int
) -> list[OptionTrial]:
    """Return the options worth trying, as many as the number of segments allows.

    Args:
      rules, overlap: in force.
      seen: values of the inputs: `bandwidth`, `sample_rate`, `speakers`, ascending.
      n_segments: of the inputs.

    Example:
      >>> [(trial.name, trial.values) for trial in trials_of(
      ...     WindowRules(), OverlapOptions(), {"bandwidth": [4000, 8000]}, 10)][0]
      ('min_bandwidth', [0, 4000, 8000])
    """
    most = int(max((3, *seen.get("speakers", ()))))
    target = rules.target_window_duration
    asked: list[tuple[str, str, Sequence[float]]] = [
        ("windows", "min_bandwidth", [0, *_some(seen.get("bandwidth", ()))]),
        ("windows", "target_window_duration", [float(f"{target * of:.3g}") for of in (0.1, 0.25, 0.5, 0.75, 1.5, 2)]),
        ("overlap", "overlap_percentage", range(0, 101, 10)),
        ("windows", "tolerance", [0.05, 0.1, 0.2, 0.3, 0.5]),
        ("windows", "max_speakers", range(max(1, rules.min_speakers), most + 1)),
        ("windows", "min_speakers", range(1, rules.max_speakers + 1)),
        ("windows", "min_sample_rate", [0, *_some(seen.get("sample_rate", ()))]),
    ]
    trials: list[OptionTrial] = []
    left = MOST_PLANNED
    for section, name, values in asked:
        now = getattr(rules if section == "windows" else overlap, name)
        every = sorted({*values, now})
        left -= len(every) * n_segments
        if left >= 0 and len(every) > 1:
            trials.append(OptionTrial(section=section, name=name, now=now, values=every))
    return trials


def _some(values: Sequence[float]) -> list[float]:
    """Return some of many values, the last among them."""
    return list(reversed(values))[:: -(-len(values) // _FEW) or 1]


def try_values(entries: Sequence[Entry], rules: WindowRules, overlap: OverlapOptions, trial: OptionTrial) -> None:
    """Plan entries by each value of an option, and add the windows that would be kept; entries compete in rows alone.

    Example:
      >>> talk = {"audio_filepath": "a.wav", "audio_sample_rate": 16000, "segments": [
      ...     {"start": 0.0, "end": 5.0, "speaker": "a", "metrics": {"bandwidth": 8000}},
      ...     {"start": 5.0, "end": 10.0, "speaker": "b", "metrics": {"bandwidth": 4000}}]}
      >>> trial = OptionTrial(section="windows", name="min_bandwidth", now=8000, values=[4000, 8000])
      >>> try_values([Entry.from_fields(talk)], WindowRules(target_window_duration=10.0), OverlapOptions(), trial)
      >>> trial.kept
      [[1, 10000000], [0, 0]]
    """
    trial.kept = trial.kept or [[0, 0] for _ in trial.values]
    # an option of overlaps chooses among the same windows
    planned = plan_block(entries, rules) if trial.section == "overlap" else None
    for value, kept in zip(trial.values, trial.kept, strict=True):
        change: dict[str, Any] = {trial.name: value}
        changed = replace(rules, **change) if trial.section == "windows" else rules
        chosen = (overlap if trial.section == "windows" else replace(overlap, **change)).rules(changed)
        for plan in plan_block(entries, changed) if planned is None else planned:
            if isinstance(plan, EntryError):
                continue
            choice = choose_in_row(plan, chosen)
            kept[0] += len(choice.kept)
            kept[1] += sum(microseconds(plan.ends[k] - plan.starts[k]) for k in choice.survivors)
