from __future__ import annotations

import dataclasses
import math
from typing import Any, get_type_hints

import pytest

from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.diarization.diarize_rules import StreamingOptions
from beam_curator.export.export_rules import ExportRules
from beam_curator.option_names import plain_type
from beam_curator.rules import config_of, number_problems, option, raise_problems, same_option
from beam_curator.runners.job_options import JOBS, RunOptions
from beam_curator.separation.separate_rules import TrackOutputOptions
from beam_curator.sets.set_options import InputOptions, RowOutputOptions
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.window_options import OverlapOptions, WindowOutputOptions
from beam_curator.windows.window_rules import WindowRules


@dataclasses.dataclass(frozen=True)
class Shoes:
    size: float = option(42, "size, EU", flag="shoe-size", choices=("41", "42"))
    laces: float = option(1.5, "length, metres", also="laces-metres")


def message(rules: type, **options: Any) -> str:
    with pytest.raises(ValueError) as caught:
        rules(**options)
    return str(caught.value)


def test_an_option_documents_itself() -> None:
    size, laces = dataclasses.fields(Shoes)
    assert size.default == 42
    assert dict(size.metadata) == {
        "help": "size, EU",
        "flag": "shoe-size",
        "choices": ("41", "42"),
        "also": None,
        "formerly": None,
        "presets": {},
    }
    assert dict(laces.metadata) == {
        "help": "length, metres",
        "flag": None,
        "choices": (),
        "also": "laces-metres",
        "formerly": None,
        "presets": {},
    }


@dataclasses.dataclass(frozen=True)
class Boots:
    size: float | None = same_option(Shoes, "size", default=None, note=" (default: as of shoes)")
    laces: float = same_option(Shoes, "laces", flag="boot-laces", formerly="strings")


def test_an_option_of_another_class_is_as_it_is_stated_there_but_for_what_is_changed() -> None:
    size, laces = dataclasses.fields(Boots)
    stated, _ = dataclasses.fields(Shoes)
    assert size.default is None
    assert dict(size.metadata) == {**stated.metadata, "help": "size, EU (default: as of shoes)"}
    assert laces.default == 1.5
    assert dict(laces.metadata) == {
        "help": "length, metres",
        "flag": "boot-laces",
        "choices": (),
        "also": "laces-metres",
        "formerly": "strings",
        "presets": {},
    }


@pytest.mark.parametrize(
    ("options", "values", "problem"),
    [
        (
            RowOutputOptions,
            {"row_format": "csv"},
            "output: row_format 'csv' is not known: use one of jsonl, parquet, avro",
        ),
        (RowOutputOptions, {"shards": -1}, "output: shards -1 is below 0: raise it"),
        (RowOutputOptions, {"shards": "2"}, "output: shards '2' is not a number: give a number"),
        (ClipOutputOptions, {"pack": "zip"}, "output: pack 'zip' is not known: use one of none, webdataset, nemo-tar"),
        (ClipOutputOptions, {"index": "xml"}, "output: index 'xml' is not known: use one of csv, parquet, huggingface"),
        (
            ClipOutputOptions,
            {"output_format": "mp3", "shards": -1},
            "output: output_format 'mp3' is not known: use one of wav, flac, ogg; shards -1 is below 0: raise it",
        ),
        (
            TrackOutputOptions,
            {"output_format": "mp3"},
            "output: output_format 'mp3' is not known: use one of wav, flac, ogg",
        ),
        (WindowOutputOptions, {"layout": "wide"}, "output: layout 'wide' is not known: use one of full, spans"),
        (OverlapOptions, {"scope": "file"}, "overlap rules: scope 'file' is not known: use one of row, audio_file"),
        (
            ClipOutputOptions,
            {"index": "huggingface", "pack": "nemo-tar"},
            "output: index huggingface and pack nemo-tar exclude each other: leave one out",
        ),
        (InputOptions, {"max_line_bytes": 0}, "input: max_line_bytes 0 is below 1: raise it"),
        (
            InputOptions,
            {"keep_duplicates": "no"},
            "input: keep_duplicates 'no' is neither true nor false: give one of them",
        ),
        (ExportRules, {"dry_run": 0}, "export: dry_run 0 is neither true nor false: give one of them"),
        (
            StreamingOptions,
            {"latency": "none"},
            "streaming: latency 'none' is not known: use one of very-high, high, medium, low, ultra-low",
        ),
    ],
)
def test_options_check_themselves(options: type[Any], values: dict[str, Any], problem: str) -> None:
    assert message(options, **values) == problem


