"""The source of messages: each as it comes, the time between them, and an end."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from apache_beam.utils.timestamp import MAX_TIMESTAMP

from beam_curator.files.chunk_folders import put_chunk
from beam_curator.live.arriving import END
from beam_curator.transforms.live.message_source import MessageSource
from tests.live.live_shards import chunks_of
from tests.transforms.live.test_stream_messages import SOUND


def given(reader: Any) -> list[bytes]:
    """Return the messages of a reader up to a look that finds none, without ticks."""
    messages = []
    while reader.advance():
        message, at, sent = reader.get_current()
        assert sent >= at > 0
        messages += [message] if message else []
        if (message, at, sent) == END:
            break
    return messages


def test_a_folder_until_somebody_stops_it(tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    reader = MessageSource(str(tmp_path), "", until_idle=0, stop=str(stop)).create_reader(None, None)
    # while there is no message, the time comes
    assert reader.start()
    message, clock, _ = reader.get_current()
    assert message == b""
    chunks = chunks_of(SOUND, 40_000)
    put_chunk(str(tmp_path), chunks[0])
    (first,) = tmp_path.glob("*.chunk")
    os.utime(first, (clock + 9, clock + 9))
    assert reader.advance()
    # it stands still while there are messages: what waits to be read is not missing
    assert reader.get_current() == (chunks[0].to_bytes(), clock, clock + 9)
    assert given(reader) == []
    assert reader.get_watermark() < MAX_TIMESTAMP
    put_chunk(str(tmp_path), chunks[1])
    put_chunk(str(tmp_path), chunks[2])
    for path in tmp_path.glob("*.chunk"):
        os.utime(path, (0, 0))
    assert reader.advance()
    # nobody was late before the job began
    assert clock - 60 < reader.get_current()[2] <= clock
    stop.touch()
    # whatever waits
    assert given(reader) == []
    assert reader.get_current() == END
    assert reader.get_watermark() == MAX_TIMESTAMP
    assert not reader.advance()


def test_marks_come_back_from_bytes(tmp_path: Path) -> None:
    source = MessageSource(str(tmp_path), "", until_idle=0)
    coder, mark = source.get_checkpoint_mark_coder(), source.create_reader(None, None).get_checkpoint_mark()
    again = coder.decode(coder.encode(mark))
    assert (again.subscription, again.ack_ids) == ("", ())
    # nobody waits for it
    again.finalize_checkpoint()


def test_a_reader_that_finds_nothing_waits_for_the_next_tick(tmp_path: Path) -> None:
    reader = MessageSource(str(tmp_path), "", until_idle=0).create_reader(None, None)
    assert reader.start()
    # the first look that finds nothing ends the bundle: what it read is passed on at once
    assert not reader.advance()
    begin = time.monotonic()
    assert [reader.advance(), reader.advance()] == [True, False]
    assert time.monotonic() - begin > 0.1
    # a message ends the waiting
    put_chunk(str(tmp_path), chunks_of(SOUND, 40_000)[0])
    assert reader.advance()
    assert reader.get_current()[0]


def test_a_reader_goes_on_where_another_one_of_its_process_stood(tmp_path: Path) -> None:
    source = MessageSource(str(tmp_path), "", until_idle=0)
    coder = source.get_checkpoint_mark_coder()
    chunks = chunks_of(SOUND, 40_000)
    for chunk in chunks[:2]:
        put_chunk(str(tmp_path), chunk)
    first = source.create_reader(None, None)
    assert first.start()
    mark = coder.decode(coder.encode(first.get_checkpoint_mark()))
    assert given(source.create_reader(None, mark)) == [chunks[1].to_bytes()]
    # as of an earlier checkpoint
    assert given(source.create_reader(None, mark)) == [chunks[1].to_bytes()]
    elsewhere = replace(mark, process="another")
    assert given(source.create_reader(None, elsewhere)) == [chunk.to_bytes() for chunk in chunks[:2]]


def test_the_end_is_marked_when_it_is_committed(tmp_path: Path) -> None:
    stop, done = tmp_path / "stop", tmp_path / "done"
    source = MessageSource(str(tmp_path), "", until_idle=0, stop=str(stop), done=str(done))
    reader = source.create_reader(None, None)
    given(reader)
    reader.get_checkpoint_mark().finalize_checkpoint()
    assert not done.exists()
    stop.touch()
    given(reader)
    mark = reader.get_checkpoint_mark()
    assert not done.exists()
    mark.finalize_checkpoint()
    assert done.exists()


def test_messages_that_a_former_job_has_are_waited_for() -> None:
    name = "projects/p/subscriptions/s"

    def stands_until(follows: bool, mark: Any = None) -> float:
        reader = MessageSource("", name, until_idle=0, follows=follows).create_reader(None, mark)
        ticked: float = reader.get_checkpoint_mark().clock.ticked
        return ticked - time.time()

    assert stands_until(False) < 0
    assert 30 < stands_until(True) <= 35
    # the next reader of the process does not begin again
    mark = MessageSource("", name, until_idle=0).create_reader(None, None).get_checkpoint_mark()
    assert stands_until(True, mark) < 0
    assert 30 < stands_until(False, replace(mark, process="another")) <= 35
