"""The rules in the words of their description, step by step and slowly: what the product is compared with."""

from __future__ import annotations

from typing import Any

from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.window_rules import WindowRules

Object = dict[str, Any]


def literal_windows(entry: Object, rules: WindowRules) -> tuple[list[Object], dict[str, int], list[Object], int]:
    """Return windows, loss counts, lost windows and truncation events of an entry of sufficient sample rate."""
    segments = entry["segments"]
    windows, lost, events = [], [], 0
    counts = dict.fromkeys(("lost_bw", "lost_spk", "lost_win", "lost_no_spkr", "lost_next_seg_bm"), 0)
    for i, first in enumerate(segments):
        if bandwidth(first) < rules.min_bandwidth:
            counts["lost_bw"] += 1
            continue
        members, end, stop, n_cut = scan(segments, i, rules)
        events += n_cut
        too_few = len(members) < 2 or any(bandwidth(member) < rules.min_bandwidth for member in members)
        if too_few or not rules.min_duration <= end - first["start"] <= rules.max_duration:
            lost.append(loss(segments, i, members, stop, rules))
            counts["lost_win"] += 1
            following = segments[stop]
            if following.get("speaker", "no-speaker") == "no-speaker":
                counts["lost_no_spkr"] += 1
            elif bandwidth(following) < rules.min_bandwidth:
                counts["lost_next_seg_bm"] += 1
        elif not rules.min_speakers <= len(seconds_by_speaker(members)) <= rules.max_speakers:
            counts["lost_spk"] += 1
        else:
            longest = sorted(seconds_by_speaker(members).values(), reverse=True)
            windows.append({"segments": members, "speaker_durations": [*longest, 0.0, 0.0, 0.0, 0.0, 0.0][:5]})
    return windows, counts, lost, events


def scan(segments: list[Object], i: int, rules: WindowRules) -> tuple[list[Object], float, int, int]:
    """Return the members of the window from segment i on, its end, where the scan stopped, and how often it cut."""
    members: list[Object] = []
    start, end = segments[i]["start"], segments[i]["end"]
    for j in range(i, len(segments)):
        current, crosses = segments[j], segments[j]["end"] - start > rules.max_duration
        cut = start + rules.max_duration
        if bandwidth(current) < rules.min_bandwidth:
            return members, end, j, 0
        if crosses and (not rules.truncation or current["start"] >= cut):
            return members, end, j, 0
        part = truncated(current, cut) if crosses else current
        speakers = seconds_by_speaker([*members, part])
        if len(speakers) > rules.max_speakers or "no-speaker" in speakers:
            return members, end, j, int(crosses)
        members.append(without(part, rules))
        end = part["end"]
        if crosses:
            return members, end, j, 1
    return members, end, len(segments) - 1, 0


def truncated(segment: Object, cut: float) -> Object:
    part, end, kept = dict(segment), segment["start"], []
    for word in segment.get("words", []):
        if word["end"] <= cut:
            kept.append(word)
            end = word["end"]
    part["words"] = kept
    part["text"] = " ".join(word["word"] for word in kept if word["word"])
    part["end"] = end
    return part


def seconds_by_speaker(members: list[Object]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for member in members:
        if member.get("speaker"):
            seconds.setdefault(member["speaker"], 0)
            seconds[member["speaker"]] += member["end"] - member["start"]
    return seconds


def bandwidth(segment: Object) -> float:
    hertz: float = segment.get("metrics", {}).get("bandwidth", 0)
    return hertz


def without(segment: Object, rules: WindowRules) -> Object:
    return {key: value for key, value in segment.items() if key not in rules.drop_fields}


def loss(segments: list[Object], i: int, members: list[Object], stop: int, rules: WindowRules) -> Object:
    return {
        "index": i,
        "window_segs": members,
        "next_seg": without(segments[stop], rules),
        "prev_seg": without(segments[max(i - 1, 0)], rules),
    }


def literal_survivors(spans: list[tuple[float, float]], rules: OverlapRules) -> list[tuple[float, float]]:
    """Return the spans that stay, sorted by (start, end)."""
    ordered = sorted(spans)
    removed: set[int] = set()
    for a in range(len(ordered)):
        for b in range(a + 1, len(ordered)):
            if a in removed or ordered[b][0] >= ordered[a][1]:
                break
            if b not in removed and shared(ordered[a], ordered[b]) >= rules.overlap_percentage / 100:
                removed.add(loser(a, b, ordered, rules.target_duration))
    return [span for position, span in enumerate(ordered) if position not in removed]


def shared(a: tuple[float, float], b: tuple[float, float]) -> float:
    overlap = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    shorter = min(a[1] - a[0], b[1] - b[0])
    return overlap / shorter if shorter else 0


def loser(a: int, b: int, ordered: list[tuple[float, float]], target: float) -> int:
    length_a, length_b = (ordered[k][1] - ordered[k][0] for k in (a, b))
    distance_a, distance_b = abs(length_a - target), abs(length_b - target)
    if distance_a != distance_b:
        return b if distance_a < distance_b else a
    return b if length_a >= length_b else a
