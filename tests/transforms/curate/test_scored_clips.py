"""Clips that models score: what is dropped, annotated and lost, with graphs whose scores are worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from beam_curator.curate.clip_plan import PlannedClip
from beam_curator.curate.curate_rules import BandFilter, ClipRules, CurateOptions, QualityRules, SpeakerSeparation
from beam_curator.curate.score_rules import Dnsmos, Sigmos, Utmos
from beam_curator.files.opened_recordings import open_recording
from beam_curator.models.clip_scoring import ClipScorers
from beam_curator.models.curated_speech import HeardTrack
from beam_curator.models.model_files import ModelFileError
from beam_curator.models.sound_scoring import hash_of_scorer
from tests.fakes_models import sound_of, write_sound
from tests.manifests import failures_in, line_of, manifest_of, write_lines
from tests.models.real_models import need_model
from tests.quality.band_forest import FOREST, RATE, noise_below
from tests.quality.graphs import write_failing, write_loudness, write_spectral
from tests.transforms.curate.curate_sets import ENERGY, TALK, clips_in, curate_here, names_of_clips, rejected_in

TABLE = Path(__file__).parents[3] / "examples" / "round_table.opus"
ALONE = CurateOptions(vad=ENERGY, speaker_separation=SpeakerSeparation(enable=False))


def loudness_of(path: Path, first: int, stop: int) -> Any:
    """Return the score that such a graph has to give to samples, up to its digits."""
    samples = soundfile.read(path, start=first, stop=stop, dtype="float32")[0]
    return pytest.approx(float(np.abs(samples).mean()), abs=1e-4)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    sound = sound_of(16.0, TALK)
    sound[9 * 16000 :] *= 0.3
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "talk.wav", sound, 16000, "FLOAT")
    return tmp_path / "in" / "talk.wav"


@pytest.fixture
def loudness(tmp_path: Path) -> str:
    return str(write_loudness(tmp_path / "utmos.onnx"))


def utmos(path: str, least: float | None) -> CurateOptions:
    return replace(ALONE, utmos=Utmos(enable=True, path=path, mos_threshold=least))


def test_a_clip_below_the_limit_is_dropped_with_its_score(talk: Path, loudness: str, tmp_path: Path) -> None:
    out = curate_here([talk], tmp_path / "out", utmos(loudness, 0.05))
    (clip,), (rejected,) = clips_in(out), rejected_in(out)
    assert clip["utmos_mos"] == loudness_of(talk, 0, 123584)
    assert clip["filters_passed"] == ["utmos_mos"]
    assert clip["models"]["utmos"] == {"name": "utmos.onnx", "sha256": hash_of_scorer("utmos", loudness)}
    assert {key: rejected[key] for key in ("level", "reason", "key", "threshold")} == {
        "level": "clip", "reason": "utmos_mos", "key": "utmos_mos", "threshold": 0.05,
    }  # fmt: skip
    assert rejected["score"] == loudness_of(talk, 158016, 225984)
    counts = manifest_of(out)["counts"]
    assert (counts["curate.rejected.utmos_mos"], counts["curate.scored"]) == (1, 2)
    assert counts["curate.scored_us"] == 7_724_000 + 4_248_000


@pytest.mark.parametrize(
    ("least", "quality", "failed"),
    [
        (0.05, QualityRules(on_reject="annotate"), [[], ["utmos_mos"]]),
        (0.05, QualityRules(annotate=("utmos_mos",)), [[], ["utmos_mos"]]),
        (0, QualityRules(), [[], []]),
        (None, QualityRules(), [[], []]),
        (1, QualityRules(), []),
    ],
    ids=["all annotate", "this one annotates", "0", "null", "1"],
)
def test_limits_may_annotate_or_be_anything(
    least: float | None, quality: QualityRules, failed: list[list[str]], talk: Path, loudness: str, tmp_path: Path
) -> None:
    out = curate_here([talk], tmp_path / "out", replace(utmos(loudness, least), quality=quality))
    rows = clips_in(out)
    assert [row["filters_failed"] for row in rows] == failed
    assert all(row["utmos_mos"] > 0 for row in rows)
    assert len(rejected_in(out)) == 2 - len(rows)


def test_several_scorers_each_with_their_limits(talk: Path, loudness: str, tmp_path: Path) -> None:
    spectral = str(write_spectral(tmp_path / "sigmos.onnx"))
    sigmos = Sigmos(enable=True, path=spectral, noise_threshold=None, ovrl_threshold=0.001, disc_threshold=5)
    options = replace(
        utmos(loudness, None),
        sigmos=sigmos,
        quality=QualityRules(annotate=("sigmos_disc",)),
        clips=ClipRules(clips=False),
    )
    rows = clips_in(curate_here([talk], tmp_path / "out", options))
    assert [(row["filters_passed"], row["filters_failed"]) for row in rows] == [(["sigmos_ovrl"], ["sigmos_disc"])] * 2
    assert [key for key in rows[0] if key.startswith(("sigmos", "utmos"))] == [
        "utmos_mos", "sigmos_col", "sigmos_disc", "sigmos_loud", "sigmos_noise", "sigmos_reverb", "sigmos_sig",
        "sigmos_ovrl",
    ]  # fmt: skip
    assert rows[0]["sigmos_col"] == rows[0]["sigmos_noise"] > rows[1]["sigmos_col"] > 0


def test_a_classifier_tells_bands_in_place_of_the_measured_bandwidth(tmp_path: Path) -> None:
    for name, cutoff in {"full": 20000, "narrow": 5000}.items():
        soundfile.write(tmp_path / f"{name}.wav", noise_below(cutoff, 3), RATE)
    band = BandFilter(enable=True, path=str(FOREST), band_cutoff=1000)
    options = replace(ALONE, vad=replace(ENERGY, enable=False), band_filter=band)
    out = curate_here([tmp_path], tmp_path.parent / f"{tmp_path.name}-out", options)
    (clip,), (rejected,) = clips_in(out), rejected_in(out)
    assert (clip["recording_id"], clip["band_prediction"], clip["models"]["band"]["name"]) == (
        "full", "full_band", "band_forest.onnx",
    )  # fmt: skip
    assert {key: rejected[key] for key in ("recording_id", "level", "reason", "score", "threshold")} == {
        "recording_id": "narrow", "level": "clip", "reason": "band", "score": "narrow_band", "threshold": "full_band",
    }  # fmt: skip


def test_clipping_and_a_narrow_band_are_told_by_measures_where_dnsmos_tells_nothing(tmp_path: Path) -> None:
    need_model("dnsmos")
    talk, rate = soundfile.read(TABLE, start=2 * 16000, stop=11 * 16000 + 300, dtype="float32")
    clean = 0.5 * talk / np.abs(talk).max()
    spectrum = np.fft.rfft(clean)
    spectrum[4000 * len(clean) // rate :] = 0
    sounds = {"a": clean, "clipped": np.clip(4 * clean, -1, 1), "narrow": np.fft.irfft(spectrum, len(clean))}
    for name, sound in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", sound, rate)
    options = replace(
        ALONE,
        vad=replace(ENERGY, enable=False),
        dnsmos=Dnsmos(enable=True, ovrl_threshold=1, hop=9),
        quality=QualityRules(max_clipped_ratio=0.001, min_bandwidth=5000, on_reject="annotate"),
    )
    rows = clips_in(curate_here([tmp_path], tmp_path.parent / f"{tmp_path.name}-out", options))
    assert {row["recording_id"]: row["filters_failed"] for row in rows} == {
        "a": [], "clipped": ["clipped"], "narrow": ["bandwidth"],
    }  # fmt: skip
    first, *worse = (row["dnsmos_ovrl"] for row in rows)
    assert all(score > first - 0.3 for score in worse)


def test_what_a_measure_drops_no_model_hears(talk: Path, loudness: str, tmp_path: Path) -> None:
    options = replace(utmos(loudness, 0.05), quality=QualityRules(max_clip_duration=5))
    out = curate_here([talk], tmp_path / "out", options)
    assert [(row["reason"], "utmos_mos" in row["scores"]) for row in rejected_in(out)] == [
        ("long", False),
        ("utmos_mos", True),
    ]
    assert manifest_of(out)["counts"]["curate.scored"] == 1


def test_silence_has_no_score_and_passes(tmp_path: Path, loudness: str) -> None:
    write_sound(tmp_path / "silent.wav", 4.0)
    options = replace(utmos(loudness, 1), vad=replace(ENERGY, enable=False))
    (row,) = clips_in(curate_here([tmp_path / "silent.wav"], tmp_path / "out", options))
    assert ("utmos_mos" in row, row["filters_failed"]) == (False, [])


def test_a_clip_that_a_model_fails_on_is_a_dead_letter_and_the_rest_go_on(talk: Path, tmp_path: Path) -> None:
    rows = [{"audio_filepath": "in/talk.wav", "lang": lang} for lang in ("de", "fr")]
    manifest = write_lines(tmp_path / "m.jsonl", map(line_of, rows))
    out = curate_here([manifest], tmp_path / "out", utmos(str(write_failing(tmp_path / "utmos.onnx", 0.07)), None))
    letters = failures_in(out)
    assert [(letter["code"], letter["stage"], letter["offset"]) for letter in letters] == [
        ("model_error", "curate", 0), ("model_error", "curate", len(line_of(rows[0])) + 1),
    ]  # fmt: skip
    assert letters[0]["message"] == ("speech_000000000-000123584.wav: utmos gave [nan], expected 1 finite numbers")
    assert [(row["lang"], row["spans"]) for row in clips_in(out)] == [
        ("de", [[158016, 225984]]), ("fr", [[158016, 225984]]),
    ]  # fmt: skip
    assert names_of_clips(out) == {"clips/talk/speech_000158016-000225984.wav"}
    counts = manifest_of(out)["counts"]
    assert (counts["curate.clips_failed"], counts["curate.failed_samples"]) == (2, 2 * 123584)
    assert counts["curate.rows"] == 2


def test_a_graph_that_changed_since_the_job_began_is_refused(talk: Path, loudness: str, tmp_path: Path) -> None:
    scorers = ClipScorers(utmos(loudness, None), {"utmos": hash_of_scorer("utmos", loudness)})
    write_failing(Path(loudness), 0.07)
    with (
        open_recording(str(talk), ()) as reader,
        pytest.raises(ModelFileError, match=r"utmos\.onnx was changed since the job"),
    ):
        scorers.scores(reader, heard(1000))


def heard(n_samples: int) -> HeardTrack:
    return HeardTrack(clip=PlannedClip(spans=((0, n_samples),)), channels="mix", speech=())


def test_scorers_are_given_back_and_found_again(talk: Path, loudness: str) -> None:
    scorers: Any = ClipScorers(utmos(loudness, None), {})
    with open_recording(str(talk), ()) as reader:
        first = scorers.scores(reader, heard(160_000))
        scorers.close()
        assert scorers.scores(reader, heard(160_000)) == first == {"utmos_mos": loudness_of(talk, 0, 160_000)}
