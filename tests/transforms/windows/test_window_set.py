import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.entries.entry import Entry
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.blocks import FailureBlock, Line, LineBlock
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.jobs.manifests import ReadManifests
from beam_curator.transforms.windows.window_set import (
    BuildWindowSet,
    ChooseWindows,
    ExplodeBlocks,
    SingleRow,
    explode,
)
from beam_curator.windows.entry_blocks import EntryBlock, PlannedEntry
from beam_curator.windows.line_windows import windows_of_line
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.training_windows import plan_entry
from beam_curator.windows.window_options import OverlapOptions, WindowOutputOptions
from beam_curator.windows.window_rules import WindowRules
from tests.manifests import line_of, manifest_of, names_in, rows_in, run, speech, whole_file, write_lines

ENTRIES = [speech(4), speech(6)]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    first, last = map(line_of, ENTRIES)
    return write_lines(tmp_path / "in/a.jsonl", [first, b"broken", last])


def codes(block: FailureBlock) -> list[str]:
    return [failure.code.value for failure in block.failures]


def test_windows_are_chosen_without_writing(manifest: Path) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        chosen = pipeline | ChooseWindows([str(manifest)])
        rows = chosen.blocks | ExplodeBlocks() | beam.Map(lambda single: single.row)
        expected = [windows_of_line(line_of(entry), WindowRules(), OverlapRules()).decode() for entry in ENTRIES]
        assert_that(rows, equal_to(expected), label="rows")
        unreadable, failed = chosen.failures
        assert_that(unreadable | "Unreadable" >> beam.FlatMap(codes), equal_to([]), label="unreadable")
        assert_that(failed | "Failed" >> beam.FlatMap(codes), equal_to(["bad_json"]), label="failed")
        totals = (
            chosen.counts
            | beam.Flatten()
            | beam.CombinePerKey(sum)
            | beam.Filter(lambda count: count[0].startswith("overlap."))
        )
        counts = {
            "overlap.rows": 2,
            "overlap.rows_with_windows": 2,
            "overlap.windows_in": 6,
            "overlap.windows": 3,
            "overlap.dropped": 3,
            "overlap.audio_us": 360_000_000,
        }
        assert_that(totals, equal_to(list(counts.items())), label="counts")


def test_the_overlap_target_follows_the_window_rules_unless_it_is_given() -> None:
    rules = WindowRules(target_window_duration=30.0)
    assert ChooseWindows(["a"], rules=rules).overlap_rules == OverlapRules(target_duration=30.0)
    given = OverlapOptions(target_duration=7.0, overlap_percentage=1)
    assert ChooseWindows(["a"], rules=rules, overlap=given).overlap_rules == OverlapRules(
        target_duration=7.0, overlap_percentage=1
    )


def test_the_config_is_what_decides_the_rows() -> None:
    rules = WindowRules(min_speakers=1)
    chosen = ChooseWindows(
        ["a"],
        rules=rules,
        overlap=OverlapOptions(scope="audio_file"),
        reading=InputOptions(max_line_bytes=5, keep_duplicates=True),
    )
    target = OutputTarget(directory="o", token="t", n_shards=3)
    config = BuildWindowSet(chosen, target, output=WindowOutputOptions(layout="spans")).config()
    assert list(config) == ["input", "windows", "overlap", "output"]
    assert config["input"] == {"max_line_bytes": 5, "keep_duplicates": True}
    assert config["overlap"] == {"overlap_percentage": 50, "target_duration": 120.0, "scope": "audio_file"}
    assert config["output"] == {"row_format": "jsonl", "layout": "spans", "shards": 3}
    assert config["windows"]["min_speakers"] == 1
    assert config["windows"]["drop_fields"] == ("words",)


def test_curated_windows_are_a_complete_set_and_its_counts(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with beam.Pipeline("FnApiRunner") as pipeline:
        curated = pipeline | BuildWindowSet([str(manifest)], str(out))
        assert_that(curated.committed | beam.Map(lambda counts: counts["overlap.windows"]), equal_to([3]), label="kept")
        names = curated.files | beam.Map(lambda file: (file.name, file.n_rows))
        files = [("failures-build-00000-of-00001.jsonl", 1), ("windows-00000-of-00001.jsonl", 2)]
        assert_that(names, equal_to(files), label="files")
    assert names_in(out) == ["_MANIFEST.json", *(name for name, _ in files)]
    assert manifest_of(out)["counts"]["read.rows"] == 3
    assert rows_in(out) == [windows_of_line(line_of(entry), WindowRules(), OverlapRules()) for entry in ENTRIES]


def test_the_composite_writes_the_manifest_that_the_command_writes(manifest: Path, tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | BuildWindowSet([str(manifest)], str(tmp_path / "library"))
    run("windows", manifest, "--output", tmp_path / "command")
    library, command = manifest_of(tmp_path / "library"), manifest_of(tmp_path / "command")
    assert library["files"] == command["files"]
    assert library["config_sha256"] == command["config_sha256"]


def test_exploded_lines_are_as_they_came() -> None:
    lines = (Line(offset=0, raw=b"{}"), Line(offset=3, raw=b"\xff"))
    block = LineBlock(ref=whole_file("a.jsonl"), part=0, lines=lines)
    assert list(explode(block, "full")) == [SingleRow("a.jsonl", 0, "{}"), SingleRow("a.jsonl", 3, "\ufffd")]


def test_exploded_rows_need_a_choice() -> None:
    entry = Entry.from_fields(speech())
    row = PlannedEntry(offset=0, entry=entry, plan=plan_entry(entry, WindowRules()))
    block = EntryBlock(ref=whole_file("a.jsonl"), part=0, rules=WindowRules(), rows=(row,))
    with pytest.raises(ValueError, match="apply FilterOverlaps first"):
        list(explode(block, "full"))


def test_blocks_become_single_rows_of_the_layout(manifest: Path) -> None:
    def first_segments(single: SingleRow) -> tuple[int, Any]:
        return single.offset, json.loads(single.row)["windows"][0]["segments"]

    last = len(line_of(ENTRIES[0])) + len("broken") + 2
    with beam.Pipeline("FnApiRunner") as pipeline:
        raw = pipeline | ReadManifests([str(manifest)])
        lines = raw[0] | "Lines" >> ExplodeBlocks() | beam.Map(lambda single: single.offset)
        assert_that(lines, equal_to([0, len(line_of(ENTRIES[0])) + 1, last]), label="lines")
        blocks = (pipeline | ChooseWindows([str(manifest)])).blocks
        rows = (
            blocks | "Rows" >> ExplodeBlocks(WindowOutputOptions(layout="spans")) | "First" >> beam.Map(first_segments)
        )
        assert_that(rows, equal_to([(0, [0, 3]), (last, [0, 3])]), label="rows")
