import itertools
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.entries.entry import Entry
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.jobs.manifests import ReadManifests
from beam_curator.transforms.windows.overlap import (
    FilterOverlaps,
    RowSpans,
    choose_in_file,
    read_again,
    spans_by_audio_file,
)
from beam_curator.transforms.windows.training_windows import BuildTrainingWindows
from beam_curator.windows.entry_blocks import EntryBlock, PlannedEntry, audio_file_of
from beam_curator.windows.line_windows import choose_in_row
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.row_limit import RowLimit
from beam_curator.windows.training_windows import plan_entry
from beam_curator.windows.window_rules import WindowRules
from tests.manifests import line_of, speech, whole_file, write_lines

HALF = OverlapRules(overlap_percentage=50, target_duration=10)


def planned(entry: dict[str, Any], offset: int = 0) -> PlannedEntry:
    checked = Entry.from_fields(entry)
    return PlannedEntry(offset=offset, entry=checked, plan=plan_entry(checked, WindowRules()))


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("a.wav", "/data/m/x.jsonl", "/data/m/a.wav"),
        ("../wav/a.wav", "/data/m/x.jsonl", "/data/wav/a.wav"),
        ("/data/a.wav", "/data/m/x.jsonl", "/data/a.wav"),
        ("a.wav", "gs://bucket/m/x.jsonl", "gs://bucket/m/a.wav"),
        ("gs://bucket/a.wav", "/data/m/x.jsonl", "gs://bucket/a.wav"),
        ("", "/data/m/x.jsonl", None),
        (None, "/data/m/x.jsonl", None),
        (17, "/data/m/x.jsonl", None),
    ],
)
def test_recordings_are_found_from_the_folder_of_their_manifest(path: Any, source: str, expected: str | None) -> None:
    assert audio_file_of(planned(speech(3, path)).entry, source) == expected


def test_a_recording_is_the_same_however_its_manifest_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = planned(speech(3, "a.wav"))
    assert audio_file_of(row.entry, "x.jsonl") == audio_file_of(row.entry, str(tmp_path / "y.jsonl"))


def test_only_rows_with_a_path_and_windows_compete_across_rows() -> None:
    rows = (planned(speech(4, "a.wav"), 5), planned(speech(2, "b.wav"), 6), planned(speech(4, ""), 7))
    block = EntryBlock(ref=whole_file("/d/m.jsonl", 3, 9), part=0, rules=WindowRules(), rows=rows)
    assert list(spans_by_audio_file(block)) == [("/d/a.wav", (("/d/m.jsonl", 0, 5), 3, (0.0, 40.0), (120.0, 160.0)))]


def test_rows_of_the_same_channel_files_compete() -> None:
    paths: list[Any] = [["a0.wav", "/x/a1.wav"], ["/d/a0.wav", "../x/a1.wav"], ["/x/a1.wav", "a0.wav"], [7], []]
    rows = tuple(planned(speech(4) | {"audio_filepath": path}, 5) for path in paths)
    block = EntryBlock(ref=whole_file("/d/m.jsonl", 3, 9), part=0, rules=WindowRules(), rows=rows)
    assert [key for key, _ in spans_by_audio_file(block)] == [
        '["/d/a0.wav", "/x/a1.wav"]', '["/d/a0.wav", "/x/a1.wav"]', '["/x/a1.wav", "/d/a0.wav"]'
    ]  # fmt: skip


def test_of_equal_windows_the_first_row_keeps_its_own_in_whatever_order_rows_come() -> None:
    times: tuple[tuple[float, ...], ...] = ((0.0, 20.0), (10.0, 30.0))
    rows: list[RowSpans] = [
        (("a", 0, 900), 0, *times),
        (("a", 1, 0), 1, *times),
        (("b", 0, 0), 2, *times),
    ]
    expected = [(0, (900, (0, 1))), (1, (0, ())), (2, (0, ()))]
    for order in itertools.permutations(rows):
        assert list(choose_in_file(("a.wav", order), HALF)) == expected


def test_the_nearer_to_the_target_stays_whichever_row_it_is_in() -> None:
    far: RowSpans = (("a", 0, 0), 0, (0.0, 50.0), (12.0, 61.0))
    near: RowSpans = (("b", 0, 0), 1, (1.0, 20.0), (11.0, 30.0))
    # (1, 11) beats (0, 12); (20, 30) and (50, 61) are alone
    assert list(choose_in_file(("a.wav", [far, near]), HALF)) == [(0, (0, (1,))), (1, (0, (0, 1)))]


def test_a_row_that_changed_before_the_second_reading_stops_the_job(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [line_of(speech(4))])
    group = (0, {"refs": [(whole_file(path), WindowRules(), RowLimit())], "choices": []})
    with pytest.raises(
        RuntimeError, match=r"no choice for the row at byte 0 of .*a\.jsonl: it changed while it was read"
    ):
        list(read_again(group, OverlapRules(), InputOptions()))


def kept(block: EntryBlock) -> list[tuple[str, int, list[int], list[int]]]:
    """Return name, offset, survivors and kept windows of each row."""
    name = Path(block.ref.source).name
    choices = [(row.offset, row.choice) for row in block.rows]
    return [
        (name, offset, list(choice.survivors), list(choice.kept)) for offset, choice in choices if choice is not None
    ]


def test_scope_row_chooses_in_each_row_alone(tmp_path: Path) -> None:
    entries = [speech(6, "a.wav"), speech(6, "a.wav"), speech(2, "a.wav")]
    write_lines(tmp_path / "a.jsonl", map(line_of, entries))
    length = len(line_of(entries[0])) + 1
    choice = choose_in_row(planned(entries[0]).plan, OverlapRules())
    assert list(choice.kept) == [0, 2]
    expected = [("a.jsonl", 0, [0, 2], [0, 2]), ("a.jsonl", length, [0, 2], [0, 2]), ("a.jsonl", 2 * length, [], [])]
    with beam.Pipeline("FnApiRunner") as pipeline:
        lines, _ = pipeline | ReadManifests([str(tmp_path)])
        blocks, _ = lines | BuildTrainingWindows(WindowRules())
        assert_that(blocks | FilterOverlaps(OverlapRules()) | beam.FlatMap(kept), equal_to(expected))


def test_scope_audio_file_lets_rows_of_several_blocks_compete(tmp_path: Path) -> None:
    first, other = line_of(speech(6, "a.wav")), line_of(speech(6, "other.wav"))
    nameless, short = line_of(speech(6, "")), line_of(speech(2, "a.wav"))
    write_lines(tmp_path / "a.jsonl", [first, other, b"broken"])
    write_lines(tmp_path / "b.jsonl", [nameless, short, first])
    write_lines(tmp_path / "c/c.jsonl", [first, first])  # another folder: another a.wav
    expected = [
        ("a.jsonl", 0, [0, 2], [0, 2]),
        ("a.jsonl", len(first) + 1, [0, 2], [0, 2]),
        ("b.jsonl", 0, [0, 2], [0, 2]),
        ("b.jsonl", len(nameless) + 1, [], []),
        ("b.jsonl", len(nameless) + len(short) + 2, [], []),
        ("c.jsonl", 0, [0, 2], [0, 2]),
        ("c.jsonl", len(first) + 1, [], []),
    ]
    with beam.Pipeline("FnApiRunner") as pipeline:
        lines, _ = pipeline | ReadManifests([str(tmp_path)], block_bytes=1000)
        blocks, _ = lines | BuildTrainingWindows(WindowRules())
        chosen = blocks | FilterOverlaps(OverlapRules(scope="audio_file"))
        assert_that(chosen | beam.FlatMap(kept), equal_to(expected))