@pytest.mark.parametrize("job", JOBS)
def test_the_options_of_every_job_refuse_what_is_no_choice_and_no_switch(job: str) -> None:
    for options in JOBS[job].sections.values():
        for field in dataclasses.fields(options):
            if field.metadata["choices"]:
                assert f"{field.name} 'perhaps' is not known: use one of" in message(options, **{field.name: "perhaps"})
            elif isinstance(field.default, bool):
                assert f"{field.name} 'no' is neither true nor false" in message(options, **{field.name: "no"})


def wrong_value(hint: Any) -> tuple[Any, str]:
    """Return a value that an option of this type may not have, and the problem."""
    kind = plain_type(hint)
    if kind is bool:
        return 1, "is neither true nor false"
    if kind is str:
        return 7, "is not a text"
    if kind is int:
        return 2.5, "is not a whole number"
    return ("1", "is not a number") if kind is float else ("a", "is one ")


@pytest.mark.parametrize("job", JOBS)
def test_the_options_of_every_job_refuse_values_of_other_types_in_python_too(job: str) -> None:
    for options in JOBS[job].sections.values():
        for field in dataclasses.fields(options):
            value, problem = wrong_value(get_type_hints(options)[field.name])
            # a channel may be a number
            if not field.metadata["choices"] and options is not RunOptions and field.name != "channels":
                assert problem in message(options, **{field.name: value}), field.name


@pytest.mark.parametrize("rules", [WindowRules, OverlapRules])
def test_every_rule_is_an_option_with_a_help_text(rules: Any) -> None:
    assert all(field.metadata["help"] for field in dataclasses.fields(rules))


def test_no_problems_raise_nothing() -> None:
    raise_problems("shoes", [])


def test_problems_are_raised_together() -> None:
    with pytest.raises(ValueError, match=r"^shoes: a: raise it; b: lower it$"):
        raise_problems("shoes", ["a: raise it", "b: lower it"])


@pytest.mark.parametrize(
    ("size", "problems"),
    [
        (40, []),  # limits are inclusive
        (45.0, []),
        (39.5, ["size 39.5 must be 40-45: choose a value between them"]),
        (46, ["size 46 must be 40-45: choose a value between them"]),
        (math.nan, ["size nan is not a finite number: give one"]),
        (math.inf, ["size inf is not a finite number: give one"]),
        ("42", ["size '42' is not a number: give a number"]),
        (None, ["size None is not a number: give a number"]),
        (True, ["size True is not a number: give a number"]),
    ],
)
def test_a_number_outside_its_limits_is_named_with_value_limit_and_cure(size: Any, problems: list[str]) -> None:
    assert number_problems(Shoes(size=size), {"size": (40, 45)}) == problems


def test_a_number_without_an_upper_limit() -> None:
    limits = {"size": (0.0, math.inf), "laces": (0.0, math.inf)}
    assert number_problems(Shoes(size=10**9), limits) == []
    assert number_problems(Shoes(size=-1), limits) == ["size -1 is below 0: raise it"]


@pytest.mark.parametrize("size", [math.inf, math.nan, 10**400], ids=["inf", "nan", "10**400"])
def test_a_number_that_is_not_finite_is_not_called_too_small(size: float) -> None:
    (problem,) = number_problems(Shoes(size=size), {"size": (0.0, math.inf)})
    assert problem == f"size {repr(size)[:24]} is not a finite number: give one"


