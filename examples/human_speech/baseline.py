"""Diarize recordings with the models of the cascade and nothing clever: the same weights, a fixed threshold.

    python examples/human_speech/baseline.py human_speech/report/audio baseline_rttm

Needs scipy. The last line says how many seconds of sound were heard in how many seconds of CPU.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

from beam_curator.diarization.clustering import unit
from beam_curator.diarization.filter_banks import FRAME_STEP, filter_banks
from beam_curator.diarization.local_speakers import FRAME_SAMPLES, FRAME_SECONDS, N_LOCAL, WINDOW_SAMPLES, activity_of
from beam_curator.diarization.models import Floats
from beam_curator.diarization.rttm import render_rttm
from beam_curator.models.campplus import SpeakerEmbedding, load_campplus
from beam_curator.models.segmentation import Segmentation, load_segmentation

SAMPLE_RATE = 16000
STEP_SAMPLES = 40500
"""2.5 s, on the grid of frames."""
FAR, LEAST_ALONE, LEAST_TALK, LEAST_TO_CLUSTER, LEAST_SHARE = 0.4, 0.4, 0.3, 1.0, 0.02

Masks = NDArray[np.bool_]


def windows_of(samples: Floats, segmentation: Segmentation) -> tuple[list[int], Masks]:
    """Return the first frame of each window of 10 s, and who talks in it, bool [n_windows, 589, 3]."""
    starts = list(range(0, max(1, len(samples) - WINDOW_SAMPLES + STEP_SAMPLES), STEP_SAMPLES))
    padded = np.concatenate([samples, np.zeros(starts[-1] + WINDOW_SAMPLES - len(samples), np.float32)])
    said = segmentation.log_probabilities(np.stack([padded[start : start + WINDOW_SAMPLES] for start in starts]))
    return [start // FRAME_SAMPLES for start in starts], np.stack([activity_of(each).talks for each in said])


def voices_of(samples: Floats, first: int, talks: Masks, model: SpeakerEmbedding) -> list[tuple[int, float, Floats]]:
    """Return the local number, the seconds alone and the embedding of everybody in a window."""
    banks = filter_banks(np.ascontiguousarray(samples[first * FRAME_SAMPLES :][:WINDOW_SAMPLES]))
    frames = np.minimum(np.arange(len(banks)) * FRAME_STEP // FRAME_SAMPLES, len(talks) - 1)
    voices = []
    for local in range(N_LOCAL):
        alone = talks[:, local] & (talks.sum(axis=1) == 1)
        heard = alone if alone.sum() * FRAME_SECONDS >= LEAST_ALONE else talks[:, local]
        kept = banks[heard[frames]]
        if heard.sum() * FRAME_SECONDS >= LEAST_TALK and len(kept):
            vector = model.embed(kept - kept.mean(axis=0))
            voices.append((local, float(alone.sum() * FRAME_SECONDS), unit(vector)))
    return voices


def speakers_of(vectors: Floats, seconds: NDArray[np.float64]) -> Floats:
    """Return the means of clusters, by average linkage up to a cosine distance of 0.4."""
    long = vectors[seconds >= LEAST_TO_CLUSTER] if (seconds >= LEAST_TO_CLUSTER).any() else vectors
    if len(long) == 1:
        return long
    labels = fcluster(linkage(long, "average", metric="cosine"), FAR, "distance")
    sizes = np.bincount(labels)
    kept = [label for label in np.unique(labels) if sizes[label] >= LEAST_SHARE * len(long)]
    return unit(np.stack([long[labels == label].mean(axis=0) for label in kept]))


def diarized(samples: Floats, segmentation: Segmentation, embedding: SpeakerEmbedding) -> Masks:
    """Return who talks when, bool [n_frames, n_speakers], a row for each 270 samples."""
    firsts, talks = windows_of(samples, segmentation)
    voices = [voices_of(samples, *window, embedding) for window in zip(firsts, talks, strict=True)]
    some = [voice for found in voices for voice in found]
    if not some:
        return np.zeros((0, 0), bool)
    speakers = speakers_of(np.stack([voice[2] for voice in some]), np.array([voice[1] for voice in some]))
    votes = np.zeros((firsts[-1] + talks.shape[1], len(speakers)))
    count, covered = np.zeros(len(votes)), np.zeros(len(votes))
    for first, talk, found in zip(firsts, talks, voices, strict=True):
        stretch = slice(first, first + len(talk))
        count[stretch] += talk.sum(axis=1)
        covered[stretch] += 1
        alike = np.array([voice[2] for voice in found]).reshape(len(found), -1) @ speakers.T if found else None
        for voice, speaker in zip(*linear_sum_assignment(-alike), strict=True) if alike is not None else ():
            votes[stretch, speaker] += talk[:, found[voice][0]]
    place = (-votes).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return (place < np.rint(count / covered)[:, np.newaxis]) & (votes > 0)


def turns_of(talks: Masks) -> list[tuple[float, float, str]]:
    """Return start, end and speaker of each turn."""
    turns = []
    for speaker, track in enumerate(talks.T):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], track, [False]]).astype(np.int8)))
        turns += [
            (start, stop, f"speaker_{speaker}") for start, stop in (edges.reshape(-1, 2) * FRAME_SECONDS).tolist()
        ]
    return sorted(turns)


def main() -> None:
    """Write an RTTM for each recording."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--models", type=Path, default=Path("~/.cache/beam_curator/models/cascade").expanduser())
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    segmentation, embedding = load_segmentation(str(arguments.models)), load_campplus(str(arguments.models))
    sound = spent = 0.0
    for path in sorted(arguments.recordings.glob("*.flac")):
        samples, sample_rate = soundfile.read(path, dtype="float32")
        begin = time.process_time()
        talks = diarized(soxr.resample(samples, sample_rate, SAMPLE_RATE), segmentation, embedding)
        spent += time.process_time() - begin
        sound += len(samples) / sample_rate
        (arguments.output / f"{path.stem}.rttm").write_text(render_rttm(path.stem, turns_of(talks)))
    print(f"{sound:.1f} s of sound in {spent:.1f} s of CPU")


if __name__ == "__main__":
    main()
