"""A streaming Sortformer, chunk by chunk: raw samples in pieces of any length to probabilities of speakers.

What is heard goes from samples to mel frames, through `pre_encode` to embeddings, and together with the speaker cache
and the fifo through `encode` to probabilities. Then the chunk joins the fifo, and what leaves the fifo joins the cache.
The steps are those of NeMo (sortformer_modules.py: streaming_feat_loader, streaming_update, streaming_update_async;
sortformer_diar_models.py: forward_streaming_step); everything but the two functions of the backend is NumPy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from beam_curator.diarization.batches import BatchLimit, in_halves, padded
from beam_curator.diarization.mel import MelFrontEnd, as_waveform
from beam_curator.diarization.models import Backend, Encoded, Floats, encoded
from beam_curator.diarization.speaker_cache import compress, silence_profile
from beam_curator.diarization.stream_state import StreamState
from beam_curator.diarization.streaming_parameters import StreamingParameters

__all__ = ["StreamState", "StreamingSortformer", "diarize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A chunk that is about to be decided, with its context.

    Attributes:
      state: the stream's state; it does not change before the step is taken.
      mel: float32 [n_mel_frames, n_mels]: left context, chunk, right context.
      left: frames of the left context.
      n_frames: frames of the chunk.
      is_final: the recording ends with it.
    """

    state: StreamState
    mel: Floats
    left: int
    n_frames: int
    is_final: bool


