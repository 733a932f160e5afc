"""Time the steps of the windows job one by one, outside of Beam: seconds for 10,000 entries, best of three.

python benchmarks/steps.py
"""

from __future__ import annotations

import gc
import io
import time
from collections.abc import Callable
from typing import Any

import orjson
from make_manifest import sample_lines

from beam_curator import Entry, OverlapRules, WindowRules
from beam_curator.sets.blocks import BLOCK_BYTES
from beam_curator.windows.block_planning import plan_block
from beam_curator.windows.line_windows import choose_in_row
from beam_curator.windows.rendering import render_pieces
from beam_curator.windows.training_windows import plan_entry

N_ENTRIES = 10_000


def main() -> None:
    sample = sample_lines()
    lines = sample * (BLOCK_BYTES // sum(map(len, sample)))  # as many as one block holds
    rules, overlap = WindowRules(), OverlapRules()
    gc.disable()  # as the job does while it works on a block
    entries = [Entry.from_json(line) for line in lines]
    plans: list[Any] = plan_block(entries, rules)
    choices = [choose_in_row(plan, overlap) for plan in plans]
    buffer = io.BytesIO()

    def render() -> None:
        for entry, plan, choice in zip(entries, plans, choices, strict=True):
            buffer.seek(0)
            buffer.writelines(render_pieces(entry, plan, choice, rules, "full"))

    report("parse with orjson alone", len(lines), lambda: [orjson.loads(line) for line in lines])
    report("parse, check, segments to columns", len(lines), lambda: [Entry.from_json(line) for line in lines])
    report("plan windows, one entry at a time", len(lines), lambda: [plan_entry(entry, rules) for entry in entries])
    report("plan windows, a block at once", len(lines), lambda: plan_block(entries, rules))
    report("choose among overlapping windows", len(lines), lambda: [choose_in_row(plan, overlap) for plan in plans])
    report("render full rows", len(lines), render)


def report(name: str, n_lines: int, action: Callable[[], object]) -> None:
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    print(f"{name:<40} {min(times) / n_lines * N_ENTRIES:6.2f} s")


if __name__ == "__main__":
    main()
