"""Measure how fast clips are scored by DNSMOS, beside the bare sessions on the same windows.

    beam-curator models install dnsmos
    python benchmarks/bench_scores.py

Both run on one thread, in turn, and CPU time counts: other work on the machine does not change a ratio.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Report, medians

from beam_curator.curate.clip_plan import PlannedClip
from beam_curator.curate.curate_rules import CurateOptions
from beam_curator.curate.score_rules import Dnsmos
from beam_curator.diarization.hearing import heard_pieces
from beam_curator.files.opened_recordings import open_recording
from beam_curator.model_records import KNOWN_MODELS
from beam_curator.models.clip_scoring import ClipScorers
from beam_curator.models.curated_speech import HeardTrack
from beam_curator.models.onnx_sessions import open_graph
from beam_curator.models.resolving import find_packaged
from beam_curator.quality.p808_features import p808_frames
from beam_curator.quality.scorers import SCORERS
from beam_curator.quality.sound_windows import sound_windows

TALK = Path(__file__).parents[1] / "examples" / "round_table.opus"
SECONDS, RATE = 20, 16000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--runs", type=int, default=5, help="runs of which the median is taken")
    arguments = parser.parse_args()
    runs: dict[str, Callable[[], Any]] = {"ours": clips_scored(), "bare": bare_sessions()}
    took = medians(runs, arguments.runs)
    n_windows = SCORERS["dnsmos"].n_windows(SECONDS * RATE)
    report = Report()
    report.line("a window of 9 s at a hop of 1 s: CPU", took["ours"] / n_windows, "s", None)
    report.line("a long recording at a hop of 1 s: times real time, a core", n_windows / took["ours"], "x", None)
    report.line("  ours / bare sessions", took["bare"] / took["ours"], "x", 0.9, at_least=True)
    sys.exit(0 if report.held else 1)


def clips_scored() -> Callable[[], Any]:
    """Return the scoring of a clip as a job does it: decoded, mixed, cut into windows."""
    scorers = ClipScorers(CurateOptions(dnsmos=Dnsmos(enable=True)), {})
    clip = HeardTrack(clip=PlannedClip(spans=((0, SECONDS * RATE),)), channels="mix", speech=())

    def score() -> Any:
        with open_recording(str(TALK), ()) as reader:
            return scorers.scores(reader, clip)

    return score


def bare_sessions() -> Callable[[], Any]:
    """Return both graphs of DNSMOS on windows and frames that are there before."""
    folder = find_packaged(KNOWN_MODELS["dnsmos"])
    with open_recording(str(TALK), ()) as reader:
        windows = list(sound_windows(list(heard_pieces(reader, 0, SECONDS * RATE)), SCORERS["dnsmos"]))
    given = [[window[np.newaxis] for window in windows], [p808_frames(window)[np.newaxis] for window in windows]]
    sessions = [
        open_graph(f"{folder}/{graph.file}", 1, ["CPUExecutionProvider"], "") for graph in SCORERS["dnsmos"].graphs
    ]

    def run() -> Any:
        return [
            session.run(None, {session.get_inputs()[0].name: inputs})
            for session, some in zip(sessions, given, strict=True)
            for inputs in some
        ]

    return run


if __name__ == "__main__":
    main()
