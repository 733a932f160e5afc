"""Train the small Sortformer that ships with beam_curator, from nothing, on conversations of synthetic voices.

    pip install 'beam-curator[nemo]' && apt-get install espeak-ng
    python examples/demo_model/train_demo_model.py demo.nemo

Voices come from espeak-ng, so nothing is fetched, and nobody was recorded for it. A run that is broken off goes on from
its last checkpoint (`demo.nemo.checkpoint`).
"""

import argparse
import ctypes
import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conversations import N_SPEAKERS, Utterances, choose_speakers, gated, label_frames, make_conversation
from frame_errors import frame_errors
from model import VoiceHead, build_model, diarization_loss, hear
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from voices import CACHE, HELD_OUT_VARIANTS, SENTENCES, TRAINING_VARIANTS, VOICES_EACH, choose_voices, load_voices

from benchmarks.random_sortformer import quieten_nemo

_PHASES = ((0, 12, 8, 18), (2000, 8, 8, 36))
"""First step, conversations of a batch, seconds of the shortest and of the longest: short ones teach who is who."""

_CYCLES = ((3000, 4200, 2e-3), (6000, 7600, 1.5e-3))
"""Of each cycle the step from which the rate falls, that at which it is nothing, and the highest rate."""

_GATED = 0.15
"""Share of the conversations that have digital silence in their pauses; without it the model hears speech there."""

_THRESHOLDS = (0.35, 0.4, 0.45, 0.5, 0.55)

_WARM_UP = 200
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_MEMORY = 0.998
"""Share of the averaged weights that stays at each step."""

Batch = tuple[Tensor, Tensor, Tensor]


