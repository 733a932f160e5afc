"""Exports as the command makes them, and what lies in their trees."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from tests.manifests import assert_nothing_left_over, failures_in, files_below, manifest_of, run
from tests.transforms.clips.clip_sets import piece, write_recording, write_rows


def export(inputs: object, output: Path, *options: object, code: int = 0) -> Path:
    """Run the command, check its exit code and the set it leaves, and return the set."""
    assert run("export", inputs, "--output", output, *options) == code
    assert run("verify", output) == 0
    assert_books_balance(output)
    assert_nothing_left_over(output)
    return output


def assert_books_balance(directory: Path) -> None:
    """Compare what was asked for with what lies in the files, counted here."""
    manifest = manifest_of(directory)
    counts, stages = manifest["counts"], [letter["stage"] for letter in failures_in(directory)]
    n_clips = sum(file["rows"] for file in manifest["files"] if file["kind"] == "clips")
    assert counts.get("cut.clips", 0) == n_clips
    n_failed = stages.count("cut") + stages.count("interval")
    assert counts.get("plan.clips", 0) == n_clips + n_failed + counts.get("cut.dropped", 0)


def uuid_of(recording: object, *numbers: int) -> str:
    """Return the id of a clip, by its first sample and the one behind its last, or of a chunk, by its number."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "_".join(map(str, [recording, *numbers]))))


def tree_of(directory: Path) -> list[str]:
    """Return the names of all files in the folders of a set, sorted."""
    files = [path.relative_to(directory) for path in files_below(directory)]
    return sorted(path.as_posix() for path in files if len(path.parts) > 1)


def bytes_of(directory: Path) -> dict[str, bytes]:
    """Return the content of all files of a set."""
    files = [path for path in files_below(directory) if path.name != "summary.json"]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def document(directory: Path, name: str) -> dict[str, Any]:
    """Return a parsed document of the tree."""
    parsed: dict[str, Any] = json.loads((directory / name).read_bytes())
    return parsed


def chunk_of(directory: Path, relative: str, number: int) -> dict[str, Any]:
    """Return the document of a chunk."""
    return document(directory, f"processed_clip_chunks/{relative}_{number}.json")


def meta_of(directory: Path, span_uuid: str) -> dict[str, Any]:
    """Return the document of a clip."""
    return document(directory, f"metas/v0/{span_uuid}.json")


class Talk:
    """A recording of 3 s at 8 kHz, `in/talks/a.wav`, and a manifest beside its folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "in"
        self.path = self.root / "talks" / "a.wav"
        self.samples = write_recording(self.path)

    def manifest(self, *rows: dict[str, Any]) -> Path:
        """Write the manifest."""
        return write_rows(self.root / "m.jsonl", rows)

    def clip(self, start_ms: int, end_ms: int) -> str:
        """Return the id of a clip."""
        return uuid_of(self.path, start_ms * 8, end_ms * 8)


def cut(start_ms: int, end_ms: int, **fields: Any) -> dict[str, Any]:
    """Make a row that asks for a piece of the talk."""
    return piece("talks/a.wav", start_ms, end_ms, **fields)
