"""Recordings as chunks, side by side, in the time that they would take to be spoken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beam_curator.failures import EntryError
from beam_curator.files.publishing import Publication, publish
from beam_curator.live.messages import Chunk
from beam_curator.live.sound import samples_of
from tests.fakes_models import write_sound


def publication(path: Path, stream_id: str, codec: str = "pcm_s16le") -> Publication:
    return Publication(path=str(path), stream_id=stream_id, session="x", codec=codec, chunk_seconds=1.0)


def test_chunks_are_sent_side_by_side_when_they_were_spoken(tmp_path: Path) -> None:
    long, short = (write_sound(tmp_path / name, seconds) for name, seconds in (("long.wav", 3.2), ("short.wav", 2.0)))
    sent: list[Chunk] = []
    pauses: list[float] = []
    n_sent = publish([publication(long, "long"), publication(short, "short")], sent.append, 250.0, pauses.append)
    assert [(chunk.stream_id, chunk.seq, chunk.final) for chunk in sent] == [
        ("long", 0, False),
        ("short", 0, False),
        ("long", 1, False),
        ("short", 1, True),
        ("long", 2, False),
        ("long", 3, True),
    ]
    assert n_sent == 6
    assert (sent[0].session, sent[0].sample_rate, sent[0].audio_filepath) == ("x", 16000, str(long))
    # it stands still while nobody really waits
    assert [round(pause) for pause in pauses] == [250, 500, 750, 1000, 1250]


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac", "wav"])
def test_chunks_hold_the_recording_bit_for_bit(codec: str, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", 2.5, [(0.1, 2.0, 1)], sample_rate=8000)
    parts = [samples_of(chunk, 60.0) for chunk in publication(path, "a", codec).chunks()]
    whole = Publication(path=str(path), stream_id="a", session="", codec="wav", chunk_seconds=9.0)
    assert np.array_equal(np.concatenate(parts), samples_of(next(whole.chunks()), 60.0))


def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EntryError, match="not_found"):
        publish([publication(tmp_path / "a.wav", "a")], lambda chunk: None)