class Conversations(IterableDataset[Batch]):
    """Batches without end: samples [n, n_samples], labels [n, n_frames, 4], voices [n, n_frames] (-1: not one alone).

    Batch i depends on the seed and i alone.
    """

    def __init__(self, voices: list[Utterances], first: int) -> None:
        self._voices = voices
        self._first = first

    def __iter__(self) -> Iterator[Batch]:
        number = self._first
        while True:
            random = np.random.default_rng([5, number])
            batch_size, shortest, longest = next(sizes for first, *sizes in reversed(_PHASES) if number >= first)
            seconds = round(float(random.uniform(shortest, longest)), 1)
            yield self._stacked([self._example(seconds, random) for _ in range(batch_size)])
            number += 1

    def _stacked(self, examples: list[tuple[NDArray[Any], ...]]) -> Batch:
        samples, labels, voices = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*examples, strict=True))
        return samples, labels, voices

    def _example(self, seconds: float, random: np.random.Generator) -> tuple[NDArray[Any], ...]:
        n_speakers = int(random.choice([1, 2, 2, 3, 3, 4, 4]))
        speakers = choose_speakers(len(self._voices), n_speakers, random)
        talk = make_conversation(self._voices, speakers, seconds, random)
        n_frames = -(-(len(talk.samples) // 160) // 8)
        frames, order = label_frames(talk, n_frames)
        labels = np.zeros((n_frames, N_SPEAKERS), np.float32)
        labels[:, : frames.shape[1]] = frames
        numbers = np.array(order, np.int64)[frames.argmax(1)] if order else np.full(n_frames, -1)
        samples = gated(talk) if random.random() < _GATED else talk.samples
        return samples, labels, np.where(frames.sum(1) == 1, numbers, -1)


def learning_rate(step: int) -> float:
    """Return the rate of a step, see `_CYCLES`; it warms up once.

    Example:
      >>> [round(learning_rate(step), 5) for step in (99, 3000, 3600, 4200, 6800)]
      [0.001, 0.002, 0.001, 0.0015, 0.00075]
    """
    falls, last, highest = next((cycle for cycle in _CYCLES if step < cycle[1]), _CYCLES[-1])
    return highest * min(1.0, (step + 1) / _WARM_UP, max(1e-3, (last - step) / (last - falls)))


class Training:
    """The state of a training: weights, their running average, the optimizer's, and how many steps were taken."""

    def __init__(self, n_voices: int) -> None:
        torch.manual_seed(1)
        self.model = build_model()
        self.head = VoiceHead(n_voices)
        self.average = build_model()
        self.average.load_state_dict(self.model.state_dict())
        self.optimizer = torch.optim.AdamW(
            [*self.model.parameters(), *self.head.parameters()], weight_decay=1e-2, betas=(0.9, 0.98)
        )
        self.step = 0
        self.seconds = 0.0

    def learn(self, batch: Batch, rate: float, *, autocast: bool) -> float:
        """Take one step; return the loss of diarization."""
        samples, labels, voices = batch
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            probabilities, frames = hear(self.model, samples)
        n_frames = min(labels.shape[1], probabilities.shape[1])
        loss = diarization_loss(probabilities[:, :n_frames].float(), labels[:, :n_frames])
        voice_loss = self.head(frames[:, :n_frames].float(), voices[:, :n_frames])
        self.optimizer.zero_grad()
        (loss + 0.05 * voice_loss).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self._follow()
        self.step += 1
        return float(loss)

    @torch.no_grad()
    def _follow(self) -> None:
        share = min(_MEMORY, (self.step + 1) / (self.step + 10))
        for mean, now in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(now, 1 - share)
            else:
                mean.copy_(now)

    def save(self, path: Path) -> None:
        """Write everything that a run needs to go on."""
        parts = {name: getattr(self, name).state_dict() for name in ("model", "head", "average", "optimizer")}
        torch.save(parts | {"step": self.step, "seconds": self.seconds}, f"{path}.new")
        os.replace(f"{path}.new", path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        parts = torch.load(path, weights_only=True)
        for name in ("model", "head", "average", "optimizer"):
            getattr(self, name).load_state_dict(parts[name])
        self.step, self.seconds = parts["step"], parts["seconds"]


def keep_memory() -> None:
    """Keep what is freed for the next step, where glibc would give it back and have it zeroed again."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        for setting, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, (1 << 31) - 1), (_M_TOP_PAD, 1 << 28)):
            libc.mallopt(setting, value)


def held_out_error(model: Any, voices: list[Utterances], n_conversations: int, seconds: float) -> dict[int, float]:
    """Return the frame error rate for each number of speakers on voices that were never heard; 0 stands for all."""
    random = np.random.default_rng(99)
    wrong: dict[int, NDArray[np.float64]] = {}
    model.eval()
    for number in range(n_conversations):
        n_speakers = 1 + number % N_SPEAKERS
        talk = make_conversation(voices, choose_speakers(len(voices), n_speakers, random), seconds, random)
        with torch.inference_mode():
            found = hear(model, torch.from_numpy(talk.samples)[None])[0][0].numpy() > 0.5
        frames, _ = label_frames(talk, len(found))
        error = np.array(frame_errors(frames, found), float)
        wrong[n_speakers] = wrong.get(n_speakers, np.zeros(2)) + error
    wrong[0] = np.sum(list(wrong.values()), 0)
    return {n_speakers: float(wrong[n_speakers][0] / wrong[n_speakers][1]) for n_speakers in sorted(wrong)}


def balance(model: Any, voices: list[Utterances]) -> float:
    """Shift all probabilities so that 0.5 is the threshold with the fewest wrong frames; return which one that was.

    It is chosen on conversations of the voices that the model was trained on.
    """
    random = np.random.default_rng(100)
    wrong = np.zeros(len(_THRESHOLDS))
    model.eval()
    for number in range(64):
        talk = make_conversation(voices, choose_speakers(len(voices), 1 + number % N_SPEAKERS, random), 20.0, random)
        with torch.inference_mode():
            found = hear(model, torch.from_numpy(talk.samples)[None])[0][0].numpy()
        frames, _ = label_frames(talk, len(found))
        wrong += [frame_errors(frames, found > threshold)[0] for threshold in _THRESHOLDS]
    best = _THRESHOLDS[int(wrong.argmin())]
    with torch.no_grad():
        model.sortformer_modules.single_hidden_to_spks.bias -= math.log(best / (1 - best))
    return best


def train(arguments: argparse.Namespace) -> None:
    """Train until the steps are done, and write the model after each five hundred."""
    voices = load_voices(choose_voices(TRAINING_VARIANTS, VOICES_EACH, seed=1), SENTENCES, arguments.voices)
    held_out = load_voices(choose_voices(HELD_OUT_VARIANTS, VOICES_EACH, seed=2), SENTENCES, arguments.voices)
    torch.set_num_threads(arguments.threads)
    training = Training(len(voices))
    checkpoint = Path(f"{arguments.output}.checkpoint")
    if checkpoint.exists():
        training.load(checkpoint)
    n_weights = sum(weight.numel() for weight in training.model.parameters())
    print(f"{len(voices)} voices, {n_weights:,} weights", flush=True)
    batches = iter(
        DataLoader(
            Conversations(voices, training.step),
            batch_size=None,
            num_workers=1,
            prefetch_factor=4,
        )
    )
    before, losses = time.monotonic() - training.seconds, []
    training.model.train()
    while training.step < arguments.steps:
        losses.append(training.learn(next(batches), learning_rate(training.step), autocast=arguments.autocast))
        training.seconds = time.monotonic() - before
        if training.step % 100 == 0:
            print(f"{training.step:6} {training.seconds:7.0f} s  loss {np.mean(losses[-100:]):.4f}", flush=True)
        if training.step % 500 == 0 or training.step == arguments.steps:
            errors = held_out_error(training.average, held_out, 48, 20.0)
            print("  held-out", {number: round(error, 3) for number, error in errors.items()}, flush=True)
            training.save(checkpoint)
            training.average.save_to(str(arguments.output))
    print(f"balanced at {balance(training.average, voices):g}", flush=True)
    training.average.save_to(str(arguments.output))


def main() -> None:
    """Read the command line, and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="file to write, .nemo")
    parser.add_argument("--steps", type=int, default=_CYCLES[-1][1], help="stop after so many (%(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--autocast", action="store_true", help="compute in bfloat16 where that is safe")
    parser.add_argument("--voices", type=Path, default=CACHE)
    quieten_nemo()
    keep_memory()
    train(parser.parse_args())


if __name__ == "__main__":
    main()
