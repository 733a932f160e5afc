from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from beam_curator.transforms.export.colliding_paths import MarkCollidingPaths, claim_path, find_collisions

from beam_curator.clips.packs import Pack, pack
from beam_curator.sets.blocks import BlockRef
from tests.transforms.clips.clip_sets import request

REF = BlockRef(source="/in/m.jsonl", occurrence=0, ordinal=0, n_blocks=1, start=0, stop=1)


def packed(recording: str) -> tuple[str, Pack]:
    return recording, pack(REF, 0, recording, [(0, request(0, 1))])


def test_recordings_are_marked_where_case_alone_tells_them_apart() -> None:
    names = ["/in/A.wav", "/in/a.wav", "/in/a.wav", "/in/b.wav", "/else/A.WAV"]
    with beam.Pipeline("FnApiRunner") as pipeline:
        marks = pipeline | beam.Create([packed(name) for name in names]) | MarkCollidingPaths("/in")
        assert_that(marks, equal_to([("/in/A.wav", True), ("/in/a.wav", True)]))


@pytest.mark.parametrize("name", ["/else/a.wav", "/in/../a.wav", "/in", "/in/\ud800.wav"])
def test_recordings_that_will_fail_claim_nothing(name: str) -> None:
    item: Any = (name, None)
    assert list(claim_path(item, "/in")) == []


def test_one_recording_of_several_blocks_does_not_collide_with_itself() -> None:
    assert list(find_collisions(("a.wav", ["/in/a.wav", "/in/a.wav"]))) == []
