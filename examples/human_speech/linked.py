"""Measure what linking pieces gives to the demo model, on recordings of more people than it has slots.

    beam-curator models install cascade
    python examples/human_speech/make.py human_speech
    python examples/human_speech/linked.py human_speech tests/data/held_out

The first folder is what `make.py` wrote, the second has talks of synthetic voices, which are put in rows.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr
from readers import READERS

from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions, StreamingOptions
from beam_curator.diarization.rttm import parse_rttm
from beam_curator.diarization.speaker_counts import SpeakerCounts
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import turns_from_probabilities
from beam_curator.scoring.measuring import score_recording
from beam_curator.scoring.scores import Conditions, weighted_rates
from beam_curator.transforms.diarization.linking_handler import with_links
from beam_curator.transforms.diarization.sortformer_handler import SortformerModelHandler

RATE = 16000
MODEL, INFERENCE = ModelOptions(model_name="demo"), InferenceOptions(threads=1)
ROWS = ((3, 7, 3, 7), (2, 6, 2, 6, 2), (7, 1, 3, 1, 7), (0, 5, 6, 0, 5))
"""Numbers of talks; the voices of two are different people."""


class Talk(NamedTuple):
    """A recording, and the spans of each speaker."""

    samples: Any
    truth: dict[str, tuple[tuple[float, float], ...]]


def talk_of(audio: Path, rttm: Path, name: str = "") -> Talk:
    """Read a recording, and who speaks in it."""
    samples, rate = soundfile.read(audio, dtype="float32")
    samples = samples if rate == RATE else soxr.resample(samples, rate, RATE).astype(np.float32)
    truth: dict[str, tuple[tuple[float, float], ...]] = {}
    for turn in parse_rttm(rttm.read_text()):
        truth[name + turn.speaker] = (*truth.get(name + turn.speaker, ()), (turn.start, turn.end))
    return Talk(samples, truth)


def of_people(folder: Path) -> Iterator[Talk]:
    """Yield the conversations of more than four people."""
    for audio in sorted(path for half in READERS for path in folder.glob(f"{half}/audio/*.flac")):
        if int(audio.stem.rsplit("-", 1)[1]) > 4:
            yield talk_of(audio, audio.parents[1] / "rttm" / f"{audio.stem}.rttm")


def in_a_row(folder: Path, numbers: Sequence[int]) -> Talk:
    """Return talks one after the other."""
    samples, truth, begin = [], {}, 0.0
    for number in numbers:
        audio = next(folder.glob(f"audio/talk-{number:03d}-*.opus"))
        talk = talk_of(audio, folder / "rttm" / f"{audio.stem}.rttm", f"{number}_")
        for name, spans in talk.truth.items():
            truth[name] = (*truth.get(name, ()), *((start + begin, end + begin) for start, end in spans))
        samples.append(talk.samples)
        begin += len(talk.samples) / RATE
    return Talk(np.concatenate(samples), truth)


def measured(talks: Sequence[Talk], counts: SpeakerCounts) -> list[str]:
    """Return the cells of a row of the table."""
    inner = SortformerModelHandler(
        MODEL, parameters=StreamingOptions().parameters(), inference=INFERENCE, keeps_frames=True
    )
    handler, scores = with_links(inner, counts, MODEL, INFERENCE), []
    model = handler.load_model()
    for talk in talks:
        (found,) = (result.inference for result in handler.run_inference([talk.samples], model))
        said: dict[str, tuple[tuple[float, float], ...]] = {}
        for turn in turns_from_probabilities(found.frames, TurnRules(), found.frame_step, len(talk.samples) / RATE):
            said[turn.label] = (*said.get(turn.label, ()), (turn.start, turn.end))
        scores.append([score_recording("", talk.truth, said, conditions=Conditions(collar=each)) for each in (0.25, 0)])
    rates = [f"{weighted_rates(some).der:.1f} %" for some in zip(*scores, strict=True)]
    errors = sum(abs(score.n_hypothesis_speakers - score.n_reference_speakers) for _, score in scores)
    return [*rates, str(errors)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("people", type=Path)
    parser.add_argument("synthetic", type=Path)
    arguments = parser.parse_args()
    sets = {
        "people": (list(of_people(arguments.people)), (30, 60)),
        "synthetic": ([in_a_row(arguments.synthetic, numbers) for numbers in ROWS], (20, 40)),
    }
    print("| | DER, collar 0.25 | DER, collar 0 | speakers, error |\n|---|---|---|---|")
    for name, (talks, lengths) in sets.items():
        print(f"| {name}, whole | {' | '.join(measured(talks, SpeakerCounts()))} |", flush=True)
        for seconds in lengths:
            for link_by in ("campplus", "frames"):
                counts = SpeakerCounts(link_pieces=seconds, link_by=link_by)
                print(f"| {name}, {seconds} s, {link_by} | {' | '.join(measured(talks, counts))} |", flush=True)


if __name__ == "__main__":
    main()
