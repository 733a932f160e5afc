from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest

from beam_curator.diarization.turn_entries import EntryFacts, diarized_entry
from beam_curator.diarization.turn_rows import TURNS, TURNS_TABLE, count_entry
from beam_curator.diarization.turns import Turn
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.row_tables import write_table

SPEECH = (Turn(start=0.0, end=1.5, speaker=0), Turn(start=1.0, end=2.25, speaker=3))


def entry(fields: dict[str, Any], turns: tuple[Turn, ...] = SPEECH, **facts: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "recording_id": "a",
        "audio_filepath": "/a.wav",
        "sample_rate": 8000,
        "duration": 10.5,
        "saturated": False,
    }
    made = diarized_entry(fields, EntryFacts(turns=turns, **(known | facts)), "diar_segments", "dicts")
    return made | {"_origin": {"source": "m.jsonl", "offset": 7}}


SPOKEN = entry({"audio_filepath": "a.wav", "lang": "ü"}, rttm="rttm/a.rttm")
SILENT = entry({"audio_filepath": "b.wav"}, (), recording_id="b")


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        (SPOKEN, {"audio_us": 10_500_000, "segments": 2, "speech_us": 2_750_000, "speakers": 2}),
        (SILENT, {"audio_us": 10_500_000, "segments": 0, "speech_us": 0, "speakers": 0, "silent": 1}),
        (
            entry({"offset": 1, "duration": 2}, saturated=True),
            {"audio_us": 2_000_000, "segments": 2, "speech_us": 2_750_000, "speakers": 2, "saturated": 1},
        ),
        (
            entry({"offset": 1.5, "duration": 99}, ()),
            {"audio_us": 9_000_000, "segments": 0, "speech_us": 0, "speakers": 0, "silent": 1},
        ),
        (
            entry({"offset": None, "duration": 4}, ()),
            {"audio_us": 4_000_000, "segments": 0, "speech_us": 0, "speakers": 0, "silent": 1},
        ),
        (
            entry({"offset": 0.5, "duration": 4, "track_duration": 9}, ()),
            {"audio_us": 9_000_000, "segments": 0, "speech_us": 0, "speakers": 0, "silent": 1},
        ),
        (
            entry({"offset": None, "duration": None}, ()),
            {"audio_us": 10_500_000, "segments": 0, "speech_us": 0, "speakers": 0, "silent": 1},
        ),
    ],
)
def test_what_is_counted_of_an_entry(row: dict[str, Any], counts: dict[str, int]) -> None:
    assert dict(count_entry(row)) == counts


def test_an_entry_as_columns() -> None:
    assert TURNS_TABLE.values(SPOKEN) == {
        "source": "m.jsonl",
        "offset": 7,
        "recording_id": "a",
        "audio_filepath": "a.wav",
        "duration": 10.5,
        "num_turns": 2,
        "num_speakers": 2,
        "speakers_saturated": False,
        "rttm_filepath": "rttm/a.rttm",
        "row": json.dumps(SPOKEN, ensure_ascii=False, separators=(",", ":")),
    }
    assert TURNS_TABLE.values(SILENT)["rttm_filepath"] is None


def test_tables_hold_columns_and_rows(tmp_path: Path) -> None:
    for row_format in ("parquet", "avro"):
        with AtomicFile(str(tmp_path), f"turns.{row_format}", lambda: None) as file:
            write_table(TURNS_TABLE, file, [SPOKEN, SILENT], row_format)
    with (tmp_path / "turns.avro").open("rb") as stream:
        records = list(fastavro.reader(stream))
    assert pq.read_table(tmp_path / "turns.parquet").to_pylist() == records
    assert [json.loads(record["row"]) for record in records] == [SPOKEN, SILENT]
    assert [record["num_turns"] for record in records] == [2, 0]


def test_the_kind_of_rows() -> None:
    assert (TURNS.rows, TURNS.stage, TURNS.letters) == ("turns", "diarize", "failures-diarize")
