"""`beam-curator separate` from the outside: what it writes and says, bad input, the same set twice, what comes next."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from subprocess import run as run_program

import fastavro
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from beam_curator.runners.jobs import kind_of_job
from beam_curator.runners.jobs.separate import SeparateJob, separation_hint
from beam_curator.runners.options import UsageError
from tests.fakes_models import write_band_model, write_sound
from tests.manifests import (
    failures_in,
    line_of,
    lines_in,
    manifest_of,
    run,
    run_process,
    small_blocks_command,
    write_lines,
)
from tests.transforms.clips.clip_sets import clip_rows, extract
from tests.transforms.diarization.turn_sets import bytes_of, diarize
from tests.transforms.separation.track_sets import (
    RATE,
    assert_tracks_hold_what_rows_say,
    check_set,
    names_of_tracks,
    row,
    samples_of,
    separate,
    tracks_in,
    write_noise,
    write_rows,
)

TURNS = ([0, 10, 0], [4, 5, 1], [12, 14, 1], [13.5, 15.5, "ana"])


@pytest.fixture(scope="module")
def meetings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of ten recordings, two of which have one stem; one row is broken, and one names nothing that is."""
    folder = tmp_path_factory.mktemp("meetings")
    rows = []
    for number in range(10):
        name = f"{number % 2}/{number - number % 2 if number < 4 else number}.{'flac' if number == 5 else 'wav'}"
        write_noise(folder / name, 16, "PCM_24" if number % 3 else "PCM_16", seed=number)
        turns = [[start + number / 100, end, speaker] for start, end, speaker in TURNS]
        rows.append(line_of(row(name, *turns, id=number)))
    lines = [*rows[:4], b"{broken", line_of(row("gone.wav", *TURNS)), *rows[4:]]
    return write_lines(folder / "meetings.jsonl", lines)


class TestTheCommand:
    def test_is_that_of_its_job(self) -> None:
        assert kind_of_job("separate") is SeparateJob
        assert (SeparateJob.kind.command, SeparateJob.label) == ("separate", "Separate speakers")

    def test_writes_tracks_says_what_came_and_is_done_the_second_time(self, meetings: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        ended = run_process("separate", meetings, "--output", out, "--jobs", "2")
        assert ended.returncode == 3, ended.stderr
        table, last = ended.stdout.splitlines(), ended.stdout.splitlines()[-1]
        assert [line.split()[0] for line in table[2:7]] == ["read", "plan", "separate", "tracks", "write"]
        assert any(line.startswith("separate  11 recordings  10 recordings") for line in table)
        assert "  1 recording failed in separate: not_found, " in ended.stdout
        assert last.startswith("10 recordings, 30 tracks, ")
        check_set(out)
        assert assert_tracks_hold_what_rows_say(out, meetings.parent) == 30
        before = bytes_of(out)
        again = run_process("separate", meetings, "--output", out)
        assert (again.returncode, "already complete" in again.stdout + again.stderr) == (3, True)
        assert bytes_of(out) == before

    def test_other_options_need_overwrite_and_replace_the_tracks(self, meetings: Path, tmp_path: Path) -> None:
        out = separate(meetings, tmp_path / "out", code=3)
        with pytest.raises(UsageError, match="compact"):
            run("separate", meetings, "--output", out, "--compact")
        separate(meetings, out, "--compact", "--output-format", "flac", "--overwrite", "--tolerate", 2)
        assert {Path(name).suffix for name in names_of_tracks(out)} == {".flac"}
        assert assert_tracks_hold_what_rows_say(out, meetings.parent) == 30

    def test_plans_without_writing(self, meetings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("separate", meetings, "--output", tmp_path / "out", "--plan", "--buffer-mode", "pad_turns") == 0
        said = capsys.readouterr().out
        assert "tracks/ID_speaker_NAME.wav, tracks-*, failures-* where there are any" in said
        assert "buffer_mode: pad_turns" in said
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            (["--overlap-policy", "latest"], "overlap_policy 'latest' says who gets overlaps"),
            (["--min-duration", "-1"], "min_duration -1 must be 0-86400"),
            (["--audio-filepath-key", ""], "audio_filepath_key is empty"),
            (["--diar-segments-key", "audio_filepath"], "both 'audio_filepath'"),
            (["--shards", "-1"], "shards -1 is below 0"),
        ],
    )
    def test_refuses_options_that_cannot_hold(self, options: list[str], problem: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=problem):
            run("separate", "m.jsonl", "--output", tmp_path / "out", *options)


