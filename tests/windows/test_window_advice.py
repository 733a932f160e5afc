from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from beam_curator.entries.entry import Entry
from beam_curator.sets.blocks import BlockRef
from beam_curator.windows.entry_blocks import EntryBlock, PlannedEntry
from beam_curator.windows.training_windows import plan_entry
from beam_curator.windows.window_advice import window_advice
from beam_curator.windows.window_counts import count_windows
from beam_curator.windows.window_rules import WindowRules


def counts_of(
    rules: WindowRules, *rows: tuple[int, list[tuple[float, str, float | None]]], **more: Any
) -> dict[str, int]:
    """Count the windows of entries, each a sample rate and segments of ten seconds: start, speaker, bandwidth."""
    planned = []
    for number, (sample_rate, segments) in enumerate(rows):
        fields = {
            "audio_filepath": f"{number}.wav",
            "audio_sample_rate": sample_rate,
            "segments": [
                {"start": start, "end": start + 10.0, "speaker": speaker, "metrics": {"bandwidth": bandwidth}}
                for start, speaker, bandwidth in segments
            ],
            **more,
        }
        entry = Entry.from_fields(fields)
        planned.append(PlannedEntry(offset=number, entry=entry, plan=plan_entry(entry, rules)))
    ref = BlockRef(source="a.jsonl", occurrence=0, start=0, stop=1, ordinal=0, n_blocks=1)
    return count_windows(EntryBlock(ref=ref, part=0, rules=rules, rows=tuple(planned)))


def talk(n: int, *bandwidths: float) -> list[tuple[float, str, float | None]]:
    """Return segments of two speakers in turn, with bandwidths that repeat."""
    return [(10.0 * i, "ab"[i % 2], bandwidths[i % len(bandwidths)]) for i in range(n)]


def test_bandwidths_that_were_met_and_the_limit_that_keeps_most() -> None:
    rules = WindowRules(target_window_duration=60)
    counts = counts_of(rules, (16000, talk(50, 3999.0, 3900.0, 4100.0, 4400.0, 7999.9)))
    assert {name: n for name, n in counts.items() if ".at." in name} == {
        "build.lost_bw.at.3750": 20,
        "build.lost_bw.at.4000": 10,
        "build.lost_bw.at.4250": 10,
        "build.lost_bw.at.7750": 10,
    }
    assert window_advice(counts, rules) == (
        "50 of 50 starts fail min_bandwidth 8000: theirs is 3,750-7,750 Hz; --min-bandwidth 3750 keeps 100 %."
    )
    assert window_advice(Counter(counts) + Counter({"build.windows": 5}), rules) is None


def test_most_of_the_starts_are_kept_not_all() -> None:
    counts = counts_of(WindowRules(), (16000, talk(10, 900.0, *[6100.0] * 9)))
    said = window_advice(counts, WindowRules())
    assert said == "10 of 10 starts fail min_bandwidth 8000: theirs is 750-6,000 Hz; --min-bandwidth 6000 keeps 90 %."


def test_sample_rates_that_were_met() -> None:
    counts = counts_of(WindowRules(), (8000, talk(8, 4000.0)), (11025, talk(2, 5000.0)))
    said = window_advice(counts, WindowRules())
    assert (
        said
        == "10 of 10 starts fail min_sample_rate 16000: theirs is 8,000-11,000 Hz; --min-sample-rate 8000 keeps 100 %."
    )


def test_recordings_of_one_speaker() -> None:
    rules = WindowRules(target_window_duration=60)
    counts = counts_of(rules, (16000, [(10.0 * i, "a", 8000.0) for i in range(40)]))
    assert window_advice(counts, rules) == (
        "35 of 40 starts fail min_speakers 2 and max_speakers 5: their recordings have 1 speakers in all; check the "
        "labels, or change --min-speakers and --max-speakers."
    )


def test_recordings_that_are_too_short() -> None:
    counts = counts_of(WindowRules(), (16000, talk(2, 8000.0)), (16000, talk(6, 8000.0)))
    assert window_advice(counts, WindowRules()) == (
        "8 of 8 starts fail, as no run of segments from there lasts 108-132 s: their recordings last 20-60 s; change "
        "--target-window-duration, or check that segments are sorted."
    )


def test_no_bandwidth_at_all() -> None:
    counts = counts_of(WindowRules(), (16000, talk(6, 0)))
    assert window_advice(counts, WindowRules()) == (
        "No segment has metrics.bandwidth, but min_bandwidth is 8000: let diarize measure it (--bandwidth), or give "
        "--min-bandwidth 0."
    )


def test_tracks_that_are_not_judged_by_their_bandwidth() -> None:
    rules = WindowRules(target_window_duration=60)
    segments = [(10.0 * i, "a", None) for i in range(40)]
    counts = counts_of(rules, *[(16000, segments)] * 2, separation={}, track_duration=9, source_audio_filepath="a")
    assert (counts["build.windows"], counts["build.tracks_without_bandwidth"]) == (70, 2)
    assert window_advice(counts, rules) == (
        "min_bandwidth 8000 was not applied to tracks without metrics.bandwidth (2): diarize measures it "
        "(--bandwidth), and separate keeps it."
    )
    assert window_advice(counts, WindowRules(min_bandwidth=0)) is None


@pytest.mark.parametrize("counts", [{}, {"build.segments": 10, "build.rows": 1, "build.lost_win": 10}])
def test_nothing_is_said_of_nothing_or_of_counts_without_values(counts: dict[str, int]) -> None:
    assert window_advice(counts, WindowRules()) is None
