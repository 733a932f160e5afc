"""`explain`: what became of a set, of a recording, of a row, of a clip."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from beam_curator.files.storage import hash_file
from beam_curator.runners.explain_command import losses_of, made_set
from beam_curator.runners.options import UsageError
from beam_curator.runners.row_fates import MadeSet, explain_rows
from beam_curator.sets.output_set import FileRecord, InputRecord, Manifest, render_manifest
from beam_curator.windows.window_counts import LOSSES
from tests.goldens.frozen import COMMANDS, write_set
from tests.goldens.inputs import write_inputs
from tests.manifests import line_of, run, speech, write_lines
from tests.transforms.clips.clip_sets import piece, write_recording

WINDOWS = ("windows", "windows_audio_file", "windows_spans", "windows_parquet", "windows_avro")
CLIPS = ("extract", "extract_nemo_tar", "extract_avro", "export", "export_dry_run")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with sets of all kinds, made of small inputs of which some fail, and work in it."""
    folder = tmp_path_factory.mktemp("explained")
    write_inputs(folder)
    for name in (*WINDOWS, *CLIPS, "separate", "diarize_rows"):
        assert name in COMMANDS
        write_set(name, folder)
    with chdir(folder):
        yield folder


def made(name: str) -> MadeSet:
    return made_set(name, Manifest.from_json(Path(name, "_MANIFEST.json").read_bytes()))


def explained(name: str) -> list[dict[str, Any]]:
    """Explain all rows that a set was made from."""
    of = made(name)
    origins = {row.origin for row in (*of.inputs(), *of.letters(), *of.placed_rows())}
    return explain_rows(of, sorted(origins))