@pytest.mark.usefixtures("small_blocks")
class TestIdenticalSets:
    @pytest.mark.parametrize("options", [[], ["--shards", "2", "--compact"], ["--row-format", "parquet"]], ids=str)
    def test_again_and_with_every_bundle_repeated(self, meetings: Path, tmp_path: Path, options: list[str]) -> None:
        flags = (*options, "--tolerate", "100%")
        first = bytes_of(separate(meetings, tmp_path / "first", *flags))
        assert bytes_of(separate(meetings, tmp_path / "again", *flags, "--direct_runner_bundle_repeat=1")) == first

    def test_with_two_workers(self, meetings: Path, tmp_path: Path) -> None:
        first = bytes_of(separate(meetings, tmp_path / "first", "--shards", 3, code=3))
        arguments = ("separate", meetings, "--output", tmp_path / "two", "--shards", "3", "--jobs", "2")
        run_program(small_blocks_command(*arguments), capture_output=True, check=False, timeout=120)
        assert bytes_of(tmp_path / "two") == first

    @pytest.mark.parametrize("row_format", ["parquet", "avro"])
    def test_every_format_holds_the_same_rows(self, meetings: Path, tmp_path: Path, row_format: str) -> None:
        expected = tracks_in(separate(meetings, tmp_path / "jsonl", code=3))
        out = separate(meetings, tmp_path / "other", "--row-format", row_format, "--shards", 1, code=3)
        (path,) = out.glob(f"tracks-*.{row_format}")
        if row_format == "parquet":
            records = pq.read_table(path).to_pylist()
        else:
            with path.open("rb") as stream:
                records = list(fastavro.reader(stream))
        assert [json.loads(record["row"]) for record in records] == expected
        assert [record["num_spans"] for record in records] == [len(each["segments"]) for each in expected]


BAD_ROWS: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{broken", "bad_json"),
    "no turns": (line_of({"audio_filepath": "a.wav"}), "missing_key"),
    "turns are no list": (line_of({"audio_filepath": "a.wav", "segments": "x"}), "bad_type"),
    "pairs": (line_of({"audio_filepath": "a.wav", "diar_segments": [[0, 1]]}), "missing_key"),
    "no speaker": (line_of({"audio_filepath": "a.wav", "segments": [{"start": 0, "end": 1}]}), "missing_key"),
    "speaker of another kind": (line_of(row("a.wav", [0, 1, 1.5])), "bad_type"),
    "negative speaker": (line_of(row("a.wav", [0, 1, -1])), "bad_type"),
    "reversed": (line_of(row("a.wav", [2, 1, 0])), "bad_time"),
    "before the beginning": (line_of(row("a.wav", [-1, 1, 0])), "bad_time"),
    "no recording": (line_of({"segments": []}), "missing_key"),
    "missing": (line_of(row("gone.wav", [0, 1, 0])), "not_found"),
    "a folder": (line_of(row("folder", [0, 1, 0])), "not_readable"),
    "text": (line_of(row("text.wav", [0, 1, 0], [1, 2, 1])), "not_audio"),
    "nothing in it": (line_of(row("empty.wav", [0, 1, 0])), "empty_audio"),
    "NaN": (line_of(row("nan.wav", [0, 1, 0])), "non_finite"),
    "cut off": (line_of(row("cut.wav", [0, 1, 0], [2, 3, 1])), "truncated_audio"),
    "damaged": (line_of(row("damaged.flac", [0, 1, 0])), "truncated_audio"),
    "elsewhere": (line_of(row("ftp://host/b.wav", [0, 1, 0])), "scheme_not_allowed"),
}


