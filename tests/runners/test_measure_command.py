"""`beam-curator measure` from the outside: rows, segments, pieces, channels, bad input, the same set twice, updates."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from beam_curator.diarization.bandwidth import estimate_bandwidth
from beam_curator.runners.options import UsageError
from tests.manifests import failures_in, line_of, lines_in, manifest_of, names_in, run, run_main, write_lines
from tests.models.real_models import need_model
from tests.quality.band_forest import FOREST
from tests.quality.graphs import write_loudness, write_spectral

RATE = 16000
TIME = np.arange(4 * RATE) / RATE
SINE = 0.5 * np.sin(2 * np.pi * 440 * TIME)
NOISE = np.random.default_rng(1).standard_normal(4 * RATE)
ENERGY = ("--vad", "energy")


def write(path: Path, samples: Any, rate: int = RATE) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, "PCM_16")
    return path.name


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of a sine with noise behind it, pieces of it, two channels, silence, clipping, and what fails."""
    folder = tmp_path_factory.mktemp("in")
    half = np.where(TIME < 2, SINE, 0.01 * NOISE)
    segments = [{"start": 0, "end": 2, "speaker": "a"}, {"start": 2.5, "end": 9}, {"start": 7, "end": 9}, "x"]
    rows = [
        {"audio_filepath": write(folder / "half.wav", half), "duration": 4.0, "segments": segments, "lang": "de"},
        {"audio_filepath": "half.wav", "offset": 1, "duration": 0.5},
        {"audio_filepath": write(folder / "upside.wav", np.stack([SINE, -0.95 * SINE], axis=1))},
        {"audio_filepath": "upside.wav", "channel": 1},
        {"audio_filepath": write(folder / "silent.wav", np.zeros(800), 8000), "audio_sample_rate": 16000},
        {"audio_filepath": write(folder / "clipped.wav", np.clip(8 * SINE, -1, 1)), "duration": 9},
        {"audio_filepath": "gone.wav"},
        {"audio_filepath": "half.wav", "duration": 4.0, "segments": 7},
        {"text": "no recording"},
    ]
    return write_lines(folder / "m.jsonl", map(line_of, rows))


def measured(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_in(directory, "measured-*.jsonl")]


@pytest.fixture(scope="module")
def made(manifest: Path) -> Path:
    output = manifest.parents[1] / f"{manifest.parent.name}-out"
    assert run("measure", manifest, "--output", output, *ENERGY) == 3
    return output


def test_rows_get_what_was_measured(made: Path) -> None:
    half, piece, upside, second, silent, clipped = measured(made)
    assert {key: half[key] for key in ("duration", "audio_sample_rate", "num_channels", "lang")} == {
        "duration": 4.0, "audio_sample_rate": RATE, "num_channels": 1, "lang": "de",
    }  # fmt: skip
    assert (half["peak_dbfs"], half["clipped_ratio"]) == (-6.02, 0.0)
    # half of the time with power 1/8, half with 1e-4: 10 log10(.06255)
    assert half["rms_dbfs"] == pytest.approx(-12.04, abs=0.02)
    assert (piece["duration"], piece["rms_dbfs"], piece["offset"]) == (0.5, -9.03, 1)
    assert (upside["unmixed_channel"], upside["rms_dbfs"], upside["num_channels"]) == (0, -9.03, 2)
    assert (second["rms_dbfs"], second["channel"], "unmixed_channel" in second) == (-9.48, 1, False)
    assert (silent["rms_dbfs"], silent["peak_dbfs"], silent["snr_db"], silent["clipped_ratio"]) == (None,) * 3 + (0.0,)
    assert (silent["audio_sample_rate"], silent["input_audio_sample_rate"], silent["duration"]) == (8000, 16000, 0.1)
    assert (clipped["duration"], clipped["input_duration"], clipped["peak_dbfs"]) == (4.0, 9, 0.0)
    assert 0.8 < clipped["clipped_ratio"] < 0.95


def test_segments_get_their_bandwidth(made: Path) -> None:
    segments = measured(made)[0]["segments"]
    samples = soundfile.read(made.parent / made.name.removesuffix("-out") / "half.wav", dtype="float32")[0]
    assert segments[0]["metrics"] == {"bandwidth": estimate_bandwidth(samples[: 2 * RATE], RATE)}
    assert segments[1]["metrics"] == {"bandwidth": 8000}
    assert segments[2:] == [{"start": 7, "end": 9}, "x"]
    counts = manifest_of(made)["counts"]
    assert (counts["measure.segments"], counts["measure.bad_segments"]) == (4, 2)


