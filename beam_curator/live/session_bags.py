"""Parts of a session's state that are texts of bytes in bags: chunks that wait, and final turns."""

from __future__ import annotations

import json
from collections.abc import Iterable

from beam_curator.diarization.turns import Turn, turn_order
from beam_curator.failures import EntryError, FailureCode
from beam_curator.live.messages import chunk_of


def bad_state(why: str) -> EntryError:
    """Make the error for the state of a session that cannot be read."""
    return EntryError(
        FailureCode.BAD_STATE,
        f"the state of the session cannot be read: {why}",
        "begin a new session, and keep model and options of a job that goes on",
    )


def turn_to_bytes(turn: Turn) -> bytes:
    """Return a turn as a bag keeps it.

    Example:
      >>> turns_of([turn_to_bytes(Turn(start=1.5, end=2.0, speaker=1))])
      [Turn(start=1.5, end=2.0, speaker=1)]
    """
    return json.dumps([turn.start, turn.end, turn.speaker]).encode()


def turns_of(kept: Iterable[bytes]) -> list[Turn]:
    """Return the turns of a bag in their order.

    Raises:
      EntryError: one is damaged (`bad_state`).
    """
    try:
        listed = [json.loads(turn) for turn in kept]
        turns = [Turn(start=start, end=end, speaker=speaker) for start, end, speaker in listed]
        return sorted(turns, key=turn_order)
    except (ValueError, TypeError) as err:
        raise bad_state(f"turns: {err}") from err


def chunks_in(kept: Iterable[bytes]) -> dict[int, bytes]:
    """Return the messages of a bag by their numbers.

    Raises:
      EntryError: one is damaged (`bad_state`).
    """
    try:
        return {chunk_of(message).seq: message for message in kept}
    except EntryError as err:
        raise bad_state(f"chunks that wait: {err.message}") from err
