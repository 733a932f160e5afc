"""Scores of any graph that keeps to a contract, and of DNSMOS as its own package gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_curator.diarization.models import NotAModelError
from beam_curator.failures import EntryError
from beam_curator.models.sound_scoring import load_scorer
from beam_curator.quality.scorers import calibrated
from beam_curator.quality.sigmos_features import sigmos_spectra
from beam_curator.quality.sound_windows import sound_windows
from tests.models.real_models import need_model
from tests.quality.band_forest import FOREST, RATE, examples, forest, noise_below
from tests.quality.distillmos_graph import N_SAMPLES, model_of, score_by_torch, write_distillmos
from tests.quality.dnsmos_scores import recorded, scores_by_speechmos, sounds

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402  after the library is known to be there
from onnxruntime import InferenceSession  # noqa: E402

from tests.quality.graphs import write_graph, write_loudness, write_spectral  # noqa: E402

NOISE = np.random.default_rng(3).uniform(-0.5, 0.5, 100_000).astype(np.float32)


def test_dnsmos_scores_as_its_package_does() -> None:
    scorer = load_scorer("dnsmos", need_model("dnsmos"), hop=1.0)
    for name, samples in sounds().items():
        found = scorer.score(np.split(samples, [1000, 16_001]))
        expected = recorded()[name]
        assert found.keys() == expected.keys()
        assert all(found[key] == pytest.approx(value, abs=1e-3) for key, value in expected.items()), name


@pytest.mark.slow
def test_speechmos_gives_what_was_recorded() -> None:
    pytest.importorskip("speechmos")
    for name, samples in sounds().items():
        assert scores_by_speechmos(samples) == pytest.approx(recorded()[name], abs=1e-5)


@pytest.mark.slow
def test_windows_at_once_score_as_one_by_one() -> None:
    scorer: Any = load_scorer("dnsmos", need_model("dnsmos"))
    windows = np.stack(list(sound_windows([sounds()["buzz 20 s"][: 12 * 16000]], scorer.scorer)))
    (session, _), (graph, _) = scorer._sessions, scorer.scorer.graphs
    (at_once,) = session.run(None, {session.get_inputs()[0].name: windows})
    alone = np.stack([scorer.of_window(window, 16000)[: len(graph.outputs)] for window in windows])
    calibrate = np.vectorize(calibrated, excluded=[1])
    made = np.stack([calibrate(at_once[:, at], graph.calibration[at]) for at in range(len(graph.outputs))], axis=1)
    assert len(windows) == 3
    assert np.allclose(made, alone, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_a_published_model_scores_as_its_own_package_does(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("distillmos")
    model = model_of()
    scorer = load_scorer("utmos", str(write_distillmos(tmp_path / "distillmos.onnx", model)))
    for samples in (sounds()["buzz and noise 11 s"][:N_SAMPLES], sounds()["noise 9.01 s"][:N_SAMPLES]):
        assert scorer.score([samples])["utmos_mos"] == pytest.approx(score_by_torch(model, samples), abs=1e-3)


def test_digital_silence_and_nothing_have_no_score(tmp_path: Path) -> None:
    scorer = load_scorer("utmos", str(write_loudness(tmp_path / "utmos.onnx")))
    assert scorer.score([np.zeros(32_000, np.float32)]) == {"utmos_mos": None}
    assert scorer.score([]) == {"utmos_mos": None}


def test_a_wave_gets_the_mean_of_its_windows_by_their_length(tmp_path: Path) -> None:
    scorer = load_scorer("utmos", str(write_loudness(tmp_path / "utmos.onnx")))
    assert scorer.score([np.full(16_000, 0.25, np.float32)]) == {"utmos_mos": 0.25}
    long = np.concatenate([np.full(960_000, 0.5, np.float32), np.full(480_000, -0.2, np.float32)])
    assert scorer.score(np.split(long, [7, 500_000])) == {"utmos_mos": 0.4}


def test_spectra_get_seven_scores(tmp_path: Path) -> None:
    scorer = load_scorer("sigmos", str(write_spectral(tmp_path / "sigmos.onnx")))
    planes = sigmos_spectra(NOISE).mean(axis=(1, 2), dtype=np.float64)
    found = scorer.score([NOISE])
    assert list(found) == [f"sigmos_{name}" for name in ("col", "disc", "loud", "noise", "reverb", "sig", "ovrl")]
    assert list(found.values()) == pytest.approx([*planes, *planes, planes.sum()], abs=1e-4)


@pytest.mark.parametrize(("cutoff", "band"), [(3000, "narrow_band"), (12000, "narrow_band"), (21000, "full_band")])
def test_a_forest_tells_bands_apart(cutoff: float, band: str) -> None:
    scorer = load_scorer("band", str(FOREST))
    assert scorer.rate_of(RATE) == RATE
    noise = noise_below(cutoff, 7)
    assert scorer.score(np.split(noise, [5, 20_000]), RATE) == {"band_prediction": band}
    assert scorer.score([0 * noise], RATE) == {"band_prediction": None}


def test_of_a_long_sound_most_counts() -> None:
    scorer = load_scorer("band", str(FOREST))
    wide, narrow = (np.tile(noise_below(cutoff, 7), 60) for cutoff in (22000, 3000))
    assert scorer.score([wide, narrow[: 50 * RATE]], RATE) == {"band_prediction": "full_band"}
    assert scorer.score([narrow, wide[: 50 * RATE]], RATE) == {"band_prediction": "narrow_band"}


@pytest.mark.slow
def test_skl2onnx_gives_the_forest_that_was_recorded() -> None:
    pytest.importorskip("skl2onnx")
    energies, classes = examples(seed=1000, n=40)
    sessions = [InferenceSession(graph) for graph in (forest(), FOREST.read_bytes())]
    (found, odds), (recorded_found, recorded_odds) = (session.run(None, {"X": energies}) for session in sessions)
    assert found.tolist() == recorded_found.tolist()
    assert (found == classes).mean() > 0.9
    assert np.allclose(odds, recorded_odds, atol=1e-6)


BANDS = [("x", ["n", 24])]


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        (
            {"nodes": [helper.make_node("ReduceMax", ["x"], ["y"], axes=[1], keepdims=0)], "made": [("y", ["n"])]},
            "expected a number from 0 (narrow_band) to 1 (full_band)",
        ),
        (
            {"nodes": [helper.make_node("Identity", ["x"], ["y"])], "made": [("y", ["n", 24])]},
            "gave an array of shape [1, 24], expected a number from 0",
        ),
        (
            {"nodes": [helper.make_node("IsNaN", ["x"], ["y"])], "made": [("y", ["n", 24], TensorProto.BOOL)]},
            "gives y tensor(bool), expected a tensor of labels or of probabilities first",
        ),
    ],
    ids=["energy", "several", "boolean"],
)
def test_a_graph_that_is_no_classifier_of_bands_is_refused(graph: dict[str, Any], problem: str, tmp_path: Path) -> None:
    path = write_graph(tmp_path / "band.onnx", given=BANDS, **graph)
    with pytest.raises(NotAModelError) as caught:
        load_scorer("band", str(path))
    assert problem in str(caught.value)


def identity(given: list[Any], made: list[Any], op: str = "Identity", opset: int = 17) -> dict[str, Any]:
    return {"nodes": [helper.make_node(op, ["x"], ["y"])], "given": given, "made": made, "opset": opset}


WAVE, SCORES = [("x", ["n", "t"])], [("y", ["n", "t"])]
LOG = {
    "nodes": [
        helper.make_node("ReduceMin", ["x"], ["least"], axes=[1], keepdims=0),
        helper.make_node("Log", ["least"], ["y"]),
    ],
    "given": WAVE,
    "made": [("y", ["n"])],
}


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        (identity([("x", [1, 3, "t"])], [("y", [1, 3, "t"])]), "expected one float tensor of 2 dimensions"),
        (identity([("x", ["n", "t"], TensorProto.DOUBLE)], [("y", ["n", "t"], TensorProto.DOUBLE)]), "tensor(double)"),
        (identity([*WAVE, ("rate", [1])], SCORES), "rate tensor(float) [1], expected one float tensor"),
        (identity(WAVE, SCORES), "of noise utmos gave an array of shape [1, 32000], expected 1 finite numbers"),
        (identity([("x", [1, 16000])], [("y", [1, 16000])]), "cannot hear noise of 32000 samples"),
        (
            identity(WAVE, [("y", ["n", "t"], TensorProto.BOOL)], "IsNaN"),
            "gives y tensor(bool), expected a float tensor",
        ),
        (LOG, "of noise utmos gave [nan], expected 1 finite numbers"),
        (identity(WAVE, SCORES, opset=99), "is no graph for this onnxruntime"),
    ],
    ids=["rank", "type", "two inputs", "wrong outputs", "fixed length", "boolean", "NaN", "opset"],
)
def test_a_graph_that_does_not_keep_to_the_contract_is_refused(
    graph: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    path = write_graph(tmp_path / "utmos.onnx", **graph)
    with pytest.raises(NotAModelError) as caught:
        load_scorer("utmos", str(path))
    assert problem in str(caught.value)
    assert "give a file of utmos that takes and gives what docs/measure.md says" in str(caught.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("scores", encoding="utf-8")
    for name in ("text.onnx", "gone.onnx"):
        with pytest.raises(NotAModelError, match="is no graph for this onnxruntime"):
            load_scorer("utmos", str(tmp_path / name))


def test_a_graph_that_cannot_run_on_a_sound_fails_it_alone(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Constant", [], ["last"], value_int=20_000),
        helper.make_node("Gather", ["x", "last"], ["y"], axis=1),
    ]
    scorer = load_scorer("utmos", str(write_graph(tmp_path / "utmos.onnx", nodes, WAVE, [("y", ["n"])])))
    assert scorer.score([np.full(20_001, 0.25, np.float32)]) == {"utmos_mos": 0.25}
    with pytest.raises(EntryError, match="utmos failed on 900 samples") as caught:
        scorer.score([np.full(900, 0.25, np.float32)])
    assert caught.value.code == "model_error"


def test_a_score_that_is_none_fails_its_sound_alone(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Constant", [], ["shift"], value_float=0.75),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Add", ["mean", "shift"], ["shifted"]),
        helper.make_node("Sqrt", ["shifted"], ["y"]),
    ]
    scorer = load_scorer("utmos", str(write_graph(tmp_path / "utmos.onnx", nodes, WAVE, [("y", ["n"])])))
    assert scorer.score([np.full(900, 0.25, np.float32)]) == {"utmos_mos": 1.0}
    with pytest.raises(EntryError, match=r"utmos gave \[nan\], expected 1 finite numbers"):
        scorer.score([np.full(900, -0.8, np.float32)])
