"""Pieces that name the channel that they are cut from."""

from __future__ import annotations

from typing import Any

import pytest

from beam_curator.clips import BadInterval, ClipRequest, requests_of_row
from beam_curator.clips.packing import nemo_row
from beam_curator.clips.packs import pack, unpack
from beam_curator.sets.blocks import BlockRef

CALL: dict[str, Any] = {"audio_filepath": "call.wav", "id": "c1"}
ROW: dict[str, Any] = {"original_file": "call.wav", "original_start_ms": 0, "original_end_ms": 1000}


def channels_of(row: dict[str, Any], what: Any = "auto") -> list[tuple[int | None, Any]]:
    """Return the channel of each request, and that which its fields name."""
    requests = requests_of_row(row, what)
    assert all(isinstance(request, ClipRequest) for request in requests)
    return [(item.channel, item.fields.get("channel")) for item in requests if isinstance(item, ClipRequest)]


def segment(start: float, **more: Any) -> dict[str, Any]:
    return {"start": start, "end": start + 1, "speaker": "ana", **more}


def test_a_segment_s_channel_wins_over_that_of_its_entry() -> None:
    segments = [segment(0, channel=1), segment(2), segment(4, channel=None)]
    for key in ("segments", "diar_segments"):
        assert channels_of(CALL | {key: segments}) == [(1, 1), (None, None), (None, None)]
        assert channels_of(CALL | {key: segments, "channel": 0}) == [(1, 1), (0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("row", "what", "channel"),
    [
        (ROW | {"channel": 1}, "auto", 1),
        (ROW | {"channel": 1, "speaker_id": "ana"}, "auto", 1),
        ({"audio_filepath": "call.wav", "duration": 2, "channel": 1}, "auto", 1),
        (ROW | {"channel": 0, "speaker_id": "ana", "diar_segments": [segment(0, channel=1)]}, "auto", 1),
        (ROW | {"channel": 0, "speaker_id": "ana", "diar_segments": [[0, 1]]}, "auto", 0),
        (CALL | {"channel": 1, "filtered_windows": [{"segments": [0, 1]}], "filtered": [[2, 1]]}, "auto", 1),
    ],
)
def test_rows_and_their_turns(row: dict[str, Any], what: Any, channel: int) -> None:
    assert channels_of(row, what) == [(channel, channel)]


@pytest.mark.parametrize(
    ("given", "entry", "channel"),
    [
        ([1, 1], None, 1),
        ([1, None], 1, 1),
        ([0, 1], None, None),
        ([0, 1], 1, None),
        ([1, None], None, None),
        ([None, None], None, None),
        ([None, None], 0, 0),
        ([1, 1], 0, 1),
    ],
)
def test_a_window_has_the_channel_that_all_its_segments_name(
    given: list[int | None], entry: int | None, channel: int | None
) -> None:
    segments = [segment(start, channel=one) for start, one in enumerate(given)]
    row = CALL | {"channel": entry, "filtered_windows": [{"segments": segments}]}
    assert channels_of(row) == [(channel, channel)]


def test_another_value_is_no_channel_and_stays() -> None:
    assert channels_of(ROW | {"channel": "BBC"}) == [(None, "BBC")]
    windows = {"filtered_windows": [{"segments": [segment(0), segment(1)]}]}
    assert channels_of(CALL | {"channel": "BBC"} | windows) == [(None, "BBC")]


@pytest.mark.parametrize("key", ["segments", "diar_segments", "filtered_windows"])
def test_a_wrong_channel_is_a_piece_that_cannot_be_cut(key: str) -> None:
    bad, good = segment(0, channel=-1), segment(2, channel=0)
    items = [{"segments": [bad]}, {"segments": [good]}] if key == "filtered_windows" else [bad, good]
    wrong, right = requests_of_row(CALL | {key: items}, "auto")
    assert isinstance(wrong, BadInterval)
    assert wrong.error.message == f"{key}[0]{'.segments[0]' if key == 'filtered_windows' else ''}.channel is -1, " + (
        "expected a whole number from 0"
    )
    assert isinstance(right, ClipRequest)


def test_requests_keep_their_channels_through_a_pack() -> None:
    row = CALL | {"segments": [segment(0, channel=1), segment(2)]}
    requests = [item for item in requests_of_row(row, "auto") if isinstance(item, ClipRequest)]
    ref = BlockRef(source="m.jsonl", occurrence=0, ordinal=0, n_blocks=1, start=0, stop=9)
    packed = pack(ref, 0, "/call.wav", [(0, request) for request in requests])
    assert [request for _, request in unpack([packed])] == requests


def test_a_packed_clip_has_one_channel_itself() -> None:
    made = nemo_row({"channel": 1, "speaker_id": "ana"}, member="a.flac", n_samples=8, sample_rate=8, shard=0)
    assert (made["source_audio_channel"], "channel" in made) == (1, False)
    kept = nemo_row({"channel": "BBC"}, member="a.flac", n_samples=8, sample_rate=8, shard=0)
    assert (kept["channel"], "source_audio_channel" in kept) == ("BBC", False)