class StreamingSortformer:
    """Say who speaks when while recordings are still coming in, many of them at once.

    Results are those of NeMo's streaming over a whole file, and do not depend on how its samples are cut. In a batch
    they differ from those of the stream alone only by how the backend rounds.
    """

    def __init__(
        self, backend: Backend, parameters: StreamingParameters | None = None, *, keeps_frames: bool = False
    ) -> None:
        """Take a model, and how it is to walk through recordings.

        Args:
          backend: the two functions of a streaming model.
          parameters: None for those that the model was published with.
          keeps_frames: add the encoder's frames of what is decided to `StreamState.frames`: take them after each push.

        Raises:
          ValueError: the model does not stream, or the parameters do not suit it.
        """
        config = backend.config
        if not config.is_streaming or config.mel.normalization != "none":
            raise ValueError(
                f"model {config.name!r} hears a recording at once (is_streaming {config.is_streaming}, normalization "
                f"{config.mel.normalization!r}): use OfflineSortformer, or a model that streams"
            )
        self.parameters = config.streaming if parameters is None else parameters
        self.parameters.check(config.n_speakers, config.cache.spkcache_sil_frames_per_spk)
        self.config = config
        self._backend = backend
        self._keeps_frames = keeps_frames
        self._mel = MelFrontEnd(config.mel, backend.mel_filters)
        self._limit = BatchLimit()
        self._origin = self._describe()

    def _describe(self) -> str:
        config = self.config
        sizes = ("sha256", "n_speakers", "embedding_size", "subsampling_factor")
        rules = {"mel": asdict(config.mel), "cache": asdict(config.cache), "streaming": asdict(self.parameters)}
        return json.dumps({name: getattr(config, name) for name in sizes} | rules)

    def new_state(self) -> StreamState:
        """Return the state of a stream of which nothing was heard."""
        return StreamState.empty(self._origin, self.config, keeps_predictions=self.parameters.asynchronous)

    def state_from_bytes(self, data: bytes) -> StreamState:
        """Read a state that `StreamState.to_bytes` wrote for the same model and parameters.

        Raises:
          ValueError: it is damaged, of another version, of another model or of other parameters.
        """
        state = StreamState.from_bytes(data)
        state.check_origin(self._origin)
        return state

    def push(
        self, states: Sequence[StreamState], pieces: Sequence[Floats], last: Sequence[bool]
    ) -> list[Floats | Exception]:
        """Let streams hear some more samples, and return the frames that are decided by now.

        The streams that have a full chunk take a step together, until none has one. A stream that fails (its samples
        are not finite, the model fails on it) does so alone: its result is the exception, what was decided in the
        same call is lost, and every later call gives an exception again.

        Args:
          states: of different streams; they change.
          pieces: for each stream float32 [n_samples] at 16 kHz, of any length, also 0.
          last: for each stream, whether it ends with this piece. Then all its frames are decided.

        Returns:
          For each stream float32 [n_new_frames, n_speakers], which follow those of the call before, or its exception.

        Raises:
          ValueError: a state is of another model or other parameters, is given twice, or its stream has ended.
        """
        self._check(states, pieces, last)
        decided: list[list[Floats]] = [[] for _ in states]
        failed = _hear(states, pieces, last)
        active = [index for index in range(len(states)) if index not in failed]
        # side by side, so that every call of the model has as many streams as are ready
        while active := [index for index in active if index not in failed and self._has_chunk(states[index])]:
            steps = [self._next_step(states[index]) for index in active]
            for index, step, answer in zip(active, steps, in_halves(self._ask, steps, self._limit), strict=True):
                if isinstance(answer, Exception):
                    failed[index] = answer
                else:
                    decided[index].append(self._take(step, *answer))
        for index, state in enumerate(states):
            if index in failed:
                state.fail(failed[index])
            else:
                state.settle(self._mel.first_sample(self._first_mel(state) + len(state.mel)))
        # gives streams without new frames an array of the right shape
        nothing = np.empty((0, self.config.n_speakers), dtype=np.float32)
        return [failed.get(index, np.concatenate([nothing, *decided[index]])) for index in range(len(states))]

    def _check(self, states: Sequence[StreamState], pieces: Sequence[Floats], last: Sequence[bool]) -> None:
        if not len(states) == len(pieces) == len(last):
            raise ValueError(f"{len(states)} states, {len(pieces)} pieces, {len(last)} last: give one of each a stream")
        if len({id(state) for state in states}) != len(states):
            raise ValueError("a state is given twice in one call: give each stream one piece at a time")
        for index, state in enumerate(states):
            state.check_origin(self._origin)
            if state.is_closed and not state.error:
                raise ValueError(f"stream {index} has ended after {state.n_samples} samples: begin with a new state")

    def _has_chunk(self, state: StreamState) -> bool:
        if state.is_closed:
            return state.position * self.config.subsampling_factor < self._mel.n_frames(state.n_samples)
        return self.samples_missing(state) <= 0

    def samples_missing(self, state: StreamState) -> int:
        """Return how many samples a stream that goes on lacks for its next step; 0 or less where none."""
        stop = state.position + self.parameters.chunk_len + self.parameters.chunk_right_context
        # the window of the last mel frame reaches beyond its own hop
        return self._mel.stop_sample(stop * self.config.subsampling_factor) - state.n_samples

    def _first_mel(self, state: StreamState) -> int:
        """Return the mel frame that the next chunk's left context begins with."""
        return max(0, state.position - self.parameters.chunk_left_context) * self.config.subsampling_factor

    def _next_step(self, state: StreamState) -> _Step:
        """Cut the next chunk out of a stream; only the mel frames that are not there yet are computed."""
        factor, parameters = self.config.subsampling_factor, self.parameters
        first, begin = self._first_mel(state), state.position * factor
        stop = begin + parameters.chunk_len * factor
        heard = stop + parameters.chunk_right_context * factor
        n_mel = self._mel.n_frames(state.n_samples)
        if state.is_closed:
            stop, heard = min(stop, n_mel), min(heard, n_mel)
        mel = np.empty((heard - first, self.config.mel.n_mels), dtype=np.float32)
        n_there = len(state.mel)
        mel[:n_there] = state.mel
        if first + n_there < heard:
            self._mel.piece(state.joined_audio(), state.audio_start, first + n_there, heard, out=mel[n_there:])
        return _Step(
            state=state,
            mel=mel,
            left=(begin - first) // factor,
            # rounded up, as `pre_encode` keeps a last frame that is not full
            n_frames=-(-(stop - begin) // factor),
            is_final=state.is_closed and stop == n_mel,
        )

    def _ask(self, steps: list[_Step]) -> list[tuple[Floats, Encoded]]:
        """Run the model on the chunks of different streams at once.

        Returns:
          For each the embeddings of its chunk with the context, float32 [n_frames, embedding_size], and the model's
          output for the cache, the fifo, and that chunk.
        """
        mel, n_mel = padded([[step.mel] for step in steps])
        embeddings, n_frames = self._backend.pre_encode(mel, n_mel)
        # rounded up: the last frame may hear fewer mel frames than the others
        expected = -(-n_mel // self.config.subsampling_factor)
        if not np.array_equal(n_frames, expected):
            raise ValueError(f"pre_encode made {list(n_frames)} frames, but {list(expected)} are expected")
        chunks = [chunk[:n] for chunk, n in zip(embeddings, n_frames, strict=True)]
        heard, n_heard = padded(
            [[step.state.cache, step.state.fifo, chunk] for step, chunk in zip(steps, chunks, strict=True)]
        )
        said = encoded(self._backend, heard, n_heard, keeps_frames=self._keeps_frames)
        return list(zip(chunks, said, strict=True))

    def _take(self, step: _Step, embeddings: Floats, said: Encoded) -> Floats:
        """Take a step: return the probabilities of its chunk, and make the state that of the next."""
        state = step.state
        n_cache, n_fifo = len(state.cache), len(state.fifo)
        begin = n_cache + n_fifo + step.left
        # copied: a view would keep the whole batch alive
        decided = said.probabilities[begin : begin + step.n_frames].copy()
        if said.frames is not None:
            state.frames.append(said.frames[begin : begin + step.n_frames].copy())
        first = self._first_mel(state)
        state.position += step.n_frames
        if step.is_final:
            return decided
        state.mel = step.mel[self._first_mel(state) - first :].copy()
        state.fifo = np.concatenate([state.fifo, embeddings[step.left : step.left + step.n_frames]])
        if len(state.fifo) > self.parameters.fifo_len:
            fifo_predictions = np.concatenate([said.probabilities[n_cache : n_cache + n_fifo], decided])
            self._move_to_cache(state, said.probabilities[:n_cache], fifo_predictions)
        return decided

    def _move_to_cache(self, state: StreamState, cache_predictions: Floats, fifo_predictions: Floats) -> None:
        """Move the oldest frames of the fifo to the speaker cache, and compress that when it gets too long.

        Until the first compression NeMo's synchronous rule keeps no predictions with the cache, and takes those of
        the step that compresses; the asynchronous rule keeps what was predicted when the frames left the fifo.
        """
        parameters, rules = self.parameters, self.config.cache
        n_fifo = len(state.fifo)
        # at least a period, and as much as lets the rest fit into the fifo
        n_moved = min(max(parameters.spkcache_update_period, n_fifo - parameters.fifo_len), n_fifo)
        moved, moved_predictions = state.fifo[:n_moved], fifo_predictions[:n_moved]
        # before compressing, which fills up with the new mean
        state.silence_mean, state.n_silence = silence_profile(
            state.silence_mean, state.n_silence, moved, moved_predictions, rules.sil_threshold
        )
        cache, known = np.concatenate([state.cache, moved]), state.cache_predictions
        state.fifo = state.fifo[n_moved:].copy()
        is_full = len(cache) > parameters.spkcache_len
        # see the docstring: the synchronous rule takes the predictions of this very step
        if known is None and is_full:
            known = cache_predictions
        predictions = None if known is None else np.concatenate([known, moved_predictions])
        if is_full and predictions is not None:
            n_scored = self._n_scored(len(cache))
            # a probability of 0 for everybody scores -inf, so that padding is never kept
            predictions = np.pad(predictions, ((0, n_scored - len(cache)), (0, 0)))
            cache, predictions = compress(cache, predictions, state.silence_mean, rules, parameters.spkcache_len)
        state.cache, state.cache_predictions = cache, predictions
        state.n_moves += 1

    def _n_scored(self, n_frames: int) -> int:
        """Return how many frames are scored for a cache of `n_frames`: the asynchronous rule fills up with silence.

        That is never kept, but it moves which of equal scores torch takes.
        """
        parameters = self.parameters
        if not parameters.asynchronous:
            return n_frames
        n_moved = max(parameters.spkcache_update_period, parameters.chunk_len)
        return parameters.spkcache_len + min(n_moved, parameters.chunk_len + parameters.fifo_len)


def _hear(states: Sequence[StreamState], pieces: Sequence[Floats], last: Sequence[bool]) -> dict[int, Exception]:
    """Give each stream its samples; return the error of each stream whose samples are wrong, by index."""
    failed: dict[int, Exception] = {}
    for index, state in enumerate(states):
        try:
            state.hear(as_waveform(pieces[index]), is_last=bool(last[index]))
        except ValueError as err:
            failed[index] = err
    return failed


def diarize(engine: StreamingSortformer, waveforms: Sequence[Floats]) -> list[Floats | Exception]:
    """Return who speaks when in whole recordings, which go through the model chunk by chunk, side by side.

    Args:
      engine: with a model.
      waveforms: float32 [n_samples] each, at 16 kHz. At the end of a batch of unlike lengths only the long ones are
        left, so recordings of like length go faster.

    Returns:
      For each float32 [n_frames, n_speakers], or why it failed. Less than 160 samples have no frame.
    """
    states = [engine.new_state() for _ in waveforms]
    return engine.push(states, waveforms, [True] * len(waveforms))
