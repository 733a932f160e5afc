"""How a streaming Sortformer walks through a recording: its six parameters, and presets of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from beam_curator.rules import option, option_problems, raise_problems

FRAME_SECONDS = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingParameters:
    """Parameters of a streaming Sortformer, in frames of 80 ms; the defaults are those of the 30.4 s preset.

    Of `spkcache_update_period` NeMo takes at least `chunk_len`, and at most `fifo_len + chunk_len`. The results of the
    other update rule, `asynchronous`, differ by up to 0.1; NeMo needs it to run streams of different lengths at once,
    this engine does not.
    """

    chunk_len: int = option(340, "frames of 80 ms decided per step")
    chunk_left_context: int = option(1, "frames of context before them")
    chunk_right_context: int = option(40, "frames of context after them")
    fifo_len: int = option(40, "frames that wait to enter the speaker cache")
    spkcache_update_period: int = option(300, "frames that enter the cache at a time")
    spkcache_len: int = option(188, "frames that the speaker cache holds")
    asynchronous: bool = option(False, "use NeMo's other update rule (async_streaming)", flag="async-streaming")

    def __post_init__(self) -> None:
        raise_problems("streaming parameters", [*self._problems(), *option_problems(self)])

    def _problems(self) -> list[str]:
        least = {
            "chunk_len": 1,
            "chunk_left_context": 0,
            "chunk_right_context": 0,
            "fifo_len": 0,
            "spkcache_update_period": 1,
            "spkcache_len": 1,
        }
        problems = []
        for name, low in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                problems.append(f"{name} {value!r} is not a whole number: give frames of 80 ms")
            elif value < low:
                problems.append(f"{name} {value} is below {low}: raise it")
        return problems

    @property
    def latency(self) -> float:
        """Seconds between a sound and its probabilities, without the time to compute them.

        Example:
          >>> [round(parameters.latency, 2) for parameters in LATENCY_PRESETS.values()]
          [30.4, 10.0, 2.56, 1.04, 0.32]
        """
        return (self.chunk_len + self.chunk_right_context) * FRAME_SECONDS

    def check(self, n_speakers: int, silence_frames_per_speaker: int) -> None:
        """Check the parameters against a model, as NeMo's `_check_streaming_parameters`.

        Raises:
          ValueError: the speaker cache has no room for each speaker and the silence between them.
        """
        least = (1 + silence_frames_per_speaker) * n_speakers
        if self.spkcache_len < least:
            raise ValueError(
                f"spkcache_len {self.spkcache_len} is too short for {n_speakers} speakers with "
                f"{silence_frames_per_speaker} frames of silence each: give at least {least}"
            )


LATENCY_PRESETS: Mapping[str, StreamingParameters] = {
    "very-high": StreamingParameters(),
    "high": StreamingParameters(chunk_len=124, chunk_right_context=1, fifo_len=124, spkcache_update_period=124),
    "medium": StreamingParameters(chunk_len=25, chunk_right_context=7, fifo_len=40, spkcache_update_period=40),
    "low": StreamingParameters(chunk_len=6, chunk_right_context=7, fifo_len=188, spkcache_update_period=144),
    "ultra-low": StreamingParameters(chunk_len=3, chunk_right_context=1, fifo_len=188, spkcache_update_period=144),
}
"""Name to parameters, as NVIDIA publishes them for its streaming Sortformers: 30.4 s, 10 s, 1.04 s and 0.32 s.

`medium` (2.56 s) is ours: it takes a quarter of the steps of `low`, each over a shorter fifo.
"""
