"""Rows as bytes: each segment is encoded once, and windows are slices of those bytes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from beam_curator.entries.channel_key import CHANNEL_KEY
from beam_curator.entries.entry import Entry
from beam_curator.entries.json_lines import encode, encode_lines
from beam_curator.entries.segment_options import BAD_SEGMENTS_KEY
from beam_curator.intervals import Span
from beam_curator.windows.overlap import NO_WINDOWS, overlap_fields
from beam_curator.windows.training_windows import NOT_CUT, WindowPlan, segments_of, stats_of, truncated_segment, without
from beam_curator.windows.window_channels import channel_text, channels_named
from beam_curator.windows.window_rules import WindowRules

Layout = Literal["full", "spans"]
LAYOUTS = ("full", "spans")

Piece = bytes | memoryview
"""Some bytes of a row; pieces are written one after the other, never joined on the way."""
Pieces = tuple[Piece, ...]

_OPEN, _MIDDLE, _CLOSE = b'{"segments":[', b'],"speaker_durations":[', b"]},"


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
    segment at `stop` keeps) where the window ends in a cut segment, and `channel` where segments name one: null where
    they differ.
    """
    return b"".join(render_pieces(entry, plan, choice, rules, layout))


def render_pieces(
    entry: Entry,
    plan: WindowPlan,
    choice: OverlapChoice,
    rules: WindowRules,
    layout: Layout,
    origin: dict[str, Any] | None = None,
) -> list[Piece]:
    """Render a row as pieces to be written one after the other: see `render_row`; `origin` goes under `_origin`."""
    text = _FullText(entry, plan, rules) if layout == "full" else _SpanText(entry, rules)
    windows = text.windows(plan)
    parts = _kept_fields(entry, plan, rules)
    parts["windows"] = _array(windows)
    parts["stats"] = _stats(entry, plan, text)
    parts["truncation_events"] = [b"%d" % plan.truncation_events]
    if entry.bad_segments:
        parts[BAD_SEGMENTS_KEY] = [b"%d" % entry.bad_segments]
    if windows:
        parts |= _overlap_parts(entry, plan, choice, windows)
    else:
        parts |= {key: [encode(value)] for key, value in NO_WINDOWS.items() if key not in parts}
    if origin is not None:
        parts["_origin"] = [encode(origin)]
    pieces: list[Piece] = []
    opening = b"{"
    for key, value in parts.items():
        pieces.append(b"%b%b:" % (opening, encode(key)))
        pieces += value
        opening = b","
    pieces.append(b"}")
    return pieces


def _array(items: Sequence[Pieces]) -> list[Piece]:
    """Make a JSON array of items whose last pieces each end in a comma."""
    pieces: list[Piece] = [b"["]
    for item in items:
        pieces += item
    if items:
        pieces[-1] = pieces[-1][:-1]
    pieces.append(b"]")
    return pieces


def _kept_fields(entry: Entry, plan: WindowPlan, rules: WindowRules) -> dict[str, list[Piece]]:
    if plan.low_sample_rate:
        return {"audio_filepath": [encode(entry.fields["audio_filepath"])]}
    return {key: [encode(value)] for key, value in entry.fields.items() if key not in rules.drop_fields_top_level}


def _overlap_parts(
    entry: Entry, plan: WindowPlan, choice: OverlapChoice, windows: list[Pieces]
) -> dict[str, list[Piece]]:
    fields = overlap_fields(
        spans_of(plan),
        choice.survivors,
        filtered_windows=None,
        manifest_path=None,
        swift_path=entry.fields.get("swift_audio_filepath", ""),
    )
    parts: dict[str, list[Piece]] = {key: [encode(value)] for key, value in fields.items()}
    parts["filtered_windows"] = _array([windows[position] for position in choice.kept])
    return parts


def _stats(entry: Entry, plan: WindowPlan, text: _FullText | _SpanText) -> list[Piece]:
    losses = [
        (
            b'{"index":%d,"window_segs":' % entry.positions[first],
            *text.segments(first, stop, cut),
            b',"next_seg":%b,"prev_seg":%b},' % (text.segment(following), text.segment(max(first - 1, 0))),
        )
        for first, stop, cut, following in plan.losses
    ]
    return [encode(stats_of(entry, plan))[:-1], b',"lost_win_full_data":', *_array(losses), b"}"]


