from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from beam_curator.failures import Failure
from beam_curator.files.listing import list_inputs, list_recordings, with_forms
from beam_curator.files.manifest_files import read_rows
from beam_curator.files.searching import NoInputError
from beam_curator.sets.blocks import MAX_LINE_BYTES, LineBlock, plan_blocks
from tests.manifests import line_of, speech, write_lines


def recording(name: str) -> dict[str, Any]:
    sources = [{"type": "file", "channels": [0], "source": f"{name}.wav"}]
    return {"id": name, "sources": sources, "sampling_rate": 16000, "num_samples": 16000, "duration": 1.0}


def supervision(name: str, start: float) -> dict[str, Any]:
    return {"id": f"{name}-{start}", "recording_id": name, "start": start, "duration": 0.25, "speaker": "ana"}


def entry(name: str, *starts: float) -> dict[str, Any]:
    segments = [{"start": at, "end": at + 0.25, "id": f"{name}-{at}", "speaker": "ana"} for at in starts]
    return {"audio_filepath": f"{name}.wav", "audio_sample_rate": 16000, "recording_id": name, "segments": segments}


def read(*paths: Path) -> tuple[list[tuple[int, Any]], list[Failure]]:
    rows, failures = [], []
    for ref in plan_blocks(with_forms(list_inputs([str(path) for path in paths])[0]), 64):
        for item in read_rows(ref, MAX_LINE_BYTES):
            if isinstance(item, LineBlock):
                rows += [(line.offset, json.loads(line.raw)) for line in item.lines]
            else:
                failures.append(item)
    return rows, failures


SUPERVISIONS = [line_of(supervision(name, at)) for name, at in (("b", 0.5), ("a", 0.0), ("gone", 0.0), ("b", 0.25))]
OFFSETS = [sum(len(line) + 1 for line in SUPERVISIONS[:k]) for k in range(4)]


def write_pair(folder: Path, more: bytes = b"") -> tuple[Path, Path]:
    supervisions, recordings = folder / "x_supervisions_dev.jsonl.gz", folder / "x_recordings_dev.jsonl.gz"
    supervisions.write_bytes(gzip.compress(b"\n".join([*SUPERVISIONS, more])))
    recordings.write_bytes(gzip.compress(b"\n".join([line_of(recording(name)) for name in ("a", "b", "c")] + [b"{"])))
    return supervisions, recordings


@pytest.mark.parametrize("directory", [True, False])
def test_supervisions_are_rows_of_the_recordings_beside_them(tmp_path: Path, directory: bool) -> None:
    pair = write_pair(tmp_path, b'{"start": 1}\n{broken')
    rows, failures = read(*([tmp_path] if directory else pair))
    assert rows == [(0, entry("b", 0.25, 0.5)), (OFFSETS[1], entry("a", 0.0))]
    found = [(letter.code, letter.offset, letter.payload) for letter in failures]
    nameless = OFFSETS[3] + len(SUPERVISIONS[3]) + 1
    assert found == [
        ("missing_key", nameless, b'{"start": 1}'),
        ("bad_json", nameless + 13, b"{broken"),
        ("not_found", OFFSETS[2], SUPERVISIONS[2]),
    ]
    assert {(letter.source, letter.stage) for letter in failures} == {(str(pair[0]), "read")}


def test_documents_and_plain_lines_are_paired_too(tmp_path: Path) -> None:
    pair = tmp_path / "supervisions.json", tmp_path / "recordings.json"
    pair[0].write_text(json.dumps([json.loads(line) for line in SUPERVISIONS[:2]], indent=1))
    pair[1].write_text(json.dumps([recording("a"), recording("b")], indent=1))
    assert [row for _, row in read(*pair)[0]] == [entry("b", 0.5), entry("a", 0.0)]
    lines = tmp_path / "supervisions.jsonl", tmp_path / "recordings.jsonl"
    write_lines(lines[0], SUPERVISIONS[:2])
    write_lines(lines[1], [line_of(recording(name)) for name in "ab"])
    assert read(*lines)[0] == [(0, entry("b", 0.5)), (OFFSETS[1], entry("a", 0.0))]


def test_supervisions_alone_are_refused_with_the_name_of_the_recordings(tmp_path: Path) -> None:
    supervisions, recordings = write_pair(tmp_path)
    for lister in (list_inputs, list_recordings):
        with pytest.raises(NoInputError, match=f"supervisions of Lhotse without their recordings: give {recordings}"):
            lister([str(supervisions)])
    assert len(list_inputs([str(supervisions), str(recordings)])[0]) == 2


def test_names_alone_make_no_pair(tmp_path: Path) -> None:
    rows = [speech(2, "a.wav"), speech(2, "b.wav")]
    pair = [write_lines(tmp_path / f"{kind}.jsonl", map(line_of, rows)) for kind in ("supervisions", "recordings")]
    assert [row for _, row in read(*pair)[0]] == rows * 2
    assert [row for _, row in read(pair[0])[0]] == rows


def test_cuts_and_recordings_among_other_rows_become_entries(tmp_path: Path) -> None:
    cut = {"id": "c", "type": "MonoCut", "start": 0, "duration": 1.0, "channel": 0, "recording": recording("a")}
    other = speech(1, "a.wav", sources=[1], sampling_rate=8000)
    mixed = {"id": "m", "tracks": [{"cut": {"sampling_rate": 8000, "type": "PaddingCut"}}], "type": "MixedCut"}
    lines = [line_of(row) for row in (cut, other, mixed, recording("b"))] + [b'{"sampling_rate": ']
    rows, failures = read(write_lines(tmp_path / "cuts.jsonl", lines))
    behind = [sum(len(line) + 1 for line in lines[:k]) for k in range(5)]
    assert [offset for offset, _ in rows] == [0, behind[1], behind[3]]
    assert rows[0][1] == {"id": "c", "offset": 0} | entry("a")
    assert (rows[1][1], rows[2][1]["audio_filepath"]) == (other, "b.wav")
    letters = [(letter.code, letter.offset, letter.payload) for letter in failures]
    assert letters == [("bad_type", behind[2], lines[2]), ("bad_json", behind[4], lines[4])]