def test_what_fails_is_a_dead_letter_each(made: Path) -> None:
    assert sorted((letter["code"], letter["stage"]) for letter in failures_in(made)) == [
        ("bad_type", "measure"),
        ("missing_key", "plan"),
        ("not_found", "measure"),
    ]
    assert run("verify", made) == 0


def test_a_bad_segment_refuses_its_row_if_asked(manifest: Path, tmp_path: Path) -> None:
    assert run("measure", manifest, "--output", tmp_path / "out", *ENERGY, "--strict") == 3
    assert len(measured(tmp_path / "out")) == 5
    codes = [letter["code"] for letter in failures_in(tmp_path / "out")]
    assert sorted(codes) == ["bad_type", "missing_key", "not_found", "out_of_range"]


def test_recordings_are_measured_by_themselves_and_an_update_opens_the_new_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    write(folder / "a.wav", SINE)
    write(folder / "b.wav", 0.1 * NOISE, 44100)
    assert run("measure", folder, "--output", output, *ENERGY) == 0
    assert [(row["duration"], row["audio_sample_rate"]) for row in measured(output)] == [(4.0, RATE), (1.451247, 44100)]
    assert "2 rows, 5.5 s in " in capsys.readouterr().out
    write(folder / "c.wav", SINE)
    assert run("measure", folder, "--output", output, *ENERGY, "--update") == 0
    assert "2 kept, 1 new" in capsys.readouterr().out
    assert run("measure", folder, "--output", tmp_path / "anew", *ENERGY) == 0
    assert manifest_of(output) == manifest_of(tmp_path / "anew")
    assert names_in(output) == names_in(tmp_path / "anew")


def test_failures_are_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    write(folder / "a.wav", SINE)
    (folder / "b.wav").write_bytes(b"")
    assert run("measure", folder, "--output", output, *ENERGY) == 3
    assert [letter["code"] for letter in failures_in(output)] == ["empty_audio"]
    write(folder / "b.wav", SINE)
    assert run("retry", output) == 0
    assert "1 kept, 0 new, 0 changed, 1 tried again" in capsys.readouterr().out
    assert (failures_in(output), len(measured(output))) == ([], 2)


def test_measured_again_nothing_changes_and_tables_have_columns(made: Path, tmp_path: Path) -> None:
    flags = ("--row-format", "parquet", "--audio-root", made.parent / made.name.removesuffix("-out"))
    assert run("measure", made, "--output", tmp_path / "out", *ENERGY, *flags) == 0
    table = pq.read_table(next((tmp_path / "out").glob("measured-*.parquet"))).to_pylist()
    rows = measured(made)
    assert [{key: row[key] for key in ("duration", "rms_dbfs", "snr_db")} for row in table] == [
        {key: row[key] for key in ("duration", "rms_dbfs", "snr_db")} for row in rows
    ]
    for again, row in zip(table, rows, strict=True):
        assert {**json.loads(again["row"]), "_origin": 0} == {**row, "_origin": 0}


def test_silero_tells_speech_from_noise(tmp_path: Path) -> None:
    need_model("silero-vad")
    talk, rate = soundfile.read(Path(__file__).parents[2] / "examples" / "round_table.opus", dtype="float32")
    talk, found = talk[: 20 * rate], []
    noise = np.random.default_rng(2).standard_normal(len(talk)) * np.sqrt(np.mean(talk**2))
    for snr in (20, 10, 0):
        write(tmp_path / f"in/{snr:02}.wav", talk + noise * 10 ** (-snr / 20), rate)
    assert run("measure", tmp_path / "in", "--output", tmp_path / "out") == 0
    found = [row["snr_db"] for row in measured(tmp_path / "out")]
    assert found == sorted(found)
    assert found == pytest.approx([0, 10, 20], abs=3)
    assert manifest_of(tmp_path / "out")["config"]["measure"]["vad"] == "silero"


