"""`beam-curator convert`: any rows into the formats of other tools, and from there back into jobs."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from beam_curator.formats.registry import FORMATS
from beam_curator.runners.options import UsageError
from tests.fakes_models import write_sound
from tests.manifests import assert_nothing_left_over, failures_in, files_below, lines_in, manifest_of, run, write_lines
from tests.runners.dying_command import is_killed

ROOT = Path(__file__).parents[2]
ENTRY: dict[str, Any] = {
    "audio_filepath": "rec/a.wav",
    "audio_sample_rate": 16000,
    "duration": 12.5,
    "segments": [
        {"start": 0.5, "end": 2.0, "speaker": "ana", "text": "hi there"},
        {"start": 1.0, "end": 3.1234, "speaker": 1, "channel": 1},
        {"start": 4.0, "end": 4.0001, "speaker": "ana"},
        {"start": 5, "end": 6, "speaker": "no-speaker"},
        {"start": 9, "end": 8, "speaker": "ana"},
    ],
}
NEMO = [
    {"audio_filepath": "rec/b.wav", "offset": 4.0, "duration": 1.5, "text": "bye"},
    {"audio_filepath": "rec/b.wav", "offset": 1.0, "duration": 2, "text": "hello", "speaker": "bo"},
]


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest of an entry, two rows of NeMo, and a line that is none; no recording is there."""
    lines = [json.dumps(row).encode() for row in (ENTRY, *NEMO)]
    write_lines(tmp_path / "m.jsonl", [*lines, b"{"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(directory: Path) -> dict[str, bytes]:
    """Return the files of a set, its summary aside."""
    found = {str(path.relative_to(directory)): path.read_bytes() for path in files_below(directory)}
    return {name: text for name, text in found.items() if name != "summary.json" and not name.startswith(".kept")}


def counts_of(directory: Path) -> dict[str, int]:
    counts: dict[str, int] = manifest_of(directory)["counts"]
    return counts


def test_rows_become_files_of_their_recordings(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", "m.jsonl", "--to", "rttm", "--output", "out", "--tolerate", "2") == 0
    assert (rows / "out" / "rttm" / "a.rttm").read_text() == (
        "SPEAKER a 1 0.500 1.500 <NA> <NA> ana <NA> <NA>\nSPEAKER a 2 1.000 2.123 <NA> <NA> speaker_1 <NA> <NA>\n"
    )
    assert (rows / "out" / "rttm" / "b.rttm").read_text() == (
        "SPEAKER b 1 1.000 2.000 <NA> <NA> bo <NA> <NA>\nSPEAKER b 1 4.000 1.500 <NA> <NA> % <NA> <NA>\n"
    )
    counts = counts_of(rows / "out")
    assert (counts["plan.segments"], counts["convert.segments"], counts["convert.recordings"]) == (7, 4, 2)
    assert (counts["convert.dropped.no_length"], counts["convert.dropped.no_speaker"]) == (1, 1)
    assert sorted(letter["code"] for letter in failures_in(rows / "out")) == ["bad_json", "bad_time"]
    said = capsys.readouterr().out
    assert "Lost: text of 3 segments (rttm has none), times of 1 segment finer than 0.001 s." in said
    assert run("verify", "out") == 0
    assert_nothing_left_over(rows / "out")


@pytest.mark.parametrize("name", [name for name, one in FORMATS.items() if not one.needs])
def test_every_format_is_a_set_that_is_verified_and_the_same_again(rows: Path, name: str) -> None:
    arguments = ("convert", "m.jsonl", "--to", name, "--tolerate", "2")
    assert run(*arguments, "--output", "one") == run(*arguments, "--output", "two") == 0
    assert contents(rows / "one") == contents(rows / "two")
    assert run("verify", "one") == 0
    before = (rows / "one" / "_MANIFEST.json").stat().st_mtime_ns
    assert run(*arguments, "--output", "one") == 0
    assert (rows / "one" / "_MANIFEST.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["textgrid", "labels", "eaf", "webvtt", "srt", "stm"])
def test_there_and_back(rows: Path, name: str) -> None:
    assert run("convert", "m.jsonl", "--to", name, "--output", "there", "--tolerate", "2") == 0
    assert run("convert", "there", "--to", "stm", "--output", "back") == 0
    assert run("convert", "m.jsonl", "--to", "stm", "--output", "straight", "--tolerate", "2") == 0
    back = [(rows / of / "transcripts.stm").read_text().replace("a 2 ", "a 1 ") for of in ("back", "straight")]
    assert back[0] == back[1]


def test_a_format_may_be_named(rows: Path) -> None:
    (rows / "odd.dat").write_text("0.500000\t2.000000\tana\n")
    assert run("convert", "odd.dat", "--from", "labels", "--to", "rttm", "--output", "out") == 0
    assert (rows / "out" / "rttm" / "odd.rttm").read_text() == "SPEAKER odd 1 0.500 1.500 <NA> <NA> ana <NA> <NA>\n"


def test_a_length_that_rows_lack_is_asked_of_the_recording(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sound(rows / "rec" / "b.wav", 10.25, [])
    assert run("convert", "m.jsonl", "--to", "uem", "--output", "out", "--tolerate", "100%") == 0
    assert (rows / "out" / "uem" / "a.uem").read_text() == "a 1 0.000 12.500\n"
    assert (rows / "out" / "uem" / "b.uem").read_text() == "b 1 0.000 10.250\n"
    (rows / "rec" / "b.wav").unlink()
    capsys.readouterr()
    assert run("convert", "m.jsonl", "--to", "uem", "--output", "none", "--tolerate", "100%") == 0
    assert [letter["offset"] for letter in failures_in(rows / "none") if letter["code"] == "not_found"] == [
        len(json.dumps(ENTRY)) + 1,
        len(json.dumps(ENTRY)) + len(json.dumps(NEMO[0])) + 2,
    ]
    assert run("convert", "m.jsonl", "--to", "textgrid", "--output", "grid", "--tolerate", "2") == 0
    assert "1 recording of unknown length." in capsys.readouterr().out


def test_names_are_safe_and_different(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = ["/x/talk.wav", "/y/Talk.wav", "/x/../../a:b.wav", "/x/会.wav"]
    rows = [{"audio_filepath": path, "segments": [{"start": 0, "end": 1, "speaker": "<&\"'>\x01"}]} for path in paths]
    write_lines(tmp_path / "m.jsonl", [json.dumps(row).encode() for row in rows])
    for name in ("eaf", "textgrid"):
        assert run("convert", "m.jsonl", "--to", name, "--output", name) == 0
        files = sorted(path.stem for path in (tmp_path / name / name).iterdir())
        assert [file.partition("~")[0] for file in files] == ["Talk", "a_b", "talk", "会"]
        assert run("convert", name, "--to", "rttm", "--output", f"{name}_rttm") == 0
    assert all(b"%22'>" in path.read_bytes() for path in (tmp_path / "eaf_rttm" / "rttm").iterdir())


@pytest.mark.parametrize("is_next", [False, True])
def test_a_run_that_is_killed_leaves_nothing_half(rows: Path, *, is_next: bool) -> None:
    arguments = ["convert", "m.jsonl", "--to", "textgrid", "--tolerate", "2"]
    assert run(*arguments, "--output", "whole") == 0
    whole, moments = contents(rows / "whole"), 0
    for count in range(1, 30):
        output = rows / f"out{count}"
        if is_next:
            assert run("convert", "m.jsonl", "--to", "srt", "--tolerate", "2", "--output", output) == 0
        more = ["--overwrite"] if is_next else []
        if not is_killed(count, rows, [*arguments, "--output", str(output), *more]):
            break
        moments += 1
        assert run(*arguments, "--output", output, *more) == 0
        assert contents(output) == whole
        assert run("verify", output) == 0
    assert moments >= 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no INPUT given"),
        (("m.jsonl",), "convert: no format: name one with --to: rttm, uem, textgrid"),
        (("m.jsonl", "--to", "textgird"), "argument --to: invalid choice: 'textgird': did you mean textgrid?"),
        (("nope.jsonl", "--to", "rttm"), "file nope.jsonl is not there"),
        ((".", "--to", "rttm", "--output", "out"), "output out lies inside the input ."),
        (("m.jsonl", "--to", "rttm", "--tolerate", "x"), "run: tolerate 'x' is neither a number nor a percentage"),
    ],
)
def test_wrong_usage(rows: Path, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        run("convert", *arguments)
    assert said in str(caught.value)


def test_a_set_of_other_options_is_kept_without_overwrite(rows: Path) -> None:
    arguments: list[Any] = ["convert", "m.jsonl", "--output", "out", "--tolerate", "2"]
    assert run(*arguments, "--to", "rttm") == 0
    with pytest.raises(UsageError, match="holds a complete set of another job"):
        run(*arguments, "--to", "srt")
    assert run(*arguments, "--to", "srt", "--overwrite") == 0
    assert {path.parent.name for path in files_below(rows / "out") if path.suffix == ".srt"} == {"srt"}
    assert not (rows / "out" / "rttm").exists()
    assert run(*arguments, "--to", "srt", "--tolerate", "0") == 3
    for command in ("retry", "explain"):
        with pytest.raises(UsageError, match="was written by convert"):
            run(command, "out")


def test_the_page_of_formats_shows_the_command_and_all_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    ((console, shown),) = re.findall(
        r"```console\n\$ (.*?)\$ head -3 corrected/labels/round_table.txt\n(.*?)```", page, re.S
    )
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    command, _, said = console.partition("\n")
    assert run(*command.split()[1:]) == 0
    assert re.sub(r"[\d.]+ s:", "s:", capsys.readouterr().out) == re.sub(r"[\d.]+ s:", "s:", said)
    assert (tmp_path / "corrected/labels/round_table.txt").read_text().startswith(shown)
    rows = re.findall(r"^\| `([a-z-]+)` \| (yes|–) \| .*? \| ([\d.]+) s \|", page, re.MULTILINE)
    formats = [(name, "yes" if of.is_read or of.has_rows else "–", 10**-of.decimals) for name, of in FORMATS.items()]
    assert [(name, read, float(unit)) for name, read, unit in rows] == formats


@pytest.fixture
def sounds(rows: Path) -> Path:
    """The same manifest, with its recordings."""
    for name, seconds in (("a", 12.5), ("b", 10.25)):
        write_sound(rows / "rec" / f"{name}.wav", seconds, [])
    return rows


TEXTS = [
    ("a", 0.5, 2.0, "ana", "hi there"),
    ("a", 1.0, 3.1234, "speaker_1", None),
    ("a", 4.0, 4.0001, "ana", None),
    ("b", 1.0, 3.0, "bo", "hello"),
    ("b", 4.0, 5.5, None, "bye"),
]


def test_lhotse_reads_its_manifests(sounds: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    assert run("convert", "m.jsonl", "--to", "lhotse", "--output", "out", "--tolerate", "2") == 0
    recordings = lhotse.load_manifest("out/recordings.jsonl.gz")
    supervisions = lhotse.load_manifest("out/supervisions.jsonl.gz")
    cuts = lhotse.load_manifest("out/cuts.jsonl.gz")
    for manifest in (recordings, supervisions, cuts):
        lhotse.validate(manifest)
    lhotse.qa.validate_recordings_and_supervisions(recordings, supervisions)
    assert [(one.id, one.duration, one.num_samples) for one in recordings] == [
        ("a", 12.5, 200_000),
        ("b", 10.25, 164_000),
    ]
    found = [(one.recording_id, one.start, round(one.end, 6), one.speaker, one.text) for one in supervisions]
    assert found == TEXTS
    assert next(iter(cuts)).load_audio().shape == (1, 200_000)
    assert run("convert", "out", "--to", "stm", "--output", "back", "--tolerate", "1") == 0
    assert run("convert", "m.jsonl", "--to", "stm", "--output", "straight", "--tolerate", "2") == 0
    straight = (sounds / "straight" / "transcripts.stm").read_text().replace("a 2 ", "a 1 ")
    assert (sounds / "back" / "transcripts.stm").read_text().replace("a 2 ", "a 1 ") == straight


def test_a_data_directory_of_kaldi_is_read_by_lhotse(sounds: Path) -> None:
    kaldi = pytest.importorskip("lhotse.kaldi")
    spoken_of = [segment | {"text": segment.get("text", "a b")} for segment in ENTRY["segments"]]
    write_lines(sounds / "m.jsonl", [json.dumps(row).encode() for row in (ENTRY | {"segments": spoken_of}, *NEMO)])
    assert run("convert", "m.jsonl", "--to", "kaldi", "--output", "out", "--tolerate", "1") == 0
    recordings, supervisions, _ = kaldi.load_kaldi_data_dir("out", sampling_rate=16000)
    assert [(one.id, one.duration) for one in recordings] == [("a", 12.5), ("b", 10.25)]
    found = [(one.recording_id, one.start, round(one.end, 6), one.speaker, one.text) for one in supervisions]
    assert sorted(found) == [
        ("a", 0.5, 2.0, "a-ana", "hi there"),
        ("a", 1.0, 3.123, "a-speaker_1", "a b"),
        ("b", 1.0, 3.0, "b-bo", "hello"),
        ("b", 4.0, 5.5, "b-unknown", "bye"),
    ]
    for name in ("wav.scp", "reco2dur", "segments", "utt2spk", "spk2utt", "text"):
        lines = (sounds / "out" / name).read_bytes().splitlines()
        assert lines == sorted(lines), name
    spoken = dict(line.split(" ", 1) for line in (sounds / "out" / "utt2spk").read_text().splitlines())
    listed = [line.split() for line in (sounds / "out" / "spk2utt").read_text().splitlines()]
    assert spoken == {utterance: speaker for speaker, *utterances in listed for utterance in utterances}


def test_rows_of_nemo_and_tasks_are_inputs_again(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", "m.jsonl", "--to", "stm", "--output", "straight", "--tolerate", "2") == 0
    straight = (rows / "straight" / "transcripts.stm").read_text()
    for name in ("nemo", "label-studio"):
        assert run("convert", "m.jsonl", "--to", name, "--output", name, "--tolerate", "2") == 0
        assert run("verify", name) == 0
        capsys.readouterr()
        assert run("convert", name, "--to", "stm", "--output", f"{name}-back") == 0
        back = (rows / f"{name}-back" / "transcripts.stm").read_text()
        assert back == (straight if name == "nemo" else straight.replace("a 2 ", "a 1 "))
    row = json.loads((rows / "nemo" / "manifest.jsonl").read_text().splitlines()[0])
    assert row == {
        "audio_filepath": str(rows / "rec" / "a.wav"),
        "offset": 0.5,
        "duration": 1.5,
        "text": "hi there",
        "speaker": "ana",
    }
    assert ET.parse(rows / "label-studio" / "labels.xml").getroot().tag == "View"


def test_an_export_of_label_studio_is_a_manifest(sounds: Path) -> None:
    assert run("convert", "m.jsonl", "--to", "label-studio", "--output", "out", "--tolerate", "2") == 0
    tasks = json.loads((sounds / "out" / "tasks.json").read_text())
    exported = [
        {"id": 1, "data": {"audio": "/data/upload/1/12345678-a.wav"}, "annotations": tasks[0]["predictions"]},
        {"id": 2, "data": tasks[1]["data"], "annotations": [{"result": [], "was_cancelled": True}]},
    ]
    (sounds / "project-1.json").write_text(json.dumps(exported, indent=2))
    arguments = ("extract", "project-1.json", "--audio-root", "rec", "--output", "clips", "--tolerate", "1")
    assert run(*arguments) == 0
    clips = [json.loads(line) for line in lines_in(sounds / "clips", "clips-*.jsonl")]
    assert sorted((clip["original_start_ms"], clip["speaker_id"]) for clip in clips) == [
        (500, "ana"),
        (1000, "speaker_1"),
        (4000, "ana"),
    ]
    assert [letter["code"] for letter in failures_in(sounds / "clips")] == ["bad_turns"]


def test_a_window_is_one_segment_and_its_turns_are_told_as_lost(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoken = [(1, 2, "ana", "a"), (3, 5, "bo", "b")]
    segments = [dict(zip(("start", "end", "speaker", "text"), one, strict=True)) for one in spoken]
    row = {"audio_filepath": "a.wav", "filtered_windows": [{"segments": segments}]}
    write_lines(rows / "w.jsonl", [json.dumps(row).encode()])
    assert run("convert", "w.jsonl", "--to", "labels", "--output", "out") == 0
    assert (rows / "out" / "labels" / "a.txt").read_text() == "1.000000\t5.000000\t: a b\n"
    assert "Lost: the turns within 1 window (the input of their job has them)." in capsys.readouterr().out
