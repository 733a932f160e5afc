"""`beam-curator report`: the page of sets, its numbers beside theirs, and its thresholds beside real runs."""

from __future__ import annotations

import json
import random
import re
import shlex
from base64 import b64decode
from pathlib import Path
from urllib.parse import unquote

import pytest

from beam_curator.audio import open_audio
from beam_curator.runners.options import UsageError
from tests.fakes_models import write_sound
from tests.manifests import assert_nothing_left_over, files_below, line_of, manifest_of, run, write_lines
from tests.report_pages import EVIL, data_of, make_page, write_evil
from tests.runners.dying_command import is_killed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of windows, and its page."""
    return make_page(tmp_path_factory.mktemp("report"))


def test_the_page_is_a_set_that_is_verified_and_not_made_again(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = made / "page"
    assert {path.name for path in files_below(page)} >= {"index.html", "page.css", "overview.js", "table-00000.js"}
    assert run("verify", page) == 0
    assert run("report", made / "w", "--output", page) == 0
    assert f"{page} is already complete: nothing to do." in capsys.readouterr().out
    assert_nothing_left_over(page)


def test_it_is_the_same_bytes_again(made: Path) -> None:
    assert run("report", made / "w", "--output", made / "page2") == 0
    ours, other = manifest_of(made / "page"), manifest_of(made / "page2")
    assert ours == other
    with pytest.raises(UsageError, match=r"report\.title was '', is 'x'"):
        run("report", made / "w", "--output", made / "page", "--title", "x")


def test_numbers_are_those_of_the_summary_and_of_the_rows(made: Path) -> None:
    summary = json.loads((made / "w" / "summary.json").read_text())
    overview = data_of(made / "page", "overview")
    (shown,) = overview["sets"]
    for stage, ours in zip(summary["stages"], shown["stages"], strict=True):
        assert {key: ours[key] for key in ours if not key.startswith("time")} == {
            key: stage[key] for key in ours if not key.startswith("time")
        }
    rows = [json.loads(line) for path in (made / "w").glob("windows-*") for line in path.read_bytes().splitlines()]
    lines = data_of(made / "page", "table-00000")
    assert len(lines) == overview["recordings"] == 13  # neither row that failed names a recording
    by_name = {line["name"]: line for line in lines}
    for row in rows:
        line = by_name[row["audio_filepath"].rpartition("/")[2]]
        assert line.get("windows", 0) == len(row["windows"])
        assert line.get("kept", 0) == len(row["filtered_windows"])
    counts = summary["counts"]
    assert sum(line.get("kept", 0) for line in lines) == counts["overlap.windows"] > 5
    assert sum(line.get("failures", 0) for line in lines) == shown["failures"] == 2
    for loss in shown["losses"]:
        assert sum(line.get("lost", {}).get(loss["reason"], 0) for line in lines) == loss["n"], loss
    assert [cure["command"] for cure in shown["cures"]] == [
        ["beam-curator", "retry", str(made / "w"), "--code", cure["code"]] for cure in shown["cures"]
    ]
    assert sum(cure["n"] for cure in shown["cures"]) == 2


def test_a_recording_is_heard_or_its_absence_is_said(made: Path) -> None:
    by_name = {line["name"]: line["at"] for line in data_of(made / "page", "table-00000")}
    details = data_of(made / "page", "details-00000")
    there, gone = (details[by_name[name][1]] for name in ("talk 0.wav", "talk 4.wav"))
    assert there["audio"] == "../rec/talk%200.wav"
    assert len(there["peaks"]) == 1940  # Base64 of 1,455 peaks, of 22 samples each
    assert there["problem"] == ""
    assert (gone["peaks"], gone["problem"]) == ("", f"there is no file {made / 'rec' / 'talk 4.wav'}")
    assert [span[:2] for span in there["turns"][0]["spans"]] == sorted(span[:2] for span in there["turns"][0]["spans"])


def test_moved_thresholds_of_windows_keep_as_many_as_real_runs(made: Path, tmp_path: Path) -> None:
    trials = data_of(made / "page", "overview")["sets"][0]["trials"]["options"]
    assert [trial["name"] for trial in trials] == [
        "min_bandwidth", "target_window_duration", "overlap_percentage", "tolerance", "max_speakers", "min_speakers",
        "min_sample_rate",
    ]  # fmt: skip
    draw = random.Random(3)
    tried = [(trial, at) for trial in trials for at in draw.sample(range(len(trial["values"])), 1)]
    found = set()
    for number, (trial, at) in enumerate(tried):
        words = [word.replace("{}", str(trial["values"][at])) for word in trial["command"]]
        words[words.index("--output") + 1] = str(tmp_path / f"w{number}")
        assert words[0] == "beam-curator"
        assert run(*shlex.split(shlex.join(words))[1:], "--tolerate", "2") == 0, words
        counts = manifest_of(tmp_path / f"w{number}")["counts"]
        kept = [counts.get("overlap.windows", 0), counts.get("overlap.audio_us", 0)]
        assert trial["kept"][at] == kept, (trial["name"], trial["values"][at])
        found.add(tuple(kept))
    assert len(found) > 3


def test_moved_thresholds_of_values_keep_as_many_as_the_filter(made: Path, tmp_path: Path) -> None:
    rows = [line for line in (made / "m.jsonl").read_bytes().splitlines() if line.startswith(b'{"audio')]
    write_lines(tmp_path / "f.jsonl", rows)
    assert run("filter", tmp_path / "f.jsonl", "--where", "snr_db >= 5", "--output", tmp_path / "f") == 0
    assert run("report", tmp_path / "f", "--output", tmp_path / "page", "--no-waveforms") == 0
    charts = {(chart["of"], chart["key"]): chart for chart in data_of(tmp_path / "page", "overview")["charts"]}
    assert charts["recordings", "snr_db"]["limit"] == 5
    draw = random.Random(5)
    for number, (of, key) in enumerate([("recordings", "snr_db"), ("segments", "metrics.bandwidth")]):
        chart = charts[of, key]
        at = draw.randrange(1, len(chart["edges"]))
        words = [word.replace("{}", str(chart["edges"][at])) for word in chart["command"]]
        words[words.index("--output") + 1] = str(tmp_path / f"g{number}")
        assert run(*words[1:]) == 0
        counts = manifest_of(tmp_path / f"g{number}")["counts"]
        n = counts["segments.kept"] if of == "segments" else counts["filter.rows"]
        assert n == sum(bar[0] for bar in chart["bars"][at:])


def test_texts_of_rows_are_data_and_nothing_else(tmp_path: Path) -> None:
    page = write_evil(tmp_path)
    for path in files_below(page):
        if path.suffix in (".js", ".html"):
            text = path.read_bytes()
            assert b"alert(" not in text or path.name.startswith(("overview", "table", "details"))
    assert data_of(page, "overview")["title"] == EVIL
    assert EVIL in data_of(page, "details-00000")[0]["turns"][0]["speakers"]
    index = (page / "index.html").read_text()
    assert "default-src 'none'; script-src 'self';" in index
    assert "<script>" not in index
    assert "style=" not in index


def test_small_copies_make_a_page_to_give_away(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    write_sound(tmp_path / "rec" / "a.wav", seconds=1.5, sample_rate=44100, n_channels=2)
    write_sound(tmp_path / "rec" / "b.flac", seconds=1)
    (tmp_path / "rec" / "b.flac").rename(tmp_path / "rec" / "b.sph")
    write_lines(tmp_path / "m.jsonl", [line_of({"audio_filepath": f"rec/{name}"}) for name in ("a.wav", "b.sph")])
    assert run("filter", tmp_path / "m.jsonl", "--where", "x != 1", "--keep-missing", "--output", tmp_path / "f") == 0
    for name, copied in (("linked", ["audio-000001.opus"]), ("copied", ["audio-000000.opus", "audio-000001.opus"])):
        flags = ["--copy-audio", "--spectrograms"] if name == "copied" else []
        assert run("report", tmp_path / "f", "--output", tmp_path / name, *flags) == 0
        sounds = sorted((tmp_path / name / "page_files").glob("*.opus"))
        assert [path.name for path in sounds] == copied
        details = data_of(tmp_path / name, "details-00000")
        assert details[1]["audio"] == "page_files/audio-000001.opus"
        assert details[0]["audio"] == ("../rec/a.wav" if name == "linked" else "page_files/audio-000000.opus")
        assert [each.get("spectrogram") for each in details] == (
            [None, None] if name == "linked" else ["spectrogram-000000", "spectrogram-000001"]
        )
        assert run("verify", tmp_path / name) == 0
    picture = data_of(tmp_path / "copied", "spectrogram-000000")
    assert (picture["n_bands"], picture["highest"]) == (64, 22050)
    assert len(b64decode(picture["levels"])) == 64 * 130  # columns: a frame each, 512 samples apart
    with open_audio(sounds[0].read_bytes()) as reader:
        assert (reader.info.sample_rate, reader.info.n_channels, reader.info.codec) == (24000, 1, "opus")
        assert abs(reader.info.n_samples - 36000) < 500


@pytest.mark.parametrize("count", [2, 4, 6, 12])
def test_a_page_that_was_killed_goes_on_where_it_stopped(made: Path, count: int) -> None:
    page = made / f"killed{count}"
    command = ["report", str(made / "w"), "--output", str(page)]
    assert is_killed(count, made, command)
    details = page / "page_files" / "details-00000.js"
    before = details.stat().st_mtime_ns if count > 4 else None
    assert run(*command) == 0
    assert before in (None, details.stat().st_mtime_ns)
    assert manifest_of(page) == manifest_of(made / "page")
    assert run("verify", page) == 0
    assert_nothing_left_over(page)


def test_turns_are_compared_with_a_reference_the_worst_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = {"a": [(0, 7, "x"), (7, 11, "y")], "b": [(1, 3, "z")], "c": [(0, 1, "z")]}
    rows = [
        {"audio_filepath": f"{name}.wav", "segments": [{"start": s, "end": e, "speaker": who} for s, e, who in of]}
        for name, of in turns.items()
    ]
    write_lines(tmp_path / "m.jsonl", map(line_of, rows))
    true = [("a", 0, 8, "ann"), ("a", 8, 2, "bob"), ("b", 1, 2, "ann")]
    rttm = "".join(f"SPEAKER {name} 1 {s} {n} <NA> <NA> {who} <NA> <NA>\n" for name, s, n, who in true)
    (tmp_path / "true.rttm").write_text(rttm)
    assert run("filter", tmp_path / "m.jsonl", "--where", "x != 1", "--keep-missing", "--output", tmp_path / "f") == 0
    reference = ("--reference", tmp_path / "true.rttm")
    assert run("report", tmp_path / "f", "--output", tmp_path / "page", *reference) == 0
    assert data_of(tmp_path / "page", "overview")["sort"] == "DER %"
    lines = {line["name"]: line.get("scores") for line in data_of(tmp_path / "page", "table-00000")}
    assert lines == {
        "a.wav": {"missed s": 0.0, "false alarm s": 1.0, "confused s": 1.0, "DER %": 20.0},
        "b.wav": {"missed s": 0.0, "false alarm s": 0.0, "confused s": 0.0, "DER %": 0.0},
        "c.wav": None,
    }
    details = data_of(tmp_path / "page", "details-00000")
    assert details[0]["errors"] == [[7, 8, "confused"], [10, 11, "false alarm"]]
    assert details[0]["reference"] == [[0, 8, "ann"], [8, 10, "bob"]]
    capsys.readouterr()
    (tmp_path / "true.rttm").write_text(rttm.replace("SPEAKER ", "SPEAKER other-"))
    assert run("report", tmp_path / "f", "--output", tmp_path / "page", *reference, "--overwrite") == 0
    assert "has none of these recordings: their names must be the same" in capsys.readouterr().out


def test_sets_of_several_kinds_are_shown_together(made: Path, tmp_path: Path) -> None:
    assert run("extract", made / "w", "--output", tmp_path / "clips", "--tolerate", "100%") == 0
    assert run("report", made / "w", tmp_path / "clips", "--output", tmp_path / "page") == 0
    overview = data_of(tmp_path / "page", "overview")
    assert [shown["command"] for shown in overview["sets"]] == ["windows", "extract"]
    clips = manifest_of(tmp_path / "clips")["counts"]
    lines = data_of(tmp_path / "page", "table-00000")
    assert sum(line.get("clips", 0) for line in lines) == clips.get("cut.clips", 0)
    n_failed = sum(n for key, n in clips.items() if key.endswith(".failures"))
    assert sum(line.get("failures", 0) for line in lines) == 2 + n_failed


def test_a_set_without_rows_is_a_page_that_says_so(tmp_path: Path) -> None:
    write_lines(tmp_path / "m.jsonl", [])
    assert run("windows", tmp_path / "m.jsonl", "--output", tmp_path / "w") == 0
    assert run("report", tmp_path / "w", "--output", tmp_path / "page") == 0
    assert data_of(tmp_path / "page", "overview")["recordings"] == 0
    assert run("verify", tmp_path / "page") == 0


def test_a_set_that_is_not_complete_is_shown_if_asked_for(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_sound(tmp_path / f"{name}.wav", seconds=3)
    pieces = [("a", 0), ("b", 900), ("b", 1500), ("gone", 0)]
    rows = [
        {"original_file": f"{name}.wav", "original_start_ms": at, "original_end_ms": at + 500} for name, at in pieces
    ]
    write_lines(tmp_path / "m.jsonl", map(line_of, rows))
    output = tmp_path / "clips"
    # rows are there twice: in the hidden files of their recordings, and in the one that these were merged into
    assert is_killed(12, tmp_path, ["extract", "m.jsonl", "--output", str(output), "--tolerate", "9"])
    with pytest.raises(UsageError, match="its job did not finish"):
        run("report", output, "--output", tmp_path / "page")
    assert run("report", output, "--output", tmp_path / "page", "--partial") == 0
    assert (output / "clips-00000-of-00001.jsonl").exists()
    (shown,) = data_of(tmp_path / "page", "overview")["sets"]
    assert (shown["command"], shown["is_partial"], shown["steps"]) == ("extract", True, [])
    lines = data_of(tmp_path / "page", "table-00000")
    assert [(line["name"], line.get("clips"), line.get("failures")) for line in lines] == [
        ("a.wav", 1, None), ("b.wav", 2, None), ("gone.wav", None, 1)
    ]  # fmt: skip


def test_a_page_is_one_file_if_it_is_asked_for(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    command = ("report", made / "w", "--output", page)
    assert run(*command) == 0
    assert f"open {page}" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    text = page.read_text("utf-8")
    assert "page_files/page.css" not in text
    assert "'self'" not in text.partition("script-src")[2].partition("img-src")[0]
    (details,) = re.findall(r'<script type="application/json" id="data-details-00000">(.*)</script>', text)
    (first,) = (each for each in json.loads(details) if each["name"] == "talk 0.wav")
    assert (tmp_path / unquote(first["audio"])).resolve() == made / "rec" / "talk 0.wav"
    assert first["peaks"]
    assert run(*command) == 0
    assert page.read_text("utf-8") == text
    with pytest.raises(UsageError, match="is there with other contents: replace it with --overwrite"):
        run(*command, "--title", "x")
    assert run(*command, "--title", "x", "--overwrite") == 0
    assert page.read_text("utf-8") != text
    with pytest.raises(UsageError, match="--copy-audio puts files beside a page"):
        run(*command, "--copy-audio")
    with pytest.raises(UsageError, match="lies inside the input"):
        run("report", made / "w", "--output", made / "w" / "page.html")
    monkeypatch.setattr("beam_curator.runners.report_command._MOST_BYTES", 10_000)
    with pytest.raises(UsageError, match=r"more than the 0\.01 MB that one file may hold: give a directory"):
        run(*command)


def test_what_cannot_be_shown_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="was written by report: give the set that it was made from"):
        run("report", made / "page", "--output", tmp_path / "p")
    with pytest.raises(UsageError, match="give a local one"):
        run("report", made / "w", "--output", "gs://bucket/page")
    with pytest.raises(UsageError, match=r"has no _MANIFEST\.json"):
        run("report", tmp_path / "none", "--output", tmp_path / "p")
    with pytest.raises(UsageError, match="spectrograms reads the recordings, and waveforms is off: leave one of them"):
        run("report", made / "w", "--output", tmp_path / "p", "--spectrograms", "--no-waveforms")
    with pytest.raises(UsageError, match="lies inside the input"):
        run("report", made / "w", "--output", made / "w" / "page")