def test_scores_of_models_stand_beside_the_measures(manifest: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    own = [f"utmos={write_loudness(tmp_path / 'utmos.onnx')}", f"sigmos={write_spectral(tmp_path / 'sigmos.onnx')}"]
    own.append(f"band={FOREST}")
    output = tmp_path / "out"
    assert run("measure", manifest, "--output", output, *ENERGY, "--scorer", ",".join(own), "--tolerate", 9) == 0
    half, _, upside, second, silent, _ = measured(output)
    assert half["utmos_mos"] == pytest.approx(np.mean(np.abs(SINE[: 2 * RATE])) / 2 + 0.004, abs=1e-3)
    assert upside["utmos_mos"] * 0.95 == pytest.approx(second["utmos_mos"], abs=1e-3)
    assert (silent["utmos_mos"], silent["sigmos_ovrl"]) == (None, None)
    assert half["sigmos_ovrl"] > 0
    assert (half["band_prediction"], silent["band_prediction"]) == ("narrow_band", None)
    recorded = manifest_of(output)
    assert recorded["config"]["measure"]["scorers"] == [
        "utmos=utmos.onnx", "sigmos=sigmos.onnx", "band=band_forest.onnx",
    ]  # fmt: skip
    assert {item["name"].rpartition("/")[2] for item in recorded["inputs"]} == {
        "m.jsonl", "sigmos.onnx", "utmos.onnx", "band_forest.onnx",
    }  # fmt: skip
    # another graph under the same name is another job
    write_spectral(tmp_path / "sigmos.onnx").write_bytes((tmp_path / "utmos.onnx").read_bytes())
    with pytest.raises(UsageError, match="expected one float tensor of 4 dimensions"):
        run("measure", manifest, "--output", output, *ENERGY, "--scorer", ",".join(own))


def test_dnsmos_hears_noise_and_reverberation_but_not_a_narrow_band(tmp_path: Path) -> None:
    need_model("dnsmos")
    talk, rate = soundfile.read(Path(__file__).parents[2] / "examples" / "round_table.opus", dtype="float32")
    talk = 4 * talk[2 * rate : 11 * rate + 300]
    random = np.random.default_rng(4)
    noise = random.standard_normal(len(talk)) * np.sqrt(np.mean(talk**2))
    room = random.standard_normal(rate) * np.exp(-6.9 * np.arange(rate) / rate)
    wet = np.convolve(talk, room)[: len(talk)]
    for name, sound in {
        "a": talk, "b": talk + 0.1 * noise, "c": talk + 0.316 * noise, "d": talk + noise, "e": 0.3 * wet / np.ptp(wet)
    }.items():  # fmt: skip
        write(tmp_path / f"in/{name}.wav", sound, rate)
    flags = ("--scorer", "dnsmos", "--dnsmos-hop", "9", *ENERGY)
    assert run("measure", tmp_path / "in", "--output", tmp_path / "out", *flags) == 0
    clean, *noisy, reverberant = [row["dnsmos_ovrl"] for row in measured(tmp_path / "out")]
    assert [clean, *noisy] == sorted([clean, *noisy], reverse=True)
    assert clean - reverberant > 0.3


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--scorer", "utmos"), "scorer utmos has no weights in any package: give utmos=FILE.onnx"),
        (("--scorer", "utmos=gone.onnx"), "gone.onnx is no graph for this onnxruntime"),
        (("--scorer", "dnsmos=gone"), "gone"),
        (("--dnsmos-hop", "0"), "dnsmos_hop 0 must be 0.1-3600"),
        (("--vad", "webrtc"), "invalid choice: 'webrtc'"),
        (("--vad", "none", "--vad-path", "x"), "vad_path is of silero, and vad is none"),
        (("--segments-key", ""), "segments_key is empty: name a key"),
        (("--vad-path", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_hold_is_said_before_the_job(
    manifest: Path, flags: tuple[str, ...], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run_main(capsys, "measure", manifest, "--output", tmp_path / "out", *flags)
    assert (done.returncode, problem in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_the_page_shows_what_the_command_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "measure.md").read_text(encoding="utf-8")
    ((command, shown),) = re.findall(r"^\$ beam-curator (measure .*)\n((?:.*\n)*?)```", page, re.MULTILINE)
    words = [str(tmp_path / word) if word == "measured" else word for word in shlex.split(command)]
    assert run(*[str(root / word) if word.startswith("examples/") else word for word in words], *ENERGY) == 0
    said, expected = (re.sub(r" *\d+\.\d\d s| on .*", "", text) for text in (capsys.readouterr().out, shown))
    assert [line for line in said.splitlines() if not line.startswith("No row has")] == expected.splitlines()
