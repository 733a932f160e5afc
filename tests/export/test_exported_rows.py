from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from beam_curator.clips.records import Fields
from beam_curator.clips.tables import CUT_KEYS, CutFacts, fields_before_cut
from beam_curator.export.exported_rows import EXPORT_KEYS, ExportFacts, export_row, files_of_row
from beam_curator.sets.output_set import WrittenFile

CUT = CutFacts(
    extracted_path="clips/60c3.flac",
    sha256="00",
    n_bytes=76,
    sample_rate=16000,
    n_channels=1,
    n_samples=16,
    real_start_sec=0.5,
    real_end_sec=0.501,
)
META = WrittenFile("metas/v0/60c3.json", 9, "ff")
EXPORT = ExportFacts(span_uuid="60c3", filtered_by=("snr",), files=(META,))


def test_the_row_of_a_clip() -> None:
    row = export_row({"original_file": "a.wav", "text": "hi"}, 3, CUT, EXPORT)
    assert list(row) == ["original_file", "text", *CUT_KEYS[:-2], *EXPORT_KEYS]
    assert [row[key] for key in EXPORT_KEYS] == ["60c3", True, ["snr"], [["metas/v0/60c3.json", 9, "ff"]]]
    assert list(files_of_row(row)) == [WrittenFile("clips/60c3.flac", 76, "00"), META]


def test_a_clip_that_is_not_written_has_no_path() -> None:
    row = export_row({}, 0, CUT, ExportFacts(span_uuid="60c3", uploaded=False))
    assert (row["extracted_path"], row["n_bytes"], list(files_of_row(row))) == (None, 76, [])


def test_keys_that_a_row_has_already_are_kept_under_other_names() -> None:
    row = export_row({"files": 3, "n_bytes": 7}, 0, CUT, EXPORT)
    assert list(row)[:2] == ["input_files", "input_n_bytes"]
    assert (row["input_files"], row["input_n_bytes"]) == (3, 7)


KEYS = st.sampled_from(["a", *EXPORT_KEYS, "input_files", "input_input_valid", "sha256", "input_sha256"])


@given(st.dictionaries(KEYS, st.integers()))
def test_an_exported_row_exported_again_is_the_same_row(fields: Fields) -> None:
    row = export_row(fields, 0, CUT, EXPORT)
    assert export_row(fields_before_cut(row), 0, CUT, EXPORT) == row
