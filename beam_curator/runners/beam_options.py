"""Beam's own pipeline options: which flags there are."""

import argparse
from functools import cache

from apache_beam.options.pipeline_options import PipelineOptions

from beam_curator.runners.presets import FLINK_FLAGS, FLINK_OPTIONS


@cache
def known_flags() -> dict[str, bool]:
    """Return the flags of Beam and of its engines, and whether each takes a value."""
    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve", allow_abbrev=False)
    pending = PipelineOptions.__subclasses__()
    while pending:
        options = pending.pop()
        pending += options.__subclasses__()
        add = getattr(options, "_add_argparse_args", None)
        if add is not None:
            add(_Lenient(parser))
    flags = {flag: action.nargs != 0 for flag, action in parser._option_string_actions.items()}
    passed_on = {f"--{name}": True for name in FLINK_OPTIONS} | {f"--{name}": False for name in FLINK_FLAGS}
    return passed_on | flags


class _Lenient:
    """A stand-in for Beam's parser, which adds the flags of option classes to a plain one, without groups."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser

    def add_argument(self, *names: str, **settings: object) -> None:
        self._parser.add_argument(*names, **settings)  # type: ignore[arg-type]  # as Beam gives them

    def add_value_provider_argument(self, *names: str, **settings: object) -> None:
        self.add_argument(*names, **settings)

    def add_argument_group(self, *_: object, **__: object) -> "_Lenient":
        return self

    def add_mutually_exclusive_group(self, *_: object, **__: object) -> "_Lenient":
        return self
