"""What Beam is made to remember is what it would work out."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, StandardOptions
from apache_beam.transforms import core, userstate
from apache_beam.transforms.core import get_function_args_defaults
from apache_beam.transforms.userstate import CombiningValueStateSpec, is_stateful_dofn

from beam_curator.runners.beam_memos import keep_memos

FLAGS = ["--runner=FnApiRunner", "--experiments=one", "--experiments=two", "--direct_num_workers=3"]
VIEWS = [
    kind
    for kind in vars(pipeline_options).values()
    if isinstance(kind, type) and issubclass(kind, PipelineOptions) and kind is not PipelineOptions
]


@pytest.fixture(autouse=True)
def memos() -> None:
    keep_memos()


@pytest.mark.parametrize("kind", VIEWS)
def test_a_view_has_the_options_of_a_parsed_one(kind: type[PipelineOptions]) -> None:
    parsed = kind(FLAGS)
    for _ in range(2):
        view = PipelineOptions(FLAGS).view_as(kind)
        assert type(view) is kind
        assert dir(view) == dir(parsed)
        assert {name: getattr(view, name) for name in parsed._visible_option_list()} == {
            name: getattr(parsed, name) for name in parsed._visible_option_list()
        }


def test_views_of_one_set_of_options_share_it_and_others_do_not() -> None:
    first, second = PipelineOptions(FLAGS), PipelineOptions(FLAGS)
    first.view_as(DebugOptions).add_experiment("three")
    first.view_as(StandardOptions).streaming = True
    assert first.view_as(DebugOptions).experiments == ["one", "two", "three"]
    assert first.view_as(StandardOptions).streaming is True
    assert second.view_as(DebugOptions).experiments == ["one", "two"]
    assert second.view_as(StandardOptions).streaming is False
    assert PipelineOptions(FLAGS).view_as(DebugOptions).experiments == ["one", "two"]


def test_options_given_by_name_win_over_flags() -> None:
    PipelineOptions(FLAGS).view_as(StandardOptions)
    assert PipelineOptions(FLAGS, runner="Prism").view_as(StandardOptions).runner == "Prism"


class _Sum(beam.DoFn):
    TOTAL = beam.DoFn.StateParam(CombiningValueStateSpec("total", sum))

    def process(self, element: int, total: Any = TOTAL) -> None:
        total.add(element)


class _Plain(beam.DoFn):
    def process(self, element: int, at: Any = beam.DoFn.TimestampParam, *, factor: int = 2) -> None:
        del element, at, factor


def test_signatures_are_those_of_each_method() -> None:
    for _ in range(2):
        assert is_stateful_dofn(_Sum())
        assert not is_stateful_dofn(_Plain())
        assert get_function_args_defaults(_Plain().process) == (["element", "at"], [beam.DoFn.TimestampParam])
        assert get_function_args_defaults(lambda a, b=1: (a, b)) == (["a", "b"], [1])
    names, _ = get_function_args_defaults(_Plain().process)
    names.clear()
    assert get_function_args_defaults(_Plain().process)[0] == ["element", "at"]


def test_state_is_that_of_each_class_and_of_methods_of_one_dofn_alone() -> None:
    for _ in range(2):
        states, timers = userstate.get_dofn_specs(_Sum())
        assert ([spec.name for spec in states], timers) == (["total"], set())
        states.clear()
        assert userstate.get_dofn_specs(_Plain()) == (set(), set())
    lent: Any = _Plain()
    lent.also = _Sum().process
    assert is_stateful_dofn(lent)
    assert not is_stateful_dofn(_Plain())


def test_to_keep_memos_twice_wraps_once() -> None:
    before = PipelineOptions.view_as, get_function_args_defaults, userstate.get_dofn_specs
    keep_memos()
    assert (PipelineOptions.view_as, core.get_function_args_defaults, userstate.get_dofn_specs) == before
