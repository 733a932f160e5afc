"""Filters: what passes, what only annotates, and which the options ask for."""

from __future__ import annotations

from typing import Any

import pytest

from beam_curator.curate.curate_rules import (
    FILTERS,
    BandFilter,
    CurateOptions,
    MonoConversion,
    QualityRules,
)
from beam_curator.curate.filters import LEVELS, Filter, filters_of, judge
from beam_curator.curate.score_rules import SCORE_KEYS, Dnsmos, Sigmos, Utmos

ALL = CurateOptions(
    mono_conversion=MonoConversion(strict_sample_rate=True),
    band_filter=BandFilter(enable=True),
    quality=QualityRules(
        min_clip_duration=1, max_clip_duration=9, min_sample_rate=8000, max_channels=2, min_bandwidth=3000,
        max_clipped_ratio=0.1, min_level=-40, min_snr=10, annotate=("level", "snr", "sigmos_col"),
    ),
    dnsmos=Dnsmos(enable=True, ovrl_threshold=0, sig_threshold=1, bak_threshold=2, p808_threshold=3),
    utmos=Utmos(enable=True, path="u.onnx"),
    sigmos=Sigmos(
        enable=True, path="s.onnx", sig_threshold=1, col_threshold=2, disc_threshold=3, loud_threshold=4,
        reverb_threshold=5,
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "value", "passes"),
    [
        ({"least": 10}, 10, True),
        ({"least": 10}, 9.99, False),
        ({"most": 0.1}, 0.1, True),
        ({"most": 0.1}, 0.11, False),
        ({"equal": 48000}, 48000, True),
        ({"equal": 48000}, 44100, False),
        ({"least": 0}, None, True),  # nothing was measured, so there is nothing to judge
        ({"most": 0}, 0, True),
    ],
)
def test_a_limit_is_inclusive(limits: dict[str, Any], value: Any, passes: bool) -> None:
    assert Filter(name="x", key="y", **limits).passes({"y": value}) is passes


def test_the_first_that_drops_is_the_reason_and_all_are_asked() -> None:
    filters = filters_of(ALL, "clip")
    verdict = judge(
        filters, {"duration": 0.5, "bandwidth": 2000, "rms_dbfs": -50.0, "snr_db": 20.0, "clipped_ratio": 0.0}
    )
    assert verdict.failed == ("short", "bandwidth", "level")
    assert verdict.dropped_by is not None
    assert (verdict.dropped_by.name, verdict.dropped_by.limit) == ("short", 1)
    assert judge(filters, {"rms_dbfs": -50.0, "snr_db": 1.0}).dropped_by is None


def test_each_looks_at_its_level() -> None:
    assert {level: [each.name for each in filters_of(ALL, level)] for level in LEVELS} == {
        "recording": ["strict_sample_rate", "sample_rate", "channels"],
        "segment": ["band", "bandwidth", "clipped", "level", "snr"],
        "clip": ["band", "short", "long", "bandwidth", "clipped", "level", "snr", *SCORE_KEYS],
    }
    assert {each.name for level in LEVELS for each in filters_of(ALL, level)} == set(FILTERS)


def test_without_limits_there_are_none() -> None:
    assert [filters_of(CurateOptions(), level) for level in LEVELS] == [(), (), ()]


def test_scores_have_the_limits_of_their_scorers_and_none_where_those_are_off() -> None:
    limits = {each.name: each.limit for each in filters_of(ALL, "clip") if each.name in SCORE_KEYS}
    assert limits == {
        "dnsmos_sig": 1, "dnsmos_bak": 2, "dnsmos_ovrl": 0, "dnsmos_p808": 3, "utmos_mos": 3.4, "sigmos_col": 2,
        "sigmos_disc": 3, "sigmos_loud": 4, "sigmos_noise": 4.0, "sigmos_reverb": 5, "sigmos_sig": 1,
        "sigmos_ovrl": 3.5,
    }  # fmt: skip
    scored = CurateOptions(utmos=Utmos(enable=True, path="u.onnx", mos_threshold=None), sigmos=Sigmos(col_threshold=1))
    assert filters_of(scored, "clip") == ()
    assert scored.scorers == {"utmos": "u.onnx"}


def test_what_annotates() -> None:
    assert [each.name for each in filters_of(ALL, "clip") if each.annotates] == [
        "level",
        "snr",
        "sigmos_col",
    ]
    every = CurateOptions(quality=QualityRules(min_snr=1, min_level=-9, on_reject="annotate"))
    assert all(each.annotates for each in filters_of(every, "clip"))
