"""Events are read once, also those that an engine wrote again after a crash."""

from __future__ import annotations

from pathlib import Path

from beam_curator.files.event_files import EventReader
from beam_curator.files.live_output import prepare_live_output, write_events
from beam_curator.live.events import Event, make_event


def progress(seq: int) -> Event:
    return make_event("a", "", seq, "progress", decided_until=float(seq), waiting=0.0)


def test_events_that_come_again_are_left_out(tmp_path: Path) -> None:
    prepare_live_output(str(tmp_path), overwrite=False)
    reader = EventReader(str(tmp_path))
    write_events(str(tmp_path), [progress(0), progress(1)])
    assert [event["event_seq"] for event in reader.new_events()] == [0, 1]
    write_events(str(tmp_path), [progress(0), progress(1), progress(2)])
    assert [event["event_seq"] for event in reader.new_events()] == [2]
    assert list(reader.new_events()) == []