def write_bad_recordings(folder: Path) -> None:
    write_noise(folder / "a.wav", 4)
    (folder / "folder").mkdir()
    (folder / "text.wav").write_text("no audio at all")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "cut.wav").write_bytes((folder / "a.wav").read_bytes()[: 44 + 2 * RATE * 2])
    samples = np.zeros(RATE, np.float32)
    samples[-1] = np.nan
    soundfile.write(folder / "nan.wav", samples, RATE, subtype="FLOAT")
    write_noise(folder / "damaged.flac", 4)
    whole = bytearray((folder / "damaged.flac").read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 2000] = bytes(2000)
    (folder / "damaged.flac").write_bytes(whole)


def test_bad_rows_and_recordings_have_their_dead_letters(tmp_path: Path) -> None:
    write_bad_recordings(tmp_path)
    good = line_of(row("a.wav", [0, 1, 0]))
    manifest = write_lines(tmp_path / "m.jsonl", [good, *(line for line, _ in BAD_ROWS.values())])
    out = separate(manifest, tmp_path / "out", code=3)
    lines = {line: name for name, (line, _) in BAD_ROWS.items()}
    letters = {lines[letter["payload"]]: letter for letter in failures_in(out)}
    assert {name: letter["code"] for name, letter in letters.items()} == {
        name: code for name, (_, code) in BAD_ROWS.items()
    }
    assert {letter["stage"] for letter in letters.values()} == {"plan", "separate"}
    assert all(letter["message"] and letter["cure"] for letter in letters.values())
    assert names_of_tracks(out) == {"tracks/a_speaker_0.wav"}
    assert manifest_of(out)["counts"]["separate.speakers_failed"] == 9


def test_odd_turns_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_noise(tmp_path / "a.wav", 4)
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    (tmp_path / "cut.wav").write_bytes((tmp_path / "a.wav").read_bytes()[: 44 + 2 * RATE * 2])
    manifest = write_rows(
        tmp_path / "m.jsonl",
        row("a.wav", [0, 9, 0], [4, 5, "late"], [1, 1, 7], [2, 1, "no-speaker"], [3, 3.2, "short"], [3, None, 0], None),
        row("b.wav"),
        row("cut.wav", [0.5, 1.5, 0]),
        {"audio_filepath": "b.wav", "diar_segments": [[0, 1]], "segments": [{"start": 0, "end": 1, "speaker": 0}]},
    )
    out = separate(manifest, tmp_path / "out")
    counts = manifest_of(out)["counts"]
    assert {
        name: n
        for name, n in counts.items()
        if "turns" in name or "bad" in name or "dropped" in name or "silent" in name
    } == {
        "plan.bad_segments": 2,
        "plan.turns": 5,
        "plan.turns_empty": 1,
        "plan.turns_no_speaker": 1,
        "separate.dropped": 2,
        "separate.dropped.only_overlapped": 1,
        "separate.dropped.outside": 1,
        "separate.silent": 1,
        "separate.turns_cut": 1,
        "separate.turns_outside": 1,
    }
    assert assert_tracks_hold_what_rows_say(out, tmp_path) == 3
    said = capsys.readouterr().out
    assert "1 speaker dropped in tracks: outside, all turns of the speaker begin behind the end of" in said
    assert "1 turn behind the end of the recording, left out" in said
    assert "2 turns dropped in turns: bad_segments, the segment or turn has no usable times" in said
    assert [each.get("bad_segments") for each in tracks_in(out)] == [2, None, None]
    separate(manifest, tmp_path / "strict", "--strict", code=3)
    assert [letter["message"] for letter in failures_in(tmp_path / "strict")] == [
        "segments[5][1] is null, expected seconds between -1e+12 and 1e+12"
    ]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"rows": 3, "tracks": 4}, None),
        ({"rows": 3, "saturated": 1, "tracks": 4}, "1 recording with speech from as many speakers as its diarizer can"),
        ({"rows": 3, "saturated": 2, "turns_outside": 1}, "(speakers_saturated): their tracks may mix people."),
        (
            {"rows": 3, "turns_outside": 2, "tracks": 4},
            "2 turns behind the end of the recording, left out: look whether",
        ),
        ({"rows": 3, "silent": 3}, "No recording has a turn"),
        ({"rows": 3, "silent": 2, "tracks": 1}, None),
        ({"rows": 3, "silent": 2, "dropped": 1}, "No speaker has a track"),
    ],
)
def test_hints_say_what_a_person_should_know(counts: dict[str, int], said: str | None) -> None:
    hint = separation_hint(Counter({f"separate.{name}": n for name, n in counts.items()}))
    assert hint is None if said is None else hint is not None and said in hint


