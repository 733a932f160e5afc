"""Why each start of an entry gave a window that stays, one that lost to another, or none; and options that help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from beam_curator.entries.entry import Entry
from beam_curator.failures import EntryError
from beam_curator.intervals import Seconds, Span
from beam_curator.windows.overlap import OverlapRules, same_times, winners
from beam_curator.windows.rendering import spans_of
from beam_curator.windows.training_windows import NO_SPEAKER, NOT_CUT, WindowPlan, plan_entry, scan
from beam_curator.windows.window_rules import WindowRules

KEPT, OVERLAP = "kept", "overlap"
_STEP, _RUNGS = 250, 8
_SHORTEST = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The windows of one entry, and which of them stay.

    Attributes:
      plan: all windows.
      kept: positions of those that stay.
      winners: for each window, the span of the one that removed it; None for none.
    """

    plan: WindowPlan
    kept: frozenset[int]
    winners: Sequence[Span | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFate:
    """The fate of one segment as the start of a window.

    Attributes:
      index: of the segment in its row.
      start: of the segment, seconds.
      end: of the window or of the attempt, seconds; of the segment, if it may not begin one.
      reason: KEPT, OVERLAP, or a reason of `LossCounts`.
      why: the value that was measured, beside its limit.
    """

    index: int
    start: Seconds
    end: Seconds
    reason: str
    why: str


Change = tuple[str, int, int]
"""An option with another value, and what it would give: windows in all, and those that stay."""


def choose_windows(entries: Sequence[Entry], rules: WindowRules, overlap: OverlapRules) -> list[Chosen]:
    """Plan the windows of entries, and choose those that stay: those of each entry compete, in scope audio_file of all.

    Raises:
      EntryError: an entry cannot be planned.
    """
    plans = [plan_entry(entry, rules) for entry in entries]
    groups = [plans] if overlap.scope == "audio_file" else [[plan] for plan in plans]
    return [chosen for group in groups for chosen in _chosen(group, overlap)]


def _chosen(plans: Sequence[WindowPlan], overlap: OverlapRules) -> Iterator[Chosen]:
    spans = [span for plan in plans for span in spans_of(plan)]
    beaten_by = winners(spans, overlap)
    kept = [k for k, winner in enumerate(beaten_by) if winner is None]
    if overlap.scope == "row":
        kept = same_times(spans, kept)
    begin = 0
    for plan in plans:
        stop = begin + len(plan.firsts)
        own = frozenset(k - begin for k in kept if begin <= k < stop)
        yield Chosen(plan=plan, kept=own, winners=[None if k is None else spans[k] for k in beaten_by[begin:stop]])
        begin = stop


def explain_starts(entry: Entry, chosen: Chosen, rules: WindowRules) -> list[StartFate]:
    """Tell the fate of each segment as the start of a window, in the order of the entry; see `plan_entry`.

    Example:
      >>> talk = {"audio_filepath": "a.wav", "audio_sample_rate": 16000, "segments": [
      ...     {"start": 0.0, "end": 5.0, "speaker": "a", "metrics": {"bandwidth": 8000}},
      ...     {"start": 5.0, "end": 10.0, "speaker": "b", "metrics": {"bandwidth": 4000}}]}
      >>> entry, rules = Entry.from_fields(talk), WindowRules(target_window_duration=10.0)
      >>> [chosen] = choose_windows([entry], rules, OverlapRules())
      >>> print(*[f"{fate.reason}: {fate.why}" for fate in explain_starts(entry, chosen, rules)], sep="\\n")
      lost_win: 5 s, 9-11 s needed: bandwidth 4000 Hz at 5 s, at least 8000 Hz needed
      lost_bw: bandwidth 4000 Hz, at least 8000 Hz needed
    """
    windows = {first: k for k, first in enumerate(chosen.plan.firsts)}
    losses = {first: (stop, cut) for first, stop, cut, _ in chosen.plan.losses}
    return [
        _fate(entry, chosen, rules, first, windows.get(first), losses.get(first)) for first in range(len(entry.starts))
    ]


def _fate(
    entry: Entry, chosen: Chosen, rules: WindowRules, first: int, window: int | None, loss: tuple[int, int] | None
) -> StartFate:
    start, end = entry.starts[first], entry.ends[first]
    needed = f"{rules.min_duration:.4g}-{rules.max_duration:.4g} s needed"
    if chosen.plan.low_sample_rate:
        reason, why = "lost_sr", f"sample rate {entry.sample_rate:g} Hz, at least {rules.min_sample_rate:g} Hz needed"
    elif entry.bandwidths[first] < rules.min_bandwidth:
        reason, why = "lost_bw", _low(entry.bandwidths[first], rules)
    else:
        _, _, end, speakers = scan(WindowPlan(), entry, rules, first)
        if window is not None:
            reason, why = _of_window(chosen, window, (start, end), len(speakers))
        elif loss is not None:
            reason, why = "lost_win", f"{end - start:.4g} s, {needed}: {_obstacle(entry, rules, first, *loss)}"
        else:
            least = entry.least_speakers(rules.min_speakers)
            reason, why = "lost_spk", f"speakers: {len(speakers)}, {least}-{rules.max_speakers} needed"
    return StartFate(index=entry.positions[first], start=start, end=end, reason=reason, why=why)


def _of_window(chosen: Chosen, window: int, span: Span, n_speakers: int) -> tuple[str, str]:
    (start, end), winner = span, chosen.winners[window]
    if window in chosen.kept or winner is None:
        return KEPT, f"{end - start:.4g} s, speakers: {n_speakers}"
    shorter = min(end - start, winner[1] - winner[0])
    share = (min(end, winner[1]) - max(start, winner[0])) / shorter if shorter else 1
    return OVERLAP, f"shares {share * 100:.0f} % with {winner[0]:.2f}-{winner[1]:.2f} s"


def _low(bandwidth: float, rules: WindowRules, where: str = "") -> str:
    return f"bandwidth {bandwidth:g} Hz{where}, at least {rules.min_bandwidth:g} Hz needed"


def _obstacle(entry: Entry, rules: WindowRules, first: int, stop: int, cut: int) -> str:
    """Say why an attempt did not go on, in the order in which `scan` looks."""
    if "metrics" in rules.drop_fields and rules.min_bandwidth > 0:
        return "drop_fields has metrics, so that no bandwidth is known"
    if stop == len(entry.starts):
        return "the segments end there"
    where = f" at {entry.starts[stop]:.4g} s"
    if entry.bandwidths[stop] < rules.min_bandwidth:
        return _low(entry.bandwidths[stop], rules, where)
    if cut != NOT_CUT:
        return f"the segment{where} was cut, as it ends later"
    late = entry.ends[stop] - entry.starts[first] > rules.max_duration
    if late and (not rules.truncation or entry.starts[stop] >= entry.starts[first] + rules.max_duration):
        return f"the segment{where} ends too late, at {entry.ends[stop]:.4g} s"
    return (
        f"nobody speaks{where}"
        if entry.speakers[stop] == NO_SPEAKER
        else f"more than {rules.max_speakers} speakers{where}"
    )


_Rung = tuple[str, tuple[WindowRules, OverlapRules]]


def changes_of(
    entries: Sequence[Entry], rules: WindowRules, overlap: OverlapRules, reasons: Sequence[str]
) -> list[Change]:
    """Ask the rules again with other values, one option at a time, and return those that give more windows.

    Of each option it is the value nearest to the present one that helps; of bandwidths and numbers of speakers, which
    follow from the entries, the one that gives most.

    Args:
      entries: whose windows compete with each other.
      rules, overlap: the present values.
      reasons: of the starts without a window that stays.
    """
    now = _counted(entries, rules, overlap)
    found = []
    for rungs, takes_best in _ladders(entries, rules, overlap, frozenset(reasons)):
        counted = [(option, *_counted(entries, *others)) for option, others in rungs]
        better = [change for change in counted if change[2] > now[1]]
        if better:
            found.append(max(better, key=lambda change: change[2]) if takes_best else better[0])
    return found


def _counted(entries: Sequence[Entry], rules: WindowRules, overlap: OverlapRules) -> tuple[int, int]:
    """Count windows and those that stay; none where an entry cannot be planned by such rules."""
    try:
        chosen = choose_windows(entries, rules, overlap)
    except EntryError:
        return 0, 0
    return sum(len(each.plan.firsts) for each in chosen), sum(len(each.kept) for each in chosen)


def _ladders(
    entries: Sequence[Entry], rules: WindowRules, overlap: OverlapRules, reasons: frozenset[str]
) -> Iterator[tuple[list[_Rung], bool]]:
    """Yield for each option that may help its values, from the present one on, and whether the best is wanted."""

    def rungs(name: str, values: Sequence[Any]) -> list[_Rung]:
        flag = name.replace("_", "-")
        return [(f"--{flag} {value:.10g}", (replace(rules, **{name: value}), overlap)) for value in values]

    low = {width for entry in entries for width in entry.bandwidths if width < rules.min_bandwidth}
    widths = sorted({width // _STEP * _STEP for width in low}, reverse=True)
    yield rungs("min_bandwidth", widths[:: -(-len(widths) // _RUNGS) or 1]), True
    rates = [*{entry.sample_rate for entry in entries if entry.sample_rate < rules.min_sample_rate}]
    yield rungs("min_sample_rate", rates), True
    if "lost_spk" in reasons:
        yield rungs("min_speakers", range(rules.min_speakers - 1, -1, -1)), False
    if "lost_win" in reasons:
        n_speakers = max(len({*filter(None, entry.speakers)} - {NO_SPEAKER}) for entry in entries)
        yield rungs("max_speakers", range(rules.max_speakers + 1, n_speakers + 1)), True
        yield rungs("tolerance", [tolerance for tolerance in (0.2, 0.3, 0.5) if tolerance > rules.tolerance]), False
        follows = overlap.target_duration == rules.target_window_duration
        targets = [float(f"{rules.target_window_duration / n:.3g}") for n in (1.5, 2, 3, 4, 6, 8, 12, 24)]
        yield (
            [
                (option, (shorter, replace(overlap, target_duration=target) if follows else overlap))
                for target, (option, (shorter, _)) in zip(
                    targets, rungs("target_window_duration", targets), strict=True
                )
                if target >= _SHORTEST
            ],
            False,
        )
    if OVERLAP in reasons:
        shares = [share for share in (60, 75, 90, 100) if share > overlap.overlap_percentage]
        yield [(f"--overlap-percentage {n}", (rules, replace(overlap, overlap_percentage=n))) for n in shares], False
