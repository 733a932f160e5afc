"""Scores of sound by any graph that keeps to the contract of a scorer, on onnxruntime."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats, NotAModelError, OutOfMemoryError
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.storage import hash_file
from beam_curator.intervals import Seconds
from beam_curator.model_records import KNOWN_MODELS
from beam_curator.models.model_files import ModelNotFoundError
from beam_curator.models.onnx_sessions import open_graph, run_session
from beam_curator.models.resolving import find_packaged
from beam_curator.quality.band_features import band_energies
from beam_curator.quality.measure_rules import MeasureRules
from beam_curator.quality.p808_features import p808_frames
from beam_curator.quality.scorers import SCORERS, Features, ScoredGraph, Scorer, calibrated, named_scorers
from beam_curator.quality.sigmos_features import sigmos_spectra
from beam_curator.quality.sound_windows import sound_windows

_FEATURES: Mapping[Features, Callable[[Floats, int], Floats]] = {
    "wave": lambda window, rate: window,
    "mel120": lambda window, rate: p808_frames(window),
    "sigmos": lambda window, rate: sigmos_spectra(window),
    "band24": band_energies,
}
Scores = NDArray[np.float64]
Score = float | str | None
"""A number, the name of a class, or None of a sound that is empty or digital silence."""
_OTHER_FILE = "leave this scorer out, or give another file of it"
_DIGITS = 4
_PROBE_SECONDS, _PROBE_RATE = 2, 48000


class SoundScorer:
    """Scores sound. Threads may share it.

    Windows go through a graph one by one: at once they take as long, and none can change another's score.

    Args:
      scorer: the contract.
      sessions: of its graphs, in their order.
    """

    def __init__(self, scorer: Scorer, sessions: Sequence[Any]) -> None:
        self.scorer = scorer
        self._sessions = tuple(sessions)

    def rate_of(self, recording: int) -> int:
        """Return the sample rate that a recording is heard at, given its own, in Hz."""
        return self.scorer.at(recording).sample_rate

    def score(self, pieces: Iterable[Floats], sample_rate: int = 0) -> dict[str, Score]:
        """Return the scores of a sound by key: means of all windows, or the class that most of it has.

        Args:
          pieces: float32 [n_samples] at the scorer's rate, in order, of any lengths: results do not depend on it.
          sample_rate: of the pieces, Hz; may be left out where the scorer has one.

        Raises:
          EntryError: the model fails, or a score is not finite.
          OutOfMemoryError: memory is lacking.
        """
        scorer = self.scorer.at(sample_rate)
        sums, weight, is_heard = np.zeros(len(scorer.outputs)), 0, False
        for window in sound_windows(pieces, scorer):
            # what is nothing gets a score as well, which means nothing
            if not window.any():
                continue
            is_heard = True
            sums += len(window) * self._heard(window, scorer.sample_rate)
            weight += len(window)
        if not is_heard:
            return dict.fromkeys(scorer.outputs)
        labels = [graph.labels for graph in scorer.graphs for _ in graph.outputs]
        means = (sums / weight).tolist()
        return {
            key: of_key[int(mean >= 0.5)] if of_key else round(mean, _DIGITS)
            for key, of_key, mean in zip(scorer.outputs, labels, means, strict=True)
        }

    def _heard(self, window: Floats, sample_rate: int) -> Scores:
        try:
            return self.of_window(window, sample_rate)
        except (EntryError, OutOfMemoryError):
            raise
        except Exception as err:  # onnxruntime's own
            reason = str(err).strip().partition("\n")[0][:200]
            raise EntryError(
                FailureCode.MODEL_ERROR,
                f"{self.scorer.name} failed on {len(window)} samples ({reason})",
                _OTHER_FILE,
            ) from err

    def of_window(self, window: Floats, sample_rate: int) -> Scores:
        """Return the scores of a window, float64 [n_outputs].

        Args:
          window: float32 [n_samples] at the scorer's rate.
          sample_rate: that rate, Hz.

        Raises:
          EntryError: a score is not finite.
        """
        made = [
            self._of_graph(graph, session, _FEATURES[graph.features](window, sample_rate))
            for graph, session in zip(self.scorer.graphs, self._sessions, strict=True)
        ]
        return np.concatenate(made)

    def _of_graph(self, graph: ScoredGraph, session: Any, features: Floats) -> Scores:
        given = {session.get_inputs()[0].name: features[np.newaxis]}
        values = np.asarray(run_session(session, (session.get_outputs()[0].name,), given)[0])
        raw = values.astype(np.float64).reshape(-1)
        if len(raw) != len(graph.outputs) or not np.isfinite(raw).all() or (graph.labels and not 0 <= raw[0] <= 1):
            expected = (
                f"a number from 0 ({graph.labels[0]}) to 1 ({graph.labels[1]})"
                if graph.labels
                else (f"{len(graph.outputs)} finite numbers")
            )
            raise EntryError(
                FailureCode.MODEL_ERROR,
                f"{self.scorer.name} gave {_shown(values)}, expected {expected}",
                _OTHER_FILE,
            )
        if graph.calibration:
            raw = np.array([calibrated(*pair) for pair in zip(raw.tolist(), graph.calibration, strict=True)])
        return raw


def _shown(values: np.ndarray[Any, Any]) -> str:
    return f"{values.tolist()}"[:60] if values.size <= 8 else f"an array of shape {list(values.shape)}"


def load_scorer(name: str, path: str, n_threads: int = 1, hop: Seconds | None = None) -> SoundScorer:
    """Load a scorer, and hear noise with it: a graph that does not keep to the contract is refused.

    Args:
      name: of the scorer.
      path: of the folder of an installed model, or of a user's file.
      n_threads: for one call.
      hop: seconds between windows; None for the scorer's own.

    Raises:
      NotAModelError: a graph cannot be run, takes or gives something else, or gives numbers that are not finite.
      OutOfMemoryError: it does not fit into memory.
    """
    scorer = SCORERS[name] if hop is None else replace(SCORERS[name], hop=hop)
    cure = f"give a file of {name} that takes and gives what docs/measure.md says"
    sessions = []
    for graph in scorer.graphs:
        file = os.path.join(path, graph.file) if graph.file else path
        session = open_graph(file, n_threads, ["CPUExecutionProvider"], cure)
        _check_ends(session, file, graph, cure)
        sessions.append(session)
    made = SoundScorer(scorer, sessions)
    probed = scorer.at(_PROBE_RATE)
    length = probed.n_window if probed.short == "double" else _PROBE_SECONDS * probed.sample_rate
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, length).astype(np.float32)
    try:
        made.of_window(noise, probed.sample_rate)
    except EntryError as err:
        raise NotAModelError(f"{path}: of noise {err.message}: {cure}") from err
    except Exception as err:  # onnxruntime's own, of a graph that cannot hear this
        reason = str(err).strip().partition("\n")[0][:200]
        raise NotAModelError(f"{path} cannot hear noise of {length} samples ({reason}): {cure}") from err
    return made


def load_asked(rules: MeasureRules, n_threads: int = 1) -> list[SoundScorer]:
    """Load the scorers that rules name.

    Raises:
      ModelNotFoundError, ModelFileError: one of a package is not installed, or is another model.
      NotAModelError, OutOfMemoryError: see `load_scorer`.
    """
    return load_scorers(named_scorers(rules.scorers), rules.dnsmos_hop, n_threads)


def load_scorers(paths: Mapping[str, str], dnsmos_hop: Seconds, n_threads: int = 1) -> list[SoundScorer]:
    """Load scorers by their names, each from its path; "" for the installed one. Raises as `load_asked`."""
    loaded = []
    for name, path in paths.items():
        packaged = SCORERS[name].sha256 is not None
        found = find_packaged(KNOWN_MODELS[name], path) if packaged else path
        loaded.append(load_scorer(name, found, n_threads, dnsmos_hop if packaged else None))
    return loaded


def hash_of_scorer(name: str, path: str) -> str:
    """Return the hash that tells a scorer from others: of its package, or of a user's file.

    Raises:
      ModelNotFoundError: the file is not there, or cannot be read.
    """
    packaged = SCORERS[name].sha256
    if packaged is not None:
        return packaged
    try:
        return hash_file(path)[1]
    except OSError as err:
        raise ModelNotFoundError(f"{name} cannot be read ({path}: {err.strerror or err}): give its graph") from err


def scorer_config(rules: MeasureRules) -> dict[str, str | None]:
    """Return the hashes of packages, which decide the scores besides the options and a user's files."""
    return {name: SCORERS[name].sha256 for name in named_scorers(rules.scorers) if SCORERS[name].sha256 is not None}


def own_files(rules: MeasureRules) -> tuple[str, ...]:
    """Return the files of a user's own scorers, which decide the rows as the inputs do."""
    return tuple(path for name, path in named_scorers(rules.scorers).items() if SCORERS[name].sha256 is None)


_RANKS: Mapping[Features, int] = {"wave": 2, "mel120": 3, "sigmos": 4, "band24": 2}


def _check_ends(session: Any, file: str, graph: ScoredGraph, cure: str) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    rank = _RANKS[graph.features]
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != rank:
        found = ", ".join(f"{end.name} {end.type} {end.shape}" for end in inputs)
        raise NotAModelError(
            f"{file} takes {found or 'nothing'}, expected one float tensor of {rank} dimensions: {cure}"
        )
    types = {"float", "double"} | ({"int64"} if graph.labels else set())
    what = "a tensor of labels or of probabilities first" if graph.labels else "a float tensor of scores"
    if not outputs or outputs[0].type not in {f"tensor({kind})" for kind in types}:
        found = ", ".join(f"{end.name} {end.type}" for end in outputs)
        raise NotAModelError(f"{file} gives {found or 'nothing'}, expected {what}: {cure}")