def test_all_window_rules_are_checked_and_reported_in_one_message() -> None:
    wrong = {"target_window_duration": -1, "tolerance": 2, "max_speakers": 0, "drop_fields": ("end", "start", "text")}
    assert message(WindowRules, **wrong) == (
        "window rules: target_window_duration -1 must be 0-86400: choose a value between them; "
        "tolerance 2 must be 0-1: choose a value between them; "
        "max_speakers 0 is below 1: raise it; "
        "min_speakers 2 exceeds max_speakers 0: lower min_speakers or raise max_speakers; "
        "drop_fields end, start would leave windows without times: keep them"
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"target_window_duration": 0}, "target_window_duration 0 leaves no room for speech: raise it"),
        (
            {"min_speakers": 4, "max_speakers": 3},
            "min_speakers 4 exceeds max_speakers 3: lower min_speakers or raise max_speakers",
        ),
        ({"min_bandwidth": -0.5}, "min_bandwidth -0.5 is below 0: raise it"),
        ({"min_sample_rate": -1}, "min_sample_rate -1 is below 0: raise it"),
        ({"min_speakers": -1}, "min_speakers -1 is below 0: raise it"),
        ({"drop_fields": "words"}, "'words' is one string, expected a list of keys: write ['words']"),
        ({"drop_fields_top_level": "words"}, "'words' is one string, expected a list of keys: write ['words']"),
        ({"min_speakers": 2.5}, "min_speakers 2.5 is not a whole number: give one"),
        ({"truncation": "no"}, "truncation 'no' is neither true nor false: give one of them"),
        ({"drop_fields": None}, "None is not a list of keys: write [] for none"),
        ({"drop_fields": (1,)}, "(1,) is not a list of keys: give strings"),
    ],
)
def test_a_window_rule_that_cannot_hold_is_refused(options: dict[str, Any], problem: str) -> None:
    assert message(WindowRules, **options) == f"window rules: {problem}"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"overlap_percentage": 100.5}, "overlap_percentage 100.5 must be 0-100: choose a value between them"),
        ({"overlap_percentage": -1}, "overlap_percentage -1 must be 0-100: choose a value between them"),
        ({"target_duration": 0}, "target_duration must be positive, got 0: raise it"),
        ({"target_duration": -5}, "target_duration must be positive, got -5: raise it"),
        (
            {"overlap_percentage": 101, "target_duration": "2m"},
            "overlap_percentage 101 must be 0-100: choose a value between them; "
            "target_duration '2m' is not a number: give a number",
        ),
        (
            {"overlap_percentage": 101, "target_duration": 0},
            "overlap_percentage 101 must be 0-100: choose a value between them; "
            "target_duration must be positive, got 0: raise it",
        ),
    ],
)
def test_an_overlap_rule_that_cannot_hold_is_refused(options: dict[str, Any], problem: str) -> None:
    assert message(OverlapRules, **options) == f"overlap rules: {problem}"


def test_the_defaults_are_the_reference_s() -> None:
    assert dataclasses.asdict(WindowRules()) == {
        "target_window_duration": 120.0,
        "tolerance": 0.1,
        "preset": None,
        "min_bandwidth": 8000,
        "min_sample_rate": 16000,
        "min_speakers": 2,
        "max_speakers": 5,
        "truncation": True,
        "drop_fields": ("words",),
        "drop_fields_top_level": ("words", "segments"),
        "strict": False,
    }
    assert (WindowRules().min_duration, WindowRules().max_duration) == (108.0, 132.0)
    expected = {"overlap_percentage": 50, "target_duration": 120.0, "scope": "row"}
    assert dataclasses.asdict(OverlapRules()) == expected


def test_the_bounds_themselves_are_allowed() -> None:
    WindowRules(target_window_duration=86400.0, tolerance=1, min_bandwidth=0, min_speakers=0, max_speakers=1)
    OverlapRules(overlap_percentage=0)
    OverlapRules(overlap_percentage=100, target_duration=0.001)


def test_rules_as_plain_values_do_not_tell_50_from_50_0() -> None:
    found = config_of(OverlapRules(overlap_percentage=50, target_duration=120))
    assert repr(found) == "{'overlap_percentage': 50.0, 'target_duration': 120.0, 'scope': 'row'}"
    plain = config_of(WindowRules(min_bandwidth=8000, drop_fields=("a",)))
    assert repr((plain["min_bandwidth"], plain["max_speakers"], plain["truncation"])) == "(8000.0, 5, True)"
    assert plain["drop_fields"] == ("a",)


def test_lists_of_keys_become_tuples() -> None:
    rules = WindowRules(drop_fields=["words", "text"], drop_fields_top_level=[])  # type: ignore[arg-type]  # as from YAML
    assert (rules.drop_fields, rules.drop_fields_top_level) == (("words", "text"), ())
    assert rules == WindowRules(drop_fields=("words", "text"), drop_fields_top_level=())
