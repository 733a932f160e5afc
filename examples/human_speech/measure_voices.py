"""Measure how well embeddings tell people apart: their equal error rate, on conversations whose turns are known.

    beam-curator models install cascade
    python examples/human_speech/make.py human_speech
    python examples/human_speech/measure_voices.py human_speech/report

Each person of each conversation has an embedding, and each turn in which one person speaks alone for a second at least.
All pairs are compared, within conversations and across them: two of one person should be nearer than two of two.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.rttm import parse_rttm
from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings, parts_in, spans_alone
from beam_curator.diarization.turns import Turn
from beam_curator.files.opened_recordings import open_recording
from beam_curator.models.sources import RecordingSource
from beam_curator.transforms import EmbeddingModelHandler

SECONDS_ALONE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known(RecordingSource):
    """A recording whose turns are known, and who has them."""

    turns: tuple[Turn, ...]
    people: tuple[str, ...]

    @property
    def begin(self) -> float:
        """When it begins, on the clock of the turns."""
        return 0.0


def equal_error_rate(same: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the share of wrong pairs at the likeness where as many of one person are missed as of two are taken.

    Example:
      >>> equal_error_rate(np.array([0.9, 0.8, 0.3, 0.7]), np.array([0.1, 0.4, 0.2, 0.0]))
      0.25
    """
    thresholds = np.sort(np.concatenate([same, other]))
    missed = np.searchsorted(np.sort(same), thresholds, side="left") / len(same)
    taken = 1 - np.searchsorted(np.sort(other), thresholds, side="left") / len(other)
    nearest = int(np.argmin(np.abs(missed - taken)))
    return float((missed[nearest] + taken[nearest]) / 2)


def known(audio: Path, rttm: Path) -> Known:
    """Return a recording with the turns in an RTTM."""
    spans = list(parse_rttm(rttm.read_text()))
    people = tuple(sorted({span.speaker for span in spans}))
    turns = tuple(Turn(start=span.start, end=span.end, speaker=people.index(span.speaker)) for span in spans)
    with open_recording(str(audio)) as reader:
        info = reader.info
    return Known(
        name=str(audio), first=0, stop=info.n_samples, sample_rate=info.sample_rate, turns=turns, people=people
    )


def seconds_alone(turns: Sequence[Turn]) -> list[float]:
    """Return how long each turn is the only one."""
    alone = spans_alone(turns)
    return [sum(end - start for start, end in parts_in(alone[turn.speaker], turn)) for turn in turns]


def rate(voices: list[tuple[str, NDArray[np.floating]]]) -> str:
    """Return the equal error rate of all pairs of voices, in words."""
    vectors = np.stack([vector for _, vector in voices])
    names = np.array([name for name, _ in voices])
    one, two = np.triu_indices(len(voices), 1)
    likeness, same = (vectors @ vectors.T)[one, two], names[one] == names[two]
    error = equal_error_rate(likeness[same], likeness[~same])
    return f"EER {error:.1%} of {same.sum():,} pairs of one person and {(~same).sum():,} of two"


def main() -> None:
    """Print a line for speakers and one for turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with audio and rttm")
    parser.add_argument("--embedding-model", default="campplus", help="name of a model (default: campplus)")
    arguments = parser.parse_args()
    handler = EmbeddingModelHandler(arguments.embedding_model, device="cpu", threads=1)
    model = handler.load_model()
    speakers, turns = [], []
    for audio in sorted((arguments.folder / "audio").iterdir()):
        item = known(audio, arguments.folder / "rttm" / f"{audio.stem}.rttm")
        (result,) = handler.run_inference([item], model)
        found = result.inference
        if not isinstance(found, SpeakerEmbeddings):
            sys.exit(f"{audio}: {found}")
        speakers += [(item.people[number], vector) for number, vector in found.speakers.items() if vector is not None]
        turns += [
            (item.people[turn.speaker], vector)
            for turn, vector, alone in zip(item.turns, found.turns, seconds_alone(item.turns), strict=True)
            if vector is not None and alone >= SECONDS_ALONE
        ]
    print(f"speakers: {rate(speakers)}")
    print(f"turns of {SECONDS_ALONE:g} s alone: {rate(turns)}")


if __name__ == "__main__":
    main()
