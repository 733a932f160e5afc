"""Rows as bytes: each segment is encoded once, and windows are slices of those bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

from beam_curator.intervals import Span
from beam_curator.json_lines import encode
from beam_curator.overlap import NO_WINDOWS, overlap_fields
from beam_curator.records import Entry
from beam_curator.training_windows import (
    NOT_CUT,
    WindowPlan,
    WindowRules,
    segments_of,
    stats_of,
    truncated_segment,
    without,
)

Layout = Literal["full", "spans"]
LAYOUTS = ("full", "spans")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapChoice:
    """Which windows of an entry stay.

    Attributes:
      survivors: positions of the windows that survived, sorted by (start, end).
      kept: positions of the windows listed as `filtered_windows`, in input order.
    """

    survivors: Sequence[int]
    kept: Sequence[int]


def spans_of(plan: WindowPlan) -> list[Span]:
    """Return `(start, end)` of each planned window in seconds."""
    return list(zip(plan.starts, plan.ends, strict=True))


def render_row(entry: Entry, plan: WindowPlan, choice: OverlapChoice, rules: WindowRules, layout: Layout) -> bytes:
    """Render the result row of one entry as compact JSON, without its newline.

    In layout `full` the keys and values are the reference's. In layout `spans` the segments of each window are given as
    `[first, stop]`, a half-open range of indices into the entry's segments, with `cut_words` (how many words the
    segment at `stop` keeps) where the window ends in a cut segment.
    """
    text = _FullText(entry, rules) if layout == "full" else _SpanText(entry, rules)
    windows = [
        b'{"segments":%b,"speaker_durations":%b}' % (text.segments(first, stop, cut), durations)
        for first, stop, cut, durations in zip(
            plan.firsts, plan.stops, plan.cuts, _encode_each(plan.speaker_durations), strict=True
        )
    ]
    parts = _kept_fields(entry, plan, rules)
    parts["windows"] = b"[%b]" % b",".join(windows)
    parts["stats"] = _stats(entry, plan, text)
    parts["truncation_events"] = b"%d" % plan.truncation_events
    if windows:
        parts |= _overlap_parts(entry, plan, choice, windows)
    else:
        parts |= {key: encode(value) for key, value in NO_WINDOWS.items() if key not in parts}
    return b"{%b}" % b",".join([b"%b:%b" % (encode(key), value) for key, value in parts.items()])


def _kept_fields(entry: Entry, plan: WindowPlan, rules: WindowRules) -> dict[str, bytes]:
    if plan.low_sample_rate:
        return {"audio_filepath": encode(entry.fields["audio_filepath"])}
    return {key: encode(value) for key, value in entry.fields.items() if key not in rules.drop_fields_top_level}


def _overlap_parts(entry: Entry, plan: WindowPlan, choice: OverlapChoice, windows: list[bytes]) -> dict[str, bytes]:
    fields = overlap_fields(
        spans_of(plan),
        choice.survivors,
        filtered_windows=None,
        manifest_path=None,
        swift_path=entry.fields.get("swift_audio_filepath", ""),
    )
    parts = {key: encode(value) for key, value in fields.items()}
    parts["filtered_windows"] = b"[%b]" % b",".join([windows[position] for position in choice.kept])
    return parts


def _stats(entry: Entry, plan: WindowPlan, text: _FullText | _SpanText) -> bytes:
    losses = b",".join(
        b'{"index":%d,"window_segs":%b,"next_seg":%b,"prev_seg":%b}'
        % (first, text.segments(first, stop, cut), text.segment(following), text.segment(max(first - 1, 0)))
        for first, stop, cut, following in plan.losses
    )
    return b'%b,"lost_win_full_data":[%b]}' % (encode(stats_of(entry, plan))[:-1], losses)


def _encode_each(rows: list[list[float]]) -> list[bytes]:
    """Encode lists of numbers in one call and cut the text apart again."""
    if not rows:
        return []
    return [b"[%b]" % row for row in encode(rows)[2:-2].split(b"],[")]


class _FullText:
    """The segments of one entry as text: one buffer, of which windows are slices."""

    def __init__(self, entry: Entry, rules: WindowRules) -> None:
        self._entry = entry
        self._rules = rules
        self._cut: dict[tuple[int, int], bytes] = {}

    @cached_property
    def _texts(self) -> list[bytes]:
        dropped = self._rules.drop_fields
        absent = frozenset(dropped).isdisjoint
        return [encode(item) if absent(item) else encode(without(item, dropped)) for item in self._entry.segments]

    @cached_property
    def _joined(self) -> bytes:
        return b",".join(self._texts) + b","

    @cached_property
    def _offsets(self) -> list[int]:
        return list(accumulate((len(text) + 1 for text in self._texts), initial=0))

    def segments(self, first: int, stop: int, cut: int) -> bytes:
        begin, end = self._offsets[first], self._offsets[stop]
        if cut != NOT_CUT:
            return b"[%b%b]" % (self._joined[begin:end], self._cut_text(stop, cut))
        return b"[%b]" % self._joined[begin : max(begin, end - 1)]

    def segment(self, index: int) -> bytes:
        return self._texts[index]

    def _cut_text(self, index: int, n_words: int) -> bytes:
        """A segment's cut text: equal numbers of words are equal words, so windows share it."""
        key = (index, n_words)
        text = self._cut.get(key)
        if text is None:
            cut = truncated_segment(self._entry.segments[index], n_words)
            text = self._cut[key] = encode(without(cut, self._rules.drop_fields))
        return text


class _SpanText:
    """The same in index ranges."""

    def __init__(self, entry: Entry, rules: WindowRules) -> None:
        del entry, rules

    def segments(self, first: int, stop: int, cut: int) -> bytes:
        if cut != NOT_CUT:
            return b'[%d,%d],"cut_words":%d' % (first, stop, cut)
        return b"[%d,%d]" % (first, stop)

    def segment(self, index: int) -> bytes:
        return b"%d" % index


def expand_window(entry: Entry, rules: WindowRules, segments: Sequence[int], cut_words: int = NOT_CUT) -> list[Any]:
    """Return the segments of a window of layout `spans`, as layout `full` would hold them.

    Args:
      entry: the manifest row that the window comes from.
      rules: the rules it was built by.
      segments: the window's `segments`, `[first, stop]`.
      cut_words: the window's `cut_words`, where it has that key.
    """
    first, stop = segments
    return segments_of(entry, rules, first, stop, cut_words)
