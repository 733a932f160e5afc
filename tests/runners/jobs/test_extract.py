"""What `extract` writes: file names, tables and sounds, against expectations written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audio.corpus import make_corpus
from tests.manifests import failures_in, manifest_of, names_in, run, speech
from tests.transforms.clips.clip_sets import (
    clip_names,
    clip_rows,
    extract,
    info_of,
    metadata_of,
    piece,
    samples_in,
    summary_of,
    write_recording,
    write_rows,
)


def span(start: float, end: float) -> dict[str, float]:
    """Return a turn in the form of the reference's diarizer."""
    return {"start": start, "end": end}


SPOKEN = {"num_speakers": 2, "duration": 3.0}
ROWS: dict[str, list[dict[str, Any]]] = {
    "by time": [
        piece("meet.wav", 1500, 2000, duration=0.5, band="full_band", mos=3.14159),
        piece("meet.wav", 250, 1000, num_speakers=2, duration=0.7504, tags=["a", 'say "b"']),
        piece("chat.flac", 0, 500, duration_ms=500, ok=True),
        piece("meet.wav", 2000, 2250, speaking_duration=1, speaker=None),
    ],
    "turns": [
        piece("meet.wav", 0, 3000, speaker_id="speaker_1", diar_segments=[[1.0, 1.5], [0.25, 0.5009]], **SPOKEN),
        piece("meet.wav", 0, 3000, speaker_id="speaker_0", diar_segments=[span(2, 2.5), span(0.5, 1)]),
        piece("meet.wav", 0, 3000, speaker_id="speaker_1", diar_segments=[[0.0, 0.125]], **SPOKEN),
        piece("chat.flac", 0, 2000, speaker_id="speaker_2", diar_segments=[]),
    ],
    "by speaker": [
        piece("meet.wav", 1000, 1500, speaker_id="ben"),
        piece("meet.wav", 2000, 2500, speaker_id="ana"),
        piece("meet.wav", 0, 500, speaker_id="ana", num_speakers=2),
        piece("meet.wav", 500, 600, speaker_id=7),
        piece("meet.wav", 600, 700, speaker_id=None),
        piece("meet.wav", 700, 800, speaker_id="speaker_0"),
    ],
}  # fmt: skip
METADATA = {
    "by time": """\
filename,original_file,segment_index,start_sec,end_sec,duration,num_speakers,tags,band,mos,speaker,ok
meet_segment_000.wav,meet.wav,0,0.25,1.0,0.75,2,"['a', 'say ""b""']",,,,
meet_segment_001.wav,meet.wav,0,1.5,2.0,0.5,,,full_band,3.1416,,
meet_segment_002.wav,meet.wav,0,2.0,2.25,0.25,,,,,,
chat_segment_000.wav,chat.flac,0,0.0,0.5,0.5,,,,,,True
""",
    "turns": """\
filename,original_file,segment_index,start_sec,end_sec,duration,speaker_id,num_speakers
meet_speaker_0_segment_000.wav,meet.wav,0,0.5,1.0,0.5,speaker_0,
meet_speaker_0_segment_001.wav,meet.wav,1,2.0,2.5,0.5,speaker_0,
meet_speaker_1_segment_000.wav,meet.wav,0,0.25,0.5,0.251,speaker_1,2
meet_speaker_1_segment_001.wav,meet.wav,1,1.0,1.5,0.5,speaker_1,2
meet_speaker_1_segment_002.wav,meet.wav,0,0.0,0.125,0.125,speaker_1,2
""",
    "by speaker": """\
filename,original_file,segment_index,start_sec,end_sec,duration,speaker_id,num_speakers
meet_speaker_7_segment_000.wav,meet.wav,0,0.5,0.6,0.1,7,
meet_speaker_unknown_segment_000.wav,meet.wav,0,0.6,0.7,0.1,,
meet_speaker_ana_segment_000.wav,meet.wav,0,0.0,0.5,0.5,ana,2
meet_speaker_ana_segment_001.wav,meet.wav,0,2.0,2.5,0.5,ana,
meet_speaker_ben_segment_000.wav,meet.wav,0,1.0,1.5,0.5,ben,
meet_speaker_0_segment_000.wav,meet.wav,0,0.7,0.8,0.1,speaker_0,
""",
}
"""Written by the rules of the reference; numbers and null, at which it fails, go before texts."""
TOTALS = {
    "by time": '"total_segments": 4,\n  "total_duration_sec": 2.0,\n  "output_format": "wav"\n',  # 2.0004
    "turns": '"total_segments": 5,\n  "total_duration_sec": 1.88,\n  "output_format": "wav",\n'  # 1.8759
    '  "segments_by_speaker": {\n    "speaker_0": 2,\n    "speaker_1": 3\n  }\n',
    "by speaker": '"total_segments": 6,\n  "total_duration_sec": 1.8,\n  "output_format": "wav",\n'
    '  "segments_by_speaker": {\n    "7": 1,\n    "ana": 2,\n    "ben": 1,\n    "speaker_0": 1\n  }\n',
}
SPANS = {
    "by time": [(2000, 8000), (12000, 16000), (16000, 18000), (0, 8000)],
    "turns": [(4000, 8000), (16000, 20000), (2000, 4000), (8000, 12000), (0, 1000)],
    "by speaker": [(4000, 4800), (4800, 5600), (0, 4000), (16000, 20000), (8000, 12000), (5600, 6400)],
}
"""Samples of each clip in the order of the table: meet.wav has 8,000 a second, chat.flac 16,000."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two recordings."""
    write_recording(tmp_path / "in" / "meet.wav")
    write_recording(tmp_path / "in" / "chat.flac", 2, 16000, 2)
    return tmp_path / "in"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return recordings in all codecs; the names of no two have one stem."""
    files = make_corpus(tmp_path_factory.mktemp("corpus"))
    return {
        path.name: path
        for name, made in files.items()
        for path in [made.rename(made.with_stem(name.replace(".", "_")))]
        if info_of(path).n_samples > 1
    }


@pytest.mark.parametrize(("kind", "output_format"), [("by time", "wav"), ("turns", "flac"), ("by speaker", "wav")])
def test_tables_summary_and_samples_are_as_written_by_hand(
    folder: Path, tmp_path: Path, kind: str, output_format: str
) -> None:
    manifest = write_rows(folder / "m.jsonl", ROWS[kind])
    out = extract(manifest, tmp_path / "out", "--output-format", output_format)
    table = METADATA[kind].replace("\n", "\r\n").replace(".wav,meet", f".{output_format},meet")
    assert (out / "metadata.csv").read_bytes() == table.encode()
    totals = TOTALS[kind].replace('"wav"', f'"{output_format}"')
    head = f'{{\n  "manifest_path": "{manifest}",\n  "output_dir": "{out}",\n  '
    assert (out / "extraction_summary.json").read_text() == head + totals + "}"
    rows = clip_rows(out)
    assert [row["extracted_path"] for row in rows] == [row["filename"] for row in metadata_of(out)]
    assert clip_names(out) == sorted(row["extracted_path"] for row in rows)
    others = {"_MANIFEST.json", "summary.json", "metadata.csv", "extraction_summary.json"}
    assert {*names_in(out)} - {*clip_names(out)} == others | {"clips-00000-of-00001.jsonl"}
    for row, samples in zip(rows, SPANS[kind], strict=True):
        check_clip(folder, out, row, samples, output_format)


def check_clip(folder: Path, out: Path, row: dict[str, Any], samples: tuple[int, int], output_format: str) -> None:
    """Compare a clip with the samples of its recording, and with its row."""
    first, stop = samples
    clip, info = out / row["extracted_path"], info_of(out / row["extracted_path"])
    expected = samples_in(folder / row["original_file"])[first:stop]
    np.testing.assert_array_equal(samples_in(clip), expected, strict=True)
    assert (info.container, info.codec) == (output_format, "pcm_16")
    said = [row[key] for key in ("sample_rate", "n_channels", "n_samples", "n_bytes")]
    assert said == [info.sample_rate, info.n_channels, stop - first, clip.stat().st_size]
    assert (row["real_start_sec"], row["real_end_sec"]) == (first / info.sample_rate, stop / info.sample_rate)
    assert "clamped" not in row


def rows_of(kind: str, path: Path) -> list[dict[str, Any]]:
    """Ask for the same two pieces of a recording in each of the three forms."""
    if kind == "by time":
        return [piece(path, 600, 900), piece(path, 200, 500)]
    if kind == "turns":
        return [piece(path, 0, 0, speaker_id="speaker_ana", diar_segments=[[0.6, 0.9], {"start": 0.2, "end": 0.5}])]
    return [piece(path, 600, 900, speaker_id="ana"), piece(path, 200, 500, speaker_id="ana")]


@pytest.mark.parametrize("output_format", ["wav", "flac", "ogg"])
@pytest.mark.parametrize(
    ("kind", "ending"), [("by time", ""), ("turns", "_speaker_ana"), ("by speaker", "_speaker_ana")]
)
def test_every_codec_in_every_form_and_format(
    corpus: dict[str, Path], tmp_path: Path, kind: str, ending: str, output_format: str
) -> None:
    rows = [row for path in corpus.values() for row in rows_of(kind, path)]
    out = extract(write_rows(tmp_path / "m.jsonl", rows), tmp_path / "out", "--output-format", output_format)
    assert len(corpus) > 30
    expected = [f"{path.stem}{ending}_segment_{n:03d}.{output_format}" for path in corpus.values() for n in range(2)]
    assert [row["extracted_path"] for row in clip_rows(out)] == expected
    assert clip_names(out) == sorted(expected)
    assert [row["filename"] for row in metadata_of(out)] == expected
    assert (summary_of(out)["total_segments"], summary_of(out)["total_duration_sec"]) == (
        len(expected),
        round(0.3 * len(expected), 2),
    )
    for row in clip_rows(out):
        source, clip = info_of(Path(row["original_file"])), info_of(out / row["extracted_path"])
        start = 200 if "_000." in row["extracted_path"] else 600
        first, stop = start * source.sample_rate // 1000, (start + 300) * source.sample_rate // 1000
        assert (clip.n_samples, clip.sample_rate, clip.n_channels) == (
            stop - first,
            source.sample_rate,
            source.n_channels,
        )


ENTRY = {
    "audio_filepath": "meet.wav",
    "audio_sample_rate": 8000,
    "duration": 3.0,
    "language": "de",
    "segments": [
        {"start": 1.0, "end": 1.5, "speaker": "ben", "text": "no", "metrics": {"bandwidth": 4000}},
        {"start": 0.0, "end": 0.5, "speaker": "ana", "text": "yes"},
        {"start": 2.0, "end": 2.5},
    ],
    "diar_segments": [[0.25, 0.5], {"start": 0.0, "end": 0.125, "speaker": 3}],
}


class TestEntries:
    def cut(self, folder: Path, entry: dict[str, Any], *options: str) -> list[tuple[Any, ...]]:
        out = extract(write_rows(folder / "m.jsonl", [entry]), folder.parent / "out", *options)
        keys = ("extracted_path", "segment_index", "original_start_ms", "original_end_ms", "n_samples")
        return [tuple(row[key] for key in keys) for row in clip_rows(out)]

    def test_segments(self, folder: Path) -> None:
        assert self.cut(folder, ENTRY, "--what", "segments") == [
            ("meet_segment_000.wav", 2, 2000, 2500, 4000),
            ("meet_speaker_ana_segment_000.wav", 0, 0, 500, 4000),
            ("meet_speaker_ben_segment_000.wav", 1, 1000, 1500, 4000),
        ]
        plain, ana, ben = metadata_of(folder.parent / "out")
        assert (plain["language"], ana["text"], ben["text"], ben["bandwidth"]) == ("de", "yes", "no", "4000")
        assert list(plain) == [
            *("filename", "original_file", "segment_index", "start_sec", "end_sec", "duration", "language"),
            *("speaker_id", "text", "bandwidth"),
        ]

    def test_turns(self, folder: Path) -> None:
        assert self.cut(folder, ENTRY, "--what", "diar_segments") == [
            ("meet_segment_000.wav", 1, 250, 500, 2000),
            ("meet_speaker_3_segment_000.wav", 0, 0, 125, 1000),
        ]

    def test_windows_in_full_and_as_index_ranges(self, folder: Path) -> None:
        window = {
            "segments": [{"start": 0.5, "end": 1.0, "speaker": "ana"}, {"start": 1.0, "end": 2.75, "speaker": "ben"}]
        }
        full = ENTRY | {"filtered_windows": [window]}
        assert self.cut(folder, full, "--what", "filtered_windows") == [("meet_segment_000.wav", 0, 500, 2750, 18000)]
        (row,) = clip_rows(folder.parent / "out")
        assert (row["num_speakers"], row["turns"]) == (2, [[0.5, 1.0, "ana"], [1.0, 2.75, "ben"]])
        ranges = ENTRY | {"filtered_windows": [{"segments": [0, 2]}], "filtered": [[2.75, 0.5]]}
        out = extract(write_rows(folder / "r.jsonl", [ranges]), folder.parent / "ranges", "--what", "filtered_windows")
        assert (out / "meet_segment_000.wav").read_bytes() == (folder.parent / "out/meet_segment_000.wav").read_bytes()

    def test_auto_takes_the_first_that_there_is(self, folder: Path) -> None:
        window = {"segments": [{"start": 0.5, "end": 1.0}]}
        rows = [
            piece("meet.wav", 0, 100) | ENTRY | {"audio_filepath": "gone.wav"},
            ENTRY | {"filtered_windows": [window]},
            ENTRY,
            {key: ENTRY[key] for key in ("audio_filepath", "duration", "diar_segments")},
            {"audio_filepath": "meet.wav", "duration": 0.25, "offset": 2.0, "speaker": "zoe", "text": "bye"},
        ]
        out = extract(write_rows(folder / "m.jsonl", rows), folder.parent / "out")
        found = [(row["original_start_ms"], row["original_end_ms"], row.get("speaker_id")) for row in clip_rows(out)]
        plain = [(0, 100, None), (250, 500, None), (500, 1000, None), (2000, 2500, None)]
        spoken = [(0, 125, 3), (0, 500, "ana"), (1000, 1500, "ben"), (2000, 2250, "zoe")]
        assert found == [*plain, *spoken]

    def test_another_key_may_name_the_recording(self, folder: Path) -> None:
        rows = [
            {"wav": "meet.wav", "original_start_ms": 0, "original_end_ms": 500},
            {"wav": "chat.flac"} | {"segments": [{"start": 0, "end": 1}]},
        ]
        out = extract(write_rows(folder / "m.jsonl", rows), folder.parent / "out", "--audio-filepath-key", "wav")
        assert clip_names(out) == ["chat_segment_000.wav", "meet_segment_000.wav"]
        assert [row["original_file"] for row in clip_rows(out)] == ["meet.wav", "chat.flac"]


class TestNeMoManifest:
    def test_rows_are_pieces_from_their_offset(self, folder: Path, tmp_path: Path) -> None:
        rows = [
            {"audio_filepath": "meet.wav", "duration": 0.5, "offset": 1.0, "text": "hi", "lang": "en"},
            {"audio_filepath": "chat.flac", "duration": 2.0, "text": "all of it"},
        ]
        out = extract(write_rows(folder / "m.json", rows), tmp_path / "out")
        assert [(row["extracted_path"], row["real_start_sec"], row["real_end_sec"]) for row in clip_rows(out)] == [
            ("meet_segment_000.wav", 1.0, 1.5),
            ("chat_segment_000.wav", 0.0, 2.0),
        ]
        assert metadata_of(out)[0]["text"] == "hi"

    @pytest.mark.parametrize("pack", [[], ["--pack", "nemo-tar"]])
    def test_rows_without_duration_reach_to_the_end(self, folder: Path, tmp_path: Path, pack: list[str]) -> None:
        rows = [{"audio_filepath": "meet.wav", "offset": 1.0}, {"audio_filepath": "gone.wav", "duration": None}]
        out = extract(write_rows(folder / "m.json", rows), tmp_path / "out", *pack, code=3)
        (row,) = clip_rows(out)
        end = row["real_end_sec"]
        assert end == row["original_end_ms"] / 1000 > 1.0
        assert (row["real_start_sec"], row["duration"], row.get("clamped")) == (1.0, end - 1, None)
        (letter,) = failures_in(out)
        assert json.loads(letter["payload"])["original_end_ms"] is None
        again = write_rows(folder / "again.jsonl", [json.loads(letter["payload"]) | {"original_file": "meet.wav"}])
        assert [row["real_end_sec"] for row in clip_rows(extract(again, tmp_path / "again"))] == [end]


def test_a_recording_that_can_never_be_opened_renames_no_other(folder: Path, tmp_path: Path) -> None:
    rows = [piece("meet.wav", 0, 500), piece("file:///elsewhere/meet.wav", 0, 500), piece("http://h/meet.wav", 0, 500)]
    out = extract(write_rows(folder / "m.jsonl", rows), tmp_path / "out", code=3)
    assert clip_names(out) == ["meet_segment_000.wav"]
    assert [(letter["code"], letter["stage"]) for letter in failures_in(out)] == [("scheme_not_allowed", "plan")] * 2
    counts = manifest_of(out)["counts"]
    assert (counts["read.rows"], counts["plan.rows"], counts["plan.failures"], counts["cut.clips"]) == (3, 1, 2, 1)


class TestChained:
    @pytest.mark.parametrize("layout", ["full", "spans"])
    def test_windows_go_straight_in(self, tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Paths of recordings are relative to the manifest that the windows came from."""
        write_recording(tmp_path / "talks" / "audio" / "talk.wav", 160)
        manifest = write_rows(
            tmp_path / "talks" / "m.jsonl", [speech(4, "audio/talk.wav"), speech(2, "audio/talk.wav")]
        )
        assert run("windows", manifest, "--output", tmp_path / "windows", "--layout", layout) == 0
        monkeypatch.chdir("/")
        out = extract(tmp_path / "windows", tmp_path / "out", "--what", "filtered_windows")
        (row,) = clip_rows(out)
        assert (row["extracted_path"], row["n_samples"]) == ("talk_segment_000.wav", 120 * 8000)
        assert manifest_of(out)["counts"]["plan.dropped.no_pieces"] == 1

    def test_rows_of_clips_give_the_same_clips_again(self, folder: Path, tmp_path: Path) -> None:
        first = extract(write_rows(folder / "m.jsonl", [*ROWS["by time"], *ROWS["by speaker"]]), tmp_path / "first")
        second = extract(first, tmp_path / "second")
        assert {name: (second / name).read_bytes() for name in clip_names(second)} == {
            name: (first / name).read_bytes() for name in clip_names(first)
        }
        assert (second / "metadata.csv").read_bytes() == (first / "metadata.csv").read_bytes()
        assert [row | {"_origin": 0} for row in clip_rows(second)] == [row | {"_origin": 0} for row in clip_rows(first)]

    def test_a_row_says_which_line_it_came_from(self, folder: Path, tmp_path: Path) -> None:
        manifest = write_rows(folder / "m.jsonl", ROWS["by time"])
        whole = manifest.read_bytes()
        for row in clip_rows(extract(manifest, tmp_path / "out")):
            assert row["_origin"]["source"] == str(manifest)
            line = json.loads(whole[row["_origin"]["offset"] :].splitlines()[0])
            assert (line["original_file"], line["original_start_ms"]) == (
                row["original_file"],
                row["original_start_ms"],
            )

    def test_dead_letters_can_be_mended_and_run_again(self, folder: Path, tmp_path: Path) -> None:
        rows = [
            piece("gone.wav", 0, 100, note="n"),
            ENTRY | {"segments": [{"start": 0, "end": 1}, {"start": 5, "end": 4}]},
        ]
        out = extract(write_rows(folder / "m.jsonl", rows), tmp_path / "out", code=3)
        payloads = {letter["code"]: json.loads(letter["payload"]) for letter in failures_in(out)}
        assert payloads["not_found"] == rows[0]
        assert payloads["bad_time"]["segments"] == [{"start": 5, "end": 4}]
        mended = [payloads["not_found"] | {"original_file": "meet.wav"}, payloads["bad_time"] | {"segments": [[2, 3]]}]
        again = extract(write_rows(folder / "mended.jsonl", mended), tmp_path / "again")
        assert [row["original_start_ms"] for row in clip_rows(again)] == [0, 2000]
