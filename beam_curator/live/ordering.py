"""The order of a session's chunks, whatever order they come in: which are new, which are early, and where some lack."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from beam_curator.failures import EntryError, FailureCode


class Gap(NamedTuple):
    """Chunks that did not come, and the silence that stands for them.

    Attributes:
      first, last: their numbers.
      start, stop: samples of the session, half-open.
    """

    first: int
    last: int
    start: int
    stop: int


@dataclass(slots=True, kw_only=True)
class ChunkOrder:
    """The chunks of one session: some were heard by the model, some wait for it in order, some are early.

    Attributes:
      next_seq: the first chunk that is not in order yet.
      n_ordered: samples of all chunks in order.
      n_taken: samples that the model heard.
      taken_seq: the first chunk of which it did not hear all.
      skip: samples of that chunk that it heard.
      usual: samples of the latest chunk in order.
      early: chunk to samples, of those that came before their time.
      silences: first and last chunk that are missing, and the samples of each, as long as the model did not hear them.
      last_seq: the final chunk; None as long as none is known.
      gap_since: when it was seen first that a chunk lacks; None while none does.
    """

    next_seq: int = 0
    n_ordered: int = 0
    n_taken: int = 0
    taken_seq: int = 0
    skip: int = 0
    usual: int = 0
    early: dict[int, int] = field(default_factory=dict)
    silences: list[tuple[int, int, int]] = field(default_factory=list)
    last_seq: int | None = None
    gap_since: float | None = None

    @property
    def n_waiting(self) -> int:
        """Samples in order that the model did not hear."""
        return self.n_ordered - self.n_taken

    @property
    def is_complete(self) -> bool:
        """Whether every chunk up to the final one is in order."""
        return self.last_seq is not None and self.next_seq > self.last_seq

    def is_known(self, seq: int) -> bool:
        """Tell whether a chunk came before, or silence stands for it."""
        return seq < self.next_seq or seq in self.early

    def check(self, seq: int, max_early: int) -> None:
        """Check that a chunk has a place; one too far ahead has one where its stream has clearly come that far.

        Raises:
          EntryError: it is behind the final one (`session_closed`), or too far ahead (`too_early`).
        """
        if self.last_seq is not None and seq > self.last_seq:
            raise closed(seq, self.last_seq)
        if seq > self.next_seq + max_early and not self.goes_on_at(seq):
            raise EntryError(
                FailureCode.TOO_EARLY,
                f"chunk {seq}, expected {self.next_seq} next and {max_early} more at most",
                "send what is missing, begin a new session, or raise --max-early",
            )

    def goes_on_at(self, seq: int) -> bool:
        """Tell whether most chunks between the next one and one far ahead are here: the next one is lost then.

        Example:
          >>> order = ChunkOrder(next_seq=4, early={5: 80, 6: 80, 8: 80})
          >>> order.goes_on_at(9), order.goes_on_at(10), order.goes_on_at(10**12)
          (True, True, False)
        """
        return 2 * len(self.early) > seq - self.next_seq - 1

    def finish_at(self, seq: int) -> None:
        """Note that a chunk is the final one."""
        self.last_seq = max(seq, self.next_seq - 1, *self.early)

    def place(self, seq: int, n_samples: int) -> None:
        """Put a chunk in its place."""
        self.early[seq] = n_samples
        self._advance()

    def _advance(self) -> None:
        while self.next_seq in self.early:
            n_samples = self.early.pop(self.next_seq)
            # the final one may be empty
            self.usual = n_samples or self.usual
            self.n_ordered += n_samples
            self.next_seq += 1

    def note_gap(self, now: float) -> None:
        """Note since when a chunk lacks."""
        lacks = bool(self.early) or (self.last_seq is not None and not self.is_complete)
        if not lacks:
            self.gap_since = None
        elif self.gap_since is None:
            self.gap_since = now

    def bridge(self, now: float) -> Gap:
        """Put silence in the place of the chunks that lack, each as long as the one before, or else behind them."""
        first, behind = self.next_seq, min(self.early, default=None)
        last = behind - 1 if behind is not None else self.last_seq if self.last_seq is not None else first
        each = self.usual or (self.early[behind] if behind is not None else 0)
        start = self.n_ordered
        self.silences.append((first, last, each))
        self.n_ordered += (last - first + 1) * each
        self.next_seq = last + 1
        self.gap_since = None
        self._advance()
        self.note_gap(now)
        return Gap(first, last, start, start + (last - first + 1) * each)

    def to_dict(self) -> dict[str, Any]:
        """Return the order as JSON has it."""
        return asdict(self) | {"early": list(self.early.items())}

    @classmethod
    def of(cls, kept: dict[str, Any]) -> ChunkOrder:
        """Return the order that `to_dict` gave."""
        early = dict(kept["early"])
        return cls(**{**kept, "early": early, "silences": [(a, b, n) for a, b, n in kept["silences"]]})


def closed(seq: int, last_seq: int) -> EntryError:
    """Make the error for a chunk behind the end of its session."""
    return EntryError(
        FailureCode.SESSION_CLOSED,
        f"chunk {seq} of a session that ended with chunk {last_seq}",
        "begin a new session",
    )
