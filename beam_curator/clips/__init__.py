"""Requests for clips, their names, and the descriptions written about them: pure, without audio and without files."""

from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.records import BadInterval, ClipRequest
from beam_curator.clips.requests import WHATS, What, combo_of, detect_combo, requests_of_row

__all__ = [
    "WHATS",
    "BadInterval",
    "ClipOutputOptions",
    "ClipRequest",
    "CutRules",
    "What",
    "combo_of",
    "detect_combo",
    "requests_of_row",
]
