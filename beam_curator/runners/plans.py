"""The plan of a job in words: `--plan` and `--show-options`. Nothing is run or written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from beam_curator.files.listing import with_forms
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.presets import Engine
from beam_curator.runners.stages import number_of
from beam_curator.sets.blocks import InputFile, plan_blocks

_SHOWN = 20


def plan_text(job: Job, files: Sequence[InputFile]) -> str:
    """Return the plan of a job: the files that would be read and written, the engine and the options."""
    blocks = plan_blocks(with_forms(files))
    n_bytes = sum(file.size for file in files)
    n_files, n_blocks = number_of(len(files), "files"), number_of(len(blocks), "blocks")
    lines = [f"Would read {n_files}, {n_bytes:,} bytes, in {n_blocks}:"]
    lines += [f"  {file.name} ({file.size:,} bytes)" for file in files[:_SHOWN]]
    lines += [f"  and {len(files) - _SHOWN:,} more"] if len(files) > _SHOWN else []
    return "\n".join([*lines, *outline(job)])


def outline(job: Job) -> list[str]:
    """Return the lines of a plan about the output, the engine and the options."""
    options = {
        section: {field.name: _shown(getattr(values, field.name)) for field in dataclasses.fields(values)}
        for section, values in job.options.items()
    }
    if "overlap" in options:
        options["overlap"]["target_duration"] = job.options["overlap"].rules(job.options["windows"]).target_duration
    return [
        f"Would write to {job.output}: {', '.join(job.plan_lines())}",
        f"Engine: {job.engine.name}, that is Beam's {job.engine.beam_class}",
        "Options:",
        yaml.safe_dump(options, sort_keys=False).rstrip(),
    ]


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def options_text(options: Mapping[str, Any], origins: Mapping[str, str], engine: Engine) -> str:
    """Print every option as it is resolved, and why: ours by section, then the engine's."""
    lines = []
    for section, values in options.items():
        lines.append(f"{section}:")
        for field in dataclasses.fields(values):
            origin = origins.get(f"{section}.{field.name}", "default")
            lines.append(_line(field.name, _shown(getattr(values, field.name)), origin))
    lines += [f"engine {engine.name}: Beam's {engine.beam_class}, {engine.why}"]
    lines += [_line(f"--{option.name}", option.value, option.why) for option in engine.options]
    return "\n".join(lines)


def _line(name: str, value: object, why: str) -> str:
    return f"  {f'{name} = {value}':<48}  # {why}"
