"""NVIDIA's diarization model for eight speakers, as transformers has it, on torch.

It hears a recording chunk by chunk with a speaker cache, so memory does not grow with the length. The steps are those
of `Nemotron3DiarizationForAudioFrameClassification` (transformers 5.23) for whole recordings, taken one by one.
"""

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from beam_curator.diarization.batches import BatchLimit, in_halves
from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats
from beam_curator.failures import EntryError, FailureCode
from beam_curator.model_records import NEMOTRON_MODEL
from beam_curator.models.model_files import NEMOTRON_TYPE, ModelFileError, ModelLocation
from beam_curator.models.torch_running import computing, with_memory_errors

Result = Floats | EntryError
"""float32 [n_frames, n_speakers] for frames of 10 ms, or why there is none."""

_HOP = 160
FRAME_STEP = _HOP / MODEL_SAMPLE_RATE
"""Seconds from one row of its probabilities to the next."""


class NemotronModel:
    """A loaded model. Its single public method lets a proxy in another process stand in for it.

    Args:
      network: transformers' Nemotron3DiarizationForAudioFrameClassification, on its device.
      extractor: its feature extractor: log-mel frames that are neither scaled nor normalized, by item or by batch.
      threads: of torch.
    """

    def __init__(self, network: Any, extractor: Any, *, threads: int = 1) -> None:
        self._network, self._extractor, self._threads = network, extractor, threads
        self._limit = BatchLimit()
        self._n_speakers = int(network.config.head_config.num_speakers)
        self._factor = int(network.config.audio_config.subsampling_factor)
        self._own: Any = None
        self._lock = threading.Lock()

    def infer(self, waveforms: list[Floats]) -> list[Result]:
        """Return the probabilities of recordings; split the batch if memory runs out or a recording fails.

        Args:
          waveforms: float32 [n_samples] at 16 kHz each.

        Returns:
          For each float32 [n_samples // 160, n_speakers], or why there is none.
        """
        import torch

        with self._lock:
            heard = in_halves(lambda batch: with_memory_errors(lambda: self._hear(batch)), waveforms, self._limit)
        for result in heard:
            if isinstance(
                result, torch.AcceleratorError
            ):  # the GPU is lost to this process, and so is all that follows
                raise result
        return [_result_of(result, samples) for result, samples in zip(heard, waveforms, strict=True)]

    def _hear(self, waveforms: Sequence[Floats]) -> list[Floats]:
        n_frames = [len(samples) // _HOP for samples in waveforms]
        spoken = [position for position, n in enumerate(n_frames) if n]
        results = [np.zeros((n, self._n_speakers), np.float32) for n in n_frames]
        done = 0
        hook = self._network.model.upsampler.register_forward_pre_hook(self._silence_what_follows)
        with hook, computing(str(self._network.device), self._threads):
            for probabilities in self._steps([waveforms[position] for position in spoken]):
                for row, position in enumerate(spoken):
                    piece = probabilities[row, : max(0, n_frames[position] - done)]
                    results[position][done : done + len(piece)] = piece
                done += probabilities.shape[1]
        if not all(np.isfinite(result).all() for result in results):
            raise ValueError("the model gave probabilities that are not finite")
        return results

    def _steps(self, waveforms: Sequence[Floats]) -> Iterable[Floats]:
        """Yield the probabilities of one chunk after the other: float32 [n_items, n_frames, n_speakers].

        The chunks are those of the class's own forward for whole recordings: `chunk_length` embeddings of 80 ms with
        `chunk_left_context` before and `chunk_right_context` behind them. Only a chunk's own samples are turned into
        mel frames, which forward does for all of a recording at once.
        """
        from transformers import Nemotron3DiarizationSpeakerCache

        config = self._network.config
        n_own = [len(samples) // _HOP // self._factor + 1 for samples in waveforms]  # forward counts the frame behind
        n_heard = max((-(-(len(samples) // _HOP) // self._factor) for samples in waveforms), default=0)
        cache = Nemotron3DiarizationSpeakerCache(
            config.streaming_config,
            fifo_length=config.fifo_length,
            speaker_cache_update_period=config.speaker_cache_update_period,
        )
        for start in range(0, n_heard, config.chunk_length):
            first = max(0, start - config.chunk_left_context)
            end = min(start + config.chunk_length, max(n_own))
            last = min(end + config.chunk_right_context, max(n_own))
            features, mask = self._features(waveforms, first * self._factor, last * self._factor)
            self._own = _first_ones([n - first for n in n_own], last - first, features.device)
            output = self._network(
                input_features=features,
                attention_mask=mask,
                speaker_cache=cache,
                num_lookahead_frames=last - end,
                num_lookback_frames=start - first,
            )
            yield output.logits.float().sigmoid().cpu().numpy()

    def _features(self, waveforms: Sequence[Floats], first: int, last: int) -> tuple[Any, Any]:
        """Return mel frames `first` to `last` of each recording, 0 and masked behind its end.

        A frame is centred at its number of hops and reaches half a transform to both sides.
        """
        import torch

        half = self._extractor.n_fft // 2
        start, stop = first * _HOP - half, (last - 1) * _HOP + half
        silence = np.zeros(max(0, -start), np.float32)
        pieces = [np.concatenate([silence, samples[max(0, start) : stop]]) for samples in waveforms]
        inputs = self._extractor(
            [piece if len(piece) else np.zeros(1, np.float32) for piece in pieces],
            sampling_rate=MODEL_SAMPLE_RATE,
            center=False,
            is_last_audio_chunk=True,
            return_tensors="pt",
        )
        n_missing = last - first - inputs["input_features"].shape[1]
        features = torch.nn.functional.pad(inputs["input_features"], (0, 0, 0, n_missing))
        mask = torch.nn.functional.pad(inputs["attention_mask"], (0, n_missing))
        return features.to(self._network.device, self._network.dtype), mask.to(self._network.device)

    def _silence_what_follows(self, module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Set embeddings behind a recording's end to 0 before the upsampler sees them.

        The upsampler is a convolution over three embeddings that knows no mask: what is computed for the padding of a
        batch leaks into the last 80 ms of its shorter recordings (by 0.05 in a random model). Alone a recording has
        zeros there.
        """
        import torch

        hidden = arguments[0]
        n_cached = hidden.shape[1] - self._own.shape[1]
        own = torch.nn.functional.pad(self._own, (n_cached, 0), value=True)
        return (hidden.masked_fill(~own[..., None], 0.0),)


def _first_ones(counts: Sequence[int], width: int, device: Any) -> Any:
    """Return bool [n_items, width], true for the first `counts[i]` of each row."""
    import torch

    return torch.arange(width, device=device)[None, :] < torch.tensor(counts, device=device)[:, None]


def _result_of(found: Floats | Exception, samples: Floats) -> Result:
    """Return the result of a recording; an exception that it raised alone becomes an EntryError."""
    if isinstance(found, MemoryError):
        return EntryError(
            FailureCode.OUT_OF_MEMORY,
            f"memory does not suffice for {len(samples) / MODEL_SAMPLE_RATE:g} s of audio, alone",
            "use a worker with more memory, or fewer workers on it",
        )
    if isinstance(found, Exception):
        reason = str(found).splitlines()[0] if str(found) else "no message"
        return EntryError(
            FailureCode.MODEL_ERROR,
            f"the model raised {type(found).__name__} for the recording alone: {reason}",
            "listen to the recording; report it if it is sound",
        )
    return found


def load_nemotron(location: ModelLocation, *, device: str = "cpu", threads: int = 1) -> NemotronModel:
    """Load a folder that transformers saved: weights as safetensors, no code of the folder's.

    Raises:
      ModelFileError: it is no model of this kind, it is damaged, or the library that loads it is missing.
      ValueError: a GPU is asked for and there is none.
    """
    if location.kind != "transformers":
        raise ModelFileError(
            f"{location.path} is a model of kind {location.kind}, expected a folder that transformers saved, with "
            f"model_type {NEMOTRON_TYPE}: give --model-path of {NEMOTRON_MODEL}"
        )
    try:
        import torch
        from transformers import Nemotron3DiarizationForAudioFrameClassification, NemotronAsrStreamingFeatureExtractor
    except ImportError as err:
        raise ModelFileError(
            f"{location.name} needs torch and transformers of at least 5.23: pip install 'beam-curator[nemotron]'"
        ) from err
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"device {device} is asked for, but torch sees no GPU: give cpu, or a worker with a GPU")
    loaded: Any
    try:
        loaded = Nemotron3DiarizationForAudioFrameClassification.from_pretrained(
            location.path, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        extractor = NemotronAsrStreamingFeatureExtractor.from_pretrained(location.path, local_files_only=True)
    except Exception as err:  # safetensors, torch and transformers each have errors of their own
        raise _damaged(location, f"{type(err).__name__}: {str(err).splitlines()[0] if str(err) else ''}") from err
    network, info = loaded
    if info["missing_keys"]:  # transformers makes them up, with a warning
        raise _damaged(location, f"weights are missing: {', '.join(sorted(info['missing_keys'])[:3])}")
    heard = (extractor.sampling_rate, extractor.hop_length, extractor.feature_size)
    expected = (MODEL_SAMPLE_RATE, _HOP, network.config.audio_config.num_mel_bins)
    if heard != expected:
        raise _damaged(location, f"its feature extractor gives (rate, hop, bands) {heard}, expected {expected}")
    return NemotronModel(network.to(device).eval(), extractor, threads=threads)


def _damaged(location: ModelLocation, why: str) -> ModelFileError:
    return ModelFileError(
        f"{location.path} cannot be loaded, expected a whole {NEMOTRON_TYPE}: {why}: download it again"
    )
