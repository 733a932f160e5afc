r"""The tables of commands, options and failure codes in the docs, made from the code.

    python -m beam_curator.runners.reference README.md docs/windows.md docs/extract.md docs/export.md \
        docs/diarize.md docs/separate.md docs/curate.md docs/filter.md docs/measure.md docs/live.md

rewrites what stands between `<!-- begin NAME -->` and `<!-- end NAME -->` in the files.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from beam_curator.failures import FAILURE_DOCS
from beam_curator.runners.cli import COMMANDS
from beam_curator.runners.job_options import JOBS
from beam_curator.runners.live_arguments import STREAM_SECTIONS
from beam_curator.runners.options import Sections, flag_of

_PART = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def commands_table() -> str:
    """Return the commands as a Markdown table."""
    rows = [f"| `beam-curator {name}` | {command.help} |" for name, command in COMMANDS.items()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def options_table(sections: Sections) -> str:
    """Return the options of a command as a Markdown table."""
    rows = [
        f"| `{flag_of(field)}` | `{section}.{field.name}` | {_default(field.default)} | {field.metadata['help']} |"
        for section, options in sections.items()
        for field in dataclasses.fields(options)
    ]
    return "\n".join(["| flag | key in `--config` and `--set` | default | meaning |", "|---|---|---|---|", *rows])


def _default(value: object) -> str:
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{','.join(value)}`" if isinstance(value, tuple) else f"`{value}`"


def failures_table() -> str:
    """Return the failure codes as a Markdown table."""
    rows = [f"| `{code}` | {text} |" for code, text in FAILURE_DOCS.items()]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


TABLES: dict[str, Callable[[], str]] = {
    "commands": commands_table,
    "failures": failures_table,
    **{f"{name}_options": partial(options_table, job.sections) for name, job in JOBS.items()},
    "stream_options": partial(options_table, STREAM_SECTIONS),
}


def with_tables(text: str) -> str:
    """Return a document with its generated parts made anew.

    Raises:
      KeyError: a part names no table.
    """
    return _PART.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


def main() -> None:
    """Rewrite the files named on the command line."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
