"""One session as its model hears it: the state of the stream, its turns so far, and all of it as bytes in parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.array_bytes import pack_arrays, unpack_arrays
from beam_curator.diarization.dead_air import DeadAirGate
from beam_curator.diarization.live_turns import LiveTurns, NewTurns
from beam_curator.diarization.models import Floats
from beam_curator.diarization.sortformer_streaming import StreamingSortformer
from beam_curator.diarization.stream_state import BEGINNING, ChangedParts
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.live.session_bags import bad_state
from beam_curator.live.sound import LiveResampler

_KIND, _VERSION = "beam_curator.LiveSession.head", 1


class HearingRules(NamedTuple):
    """How sessions are heard.

    Attributes:
      engine: the model.
      turns: how probabilities become turns.
      dead_air_gate: nobody talks where nothing moves.
    """

    engine: StreamingSortformer
    turns: TurnRules
    dead_air_gate: bool = True


class Hearing:
    """One session as its model hears it.

    Args:
      rules: how.
      sample_rate: of the session, in Hz.

    Attributes:
      state: of the model's stream.
    """

    def __init__(self, rules: HearingRules, sample_rate: int) -> None:
        config = rules.engine.config
        self._rules, self._rate = rules, sample_rate
        self.state = rules.engine.new_state()
        self._turns = LiveTurns(rules.turns, config.n_speakers, config.frame_step)
        self._gate = DeadAirGate(config.n_speakers, config.frame_step) if rules.dead_air_gate else None
        self._resampler = LiveResampler(sample_rate)
        self._mark = BEGINNING

    @property
    def n_needed(self) -> int:
        """Samples, at the rate of the session, that its next step takes."""
        return self._resampler.n_needed(self._rules.engine.samples_missing(self.state))

    @property
    def decided_until(self) -> float:
        """Seconds of which the turns are decided, but for those that may still change."""
        return self._turns.decided_until

    def piece(self, samples: Floats, *, is_last: bool) -> Floats:
        """Take the next samples, float32 [n] at the rate of the session; return them as the model takes them."""
        made = self._resampler.resample(samples, is_last=is_last)
        if self._gate is not None:
            self._gate.hear(made)
        return made

    def decide(self, frames: Floats) -> NewTurns:
        """Take the model's frames of a step, float32 [n_frames, n_speakers]; return the turns that they bring."""
        return self._turns.add(frames if self._gate is None else self._gate.gated(frames))

    def finish(self, frames: Floats) -> NewTurns:
        """Take the model's last frames; return all turns that are left."""
        new = self._turns.add(frames if self._gate is None else self._gate.gated(frames, is_last=True))
        left = self._turns.finish(self._resampler.n_in / self._rate)
        return NewTurns(begun=(*new.begun, *left.begun), final=(*new.final, *left.final))

    def parts(self) -> ChangedParts:
        """Return the parts that have changed since they were read."""
        changed = self.state.changed_parts(self._mark)
        self._mark = self.state.mark()
        gate = self._gate
        header: dict[str, Any] = {"n_in": self._resampler.n_in, "turns": self._turns.to_dict()}
        arrays: dict[str, NDArray[Any]] = {
            "stream": np.frombuffer(changed.head, np.uint8),
            "tail": self._resampler.tail,
        }
        if gate is not None:
            header |= {"dead_air": gate.meter.to_dict(), "n_given": gate.n_given}
            arrays |= {"rest": gate.meter.rest, "held": gate.held}
        return changed._replace(head=pack_arrays(_KIND, _VERSION, header, arrays))

    def restore(self, head: bytes, cache: bytes | None, fifo: Iterable[bytes]) -> None:
        """Go on from the parts that were written before.

        Raises:
          EntryError: a part is missing, damaged, newer, or of another model or other options (`bad_state`).
        """
        try:
            header, arrays = unpack_arrays(head, _KIND, _VERSION)
            self.state.restore(arrays["stream"].tobytes(), cache, fifo)
            self._turns.restore(header["turns"])
            self._resampler.n_in, self._resampler.tail = header["n_in"], arrays["tail"]
            if self._gate is not None:
                self._gate.meter.restore(header["dead_air"], arrays["rest"])
                self._gate.held, self._gate.n_given = arrays["held"], header["n_given"]
        except (ValueError, KeyError, TypeError) as err:
            raise bad_state(str(err)) from err
        self._mark = self.state.mark()
