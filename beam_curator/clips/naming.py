"""Names of clips: the reference's where they are safe and unambiguous, marked with a hash where they are not."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from beam_curator.clips.records import ClipRequest
from beam_curator.recordings.recording_ids import stem_in_row
from beam_curator.recordings.safe_names import folded, safe_label, speaker_text
from beam_curator.sets.blocks import Position


def name_prefix(stem: str, request: ClipRequest) -> str:
    """Return a clip's file name up to its number.

    Args:
      stem: from `safe_stem` or `stem_with_mark`.
      request: the clip.
    """
    if request.combo == 2:
        return f"{stem}_segment_"
    return f"{stem}_speaker_{safe_label(request.fields.get('speaker_id'))}_segment_"


def sort_requests(items: Iterable[tuple[Position, ClipRequest]]) -> list[tuple[Position, ClipRequest]]:
    """Put all requests of one recording into the order in which they are numbered, whatever order they came in.

    The reference's orders: combo 2 by time, combo 3 by speaker and then as the manifest has them, combo 4 by speaker
    and time. Where a recording has several, they follow one another. Ids that are numbers come before texts.
    """
    return sorted(items, key=_sort_key)


def number_names(requests: Iterable[tuple[str, ClipRequest]], audio_format: str) -> list[str]:
    """Return the file names of one recording's clips.

    Numbers begin at 000 for each prefix, taken without case, and belong to a request whether or not it can be cut
    later, as in the reference: one that fails leaves a hole.

    Args:
      requests: all of the recording, sorted, each with the stem of its name, from `safe_stem` or `stem_with_mark`.
      audio_format: the extension, without a dot.

    Example:
      >>> piece = ClipRequest(fields={}, combo=2, index=0, start=0, end=1, unit="ms")
      >>> number_names([("talk", piece), ("talk", piece)], "flac")
      ['talk_segment_000.flac', 'talk_segment_001.flac']
    """
    counts: dict[str, int] = defaultdict(int)
    names = []
    for stem, request in requests:
        prefix = name_prefix(stem, request)
        key = folded(prefix)
        names.append(f"{prefix}{counts[key]:03d}.{audio_format}")
        counts[key] += 1
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class NameClaim:
    """The file names that a recording would take.

    Attributes:
      recording: its path, resolved.
      stem: of its names, safe.
      labels: safe labels of the speakers of its requests of combos 3 and 4.
      has_plain: whether there are requests of combo 2.
    """

    recording: str
    stem: str
    labels: frozenset[str]
    has_plain: bool


def claims_of(recording: str, requests: Iterable[ClipRequest]) -> tuple[NameClaim, ...]:
    """Return the names that some or all requests of a recording would take, by their stems.

    Example:
      >>> claims_of("/x/a.wav", [ClipRequest(fields={"speaker_id": 1}, combo=4, index=0, start=0, end=1, unit="ms")])
      (NameClaim(recording='/x/a.wav', stem='a', labels=frozenset({'1'}), has_plain=False),)
    """
    labels: dict[str, set[str]] = {}
    plain = set()
    for request in requests:
        stem = stem_in_row(request.fields, recording)
        mine = labels.setdefault(stem, set())
        if request.combo == 2:
            plain.add(stem)
        else:
            mine.add(safe_label(request.fields.get("speaker_id")))
    return tuple(
        NameClaim(recording=recording, stem=stem, labels=frozenset(labels[stem]), has_plain=stem in plain)
        for stem in sorted(labels)
    )


def claim_key(stem: str) -> str:
    """Return a key that claims share wherever their names could meet; those of different keys never do.

    Names that are equal have equal beginnings up to their first `_speaker_`, which stands at the latest where the
    stem of a claim ends and its label begins.

    Example:
      >>> claim_key("Talk_speaker_1"), claim_key("talk"), claim_key("talk_speaker")
      ('talk', 'talk', 'talk')
    """
    return f"{folded(stem)}_speaker_".partition("_speaker_")[0]


def recordings_to_mark(claims: Iterable[NameClaim]) -> set[str]:
    """Return the recordings one of whose names would be another's, too, in a file system that ignores case.

    Names are compared, not stems: `talk_speaker_1.wav` cut by time is marked beside `talk.wav` with a speaker 1, and
    stays as it is beside `talk_speaker_2.wav`.

    Args:
      claims: of one `claim_key`, or of several; a recording may have more than one.
    """
    owners: dict[str, set[str]] = defaultdict(set)
    for claim in claims:
        if claim.has_plain:
            owners[folded(f"{claim.stem}_segment_")].add(claim.recording)
        for label in claim.labels:
            owners[folded(f"{claim.stem}_speaker_{label}_segment_")].add(claim.recording)
    return {recording for group in owners.values() if len(group) > 1 for recording in group}


def _sort_key(item: tuple[Position, ClipRequest]) -> tuple[Any, ...]:
    position, request = item
    speaker = _speaker_key(request.fields.get("speaker_id"))
    start = request.fields.get("original_start_ms", 0)
    if request.combo == 2:
        return (2, start, position, request.index)
    if request.combo == 3:
        return (3, speaker, position, request.index)
    return (4, speaker, start, position, request.index)


def _speaker_key(speaker_id: Any) -> tuple[int, float, str]:
    if type(speaker_id) in (int, float) and not math.isnan(speaker_id):
        return (0, speaker_id, "")
    return (1, 0, "" if speaker_id is None else speaker_text(speaker_id))
