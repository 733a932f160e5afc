"""Manifests for tests of transforms and commands: lines, files, and what a job made of them."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from beam_curator.runners import cli
from beam_curator.sets.blocks import BlockRef, Line, LineBlock
from beam_curator.sets.output_set import KEPT_FOLDER

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference" / "alm"
SAMPLE = REFERENCE / "sample_input.jsonl"
TALKS = Path(__file__).resolve().parents[1] / "examples" / "talks.jsonl"
needs_reference = pytest.mark.skipif(not SAMPLE.exists(), reason=f"the reference's files are not at {REFERENCE}")

DEEP = 100_000


def speech(n_segments: int = 4, name: str = "a.wav", **changes: Any) -> dict[str, Any]:
    """Make an entry of 40 s segments by two speakers in turn.

    With the default rules each run of three segments is a window of 120 s. It shares two thirds with the next one, of
    which it is the earlier, and a third with the one after that: so every other window stays. Of 4 segments come
    2 windows and 1 of them stays, of 6 segments 4 and 2.
    """
    segments = [
        {"start": 40.0 * k, "end": 40.0 * (k + 1), "speaker": "ab"[k % 2], "metrics": {"bandwidth": 8000}}
        for k in range(n_segments)
    ]
    return {"audio_filepath": name, "audio_sample_rate": 16000, "segments": segments} | changes


def line_of(entry: Any) -> bytes:
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode()


def write_lines(path: Path, lines: Iterable[bytes]) -> Path:
    """Write lines, each with a newline behind it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def zstd_bomb(n_blocks: int, fill: bytes = b"0") -> bytes:
    """Make a Zstandard file that holds one character 128 KiB times `n_blocks`, in 4 bytes a block."""
    header = bytes.fromhex("28b52ffd 00 38")  # no checksum, no size, a window of 128 KiB
    sizes = [(128 << 10) << 3 | 1 << 1 | (block == n_blocks - 1) for block in range(n_blocks)]
    return header + b"".join(size.to_bytes(3, "little") + fill for size in sizes)


def write_speech(path: Path, *n_segments: int) -> Path:
    """Write a manifest with one entry of each number of segments."""
    return write_lines(path, [line_of(speech(n, f"{path.stem}-{k}.wav")) for k, n in enumerate(n_segments)])


