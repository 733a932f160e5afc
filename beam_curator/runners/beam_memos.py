"""A memory for the results that Beam works out again and again while it builds a pipeline.

A job of one row asks for a view of its options 600 times, and each time Beam builds a parser and parses the flags; and
9,000 times it inspects the signature of a method, mostly since it looks 300 times for state in all methods of a DoFn.
All depend on their arguments alone. Kept, the same job takes 0.4 of the CPU time. Commands and tests do this; in a
program that uses the library, Beam stays as it is.
"""

from __future__ import annotations

import argparse
import types
import weakref
from collections.abc import Callable
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core, userstate

_Parsed = dict[tuple[type[PipelineOptions], tuple[str, ...]], dict[str, Any]]
_Defaults = tuple[list[str], list[Any]]
_Specs = tuple[set[userstate.StateSpec], set[userstate.TimerSpec]]


def keep_memos() -> None:
    """Have Beam remember views of options, signatures of methods and the state of DoFns; twice is as good as once."""
    if not hasattr(PipelineOptions.view_as, "parsed"):
        remembered = _remembered_views(PipelineOptions.view_as)
        PipelineOptions.view_as = remembered  # type: ignore[method-assign, assignment]  # Beam's, with a memory
    if not hasattr(core.get_function_args_defaults, "signatures"):
        vars(core)["get_function_args_defaults"] = _remembered_signatures(core.get_function_args_defaults)
    if not hasattr(userstate.get_dofn_specs, "specs"):
        vars(userstate)["get_dofn_specs"] = _remembered_specs(userstate.get_dofn_specs)


def _remembered_views(view_as: Callable[..., PipelineOptions]) -> Callable[..., PipelineOptions]:
    parsed: _Parsed = {}

    def remembered(self: PipelineOptions, cls: type[PipelineOptions]) -> PipelineOptions:
        if self._flags is None or cls.__init__ is not PipelineOptions.__init__:
            return view_as(self, cls)  # of sys.argv, or with an initializer of its own
        key = cls, tuple(self._flags)
        if key not in parsed:
            view = view_as(self, cls)
            parsed[key] = _copied(vars(view._visible_options))
            return view
        view = cls.__new__(cls)
        view._flags, view._all_options = self._flags, self._all_options
        view._visible_options = argparse.Namespace(**_copied(parsed[key]))
        for name, value in vars(view._visible_options).items():
            # as a parser does: the defaults of a view are known to all views
            self._all_options.setdefault(name, value)
        return view

    vars(remembered)["parsed"] = parsed
    return remembered


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    """Copy parsed values: lists belong to one set of options, whose views add to them."""
    return {name: list(value) if isinstance(value, list) else value for name, value in values.items()}


def _remembered_signatures(look: Callable[[Any], _Defaults]) -> Callable[[Any], _Defaults]:
    signatures: weakref.WeakKeyDictionary[Any, _Defaults] = weakref.WeakKeyDictionary()

    def remembered(f: Any) -> _Defaults:
        if not isinstance(f, types.MethodType) or not isinstance(f.__func__, types.FunctionType):
            return look(f)
        if f.__func__ not in signatures:
            signatures[f.__func__] = look(f)
        names, defaults = signatures[f.__func__]
        return list(names), list(defaults)

    vars(remembered)["signatures"] = signatures
    return remembered


def _remembered_specs(look: Callable[[core.DoFn], _Specs]) -> Callable[[core.DoFn], _Specs]:
    specs: weakref.WeakKeyDictionary[type[core.DoFn], _Specs] = weakref.WeakKeyDictionary()

    def remembered(dofn: core.DoFn) -> _Specs:
        kind = type(dofn)
        if hasattr(kind, "__getattr__") or any(isinstance(value, types.MethodType) for value in vars(dofn).values()):
            return look(dofn)  # it has methods that its class has not
        if kind not in specs:
            specs[kind] = look(dofn)
        states, timers = specs[kind]
        return set(states), set(timers)

    vars(remembered)["specs"] = specs
    return remembered
