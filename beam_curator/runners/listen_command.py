"""`beam-curator listen`: who talks in live streams, in the terminal."""

import argparse
import os
import shutil
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
    heard, screen, has_any = time.monotonic(), _Screen(), False
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
            if is_terminal:
                screen.draw(board)
        time.sleep(_LOOK_EVERY)
    if not has_any:
        raise UsageError(f"{arguments.directory} has no events: name the --output of a job of beam-curator stream")
    return DONE


class _Screen:
    """A terminal, on which each board is drawn over the one before."""

    def __init__(self) -> None:
        self._n_lines, self._size = 0, os.terminal_size((0, 0))

    def draw(self, board: Board) -> None:
        size = shutil.get_terminal_size()
        lines = board.lines(size.columns, size.lines - 1)
        up = f"\x1b[{self._n_lines}A" if self._n_lines else ""
        # a terminal that has become narrower breaks the lines that are there
        begin = "\x1b[H\x1b[2J" if self._n_lines and size != self._size else up
        # each line is cleared behind its end
        print(begin + "".join(f"{line}\x1b[K\n" for line in lines), end="", flush=True)
        self._n_lines, self._size = len(lines), size


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
