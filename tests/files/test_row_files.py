import json
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest

from beam_curator.entries.entry import Entry
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.row_files import WINDOWS_TABLE, columns_of, merge_files, write_rows
from beam_curator.files.row_tables import count_table
from beam_curator.sets.output_set import ROW_EXTENSIONS
from beam_curator.windows.entry_blocks import PlannedEntry
from beam_curator.windows.line_windows import choose_in_row, windows_of_line
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.training_windows import plan_entry
from beam_curator.windows.window_options import WindowOutputOptions
from beam_curator.windows.window_rules import WindowRules
from tests.manifests import line_of, speech

RULES = WindowRules()
FORMATS = sorted(ROW_EXTENSIONS)


def chosen(entry: dict[str, Any], offset: int = 0) -> PlannedEntry:
    checked = Entry.from_fields(entry)
    plan = plan_entry(checked, RULES)
    return PlannedEntry(offset=offset, entry=checked, plan=plan, choice=choose_in_row(plan, OverlapRules()))


ENTRIES = [speech(6, "ä.wav"), speech(2), speech(4, audio_sample_rate=8000)]
ROWS = [chosen(entry, 100 * number) for number, entry in enumerate(ENTRIES)]
EXPECTED = [windows_of_line(line_of(entry), RULES, OverlapRules()).decode() for entry in ENTRIES]


def write(directory: Path, name: str, form: WindowOutputOptions, rows: list[PlannedEntry] = ROWS) -> Path:
    with AtomicFile(str(directory), name) as file:
        write_rows(file, rows, "a.jsonl", RULES, form)
    return directory / name


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    with path.open("rb") as stream:
        return list(fastavro.reader(stream))  # type: ignore[arg-type]  # its rows are dicts


def test_a_row_without_a_choice_cannot_be_written(tmp_path: Path) -> None:
    entry = Entry.from_fields(speech(4))
    row = PlannedEntry(offset=7, entry=entry, plan=plan_entry(entry, RULES))
    with pytest.raises(ValueError, match="the row at byte 7 has no choice of windows: apply FilterOverlaps first"):
        write(tmp_path, "a.jsonl", WindowOutputOptions(), [ROWS[0], row])
    assert list(tmp_path.iterdir()) == []


def test_columns_hold_what_people_ask_for() -> None:
    columns = columns_of(ROWS[0], "a.jsonl", RULES, "full")
    row = columns.pop("row")
    assert row == EXPECTED[0]
    assert columns == {
        "source": "a.jsonl",
        "offset": 0,
        "audio_filepath": "ä.wav",
        "audio_sample_rate": 16000.0,
        "n_segments": 6,
        "n_windows": 4,
        "n_filtered_windows": 2,
        "truncation_events": 3,
        "filtered": [{"start": 0.0, "end": 120.0}, {"start": 80.0, "end": 200.0}],
    }


def test_a_path_that_is_no_string_has_no_column() -> None:
    assert columns_of(chosen(speech(4, None)), "a.jsonl", RULES, "full")["audio_filepath"] is None


def test_json_lines_are_what_curate_entry_gives(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", WindowOutputOptions())
    assert path.read_bytes().decode() == "".join(f"{row}\n" for row in EXPECTED)


@pytest.mark.parametrize("row_format", ["parquet", "avro"])
class TestColumnFiles:
    def test_hold_the_rows_and_their_columns(self, tmp_path: Path, row_format: Any) -> None:
        path = write(tmp_path, f"a.{row_format}", WindowOutputOptions(row_format=row_format))
        assert read(path) == [columns_of(row, "a.jsonl", RULES, "full") for row in ROWS]
        assert [row["row"] for row in read(path)] == EXPECTED
        assert count_table(str(path)) == 3

    def test_are_the_same_bytes_each_time(self, tmp_path: Path, row_format: Any) -> None:
        form = WindowOutputOptions(row_format=row_format)
        assert write(tmp_path, "a", form).read_bytes() == write(tmp_path, "b", form).read_bytes()

    def test_take_index_ranges_too(self, tmp_path: Path, row_format: Any) -> None:
        path = write(tmp_path, f"a.{row_format}", WindowOutputOptions(row_format=row_format, layout="spans"))
        first = json.loads(read(path)[0]["row"])
        # 40 s segments: three fill a window; the fourth begins before the limit of 132 s and is cut to nothing
        assert [window["segments"] for window in first["windows"]] == [[0, 3], [1, 4], [2, 5], [3, 6]]
        assert [window.get("cut_words") for window in first["windows"]] == [0, 0, 0, None]

    def test_of_many_rows_are_counted_and_read(self, tmp_path: Path, row_format: Any) -> None:
        rows = [chosen(speech(1, f"{number}.wav"), number) for number in range(600)]
        path = write(tmp_path, f"a.{row_format}", WindowOutputOptions(row_format=row_format), rows)
        assert count_table(str(path)) == 600
        assert [row["offset"] for row in read(path)] == list(range(600))


def test_parquet_has_a_row_group_for_every_256_rows(tmp_path: Path) -> None:
    rows = [chosen(speech(1), number) for number in range(600)]
    path = write(tmp_path, "a.parquet", WindowOutputOptions(row_format="parquet"), rows)
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [256, 256, 88]


@pytest.mark.parametrize("row_format", FORMATS)
def test_merged_files_hold_the_rows_in_order(tmp_path: Path, row_format: Any) -> None:
    form, suffix = WindowOutputOptions(row_format=row_format), ".part.beam_curator.tmp"
    parts = [
        write(tmp_path, f".{number}.{row_format}{suffix}", form, ROWS[begin:stop])
        for number, (begin, stop) in enumerate([(2, 3), (0, 2)])
    ]
    with AtomicFile(str(tmp_path), "merged") as file:
        merge_files(file, [str(part) for part in parts], WINDOWS_TABLE)
    whole = write(tmp_path, "whole", form, [ROWS[2], ROWS[0], ROWS[1]])
    assert (tmp_path / "merged").read_bytes() == whole.read_bytes()