def write_mixed(path: Path) -> Path:
    """Write a manifest of 40 good rows of 30 recordings, with bad lines here and there."""
    good = [line_of(speech(3 + number % 6, f"{number % 30}.wav")) for number in range(40)]
    bad = [line for name, (line, _) in BAD_LINES.items() if name != "deep"]
    lines = [line for number, line in enumerate(good) for line in (line, *bad[number // 2 : number // 2 + number % 2])]
    return write_lines(path, lines)


_SMALL_BLOCKS = """
import sys
from beam_curator.runners import cli
from beam_curator.runners.beam_start import start_beam
start_beam()
from beam_curator.transforms.jobs.manifests import ReadManifests
ReadManifests.__init__.__kwdefaults__["block_bytes"] = int(sys.argv.pop(1))
cli.main()
"""


def small_blocks_command(*arguments: object, block_bytes: int = 2000) -> list[str]:
    """Return a command line of `beam-curator` with small blocks: two or three rows, where a real one has thousands."""
    return [sys.executable, "-c", _SMALL_BLOCKS, str(block_bytes), *map(str, arguments)]


def whole_file(path: Path | str, ordinal: int = 0, n_blocks: int = 1) -> BlockRef:
    """Return the block that is a whole file; one that is missing counts as 100 bytes."""
    size = os.path.getsize(path) if os.path.exists(path) else 100
    return BlockRef(source=str(path), occurrence=0, ordinal=ordinal, n_blocks=n_blocks, start=0, stop=size)


def block_of(*rows: Any, source: str = "/in/m.jsonl", ordinal: int = 0, part: int = 0) -> LineBlock:
    """Make a block of lines; the offset of each is its number times 1,000."""
    raw = [row if isinstance(row, bytes) else line_of(row) for row in rows]
    lines = tuple(Line(offset=1000 * number, raw=line) for number, line in enumerate(raw))
    return LineBlock(ref=whole_file(source, ordinal, 3), part=part, lines=lines)


def _with_segment(**changes: Any) -> bytes:
    """Make a line whose only segment is changed; None of the changes may be a key that is absent."""
    entry = speech(1)
    entry["segments"][0] |= changes
    return line_of(entry)


def _without(key: str, *, in_segment: bool) -> bytes:
    entry = speech(1 if in_segment else 4)
    del (entry["segments"][0] if in_segment else entry)[key]
    return line_of(entry)


def _with_number(text: bytes) -> bytes:
    return line_of(speech(4, extra="HERE")).replace(b'"HERE"', text)


BAD_LINES: dict[str, tuple[bytes, str]] = {
    "cut off": (line_of(speech(4))[:100], "bad_json"),
    "trailing comma": (line_of(speech(4))[:-1] + b",}", "bad_json"),
    "invalid UTF-8": (line_of(speech(4, name="\xff")).replace(b"\xc3\xbf", b"\xff"), "bad_utf8"),
    "lone surrogate": (_with_number(b'"\\ud800"'), "bad_unicode"),
    "NaN": (_with_number(b"NaN"), "non_finite"),
    "Infinity": (_with_number(b"Infinity"), "non_finite"),
    "1e999": (_with_number(b"1e999"), "non_finite"),
    "array": (b"[" + line_of(speech(4)) + b"]", "not_an_object"),
    "number": (b"17", "not_an_object"),
    "deep": (_with_number(b"[" * DEEP + b"]" * DEEP), "too_deep"),
    "segments null": (line_of(speech(segments=None)), "bad_type"),
    "segments missing": (_without("segments", in_segment=False), "missing_key"),
    "start missing": (_without("start", in_segment=True), "missing_key"),
    "end missing": (_without("end", in_segment=True), "missing_key"),
    "time null": (_with_segment(start=None), "bad_time"),
    "time string": (_with_segment(end="120.0"), "bad_time"),
    "bandwidth list": (_with_segment(metrics={"bandwidth": [8000]}), "bad_type"),
    "words string": (_with_segment(words="yes no"), "bad_type"),
    "rate null": (line_of(speech(audio_sample_rate=None)), "bad_type"),
    "rate missing": (_without("audio_sample_rate", in_segment=False), "missing_key"),
}
"""Lines that cannot be processed, and the code that each must get."""


def run(*arguments: object) -> int:
    """Run a command line in this process; return its exit code."""
    return cli.run([str(argument) for argument in arguments])


def figures_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the windows job and return what its last line says came out."""
    assert run("windows", *arguments) == 0
    return capsys.readouterr().out.splitlines()[-1].partition(" in ")[0]


def start_process(*arguments: object, **settings: Any) -> subprocess.Popen[str]:
    """Start a command line in a process of its own."""
    command = [sys.executable, "-m", "beam_curator.runners.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


def run_process(*arguments: object, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process of its own."""
    process = start_process(*arguments, **settings)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_main(capsys: pytest.CaptureFixture[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command line as a process of its own does, but in this one, where Beam is loaded already."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["beam-curator", *map(str, arguments)])
        patch.setattr(cli, "settle_threads", lambda: None)  # of a process
        cli.main()
    out, err = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(sys.argv, code, out, err)


def without_override() -> None:
    """Give up root's right to read what may not be read; as `preexec_fn` of a process."""
    if os.geteuid() == 0:
        set_limit = ctypes.CDLL(None).prctl
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            set_limit(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def manifest_of(directory: Path) -> dict[str, Any]:
    """Return the parsed `_MANIFEST.json`."""
    parsed: dict[str, Any] = json.loads((directory / "_MANIFEST.json").read_bytes())
    return parsed


def lines_in(directory: Path, pattern: str) -> list[bytes]:
    """Return the lines of all files that match, in order of their names."""
    return [line for path in sorted(directory.glob(pattern)) for line in path.read_bytes().splitlines()]


def rows_in(directory: Path) -> list[bytes]:
    return lines_in(directory, "windows-*.jsonl")


def failures_in(directory: Path) -> list[dict[str, Any]]:
    """Return the dead letters, payloads decoded to bytes."""
    letters = [json.loads(line) for line in lines_in(directory, "failures-*.jsonl")]
    for letter in letters:
        binary = letter.pop("payload_encoding") == "base64"
        letter["payload"] = base64.b64decode(letter["payload"]) if binary else letter["payload"].encode()
    return letters


def names_in(directory: Path) -> list[str]:
    """Return the names in a directory, but for the folder of what a set keeps to be updated."""
    return sorted(path.name for path in directory.iterdir() if path.name != KEPT_FOLDER)


def files_below(directory: Path) -> list[Path]:
    """Return the files of a tree, sorted, but for those that a set keeps to be updated."""
    return sorted(path for path in directory.rglob("*") if path.is_file() and KEPT_FOLDER not in path.parts)


def assert_nothing_left_over(directory: Path) -> None:
    """Check that there is no hidden file but those that a set keeps to be updated."""
    assert [path.name for path in directory.rglob(".*") if path.name != KEPT_FOLDER] == []


def state_of(directory: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of change of each file: equal states mean that nothing was written."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in directory.iterdir()}
