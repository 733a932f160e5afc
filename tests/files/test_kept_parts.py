"""What a set keeps of its recordings, and what of that another run takes over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from beam_curator.clips.clip_rows import CLIPS
from beam_curator.entries.json_lines import encode
from beam_curator.files import kept_parts
from beam_curator.files.kept_parts import KeptParts, read_parts, take_over, write_archive
from beam_curator.files.opened_recordings import seen_now
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, rows_of_part
from beam_curator.sets.recording_jobs import Request
from tests.files.parts import clip, letter, target_of, writer_of

ASKED = [Request(b"one", "m.jsonl", 0), Request(b"two", "m.jsonl", 10)]


def made_target(directory: Path) -> OutputTarget:
    directory.mkdir(exist_ok=True)
    return target_of(directory)


def row_at(target: OutputTarget, name: str, offset: int) -> dict[str, Any]:
    return clip(target, name) | {"_origin": {"source": "m.jsonl", "offset": offset}}


def kept_in(directory: Path, *, fails: bool = False) -> KeptParts:
    """Make a set of one recording, with a clip for each request, and return what it keeps."""
    target = made_target(directory)
    recording = directory.parent / "in.wav"
    recording.write_bytes(b"RIFF")
    writer = writer_of(target)
    writer.ask(str(recording), ASKED, seen_now(str(recording)))
    for number, request in enumerate(ASKED):
        writer.add_row(row_at(target, f"{number}/a.wav", request.offset), (number,))
    if fails:
        writer.add_failure(letter())
    part = writer.write()
    write_archive(target, "clips-00000-of-00001", read_parts(str(directory), [part.files[-1].name]))
    return KeptParts(str(directory))


@pytest.fixture
def next_target(tmp_path: Path) -> OutputTarget:
    return made_target(tmp_path / "next")


@dataclass
class Asking:
    """A task of these requests."""

    recording: str
    asked: list[Request]
    name: str = "/a.wav"
    position: tuple[int, int, int] = (0, 0, 0)
    n_blocks: int = 1

    def requests(self) -> list[Request]:
        return self.asked


def taken(kept: KeptParts, target: OutputTarget, asked: list[Request] = ASKED, *, rehash: bool = False) -> Part | None:
    recording = str(Path(kept.directory).parent / "in.wav")
    return take_over(kept, writer_of(replace(target, rehash=rehash)), Asking(recording, asked))


def test_rows_and_files_are_taken_over(tmp_path: Path, next_target: OutputTarget) -> None:
    part = taken(kept_in(tmp_path / "set"), next_target)
    assert part is not None
    (record,) = part.files
    assert dict(part.counts)["cut.clips"] == record.n_rows == 2
    for number in range(2):
        old, new = (tmp_path / folder / f"{number}" / "a.wav" for folder in ("set", "next"))
        assert old.stat().st_ino == new.stat().st_ino
    assert writer_of(next_target).kept() == part


@pytest.mark.parametrize(
    "asked",
    [ASKED[:1], ASKED[::-1], [ASKED[0], ASKED[1]._replace(text=b"three")]],
    ids=["fewer", "another order", "another request"],
)
def test_others_are_not(asked: list[Request], tmp_path: Path, next_target: OutputTarget) -> None:
    assert taken(kept_in(tmp_path / "set"), next_target, asked) is None
    assert os.listdir(tmp_path / "next") == ["_RUN.json"]


def test_a_recording_is_told_by_its_bytes_where_its_times_do_not(tmp_path: Path, next_target: OutputTarget) -> None:
    kept = kept_in(tmp_path / "set")
    os.utime(tmp_path / "in.wav", ns=(7, 7))
    assert taken(kept, next_target) is not None
    (tmp_path / "in.wav").write_bytes(b"RIFX")
    os.utime(tmp_path / "in.wav", ns=(7, 7))
    assert taken(kept, next_target) is None
    (tmp_path / "in.wav").unlink()
    assert taken(kept, next_target) is None


def test_rows_name_the_places_to_which_their_lines_have_moved(tmp_path: Path, next_target: OutputTarget) -> None:
    kept = kept_in(tmp_path / "set")
    moved = [Request(b"one", "m.jsonl", 10), Request(b"two", "n.jsonl", 0)]
    part = taken(kept, next_target, moved)
    assert part is not None
    rows = list(rows_of_part(str(tmp_path / "next" / part.files[0].name), has_head=True))
    assert [row["_origin"] for row in rows] == [{"source": r.source, "offset": r.offset} for r in moved]
    before = list(rows_of_part(str(tmp_path / "set" / part.files[0].name), has_head=True))
    assert [{**row, "_origin": 0} for row in rows] == [{**row, "_origin": 0} for row in before]


def test_one_line_that_became_two_is_another_request(tmp_path: Path, next_target: OutputTarget) -> None:
    target = made_target(tmp_path / "set")
    writer = writer_of(target)
    recording = tmp_path / "in.wav"
    recording.write_bytes(b"RIFF")
    requests = [Request(b"one", "m.jsonl", 0), Request(b"two", "m.jsonl", 0)]
    writer.ask(str(recording), requests, seen_now(str(recording)))
    part = writer.write()
    write_archive(target, "clips-00000-of-00001", read_parts(str(tmp_path / "set"), [part.files[0].name]))
    assert taken(KeptParts(str(tmp_path / "set")), next_target) is None


def test_a_recording_with_failures_is_tried_again(tmp_path: Path, next_target: OutputTarget) -> None:
    kept = kept_in(tmp_path / "set", fails=True)
    assert [part.codes for part in kept.index.values()] == [("not_found",)]
    assert taken(kept, next_target) is None


@pytest.mark.parametrize("name", ["../outside.wav", "sub/../../outside.wav", "/etc/hostname"])
def test_a_name_that_leads_out_of_the_set_is_not_followed(
    name: str, tmp_path: Path, next_target: OutputTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = kept_in(tmp_path / "set")
    (tmp_path / "outside.wav").write_bytes(b"1" * 70)
    really: Callable[..., Any] = kept_parts.parse_object
    monkeypatch.setattr(kept_parts, "parse_object", lambda line: really(line) | {"extracted_path": name})
    assert taken(kept, next_target) is None
    assert sorted(os.listdir(tmp_path)) == ["in.wav", "next", "outside.wav", "set"]
    assert not list((tmp_path / "next").glob("*.wav"))


def test_a_link_in_place_of_a_clip_is_not_followed(tmp_path: Path, next_target: OutputTarget) -> None:
    kept = kept_in(tmp_path / "set")
    (tmp_path / "set" / "0" / "a.wav").rename(tmp_path / "elsewhere.wav")
    (tmp_path / "set" / "0" / "a.wav").symlink_to(tmp_path / "elsewhere.wav")
    assert taken(kept, next_target) is None


@pytest.mark.parametrize("position", [0, 30, -1, -20])
def test_a_damaged_archive_keeps_nothing(position: int, tmp_path: Path, next_target: OutputTarget) -> None:
    kept_in(tmp_path / "set")
    (archive,) = (tmp_path / "set" / ".kept.beam_curator").iterdir()
    data = bytearray(archive.read_bytes())
    data[position] ^= 0xFF
    archive.write_bytes(data)
    assert taken(KeptParts(str(tmp_path / "set")), next_target) is None


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace(b'"n_rows":2', b'"n_rows":3'),
        lambda text: text.replace(b'"n_rows":2', b'"n_rows":"2"'),
        lambda text: text.replace(b'"extracted_path"', b'"path"'),
        lambda text: text[:-5] + b"\n",
        lambda text: b"",
    ],
)
def test_an_archive_that_was_edited_keeps_nothing(
    edit: Callable[[bytes], bytes], tmp_path: Path, next_target: OutputTarget
) -> None:
    kept = kept_in(tmp_path / "set")
    [(name, part)] = kept.index.items()
    text = kept.find(name)
    assert text is not None
    edited = zstandard.ZstdCompressor().compress(edit(text))
    Path(part.archive).write_bytes(edited)
    kept.index[name] = part._replace(offset=0, n_bytes=len(edited))
    assert edit(text) != text
    assert taken(kept, next_target) is None


def test_a_recording_that_changes_while_it_is_taken_over_is_not_known_as_it_is_then(
    tmp_path: Path, next_target: OutputTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = kept_in(tmp_path / "set")
    recording, really = tmp_path / "in.wav", kept_parts.link
    time.sleep(0.05)  # or it has no stamp, as one that was written a moment ago

    def link(*arguments: Any) -> bool:
        recording.write_bytes(b"RIFX")
        time.sleep(0.05)
        return really(*arguments)

    monkeypatch.setattr(kept_parts, "link", link)
    part = taken(kept, next_target)
    assert part is not None
    write_archive(next_target, "clips-00000-of-00001", read_parts(next_target.directory, [part.files[-1].name]))
    assert taken(KeptParts(next_target.directory), made_target(tmp_path / "third")) is None


def test_a_disk_without_links_gets_copies(
    tmp_path: Path, next_target: OutputTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, place: str) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert taken(kept_in(tmp_path / "set"), next_target) is not None
    old, new = (tmp_path / folder / "0" / "a.wav" for folder in ("set", "next"))
    assert (old.read_bytes(), old.stat().st_ino == new.stat().st_ino) == (new.read_bytes(), False)


def test_an_archive_says_which_recording_it_is_about(tmp_path: Path) -> None:
    kept = kept_in(tmp_path / "set")
    recording = str(tmp_path / "in.wav")
    assert [part.recording for part in kept.index.values()] == [recording]
    assert [part.seen.content for part in kept.index.values()] == [seen_now(recording).content]
    assert encode(sorted(kept.index)) == encode([writer_of(target_of(tmp_path / "set")).name(CLIPS.rows)])
