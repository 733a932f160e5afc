"""Builders of entries for tests, by hand and at random; limits of RULES are 8 and 12 seconds."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from beam_curator.entries.entry import Entry
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.window_rules import WindowRules

RULES = WindowRules(target_window_duration=10.0, tolerance=0.2, min_speakers=2, max_speakers=3)
OVERLAP = OverlapRules(overlap_percentage=50, target_duration=10.0)
ABSENT = object()
"""In place of a value: leave the key out."""


def segment(start: Any, end: Any, speaker: Any = "a", bandwidth: Any = 8000, **more: Any) -> dict[str, Any]:
    """Make a segment; keys given as ABSENT are left out."""
    metrics = ABSENT if bandwidth is ABSENT else {"bandwidth": bandwidth}
    fields = {"start": start, "end": end, "speaker": speaker, "metrics": metrics} | more
    return {key: value for key, value in fields.items() if value is not ABSENT}


def word(end: Any, text: Any = "w") -> dict[str, Any]:
    return {"word": text, "end": end}


def talk(*segments: Any, **more: Any) -> dict[str, Any]:
    """Make an entry of 16 kHz with these segments; keys given as ABSENT are left out."""
    fields = {"audio_filepath": "a.wav", "audio_sample_rate": 16000, "segments": list(segments)} | more
    return {key: value for key, value in fields.items() if value is not ABSENT}


def entry(*segments: Any, strict: bool = False, **more: Any) -> Entry:
    return Entry.from_fields(talk(*segments, **more), strict=strict)


def line(fields: Any) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


def as_json(value: Any) -> str:
    """Show a value as JSON would bring it back; equal texts mean equal values, number types and key order."""
    return repr(json.loads(json.dumps(value)))


def spans(windows: list[dict[str, Any]]) -> list[list[tuple[Any, Any]]]:
    """Return the times of the segments of each window."""
    return [[(item["start"], item["end"]) for item in window["segments"]] for window in windows]


_LENGTHS = [0.0, 0.1, 0.3, 1.0, 2.5, 3.7, 4.0, 6.0, 9.0, -1.0]
_GAPS = [0.0, 0.0, 0.0, 0.2, 1.0, -0.4, -3.0, 13.0]
_LABELS = ["a", "b", "c", "d", "a", "b", "é", "no-speaker", None, "", ABSENT]
_BANDWIDTHS = [8000, 8000, 8000, 8000, 8000, 12000.5, 8000, 7999, ABSENT]


_BAD_SEGMENTS: list[Any] = [None, "x", segment(1.0, None), segment(ABSENT, 2.0), segment(0.0, 1.0, words="w")]

_BAD_WORDS: list[Any] = [
    {"word": "2016,"},
    word(None, 7),
    {"word": "x", "start": 1.5, "end": "2"},
    "so",
    None,
    [],
    word(-2e12),
]


@st.composite
def entries(draw: st.DrawFn, *, whole_seconds: bool | None = None, bad: bool = False) -> dict[str, Any]:
    """Draw an entry: sorted or not, nested, reversed and empty segments, all kinds of labels, words in any order.

    Args:
      draw: given by hypothesis.
      whole_seconds: integer times in all (True), none (False) or some of the segments (None).
      bad: also segments and words without usable times, and nulls.
    """
    clock = 0.0
    segments: list[Any] = []
    for _ in range(draw(st.integers(0, 12))):
        start = round(clock + draw(st.sampled_from(_GAPS)), 3)
        end = round(start + draw(st.sampled_from(_LENGTHS)), 3)
        if draw(st.booleans()) if whole_seconds is None else whole_seconds:
            start, end = round(start), round(end)
        speaker, bandwidth = draw(st.sampled_from(_LABELS)), draw(st.sampled_from(_BANDWIDTHS))
        segments.append(segment(start, end, speaker, bandwidth, **draw(_texts(start, end, bad))))
        segments += draw(st.lists(st.sampled_from(_BAD_SEGMENTS), max_size=1)) if bad else []
        clock = end
    more: dict[str, Any] = draw(
        st.sampled_from([{}, {"swift_audio_filepath": "s"}, {"stats": 1, "id": 10**30}, {"filtered": "ü"}])
    )
    return talk(*segments, audio_sample_rate=draw(st.sampled_from([16000, 16000, 16000, 44100.0, 8000])), **more)


@st.composite
def _texts(draw: st.DrawFn, start: float, end: float, bad: bool) -> dict[str, Any]:
    """Draw `text` and `words` of a segment, or neither."""
    n_words = draw(st.sampled_from([None, None, 0, 2, 5]))
    if n_words is None:
        return {"words": None, "metrics": None} if bad and draw(st.booleans()) else {}
    ends = [float(start + (end - start) * (k + 1) / n_words) for k in range(n_words)]
    if draw(st.integers(0, 3)) == 0:
        ends = [round(time) for time in ends]
    if draw(st.booleans()):
        ends = draw(st.permutations(ends))
    texts = draw(st.lists(st.sampled_from(["x", "ö", "", None]), min_size=n_words, max_size=n_words))
    words: list[Any] = [word(*pair) for pair in zip(ends, texts, strict=True)]
    if bad and draw(st.booleans()):
        words[draw(st.integers(0, n_words)) :] = [draw(st.sampled_from(_BAD_WORDS)), *words[-1:]]
    return {"text": "t", "words": words}


@st.composite
def window_rules(draw: st.DrawFn) -> WindowRules:
    max_speakers = draw(st.integers(1, 4))
    return WindowRules(
        target_window_duration=draw(st.sampled_from([10.0, 5.0, 10])),
        tolerance=draw(st.sampled_from([0.2, 0.5, 1.0, 0.0])),
        min_bandwidth=draw(st.sampled_from([8000, 8000, 0])),
        min_speakers=draw(st.integers(0, min(2, max_speakers))),
        max_speakers=max_speakers,
        truncation=draw(st.sampled_from([True, True, False])),
        drop_fields=draw(st.sampled_from([("words",), ("words",), (), ("words", "text"), ("speaker",), ("metrics",)])),
        drop_fields_top_level=draw(st.sampled_from([("words", "segments"), (), ("id", "windows")])),
    )


def overlap_rules() -> st.SearchStrategy[OverlapRules]:
    return st.builds(
        OverlapRules,
        overlap_percentage=st.sampled_from([0, 1, 10, 50, 99.5, 100]),
        target_duration=st.sampled_from([5.0, 10.0, 10]),
    )
