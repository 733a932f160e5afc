"""Counts of each block: pure functions, so that the books can be checked by hand.

Names are `stage.what`; durations are whole microseconds (`_us`), whose sum does not depend on the order of blocks.
"""

from __future__ import annotations

from collections import Counter

from beam_curator.intervals import Seconds
from beam_curator.sets.blocks import FailureBlock, LineBlock

NAMESPACE = "beam_curator"
"""Of the timings among Beam's metrics."""

DROP_TEXTS = {
    "bad_segments": "the segment or turn has no usable times, or another fault",
    "lost_bw": "the segment's own bandwidth is below min_bandwidth",
    "lost_sr": "the entry's sample rate is below min_sample_rate",
    "lost_spk": "too few or too many speakers",
    "lost_win": "no run of segments from here fits the duration",
    "overlap": "shares too much audio with a window nearer to the target",
    "no_pieces": "the row names no piece to cut",
    "duplicate": "the same piece of the same recording was asked for before",
    "only_overlapped": "others talk all the time that the speaker does",
    "too_short": "all pieces of the speaker beside overlaps are shorter than min_duration, or than the buffer",
    "clip_too_short": "shorter than min_duration_sec where it was cut, as others talk or speech ends there",
    "never_alone": "others talk all the time, or what is said alone is too short to be embedded",
    "no_segments": "all segments of the row were dropped",
    "no_length": "shorter than the unit of time of the format",
    "not_held": "the format has no place for it",
    "no_speaker": "nobody talks in it",
    "outside": "all turns of the speaker begin behind the end of the recording",
}
"""What each reason means by which something was dropped."""


def said_of_drop(reason: str) -> str:
    """Return a reason with its meaning; a condition that does not hold says it itself.

    Example:
      >>> said_of_drop("no_pieces"), said_of_drop("missing snr_db"), said_of_drop("snr_db >= 10")
      ('no_pieces, the row names no piece to cut', 'missing snr_db, there is no value at this key', 'snr_db >= 10')
    """
    texts = (DROP_TEXTS.get(reason), *(text for word, text in _OF_KEYS.items() if reason.startswith(word)))
    return next((f"{reason}, {text}" for text in texts if text is not None), reason)


_OF_KEYS = {
    "missing ": "there is no value at this key",
    "not_comparable ": "the value is of another kind than the one that it is compared with",
}


def microseconds(seconds: Seconds) -> int:
    """Round a duration to whole microseconds."""
    return round(seconds * 1e6)


def count_lines(block: LineBlock) -> dict[str, int]:
    """Count the rows that were read, and their bytes."""
    return {"read.rows": len(block.lines), "read.bytes": sum(len(line.raw) + 1 for line in block.lines)}


def count_failures(block: FailureBlock) -> dict[str, int]:
    """Count dead letters, in all and by code."""
    counts = Counter(f"{block.stage}.failures.{failure.code}" for failure in block.failures)
    return {f"{block.stage}.failures": len(block.failures), **counts}


Count = tuple[str, int]
"""A name such as "build.windows" and a number to add to it."""
