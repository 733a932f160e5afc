"""Pages for tests: of a set of windows with losses and failures, and of one whose every text tries to run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.fakes_models import write_sound
from tests.manifests import line_of, run, write_lines

EVIL = "</script><script>alert('1')</script><img src=x onerror=alert(2)>\u2028\u202e😀\"'&"


def data_of(page: Path, name: str) -> Any:
    """Return the value that a data file of a page hands over."""
    text = (page / "page_files" / f"{name}.js").read_text("ascii")
    assert text.startswith(f'take("{name}",')
    assert text.endswith(")\n")
    return json.loads(text[len(f'take("{name}",') : -2])


def entry_of(name: str, draw: random.Random, n_segments: int = 60) -> dict[str, Any]:
    """Return an entry of some speakers who talk in turns, with bandwidths of all kinds."""
    segments, at = [], 0.0
    for _ in range(n_segments):
        end = round(at + draw.uniform(1, 9), 2)
        metrics = {"bandwidth": draw.choice([3000, 4000, 6000, 7500, 8000, 9500])}
        segments.append({"start": at, "end": end, "speaker": draw.choice("abc"), "metrics": metrics})
        at = round(end + draw.uniform(-0.5, 1), 2)
    return {"audio_filepath": name, "audio_sample_rate": draw.choice([8000, 16000]), "duration": at + 5,
            "snr_db": round(draw.uniform(0, 40), 2), "segments": segments}  # fmt: skip


def make_page(root: Path) -> Path:
    """Make sets and a page of twelve recordings, of which one is there, and of two lines that are no entries."""
    draw = random.Random(7)
    entries = [entry_of(str(root / "rec" / f"talk {n}.wav"), draw) for n in range(12)]
    write_sound(root / "rec" / "talk 0.wav", seconds=2, speech=[(0.5, 1.5, 0)])
    write_lines(root / "m.jsonl", [*map(line_of, entries), b"{", b'{"segments": 3}'])
    windows = ("windows", str(root / "m.jsonl"), "--target-window-duration", "30", "--min-bandwidth", "6000")
    assert run(*windows, "--output", root / "w", "--tolerate", "2") == 0
    assert run("report", root / "w", "--output", root / "page") == 0
    return root


def write_evil(root: Path) -> Path:
    """Make a page of which every text would run if it were no text; return its directory."""
    segment = {"start": 0, "end": 2, "speaker": EVIL, "metrics": {EVIL: 1, "bandwidth": 8000}}
    entry = {"audio_filepath": f"{EVIL}.wav", "duration": 9, "segments": [segment], EVIL: 3.5}
    write_lines(root / "m.jsonl", [line_of(entry), b'{"audio_filepath": "' + b"x" * 300 + b'"}'])
    filtered = root / "odd 'name' 😀"
    where = ("--where", "duration != 1", "--keep-missing")
    assert run("filter", root / "m.jsonl", *where, "--output", filtered) == 0
    assert run("report", filtered, "--output", root / "page", "--title", EVIL) == 0
    return root / "page"