def test_a_set_without_tracks_is_a_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_noise(tmp_path / "a.wav", 2)
    out = separate(write_rows(tmp_path / "m.jsonl", row("a.wav")), tmp_path / "out")
    assert [file["kind"] for file in manifest_of(out)["files"]] == []
    assert "No recording has a turn" in capsys.readouterr().out


class TestChain:
    """From recordings to turns, tracks, clips and windows, each of what came before as it is."""

    @pytest.fixture(scope="class")
    def tracks(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("chain")
        speech = [(10.0 * number, 10.0 * number + 8.0, number % 4) for number in range(12)]
        write_sound(folder / "in" / "panel.flac", 120.0, speech, 44100, 2)
        model = write_band_model(folder / "model")
        turns = diarize(folder / "in", folder / "turns", model=model)
        return separate(turns, folder / "tracks", "--compact")

    def test_tracks_hold_the_turns_and_say_that_they_may_mix_people(self, tracks: Path) -> None:
        rows = tracks_in(tracks)
        assert assert_tracks_hold_what_rows_say(tracks, tracks) == 4
        assert [each["speakers_saturated"] for each in rows] == [True] * 4
        assert manifest_of(tracks)["counts"]["separate.saturated"] == 1
        assert [each["duration"] for each in rows] == [24.0] * 4

    def test_extract_cuts_what_the_source_holds(self, tracks: Path, tmp_path: Path) -> None:
        out = extract(tracks, tmp_path / "clips")
        whole = samples_of(Path(tracks_in(tracks)[0]["source_audio_filepath"]))
        spans = {each["speaker_id"]: each["diar_segments"] for each in tracks_in(tracks)}
        assert len(clip_rows(out)) == 12
        for clip in clip_rows(out):
            place = int(clip["extracted_path"][-7:-4])
            first, stop = (round(time * 44100) for time in spans[clip["speaker_id"]][place])
            np.testing.assert_array_equal(samples_of(out / clip["extracted_path"]), whole[first:stop])

    def test_windows_and_their_clips(self, tracks: Path, tmp_path: Path) -> None:
        assert run("windows", tracks, "--output", tmp_path / "windows", "--target-window-duration", 16) == 0
        out = extract(tmp_path / "windows", tmp_path / "clips")
        assert len(clip_rows(out)) >= 4
        for clip in clip_rows(out):
            track = samples_of(tracks / clip["original_file"])
            first, stop = (round(clip[f"real_{side}_sec"] * 44100) for side in ("start", "end"))
            np.testing.assert_array_equal(samples_of(out / clip["extracted_path"]), track[first:stop])

    def test_tracks_are_separated_again(self, tracks: Path, tmp_path: Path) -> None:
        out = separate(tracks, tmp_path / "again")
        assert assert_tracks_hold_what_rows_say(out, tracks) == 4
        parents = {each["speaker_id"]: each["audio_filepath"] for each in tracks_in(tracks)}
        assert {each["speaker_id"]: each["source_audio_filepath"] for each in tracks_in(out)} == parents
        assert len(lines_in(out, "tracks-*.jsonl")) == 4
