from __future__ import annotations

from typing import Any

import pytest

from beam_curator.export.export_rules import ExportRules
from beam_curator.export.values import inherited_keys, own_keys, values_of
from beam_curator.failures import EntryError, FailureCode

ALL = ExportRules(
    generate_embeddings=True,
    generate_captions=True,
    caption_models=("canary", "text"),
    score_keys=("utmos",),
    embedding_key="vector",
    rejected_key="verdict",
)
GOOD = {"vector": [1.0, 2.0], "text": "hi", "utmos": 3, "verdict": None}


def test_everything_asked_for_is_read() -> None:
    values = values_of(GOOD, ALL)
    assert (values.filtered_by, values.scores, values.transcripts) == ((), {"utmos": 3}, {"text": "hi"})
    assert values.missing == ("canary_transcript_missing",)
    assert values.embedding is not None
    assert values.embedding.tolist() == [1.0, 2.0]


def test_rejected_clips_need_no_embedding() -> None:
    values = values_of(GOOD | {"verdict": ["snr"], "vector": "broken"}, ALL)
    assert (values.filtered_by, values.embedding) == (("snr",), None)


def test_what_is_not_asked_for_is_not_looked_at() -> None:
    values = values_of(GOOD | {"vector": "broken", "text": 7}, ExportRules())
    assert (values.scores, values.transcripts, values.missing, values.embedding) == ({}, {}, (), None)


@pytest.mark.parametrize("change", [{"vector": []}, {"text": 7}, {"utmos": "3"}, {"verdict": 1}], ids=str)
def test_values_of_another_kind_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(EntryError) as caught:
        values_of(GOOD | change, ALL)
    assert caught.value.code == FailureCode.BAD_TYPE


def test_pieces_of_entries_need_these_keys() -> None:
    assert (inherited_keys(ALL), own_keys(ALL)) == (("verdict", "utmos"), ("vector", "canary_transcript"))
    assert (inherited_keys(ExportRules()), own_keys(ExportRules())) == (("rejected_by",), ())
