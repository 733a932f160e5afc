"""Requests for clips, their names, and the descriptions written about them: pure, without audio and without files."""

from beam_curator.clips.naming import (
    NameClaim,
    Position,
    claim_key,
    claim_of,
    name_prefix,
    number_names,
    recordings_to_mark,
    sort_requests,
)
from beam_curator.clips.records import BadInterval, ClipRequest
from beam_curator.clips.requests import WHATS, What, combo_of, detect_combo, requests_of_row
from beam_curator.clips.tables import (
    CUT_KEYS,
    CutFacts,
    ExtractionTotals,
    claimed_duration,
    clip_row,
    columns_of,
    csv_text,
    extraction_summary,
    fields_before_cut,
    metadata_of_clip_row,
    metadata_row,
    summary_text,
    totals_of,
)
from beam_curator.recordings.row_paths import resolve_recording
from beam_curator.recordings.safe_names import safe_label, safe_stem, stem_of, stem_with_mark

__all__ = [
    "CUT_KEYS",
    "WHATS",
    "BadInterval",
    "ClipRequest",
    "CutFacts",
    "ExtractionTotals",
    "NameClaim",
    "Position",
    "What",
    "claim_key",
    "claim_of",
    "claimed_duration",
    "clip_row",
    "columns_of",
    "combo_of",
    "csv_text",
    "detect_combo",
    "extraction_summary",
    "fields_before_cut",
    "metadata_of_clip_row",
    "metadata_row",
    "name_prefix",
    "number_names",
    "recordings_to_mark",
    "requests_of_row",
    "resolve_recording",
    "safe_label",
    "safe_stem",
    "sort_requests",
    "stem_of",
    "stem_with_mark",
    "summary_text",
    "totals_of",
]
