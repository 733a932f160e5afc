from __future__ import annotations

import json
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from beam_curator.files.clip_planning import plan_clips
from beam_curator.transforms.clips.naming import MarkCollisions, claim_names, find_collisions
from beam_curator.transforms.clips.planning import PlanClips

from beam_curator.clips import NameClaim
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.entry_pieces import EntryKeys
from beam_curator.clips.packs import Pack, pack, unpack
from beam_curator.sets.blocks import FailureBlock, Line, LineBlock
from tests.manifests import BAD_LINES, line_of, whole_file
from tests.transforms.clips.clip_sets import piece, request


def block_of(*rows: Any, source: str = "/in/m.jsonl", ordinal: int = 0, part: int = 0) -> LineBlock:
    """Make a block of lines; the offset of each is its number times 1,000."""
    raw = [row if isinstance(row, bytes) else line_of(row) for row in rows]
    lines = tuple(Line(offset=1000 * number, raw=line) for number, line in enumerate(raw))
    return LineBlock(ref=whole_file(source, ordinal, 3), part=part, lines=lines)


NO_ROWS = [name for name, (_, code) in BAD_LINES.items() if code not in ("missing_key", "bad_type", "bad_time")]
"""The bad lines that are bad whatever is cut."""
ENTRY = {"audio_filepath": "b.wav", "segments": [[0, 1], [2, 1], [3, 4]]}


class TestPlanClips:
    def test_requests_meet_by_recording(self) -> None:
        plan = plan_clips(block_of(piece("a.wav", 5, 6), ENTRY, piece("/in/a.wav", 0, 1)), CutRules())
        found = {
            name: [(offset, asked.start, asked.unit) for offset, asked in requests]
            for name, requests in plan.requests.items()
        }
        assert found == {"/in/a.wav": [(0, 5, "ms"), (2000, 0, "ms")], "/in/b.wav": [(1000, 0, "s"), (1000, 3, "s")]}
        (failure,) = plan.intervals_failed
        assert (failure.code, failure.stage, failure.offset, failure.source) == (
            "bad_time",
            "interval",
            1000,
            "/in/m.jsonl",
        )
        assert json.loads(failure.payload)["segments"] == [[2, 1]]
        assert dict(plan.counts()) == {
            "plan.rows": 3,
            "plan.clips": 5,
            "interval.failures": 1,
            "interval.failures.bad_time": 1,
        }

    def test_rows_without_pieces_are_dropped_and_counted(self) -> None:
        rows = [{"audio_filepath": "a.wav", "segments": []}, piece("a.wav", 0, 1, speaker_id=1, diar_segments=[])]
        plan = plan_clips(block_of(*rows), CutRules())
        assert dict(plan.counts()) == {"plan.dropped": 2, "plan.dropped.no_pieces": 2}
        assert not plan.requests

    @pytest.mark.parametrize("name", NO_ROWS)
    def test_lines_that_are_no_rows_fail_alone(self, name: str) -> None:
        line, code = BAD_LINES[name]
        plan = plan_clips(block_of(piece("a.wav", 0, 1), line, piece("a.wav", 1, 2)), CutRules())
        assert [failure.code for failure in plan.rows_failed] == [code]
        assert plan.rows_failed[0].payload == line
        assert len(plan.requests["/in/a.wav"]) == 2
        assert dict(plan.counts())["plan.failures"] == 1

    def test_all_pieces_of_a_row_may_be_bad(self) -> None:
        plan = plan_clips(block_of(ENTRY | {"segments": [[2, 1], None]}), CutRules())
        assert dict(plan.counts())["plan.clips"] == 2
        assert (plan.n_rows, len(plan.intervals_failed), plan.requests) == (1, 2, {})

    @pytest.mark.parametrize(
        ("keys", "of_item", "of_entry"),
        [
            (EntryKeys(), None, None),
            (EntryKeys(kept=("embedding",)), [3], [1, 2]),
            (EntryKeys(own=("embedding",)), [3], None),
        ],
    )
    def test_keys_that_are_kept(self, keys: EntryKeys, of_item: object, of_entry: object) -> None:
        segments = [{"start": 0, "end": 1, "embedding": [3]}, {"start": 1, "end": 2}]
        entry = ENTRY | {"segments": segments, "embedding": [1, 2]}
        asked = plan_clips(block_of(entry), CutRules(), keys).requests["/in/b.wav"]
        assert [request.fields.get("embedding") for _, request in asked] == [of_item, of_entry]

    def test_members_of_nemo_s_shards(self) -> None:
        row = {"audio_filepath": "x.wav", "duration": 0.5, "shard_id": 3}
        plan = plan_clips(block_of(row, source="/in/sharded_manifests/manifest_3.json"), CutRules())
        assert list(plan.requests) == ["/in/audio_3.tar::x.wav"]

    def test_as_a_transform(self) -> None:
        blocks = [block_of(piece("a.wav", 0, 1), b"{", ENTRY), block_of(piece("a.wav", 1, 2), ordinal=1)]
        with beam.Pipeline("FnApiRunner") as pipeline:
            planned = pipeline | beam.Create(blocks) | PlanClips(CutRules())
            names = planned.packs | "Names" >> beam.Keys()
            assert_that(names, equal_to(["/in/a.wav", "/in/a.wav", "/in/b.wav"]), label="packs")
            for number, (stage, code) in enumerate((("plan", "bad_json"), ("interval", "bad_time"))):
                found = planned.failures[number] | f"Codes {stage}" >> beam.FlatMap(codes_of)
                assert_that(found, equal_to([(stage, code)]), label=stage)
            totals = planned.counts | beam.CombinePerKey(sum) | beam.Filter(lambda count: count[0] == "plan.clips")
            assert_that(totals, equal_to([("plan.clips", 5)]), label="counts")


def codes_of(block: FailureBlock) -> list[tuple[str, str]]:
    return [(block.stage, failure.code.value) for failure in block.failures]


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
        assert made.claim == NameClaim(recording="/x/Talk.wav", stem="Talk", labels=frozenset(), has_plain=True)
        assert len(made.packed) < 20_000


def pack_of(name: str, **fields: Any) -> tuple[str, Pack]:
    combo = 4 if "speaker_id" in fields else 2
    return name, pack(whole_file("m.jsonl"), 0, name, [(0, request(0, 1, combo=combo, **fields))])


class TestMarkCollisions:
    def test_names_that_would_be_one(self) -> None:
        packs = [
            *(pack_of(name) for name in ("/x/a.wav", "/y/A.flac", "/x/b.wav", "/x/b.wav", "/x/talk_speaker_1.wav")),
            *(pack_of(name, speaker_id="1") for name in ("/x/talk.wav", "/y/c.wav", "/y/b.wav")),
            pack_of("/z/c.wav", speaker_id="2"),
        ]
        with beam.Pipeline("FnApiRunner") as pipeline:
            marks = pipeline | beam.Create(packs) | MarkCollisions()
            marked = ["/x/a.wav", "/y/A.flac", "/x/talk_speaker_1.wav", "/x/talk.wav"]
            assert_that(marks, equal_to([(name, True) for name in marked]))

    def test_recordings_of_one_key_are_compared(self) -> None:
        claims = [claim_names(pack_of(name)) for name in ("/x/a.wav", "/y/a.wav", "/x/a.wav")]
        assert {key for key, _ in claims} == {"a"}
        assert list(find_collisions(("a", [claim for _, claim in claims]))) == [("/x/a.wav", True), ("/y/a.wav", True)]
