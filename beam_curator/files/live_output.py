"""The directory of a live job: events as they come, and RTTM, UEM and an entry of each session that has ended."""

import os
import shutil
from collections.abc import Iterable
from hashlib import sha256

import msgspec

from beam_curator.diarization.rttm import render_uem
from beam_curator.diarization.turn_entries import EntryFacts, diarized_entry
from beam_curator.failures import Failure, render_failure
from beam_curator.files.atomic_files import write_bytes
from beam_curator.files.storage import is_remote, join
from beam_curator.live.events import Event, turns_in
from beam_curator.live.live_options import OWN
from beam_curator.live.outgoing import renderer_of

EVENTS, ENTRIES, RTTM, FAILURES = "events", "entries", "rttm", "failures.jsonl"
RUN = ".run.json"
"""Says which run of an engine elsewhere is under way."""

_FAILURES_FOLDER = "failures"
_OURS = (EVENTS, ENTRIES, RTTM, FAILURES, RUN)


def prepare_live_output(directory: str, *, overwrite: bool) -> None:
    """Make the directory of a live job, without the files of an earlier one.

    Raises:
      FileExistsError: it holds another job's, which is not to be overwritten.
      OSError: it cannot be made.
    """
    there = [path for name in _OURS if os.path.exists(path := os.path.join(directory, name))]
    if there and not overwrite:
        raise FileExistsError(f"{there[0]} is there from another job: name another directory, or give --overwrite")
    for path in there:
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)
    for name in (EVENTS, ENTRIES, RTTM):
        os.makedirs(os.path.join(directory, name), exist_ok=True)


def write_events(directory: str, events: Iterable[Event], *, shape: str = OWN) -> None:
    """Append events, in a shape, to the files of their sessions, and write the results of those that have ended.

    Object stores append to nothing: they get the results alone.
    """
    render = renderer_of(shape)
    lines: dict[str, list[bytes]] = {}
    ended = []
    for event in events:
        if line := render(event):
            lines.setdefault(event["recording_id"], []).append(line + b"\n")
        if event["type"] == "closed":
            ended.append(event)
    for name, rendered in ({} if is_remote(directory) else lines).items():
        _append(os.path.join(directory, EVENTS, f"{name}.jsonl"), b"".join(rendered))
    for event in ended:
        _write_session(directory, event)


def write_live_failures(directory: str, failures: Iterable[Failure]) -> None:
    """Append dead letters, with the messages in them; to an object store, each is a file named after its bytes."""
    lines = [render_failure(failure) + b"\n" for failure in failures]
    if not is_remote(directory):
        _append(os.path.join(directory, FAILURES), b"".join(lines))
        return
    for line in lines:
        write_bytes(join(directory, _FAILURES_FOLDER), f"{sha256(line).hexdigest()}.jsonl", line)


def count_live_failures(directory: str) -> int:
    """Return how many dead letters were written."""
    try:
        with open(os.path.join(directory, FAILURES), "rb") as file:
            return sum(1 for _ in file)
    except FileNotFoundError:
        return 0


def ask_to_stop(path: str) -> None:
    """Put the file in place that ends the source of a job."""
    with open(path, "wb"):
        pass


def _append(path: str, data: bytes) -> None:
    # one write a call: a reader sees whole lines
    with open(path, "ab", buffering=0) as file:
        file.write(data)


def _write_session(directory: str, event: Event) -> None:
    name = event["recording_id"]
    write_bytes(join(directory, RTTM), f"{name}.rttm", event["rttm"].encode())
    uem = render_uem(name, [(0.0, event["duration"])])
    write_bytes(join(directory, RTTM), f"{name}.uem", uem.encode())
    write_bytes(join(directory, ENTRIES), f"{name}.jsonl", msgspec.json.encode(entry_of(event)) + b"\n")


def entry_of(event: Event) -> dict[str, object]:
    """Return the entry of a session that has ended, which other jobs read."""
    facts = EntryFacts(
        recording_id=event["recording_id"],
        audio_filepath=event["audio_filepath"] or event["stream_id"],
        sample_rate=event["sample_rate"],
        duration=event["duration"],
        turns=turns_in(event),
        saturated=event["saturated"],
        rttm=f"{RTTM}/{event['recording_id']}.rttm",
    )
    live = {"stream_id": event["stream_id"], "session": event["session"], "closed": event["reason"]}
    return diarized_entry(live, facts, "diar_segments", "dicts")
