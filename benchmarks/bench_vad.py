"""Measure how fast speech is found, beside the bare session on the same frames and beside silero-vad's own loop.

    pip install --no-deps --target peer silero-vad==6.2.3
    python benchmarks/bench_vad.py --peer peer

The loop of silero-vad needs torch. All run on one thread, in turn, and CPU time counts: other work on the machine does
not change a ratio.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from measuring import Report, medians

from beam_curator.diarization.models import Floats
from beam_curator.models.silero import SpeechDetector, find_silero, load_silero
from beam_curator.vad.speech_rules import SpeechRules

TALK = Path(__file__).parents[1] / "examples" / "round_table.opus"
SECONDS, RATE = 60, 16000
BLOCK = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="directory with silero_vad; without it, that is left out")
    parser.add_argument("-n", "--runs", type=int, default=5, help="runs of which the median is taken")
    arguments = parser.parse_args()
    talk, _ = soundfile.read(TALK, dtype="float32")
    talk = np.resize(talk, SECONDS * RATE)
    detector = load_silero(find_silero())
    runs: dict[str, Callable[[], Any]] = {
        "ours, with spans": lambda: detector.hear(np.split(talk, 2)).spans(SpeechRules()),
        "bare session": bare_session(detector, talk),
    }
    if arguments.peer is not None:
        runs |= {"silero-vad, ONNX": silero(arguments.peer, talk, onnx=True)}
        runs |= {"silero-vad, JIT": silero(arguments.peer, talk, onnx=False)}
    paces = {name: SECONDS / seconds for name, seconds in medians(runs, arguments.runs).items()}
    report = Report()
    for name, pace in paces.items():
        report.line(f"{name}: times real time, one thread", pace, "x", None)
    ours = paces.pop("ours, with spans")
    report.line("  ours / bare session", ours / paces.pop("bare session"), "x", 0.8, at_least=True)
    for name, pace in paces.items():
        report.line(f"  ours / {name}", ours / pace, "x", 8, at_least=True)
    sys.exit(0 if report.held else 1)


def bare_session(detector: SpeechDetector, talk: Floats) -> Callable[[], Any]:
    """Return a run of the graph alone, on blocks of frames that are made before."""
    padded = np.concatenate([np.zeros(64, np.float32), talk])
    frames = np.lib.stride_tricks.sliding_window_view(padded, 576)[::512].copy()
    session = detector._session

    def run() -> None:
        state = [np.zeros((1, 1, 128), np.float32)] * 2
        for start in range(0, len(frames), BLOCK):
            given = {"input": frames[start : start + BLOCK], "h": state[0], "c": state[1]}
            _, *state = session.run(None, given)

    return run


def silero(peer: Path, talk: Floats, *, onnx: bool) -> Callable[[], Any]:
    """Return a run of silero-vad's own function, with its own loop over frames."""
    if str(peer) not in sys.path:
        sys.path.append(str(peer))
    import torch
    from silero_vad import get_speech_timestamps, load_silero_vad

    torch.set_num_threads(1)
    model, samples = load_silero_vad(onnx=onnx), torch.from_numpy(talk)
    return lambda: get_speech_timestamps(samples, model)


if __name__ == "__main__":
    main()
