"""Rows as Lhotse 1.33 writes them, some as older releases did."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.entries.entry import Entry
from beam_curator.entries.json_lines import encode
from beam_curator.entries.lhotse_rows import entry_of_lhotse, entry_of_supervisions
from beam_curator.failures import EntryError, FailureCode
from tests.talks import segment, talk


def source(path: str, *channels: int, kind: str = "file") -> dict[str, Any]:
    return {"type": kind, "channels": list(channels), "source": path}


def recording(*sources: dict[str, Any], **more: Any) -> dict[str, Any]:
    channels = [channel for each in sources for channel in each["channels"]]
    return {
        "id": "rec",
        "sources": list(sources),
        "sampling_rate": 16000,
        "num_samples": 160_000,
        "duration": 10.0,
        "channel_ids": channels,
    } | more


def supervision(start: Any, duration: Any, **more: Any) -> dict[str, Any]:
    return {"id": "s", "recording_id": "rec", "start": start, "duration": duration, "channel": 0} | more


def cut(start: float, duration: float, *supervisions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "rec-0",
        "start": start,
        "duration": duration,
        "channel": 0,
        "supervisions": list(supervisions),
        "recording": recording(source("a.wav", 0)),
        "type": "MonoCut",
    } | more


def entry_of(row: dict[str, Any]) -> dict[str, Any]:
    found = entry_of_lhotse(row)
    assert found is not None
    return found


def test_times_of_a_cut_become_times_of_its_recording() -> None:
    words = [["so", 1.2, 0.3, None], ["", 1.5, 0.1, None], ["it", 1.6, 0.2, 0.9]]
    said = supervision(0.2, 0.9, speaker="ana", text="so it", gender="f", custom={"snr": 3}, alignment={"word": words})
    assert entry_of(cut(1.0, 4.0, supervision(2.5, 1.5), said, custom={"mos": 3.5})) == {
        "id": "rec-0",
        "audio_filepath": "a.wav",
        "audio_sample_rate": 16000,
        "recording_id": "rec",
        "offset": 1.0,
        "duration": 4.0,
        "custom": {"mos": 3.5},
        "segments": [
            {
                "start": 1.2,
                "end": 2.1,
                "id": "s",
                "speaker": "ana",
                "text": "so it",
                "gender": "f",
                "custom": {"snr": 3},
                "words": [{"word": "so", "start": 1.2, "end": 1.5}, {"word": "it", "start": 1.6, "end": 1.8}],
            },
            {"start": 3.5, "end": 5.0, "id": "s"},
        ],
    }


def test_a_supervision_ends_with_its_cut_and_keeps_the_words_inside() -> None:
    words = [{"symbol": text, "start": 0.2 + k / 2, "duration": 0.3} for k, text in enumerate("abcd")]
    before, behind, nearly = (
        supervision(-0.8, 1.8, alignment={"word": words}),
        supervision(1.5, 2),
        supervision(0, 2.0005),
    )
    segments = entry_of(cut(1.0, 2.0, before, behind, nearly))["segments"]
    assert [(each["start"], each["end"]) for each in segments] == [(1.0, 2.0), (1.0, 3.0005), (2.5, 3.0)]
    assert segments[0]["words"] == [
        {"word": "c", "start": 1.2, "end": 1.5},
        {"word": "d", "start": 1.7, "end": 2.0},
    ]


@pytest.mark.parametrize(
    ("start", "duration", "piece"),
    [
        (0, 10.0, {"offset": 0}),
        (0, 9.99995, {"offset": 0}),
        (0, 9.9, {"offset": 0, "duration": 9.9}),
        (1, 9.0, {"offset": 1, "duration": 9.0}),
    ],
)
def test_a_cut_that_is_its_recording_is_no_piece(start: float, duration: float, piece: dict[str, Any]) -> None:
    entry = entry_of(cut(start, duration))
    assert {key: entry[key] for key in ("offset", "duration") if key in entry} == piece
    assert entry["segments"] == []


@pytest.mark.parametrize(
    ("channel", "sources", "path", "own"),
    [
        (0, [source("a.wav", 0)], "a.wav", None),
        (1, [source("a.wav", 0, 1)], "a.wav", 1),
        (3, [source("a.wav", 2, 3)], "a.wav", 1),
        (1, [source("a.wav", 0), source("b.wav", 1)], "b.wav", None),
        ([0, 1], [source("a.wav", 0, 1)], "a.wav", None),
        ([0, 1], [source("a.wav", 0), source("b.wav", 1), source("c.wav", 2)], ["a.wav", "b.wav"], None),
        ([1], [source("a.wav", 0, 1)], "a.wav", 1),
    ],
)
def test_a_cut_names_the_file_and_the_channel_in_there(channel: Any, sources: Any, path: Any, own: int | None) -> None:
    entry = entry_of(cut(0, 10, recording=recording(*sources), channel=channel, type="MultiCut"))
    assert (entry["audio_filepath"], entry.get("channel")) == (path, own)


def test_segments_name_their_channel_where_there_are_several() -> None:
    turns = [supervision(k, 1, channel=channel) for k, channel in enumerate((0, 1, [1], [0, 1]))]
    multi = cut(0, 10, *turns, recording=recording(source("a.wav", 0, 1)), channel=[0, 1], type="MultiCut")
    found = entry_of_supervisions(recording(source("a.wav", 0), source("b.wav", 1)), turns)
    for entry in (entry_of(multi), found):
        assert [each.get("channel") for each in entry["segments"]] == [0, 1, 1, None]
    assert found["audio_filepath"] == ["a.wav", "b.wav"]
    alone = entry_of_supervisions(recording(source("a.wav", 0)), turns)
    assert all("channel" not in each for each in alone["segments"])


def test_a_recording_is_an_entry_without_segments() -> None:
    assert entry_of(recording(source("a.wav", 0), language="de")) == {
        "audio_filepath": "a.wav",
        "audio_sample_rate": 16000,
        "recording_id": "rec",
        "language": "de",
    }


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda item: st.lists(item, max_size=2) | st.dictionaries(st.sampled_from(["word", "type"]), item, max_size=2),
    max_leaves=4,
)
PLACES: list[tuple[Any, ...]] = [("recording",), ("supervisions",), ("start",), ("duration",), ("channel",), ("type",)]
PLACES += [("supervisions", 0, key) for key in ("start", "duration", "channel", "alignment")]
PLACES += [("supervisions", 0, "alignment", "word"), ("supervisions", 0, "alignment", "word", 0)]
PLACES += [("recording", key) for key in ("sources", "sampling_rate", "duration", "transforms", "id")]
PLACES += [("recording", "sources", 0, key) for key in ("type", "channels", "source")]


@given(st.sampled_from(PLACES), JUNK)
def test_a_row_of_any_values_is_an_entry_or_a_failure(place: tuple[Any, ...], junk: Any) -> None:
    row = cut(1, 2, supervision(0, 1, alignment={"word": [["so", 1.2, 0.3]]}))
    *path, last = place
    holder: Any = row
    for key in path:
        holder = holder[key]
    holder[last] = junk
    with suppress(EntryError):
        encode(entry_of_lhotse(row))


def test_a_supervision_without_times_is_a_bad_segment() -> None:
    entry = entry_of(cut(1, 5, supervision(None, 1), supervision(0, 1), {"id": "s"}))
    assert [(each["start"], each["end"]) for each in entry["segments"]] == [(1.0, 2.0), (None, None), (None, None)]
    assert Entry.from_fields(entry).bad_segments == 2


@pytest.mark.parametrize(
    "row",
    [
        talk(segment(0.0, 1.0)),
        talk(sources=[1], sampling_rate=8000),
        talk(type="MonoCut"),
        {"type": "Cut of beef", "sources": 3},
        {"audio_filepath": "a.wav", "recording_id": "a", "start": 0, "duration": 1},
        {},
    ],
)
def test_other_rows_are_none_of_lhotse(row: dict[str, Any]) -> None:
    assert entry_of_lhotse(row) is None


BAD_TYPE = FailureCode.BAD_TYPE


@pytest.mark.parametrize(
    ("row", "code", "problem"),
    [
        ({"id": "m", "tracks": [], "type": "MixedCut"}, BAD_TYPE, "a MixedCut is no part of one recording"),
        ({"id": "p", "duration": 1, "type": "PaddingCut"}, BAD_TYPE, "a PaddingCut is no part"),
        (cut(0, 1, recording=None), BAD_TYPE, "the cut has no recording, only features"),
        (cut(0, 1, supervisions="all"), BAD_TYPE, "supervisions is a string, expected an array of objects"),
        (cut(0, None), BAD_TYPE, "duration is null, expected a number from 0"),
        (cut(-1, 2), BAD_TYPE, "start is a number, expected a number from 0"),
        (cut(0, 1, channel="left"), BAD_TYPE, "channel is a string, expected numbers from 0"),
        (cut(0, 1, channel=4), BAD_TYPE, r"no file of the recording has channel \[4\]"),
        (cut(0, 1, recording=recording(source("a.wav", 0, 1, 2)), channel=[0, 1]), BAD_TYPE, r"channels \[0, 1\] of"),
        (cut(0, 1, supervision(0, 1, alignment={"word": [["a"]]})), BAD_TYPE, r"word \['a'\] has no times"),
        (recording(source("a.wav", 0, 1), source("b.wav", 2)), BAD_TYPE, "lies in 2 files of several channels"),
        (recording(), BAD_TYPE, "no file of the recording"),
        (recording(source("a", 0), transforms=[{"name": "Speed"}]), BAD_TYPE, "the recording has transforms"),
        (recording(source("a", 0), sampling_rate="16k"), BAD_TYPE, "sampling_rate is a string, expected a number"),
        (recording(source("http://x/a.wav", 0, kind="url")), FailureCode.SCHEME_NOT_ALLOWED, "of type 'url'"),
        (recording(source("sox a.wav", 0, kind="command")), FailureCode.SCHEME_NOT_ALLOWED, "of type 'command'"),
        (recording(source("UklGRg==", 0, kind="memory")), FailureCode.SCHEME_NOT_ALLOWED, "of type 'memory'"),
    ],
)
def test_a_row_that_is_no_entry_is_refused_with_a_cure(row: dict[str, Any], code: FailureCode, problem: str) -> None:
    with pytest.raises(EntryError, match=problem) as caught:
        entry_of_lhotse(row)
    assert caught.value.code == code
    assert caught.value.cure
