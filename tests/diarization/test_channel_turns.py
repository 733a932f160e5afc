from __future__ import annotations

import numpy as np

from beam_curator.diarization.channel_turns import joined_channels, named_by_channel, turns_on
from beam_curator.diarization.rttm import parse_rttm, render_overlap_ctm, render_rttm, render_uem
from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings
from beam_curator.diarization.turn_entries import EntryFacts, diarized_entry, row_before
from beam_curator.diarization.turns import Turn, exclusive_turns, overlap_regions

CALL = named_by_channel(
    [
        *turns_on(1, [Turn(start=2.0, end=5.0, speaker=0), Turn(start=6.0, end=7.0, speaker=3)], 4),
        *turns_on(0, [Turn(start=0.0, end=3.0, speaker=2)], 4),
    ],
    4,
)
"""One voice on the first channel, two on the second."""

NAMES = ["channel_0", "channel_1_speaker_0", "channel_1_speaker_3"]


def test_turns_of_all_channels_are_in_order_of_time() -> None:
    assert [(turn.start, turn.channel, turn.speaker, turn.label) for turn in CALL] == [
        (0.0, 0, 2, NAMES[0]),
        (2.0, 1, 4, NAMES[1]),
        (6.0, 1, 7, NAMES[2]),
    ]


def test_turns_of_equal_times_are_in_order_of_channels() -> None:
    same = Turn(start=0.0, end=1.0, speaker=1)
    turns = [*turns_on(1, [same], 4), *turns_on(0, [same], 4)]
    assert [turn.label for turn in named_by_channel(turns, 4)] == ["channel_0", "channel_1"]


def test_one_channel_alone_keeps_the_slots() -> None:
    (turn,) = turns_on(1, [Turn(start=0.0, end=1.0, speaker=3)], 0)
    assert (turn.label, turn.channel) == ("speaker_3", 1)
    assert render_rttm("a", [turn]) == "SPEAKER a 2 0.000 1.000 <NA> <NA> speaker_3 <NA> <NA>\n"


def test_rttm_counts_channels_from_1() -> None:
    text = render_rttm("call", CALL)
    assert text == (
        "SPEAKER call 1 0.000 3.000 <NA> <NA> channel_0 <NA> <NA>\n"
        "SPEAKER call 2 2.000 3.000 <NA> <NA> channel_1_speaker_0 <NA> <NA>\n"
        "SPEAKER call 2 6.000 1.000 <NA> <NA> channel_1_speaker_3 <NA> <NA>\n"
    )
    assert [(turn.channel, turn.speaker) for turn in parse_rttm(text)] == list(zip("122", NAMES, strict=True))


def test_every_channel_that_was_heard_has_a_line_in_the_uem() -> None:
    assert render_uem("call", [(0.0, 9.5)], [0, 1]) == "call 1 0.000 9.500\ncall 2 0.000 9.500\n"


def test_overlaps_of_channels_name_their_speakers() -> None:
    (overlap,) = overlap_regions(CALL)
    assert (overlap.start, overlap.end, overlap.labels, overlap.channel) == (2.0, 3.0, tuple(NAMES[:2]), 0)
    assert render_overlap_ctm("call", [overlap]) == "call 1 2.000 1.000 channel_0+channel_1_speaker_0 2\n"


def test_segments_have_their_channel() -> None:
    facts = EntryFacts(
        recording_id="call",
        audio_filepath="call.wav",
        sample_rate=8000,
        duration=9.5,
        turns=tuple(CALL),
        saturated=False,
        crosstalk=0.75,
    )
    row = {"audio_filepath": "call.wav", "crosstalk_seconds": "mine"}
    entry = diarized_entry(row, facts, "diar_segments", "dicts")
    assert (
        entry["segments"]
        == entry["diar_segments"]
        == [
            {"start": 0.0, "end": 3.0, "speaker": NAMES[0], "channel": 0},
            {"start": 2.0, "end": 5.0, "speaker": NAMES[1], "channel": 1},
            {"start": 6.0, "end": 7.0, "speaker": NAMES[2], "channel": 1},
        ]
    )
    assert [(item["start"], item["end"], item["channel"]) for item in entry["exclusive_segments"]] == [
        (0.0, 2.0, 0),
        (3.0, 5.0, 1),
        (6.0, 7.0, 1),
    ]
    assert (entry["num_speakers"], entry["crosstalk_seconds"], entry["input_crosstalk_seconds"]) == (3, 0.75, "mine")
    assert row_before(entry, "diar_segments") == row
    assert [turn.label for turn in exclusive_turns(CALL)] == NAMES


def test_embeddings_of_channels_are_in_the_order_of_the_turns() -> None:
    vectors = [np.float32([number]) for number in range(3)]
    found = joined_channels(
        CALL,
        {
            0: SpeakerEmbeddings(speakers={2: vectors[0]}, turns=(vectors[0],)),
            1: SpeakerEmbeddings(speakers={4: vectors[1], 7: None}, turns=(vectors[1], vectors[2])),
        },
    )
    assert found.speakers == {2: vectors[0], 4: vectors[1], 7: None}
    assert found.turns == tuple(vectors)