def _encode_each(rows: list[list[float]]) -> list[bytes]:
    """Encode lists of numbers in one call and cut the text apart again, without the brackets."""
    return encode(rows)[2:-2].split(b"],[") if rows else []


class _FullText:
    """The segments of one entry as text: one buffer, of which windows are slices."""

    def __init__(self, entry: Entry, plan: WindowPlan, rules: WindowRules) -> None:
        dropped = rules.drop_fields
        absent = frozenset(dropped).isdisjoint
        lines = encode_lines([item if absent(item) else without(item, dropped) for item in entry.segments])
        self._texts = lines.split(b"\n")  # JSON text holds no newline of its own
        self._joined = memoryview(lines.replace(b"\n", b","))
        self._offsets = list(accumulate([len(text) + 1 for text in self._texts], initial=0))
        # equal numbers of words are equal words, so windows share the text of a cut segment
        cuts = list({pair for pair in zip(plan.stops, plan.cuts, strict=True) if pair[1] != NOT_CUT})
        cuts += {(stop, cut) for _, stop, cut, _ in plan.losses if cut != NOT_CUT}.difference(cuts)
        parts = [truncated_segment(entry.segments[stop], cut, dropped) for stop, cut in cuts]
        self._cut = dict(zip(cuts, encode_lines(parts).split(b"\n"), strict=False))

    def windows(self, plan: WindowPlan) -> list[Pieces]:
        joined, offsets, cut_texts = self._joined, self._offsets, self._cut
        return [
            (_OPEN, joined[offsets[first] : offsets[stop] - 1], _MIDDLE, durations, _CLOSE)
            if cut == NOT_CUT
            else (_OPEN, joined[offsets[first] : offsets[stop]], cut_texts[stop, cut], _MIDDLE, durations, _CLOSE)
            for first, stop, cut, durations in zip(
                plan.firsts, plan.stops, plan.cuts, _encode_each(plan.speaker_durations), strict=True
            )
        ]

    def segments(self, first: int, stop: int, cut: int) -> Pieces:
        begin, end = self._offsets[first], self._offsets[stop]
        if cut != NOT_CUT:
            return b"[", self._joined[begin:end], self._cut[stop, cut], b"]"
        return b"[", self._joined[begin : max(begin, end - 1)], b"]"

    def segment(self, index: int) -> bytes:
        return self._texts[index]


class _SpanText:
    """The same in index ranges of the row's own segments, in which bad ones count."""

    def __init__(self, entry: Entry, rules: WindowRules) -> None:
        self._positions = entry.positions
        are_dropped = CHANNEL_KEY in rules.drop_fields
        self._channels = None if are_dropped else channels_named(entry.fields, entry.segments)

    def windows(self, plan: WindowPlan) -> list[Pieces]:
        return [
            (
                *(b'{"segments":', *self.segments(first, stop, cut), *self._channel(first, stop, cut)),
                *(b',"speaker_durations":[', durations, _CLOSE),
            )
            for first, stop, cut, durations in zip(
                plan.firsts, plan.stops, plan.cuts, _encode_each(plan.speaker_durations), strict=True
            )
        ]

    def _channel(self, first: int, stop: int, cut: int) -> Pieces:
        if self._channels is None:
            return ()
        return (channel_text(self._channels[first : stop + (cut != NOT_CUT)]),)

    def segments(self, first: int, stop: int, cut: int) -> Pieces:
        begin = self._positions[first]
        if cut != NOT_CUT:
            return (b'[%d,%d],"cut_words":%d' % (begin, self._positions[stop], cut),)
        return (b"[%d,%d]" % (begin, self._positions[stop - 1] + 1 if stop > first else begin),)

    def segment(self, index: int) -> bytes:
        return b"%d" % self._positions[index]


def expand_window(entry: Entry, rules: WindowRules, segments: Sequence[int], cut_words: int = NOT_CUT) -> list[Any]:
    """Return the segments of a window of layout `spans`, as layout `full` would hold them.

    Args:
      entry: the manifest row that the window comes from.
      rules: the rules it was built by.
      segments: the window's `segments`, `[first, stop]`; bad segments between them are left out.
      cut_words: the window's `cut_words`, where it has that key.
    """
    first, stop = (bisect_left(entry.positions, position) for position in segments)
    return segments_of(entry, rules, first, stop, cut_words)
