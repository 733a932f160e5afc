"""The sets that are frozen: which commands are run, and how what they leave becomes text that can be compared.

Run as `python -m tests.goldens.frozen` to write them anew, after a change that is meant and said in the CHANGELOG.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from contextlib import chdir
from hashlib import sha256
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
import soundfile

from beam_curator.runners import cli
from tests.goldens.inputs import write_inputs
from tests.manifests import files_below

FOLDER = Path(__file__).parents[1] / "data" / "goldens"

_DIARIZE = ["--model-path", "model", "--latency", "ultra-low", "--inference-batch-size", "1"]
_PREVIEWS = ["--generate-previews", "--generate-embeddings", "--embedding-key", "embedding"]
_CURATE = ["--vad", "energy", "--min-duration-sec", "0.5"]
COMMANDS: dict[str, list[str]] = {
    "windows": ["windows", "manifests"],
    "windows_audio_file": ["windows", "manifests", "--overlap-scope", "audio_file", "--shards", "1"],
    "windows_spans": ["windows", "manifests", "--layout", "spans", "--overlap-percentage", "0"],
    "windows_parquet": ["windows", "manifests", "--row-format", "parquet"],
    "windows_avro": ["windows", "manifests", "--row-format", "avro", "--layout", "spans"],
    "extract": ["extract", "audio/pieces.jsonl"],
    "extract_shards": ["extract", "audio/pieces.jsonl", "--shards", "2", "--index", "parquet", "--mono", "mix"],
    "extract_webdataset": ["extract", "audio/pieces.jsonl", "--pack", "webdataset", "--shards", "2"],
    "extract_nemo_tar": ["extract", "audio/pieces.jsonl", "--pack", "nemo-tar", "--on-overrun", "fail"],
    "extract_avro": ["extract", "audio/meetings.jsonl", "--what", "segments", "--row-format", "avro"],
    "export": ["export", "audio/pieces.jsonl", *_PREVIEWS],
    "export_dry_run": ["export", "audio/pieces.jsonl", "--dry-run", "--row-format", "parquet"],
    "diarize": ["diarize", "talks", *_DIARIZE, "--uem", "--overlap-view", "--bandwidth"],
    "diarize_rows": ["diarize", "talks/talks.jsonl", *_DIARIZE, "--embeddings", "--shards", "1"],
    "diarize_pairs": ["diarize", "talks/talks.jsonl", *_DIARIZE, "--diar-format", "pairs", "--row-format", "avro"],
    "curate": ["curate", "talks", *_DIARIZE, *_CURATE, "--max-clip-duration", "2.5"],
    "curate_rows": ["curate", "talks/talks.jsonl", *_CURATE, "--no-speaker-separation", "--no-clips", "--shards", "1"],
    "separate": ["separate", "audio/meetings.jsonl", "--output-format", "wav"],
    "separate_parquet": [
        "separate", "audio/meetings.jsonl", "--output-format", "wav", "--row-format", "parquet", "--shards", "1"
    ],
}  # fmt: skip
"""Arguments by name; the output is a folder of that name."""

_TEXT = (".jsonl", ".json", ".csv", ".rttm", ".uem", ".ctm")
_SAME_BYTES = (".jsonl", ".csv")
_NOT_OF_THE_SET = ("summary.json",)


def write_set(name: str, folder: Path) -> None:
    """Run a command among the inputs of a folder."""
    with chdir(folder):
        assert cli.run([*COMMANDS[name], "--output", name, "--tolerate", "100%"]) == 0


def seen(output: Path) -> str:
    """Return what a set holds, file by file: text as lines, tables as rows, sound as samples, pictures as their kind.

    Rows about recordings of a folder name them by their whole paths; the folder itself is left out.
    """
    paths = [path for path in files_below(output) if path.name not in _NOT_OF_THE_SET]
    found = {str(path.relative_to(output)): _content(path) for path in paths}
    return json.dumps(found, indent=1, ensure_ascii=False, default=str).replace(f"{output.parent}/", "") + "\n"


def _content(path: Path) -> Any:
    if path.name == "_MANIFEST.json":
        return _manifest(json.loads(path.read_bytes()))
    if path.suffix in _TEXT:
        return path.read_text(encoding="utf-8").splitlines()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return {"schema": str(table.schema).splitlines(), "rows": _rounded(table.to_pylist())}
    if path.suffix == ".avro":
        with path.open("rb") as stream:
            reader = fastavro.reader(stream)
            return {"schema": reader.writer_schema, "rows": list(reader)}
    if path.suffix == ".tar":
        return _members(path)
    return _sound(path.read_bytes()) if path.suffix == ".wav" else path.read_bytes()[:4].hex()


def _manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    """Leave out what depends on versions of libraries, or on where the inputs lie: bytes of tables, graphs, paths."""
    inputs = [item if not item["name"].startswith("model/") else {"name": item["name"]} for item in manifest["inputs"]]
    same = () if all(item["name"].startswith(("model/", "talks/")) for item in inputs) else _SAME_BYTES
    files = [file if file["name"].endswith(same) else _without_bytes(file) for file in manifest["files"]]
    return manifest | {"inputs": inputs, "files": files}


def _without_bytes(file: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in file.items() if key not in ("bytes", "sha256")}


def _members(path: Path) -> dict[str, Any]:
    with tarfile.open(path) as tar:
        bodies = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]
    return {name: _sound(body) if name.endswith(".wav") else body.decode() for name, body in bodies.items()}


def _sound(body: bytes) -> list[Any]:
    samples, rate = soundfile.read(io.BytesIO(body), dtype="float32", always_2d=True)
    return [rate, *samples.shape, sha256(samples.tobytes()).hexdigest()]


def _rounded(value: Any) -> Any:
    """Round numbers in tables: embeddings differ in their last bits from one processor to another."""
    if isinstance(value, float):
        return round(value, 2)
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return {key: _rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def frozen(name: str) -> Path:
    """Return where a set lies frozen."""
    return FOLDER / f"{name}.json"


def freeze() -> None:
    """Write all sets anew."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        write_inputs(folder)
        for name in COMMANDS:
            write_set(name, folder)
            frozen(name).write_text(seen(folder / name), encoding="utf-8")
            print(f"{name}: {os.path.getsize(frozen(name)):,} bytes")


if __name__ == "__main__":
    freeze()
