"""`beam-curator listen`: who talks in live streams, in the terminal."""

import argparse
import sys
import time

from beam_curator.files.event_files import EventReader
from beam_curator.live.board import Board
from beam_curator.live.events import Event
from beam_curator.runners.exit_codes import DONE
from beam_curator.runners.options import UsageError

_LOOK_EVERY = 0.25


def run_listen_command(arguments: argparse.Namespace) -> int:
    """Show events until none come any more; return the exit code.

    Raises:
      UsageError: there are no events, or they are in another shape than ours.
    """
    reader, board = EventReader(arguments.directory), Board()
    is_terminal = sys.stdout.isatty()
    heard, shown, has_any = time.monotonic(), 0, False
    while not 0 < arguments.until_idle <= time.monotonic() - heard:
        events = list(reader.new_events())
        for event in events:
            if "recording_id" not in event:
                raise UsageError(f"{arguments.directory} has events in another shape: begin stream with --events own")
            board.hear(event)
            if not is_terminal and (line := _said(event)):
                print(line, flush=True)
        if events:
            heard, has_any = time.monotonic(), True
            shown = _draw(board, shown) if is_terminal else 0
        time.sleep(_LOOK_EVERY)
    if not has_any:
        raise UsageError(f"{arguments.directory} has no events: name the --output of a job of beam-curator stream")
    return DONE


def _draw(board: Board, n_shown: int) -> int:
    """Draw the board over the one before; return the number of its lines."""
    lines = board.lines()
    up = f"\x1b[{n_shown}A" if n_shown else ""
    # each line is cleared behind its end
    print(up + "".join(f"{line}\x1b[K\n" for line in lines), end="", flush=True)
    return len(lines)


def _said(event: Event) -> str:
    """Return a line about an event where there is no board; "" for none."""
    name = event["recording_id"]
    if event["type"] == "turn_ended":
        return f"{name}  {event['start']:.2f}-{event['end']:.2f} s  {event['speaker']}"
    if event["type"] == "gap":
        return (
            f"{name}  {event['start']:.2f}-{event['end']:.2f} s  chunks {event['first_seq']}-{event['last_seq']} lack"
        )
    if event["type"] == "closed":
        return f"{name}  closed ({event['reason']}): {event['duration']:.2f} s, {len(event['turns'])} turns"
    return ""
