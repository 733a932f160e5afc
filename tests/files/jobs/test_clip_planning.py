from __future__ import annotations

import json

import pytest

from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.entry_pieces import EntryKeys
from beam_curator.files.jobs.clip_job import ClipJob
from beam_curator.files.jobs.clip_planning import PlannedPieces, plan_clips
from tests.manifests import BAD_LINES, block_of
from tests.transforms.clips.clip_sets import piece

NO_ROWS = [name for name, (_, code) in BAD_LINES.items() if code not in ("missing_key", "bad_type", "bad_time")]
"""The bad lines that are bad whatever is cut."""
ENTRY = {"audio_filepath": "b.wav", "segments": [[0, 1], [2, 1], [3, 4]]}


def counted(plan: PlannedPieces) -> dict[str, int]:
    return {name: n for name, n in plan.counts().items() if n}


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
        assert counted(plan) == {"plan.rows": 3, "plan.clips": 5}

    def test_rows_without_pieces_are_dropped_and_counted(self) -> None:
        rows = [{"audio_filepath": "a.wav", "segments": []}, piece("a.wav", 0, 1, speaker_id=1, diar_segments=[])]
        plan = plan_clips(block_of(*rows), CutRules())
        assert counted(plan) == {"plan.dropped": 2, "plan.dropped.no_pieces": 2}
        assert not plan.requests

    @pytest.mark.parametrize("name", NO_ROWS)
    def test_lines_that_are_no_rows_fail_alone(self, name: str) -> None:
        line, code = BAD_LINES[name]
        plan = plan_clips(block_of(piece("a.wav", 0, 1), line, piece("a.wav", 1, 2)), CutRules())
        assert [failure.code for failure in plan.rows_failed] == [code]
        assert plan.rows_failed[0].payload == line
        assert len(plan.requests["/in/a.wav"]) == 2
        assert counted(plan) == {"plan.rows": 2, "plan.clips": 2}

    def test_all_pieces_of_a_row_may_be_bad(self) -> None:
        plan = plan_clips(block_of(ENTRY | {"segments": [[2, 1], None]}), CutRules())
        assert plan.counts()["plan.clips"] == 2
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


def test_the_plan_of_a_job_has_a_pack_for_each_recording_and_failures_by_stage() -> None:
    rows = [piece("a.wav", 0, 1), b"{", ENTRY, piece("a.wav", 1, 2)]
    plan = ClipJob(CutRules(), "wav").plan(block_of(*rows, ordinal=1, part=2))
    assert [(asked.claim.recording, asked.position) for asked in plan.asked] == [
        ("/in/a.wav", (1, 2, 0)),
        ("/in/b.wav", (1, 2, 2000)),
    ]
    found = {stage: [failure.code for failure in failures] for stage, failures in plan.failures.items()}
    assert found == {"plan": ["bad_json"], "interval": ["bad_time"]}
    assert {name: n for name, n in plan.counts.items() if n} == {"plan.rows": 3, "plan.clips": 5}
