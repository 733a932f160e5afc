from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from beam_curator.clips.naming import NameClaim
from beam_curator.clips.packs import AskedClips, Pack, pack, unpack
from tests.manifests import whole_file
from tests.transforms.clips.clip_sets import request


class TestPack:
    def test_packs_come_back_in_the_order_of_rows(self) -> None:
        values = {"huge": 2**80, "float": 1.0, "text": "é\n", "nested": [{"a": None}], "original_file": "a.wav"}
        first = [(0, request(0, 1, **values)), (70, request(1, 2.5, "s", combo=4, speaker_id={"x": 1}))]
        second = [(5, request(7, 8))]
        packs = [
            pack(whole_file("m.jsonl", 1, 3), 0, "/a.wav", second),
            pack(whole_file("m.jsonl", 0, 3), 1, "/a.wav", second),
            pack(whole_file("m.jsonl", 0, 3), 0, "/a.wav", first),
        ]
        expected = [((0, 0, 0), first[0][1]), ((0, 0, 70), first[1][1])]
        assert unpack(packs) == [*expected, ((0, 1, 5), second[0][1]), ((1, 0, 5), second[0][1])]
        assert type(unpack(packs)[0][1].fields["float"]) is float

    def test_a_pack_is_small_and_knows_its_place(self) -> None:
        rows = [
            (number, request(number, number + 1, original_file="a.wav", band="full_band")) for number in range(1000)
        ]
        made = pack(whole_file("m.jsonl", 2, 3), 4, "/x/Talk.wav", rows)
        assert (made.source, made.position, made.n_blocks) == ("m.jsonl", (2, 4, 0), 3)
        assert made.claims == (NameClaim(recording="/x/Talk.wav", stem="Talk", labels=frozenset(), has_plain=True),)
        assert len(made.packed) < 20_000


def asked(start: float, end: float, **fields: Any) -> Any:
    times = {"original_file": "a.wav", "original_start_ms": start, "original_end_ms": end}
    return request(start, end, combo=4 if "speaker_id" in fields else 2, **times, **fields)


class TestAskedClips:
    @pytest.fixture
    def packs(self) -> tuple[Pack, ...]:
        """Return three pieces of a recording, from two blocks."""
        return (
            pack(whole_file("2.jsonl", 1, 2), 0, "/a.wav", [(9, asked(0, 500)), (20, asked(9000, 9500))]),
            pack(whole_file("1.jsonl", 0, 2), 0, "/a.wav", [(5, asked(2000, 2250))]),
        )

    def test_a_recording_is_put_together_from_packs(self, packs: tuple[Pack, ...]) -> None:
        clips = AskedClips(recording="/a.wav", packs=packs, marked=False)
        assert (clips.name, clips.position, clips.n_blocks) == ("/a.wav", (0, 0, 5), 2)
        recording = clips.unpacked()
        assert (recording.name, recording.clip_names("wav")[0]) == ("/a.wav", "a_segment_000.wav")
        assert recording.sources == {0: "1.jsonl", 1: "2.jsonl"}
        assert [(position, item.start) for position, item in recording.requests] == [
            ((1, 0, 9), 0),
            ((0, 0, 5), 2000),
            ((1, 0, 20), 9000),
        ]

    def test_in_any_order_of_packs(self, packs: tuple[Pack, ...]) -> None:
        one, other = (AskedClips(recording="/a.wav", packs=some, marked=False) for some in (packs, packs[::-1]))
        assert one.unpacked() == other.unpacked()
        assert one.position == other.position

    def test_a_recording_is_marked_by_its_path(self) -> None:
        packs = (pack(whole_file("1.jsonl"), 0, "/monday/talk.wav", [(0, asked(0, 1))]),)
        clips = AskedClips(recording="/monday/talk.wav", packs=packs, marked=True)
        assert clips.unpacked().clip_names("wav") == ["talk~3d6fbda23a2c7fa9_segment_000.wav"]

    def test_names_follow_from_the_id_that_folder_and_file_gave(self) -> None:
        rows = [replace(asked(0, 1), fields={"recording_id": given}) for given in ("monday_talk", "talk", "day_talk")]
        packs = (pack(whole_file("1.jsonl"), 0, "/in/monday/talk.wav", list(enumerate(rows))),)
        clips = AskedClips(recording="/in/monday/talk.wav", packs=packs, marked=False)
        names = clips.unpacked().clip_names("wav")
        assert names == ["monday_talk_segment_000.wav", "talk_segment_000.wav", "talk_segment_001.wav"]
        assert [claim.stem for claim in packs[0].claims] == ["monday_talk", "talk"]