def fates(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(piece["fate"] for row in rows for piece in row["pieces"])


@pytest.mark.parametrize("name", WINDOWS)
def test_the_starts_of_all_rows_are_those_that_the_manifest_counts(here: Path, name: str) -> None:
    counts, found = made(name).manifest.counts, fates(explained(name))
    assert {reason: found[reason] for reason in LOSSES} == {
        reason: counts.get(f"build.{reason}", 0) for reason in LOSSES
    }
    assert (found["kept"], found["overlap"]) == (counts["overlap.windows"], counts.get("overlap.dropped", 0))
    assert found["lost_sr"] and found["lost_bw"] and found["overlap"]


@pytest.mark.parametrize("name", CLIPS)
def test_the_pieces_of_all_rows_are_those_that_the_manifest_counts(here: Path, name: str) -> None:
    counts, found = made(name).manifest.counts, fates(explained(name))
    assert found["written"] + found["filtered"] == counts["cut.clips"]
    assert found["failed"] == counts.get("cut.failures", 0) + counts.get("interval.failures", 0) > 0
    assert found["dropped"] == counts.get("cut.dropped", 0)


def test_all_dead_letters_are_told(here: Path) -> None:
    for name in (*WINDOWS, *CLIPS, "separate", "diarize_rows"):
        letters = [letter["code"] for row in explained(name) for letter in row["failures"]]
        assert sorted(letters) == sorted(letter.fields["code"] for letter in made(name).letters())
        assert letters


def test_speakers_without_a_track_are_told(here: Path) -> None:
    rows = explained("separate")
    dropped = {
        (row["offset"], piece["speaker"], piece["why"].partition(":")[0])
        for row in rows
        for piece in row["pieces"]
        if piece["fate"] == "dropped"
    }
    assert [reason for _, _, reason in dropped] == ["too_short"] * made("separate").manifest.counts["separate.dropped"]
    assert fates(rows)["written"] == made("separate").manifest.counts["separate.spans"]


def shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    assert run("explain", *arguments) == 0
    return capsys.readouterr().out.splitlines()


def test_a_recording_of_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # windows of 120 s from 0 and 40 s on share two thirds; of equally near ones the earlier stays
    low = speech(4, "b/low.wav")
    for segment in low["segments"]:
        segment["metrics"]["bandwidth"] = 3100
    rows = write_lines(tmp_path / "m.jsonl", [line_of(speech(4, "a.wav")), line_of(low)])
    run("windows", rows, "--output", tmp_path / "set", "--no-truncation")
    capsys.readouterr()
    assert shown(capsys, tmp_path / "set", "a.wav") == [
        f"{tmp_path}/a.wav: row at byte 0 of {rows}",
        "  4 starts: 1 kept, 1 overlap, 2 lost_win",
        "segment  start   end     fate      why",
        "-------  ------  ------  --------  ----------------------------------------------",
        "0        0.00    120.00  kept      120 s, speakers: 2",
        "1        40.00   160.00  overlap   shares 67 % with 0.00-120.00 s",
        "2        80.00   160.00  lost_win  80 s, 108-132 s needed: the segments end there",
        "3        120.00  160.00  lost_win  40 s, 108-132 s needed: the segments end there",
        "  --target-window-duration 80 gives 3 windows, 2 kept (now 1)",
        "  --overlap-percentage 75 gives 2 windows, 2 kept (now 1)",
    ]
    assert shown(capsys, tmp_path / "set", "low")[-1] == "  --min-bandwidth 3000 gives 2 windows, 1 kept (now 0)"


def test_a_set_as_a_whole(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "windows")
    assert lines[0].split() == ["stage", "in", "out", "dropped", "failures", "audio", "time"]
    at = lines.index("recordings that lost most:")
    failed = ["failed: " in line for line in lines[at + 1 :]]
    assert failed == sorted(failed, reverse=True) and 0 < sum(failed) < len(failed)
    assert "  manifests/0.wav: 4 lost_win, 2 overlap" in lines
    values = json.loads("\n".join(shown(capsys, "windows", "--format", "json")))
    assert [stage["name"] for stage in values["stages"]] == ["read", "build", "windows", "overlap", "write"]
    assert len(values["lost_most"]) == 8


def test_recordings_that_lost_most_come_first(here: Path) -> None:
    lost = losses_of(made("separate"))
    assert [sum(n for reason, n in of.items() if reason.startswith("failed")) for _, of in lost][:4] == [1, 1, 1, 1]
    assert all(any(reason.startswith("s ") for reason in of) for _, of in lost[4:]) and lost[4:]


@pytest.mark.parametrize("name", ["pieces.jsonl:0", "audio/pieces.jsonl:0", "1", "{clip}", "extract/{clip}"])
def test_rows_go_by_place_number_and_clip(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (clip,) = (row.fields["extracted_path"] for row in made("extract").rows() if row.origin[1] == 0)
    lines = shown(capsys, "extract", name.format(clip=clip))
    assert lines[0] == "audio/x/a.wav: row at byte 0 of audio/pieces.jsonl"
    assert lines[-1].split() == ["0.25", "1.25", "written", clip]


def test_of_a_clip_of_several_it_alone_is_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_row = Counter(row.origin for row in made("extract").rows())
    origin = next(origin for origin, n in of_row.items() if n == 2)
    own = [row.fields["extracted_path"] for row in made("extract").rows() if row.origin == origin]
    assert [line.split()[-1] for line in shown(capsys, "extract", own[1])[4:]] == own[1:]


def test_a_recording_of_several_rows_has_them_all(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "extract", "x/a.wav")
    assert [line for line in lines if line.startswith("audio/x/a.wav: ")] == [
        f"audio/x/a.wav: row at byte {offset} of audio/pieces.jsonl" for offset in (0, 700, 776)
    ]
    assert lines[-1].startswith("  failed in plan: missing_key, key 'original_end_ms' is absent (cure: ")


def test_a_name_of_two_recordings_lists_them(here: Path) -> None:
    with pytest.raises(UsageError, match=r"'a\.wav' means 2 recordings: give one of audio/x/a\.wav, audio/y/a\.wav"):
        run("explain", "extract", "a.wav")


def test_the_nearest_names_are_told(here: Path) -> None:
    with pytest.raises(UsageError, match=r"extract has nothing of the name 'nan\.waw': did you mean nan\.wav or "):
        run("explain", "extract", "nan.waw")
    with pytest.raises(UsageError, match="give a recording, a clip, or MANIFEST:OFFSET of a row"):
        run("explain", "extract", "#")


def test_turns_are_summed_up(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "diarize_rows", "one.wav")
    assert lines[1] == "  8.0 s, 2 speakers, 3 turns, 6.0 s of turns"
    assert lines[4].split() == ["0.80", "2.40", "speaker_0", "1.60"]
    assert shown(capsys, "diarize_rows", "gone.wav")[1].startswith("  failed in diarize: not_found, ")


def test_an_entry_says_what_was_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turn = {"start": 0.5, "end": 2.0, "speaker": "speaker_0", "channel": 1, "metrics": {"bandwidth": 3900}}
    entry = {
        "audio_filepath": "a.wav", "duration": 4.0, "segments": [turn], "num_speakers": 1, "speakers_saturated": True,
        "non_speech_seconds": 1.25, "recording_id": "talk-7", "files": [],
        "_origin": {"source": "m.jsonl", "offset": 0},
    }  # fmt: skip
    write_lines(tmp_path / "turns-00000-of-00001.jsonl", [line_of(entry)])
    file = FileRecord(name="turns-00000-of-00001.jsonl", n_bytes=1, sha256="", n_rows=1, kind="turns")
    text = render_manifest(command="diarize", config={"model": {"x": 1}}, inputs=[], counts={}, files=[file])
    (tmp_path / "_MANIFEST.json").write_bytes(text)
    assert shown(capsys, tmp_path, "talk-7") == [
        "a.wav: row at byte 0 of m.jsonl",
        "  4.0 s, 1 speaker, 1 turn, 1.5 s of turns",
        "  non_speech_seconds 1.25: s of turns were left out, as nobody speaks there",
        "  speakers_saturated: as many speakers talk as the model can tell apart; there may be more",
        "start  end   speaker    channel  seconds  bandwidth",
        "-----  ----  ---------  -------  -------  ---------",
        "0.50   2.00  speaker_0  1        1.50     3900",
    ]
    assert shown(capsys, tmp_path)[-1] == "  a.wav: 1.25 non_speech_seconds"


def test_rejected_and_repeated_clips_of_an_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recording(tmp_path / "a.wav")
    rows = [piece("a.wav", 0, 500, rejected_by="snr"), piece("a.wav", 0, 500), piece("a.wav", 500, 1000)]
    manifest = write_lines(tmp_path / "m.jsonl", map(line_of, rows))
    run("export", manifest, "--output", tmp_path / "set")
    capsys.readouterr()
    lines = shown(capsys, tmp_path / "set", "a.wav")
    cells = [line.split()[2:4] for line in lines if line.startswith("0.")]
    assert cells[0] == ["filtered", cells[0][1]] and any(line.endswith(".flac, by snr") for line in lines)
    assert cells[1] == ["dropped", "duplicate:"]
    assert cells[2][0] == "written"


def test_inputs_that_are_gone_or_have_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_lines(tmp_path / "m.jsonl", [line_of(speech(4))])
    run("windows", manifest, "--output", tmp_path / "set")
    manifest.write_bytes(manifest.read_bytes().replace(b"8000", b"7000"))
    with pytest.raises(UsageError, match=r"was made from .*m\.jsonl, which has changed since: restore it, or run the "):
        run("explain", tmp_path / "set", "a.wav")
    manifest.unlink()
    with pytest.raises(UsageError, match=r"m\.jsonl, which is no longer there: "):
        run("explain", tmp_path / "set", "a.wav")
    capsys.readouterr()
    assert shown(capsys, tmp_path / "set")  # the set as a whole needs no inputs


def test_relative_inputs_are_found_from_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "in" / "m.jsonl", [line_of(speech(4))])
    run("windows", "in/m.jsonl", "--output", "out/set")
    capsys.readouterr()
    monkeypatch.chdir("/")
    assert shown(capsys, tmp_path / "out" / "set", "in/m.jsonl:0")[1] == "  4 starts: 1 kept, 1 overlap, 2 lost_win"


def write_windows(folder: Path, rows: Path, **inputs: InputRecord) -> None:
    """Write the manifest of a set of windows without rows, of some rows and other inputs."""
    config: dict[str, dict[str, object]] = {"windows": {}, "overlap": {}, "input": {}}
    n_bytes, sha256, _ = hash_file(str(rows))
    read = InputRecord(name=str(rows), n_bytes=n_bytes, sha256=sha256)
    text = render_manifest(command="windows", config=config, inputs=[read, *inputs.values()], counts={}, files=[])
    folder.mkdir()
    (folder / "_MANIFEST.json").write_bytes(text)


def test_a_row_that_this_version_refuses(tmp_path: Path) -> None:
    write_windows(tmp_path / "set", write_lines(tmp_path / "m.jsonl", [line_of({"audio_filepath": "a.wav"})]))
    with pytest.raises(UsageError, match="this one refuses its row: key 'segments' is absent"):
        run("explain", tmp_path / "set", "a.wav")


def test_an_input_that_could_not_be_read_has_no_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write_lines(tmp_path / "m.jsonl", [line_of(speech(4))])
    write_windows(tmp_path / "set", rows, gone=InputRecord(name="gone.jsonl", n_bytes=None, sha256=None))
    assert len(shown(capsys, tmp_path / "set", "1")) > 4


@pytest.mark.parametrize("name", ["a_1.wav", "a_0+1", '["a_0.wav", "a_1.wav"]'])
def test_channels_in_files_of_their_own(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write_lines(tmp_path / "m.jsonl", [line_of(speech(4, audio_filepath=["a_0.wav", "a_1.wav"]))])
    write_windows(tmp_path / "set", rows)
    assert shown(capsys, tmp_path / "set", name)[0].startswith(f'["{tmp_path}/a_0.wav", "{tmp_path}/a_1.wav"]: row at')


def test_a_set_of_other_options_is_refused(tmp_path: Path) -> None:
    text = render_manifest(
        command="windows", config={"windows": {"loudness": 1}}, files=[], counts={},
        inputs=[InputRecord(name="a", n_bytes=1, sha256="")],
    )  # fmt: skip
    (tmp_path / "_MANIFEST.json").write_bytes(text)
    with pytest.raises(UsageError, match=r"was made by another version: unknown option 'windows\.loudness'"):
        run("explain", tmp_path, "a.wav")
    with pytest.raises(UsageError, match="has no _MANIFEST"):
        run("explain", tmp_path / "none")
