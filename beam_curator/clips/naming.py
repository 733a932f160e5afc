"""Names of clips: the reference's where they are safe and unambiguous, marked with a hash where they are not."""

from __future__ import annotations

import json
import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from beam_curator.clips.records import ClipRequest
from beam_curator.tar_members import split_locator

MAX_STEM_BYTES = 120
MAX_LABEL_BYTES = 40
MARK_DIGITS = 16
"""Hex digits that tell recordings of one stem apart: ten thousand of them meet with a chance of 3 in 10^12."""

UNKNOWN = "unknown"
"""Label of a speaker who is not known, as in the reference."""

Position = tuple[int, int, int]
"""Where a row stands in the input: (ordinal of its block, part, byte offset)."""

_HASH_DIGITS = 8
_PUNCTUATION = frozenset("._-+=@#,()[]&'! ")
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)
"""Letters and marks that show nothing (Unicode: Default_Ignorable_Code_Point): names would look alike."""


def stem_of(recording: str) -> str:
    """Return the file name of a recording without its last extension, as Python's `Path.stem` does.

    Example:
      >>> stem_of("/talks/a.b.wav"), stem_of("gs://bucket/talk.flac"), stem_of("/x/shard.tar::y/z.wav")
      ('a.b', 'talk', 'z')
    """
    path, member = split_locator(recording)
    name = (path if member is None else member).rstrip("/").rpartition("/")[2]
    dot = name.rfind(".")
    return name[:dot] if 0 < dot < len(name) - 1 else name


def safe_stem(name: str) -> str:
    """Return the stem of file names for a recording: NFC text of at most 120 bytes of UTF-8, safe in any file system.

    Letters, digits and their marks in any script stay, and so do spaces inside and `._-+=@#,()[]&'!`. All else becomes
    `_`: separators, wildcards, control, bidi and other invisible characters, a dot or blank at the beginning, a blank
    at the end. What had to be changed or cut ends in `~` and a hash of the text as it was, which no other name does.

    Example:
      >>> safe_stem("interview 3 (final)"), safe_stem("../../etc/passwd")
      ('interview 3 (final)', '_._.._etc_passwd~830a08e2')
    """
    return _safe(name, MAX_STEM_BYTES)


def safe_label(speaker_id: Any) -> str:
    """Return the label of a speaker in file names: at most 40 bytes, by the rules of `safe_stem`.

    As in the reference every `speaker_` is taken out of a text. null is "unknown"; other values are their JSON text,
    where the reference fails.

    Example:
      >>> safe_label("speaker_0"), safe_label("Ana"), safe_label(None), safe_label(1), safe_label(True), safe_label(1.5)
      ('0', 'Ana', 'unknown', '1', 'true', '1.5')
    """
    if speaker_id is None:
        return UNKNOWN
    text = speaker_text(speaker_id).replace("speaker_", "")
    return _safe(text, MAX_LABEL_BYTES) if text else ""


def speaker_text(speaker_id: Any) -> str:
    """Return a speaker id as text: itself where it is one, else compact JSON.

    Example:
      >>> speaker_text("ana"), speaker_text(["ana", 2]), speaker_text(False)
      ('ana', '["ana",2]', 'false')
    """
    if isinstance(speaker_id, str):
        return speaker_id
    return json.dumps(speaker_id, ensure_ascii=False, separators=(",", ":"), default=str)


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


def number_names(requests: Iterable[ClipRequest], stem: str, audio_format: str) -> list[str]:
    """Return the file names of one recording's clips.

    Numbers begin at 000 for each prefix, taken without case, and belong to a request whether or not it can be cut
    later, as in the reference: one that fails leaves a hole.

    Args:
      requests: all of the recording, sorted.
      stem: from `safe_stem` or `stem_with_mark`.
      audio_format: the extension, without a dot.

    Example:
      >>> pieces = [ClipRequest(fields={}, combo=2, index=0, start=0, end=1, unit="ms")] * 2
      >>> number_names(pieces, "talk", "flac")
      ['talk_segment_000.flac', 'talk_segment_001.flac']
    """
    counts: dict[str, int] = defaultdict(int)
    names = []
    for request in requests:
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


def claim_of(recording: str, requests: Iterable[ClipRequest]) -> NameClaim:
    """Return the names that some or all requests of a recording would take.

    Example:
      >>> claim_of("/x/a.wav", [ClipRequest(fields={"speaker_id": 1}, combo=4, index=0, start=0, end=1, unit="ms")])
      NameClaim(recording='/x/a.wav', stem='a', labels=frozenset({'1'}), has_plain=False)
    """
    labels, has_plain = set(), False
    for request in requests:
        if request.combo == 2:
            has_plain = True
        else:
            labels.add(safe_label(request.fields.get("speaker_id")))
    return NameClaim(
        recording=recording, stem=safe_stem(stem_of(recording)), labels=frozenset(labels), has_plain=has_plain
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


def stem_with_mark(stem: str, recording: str) -> str:
    """Return a stem that no other recording has: with `~` and a hash of the recording's path behind it.

    Example:
      >>> stem_with_mark("talk", "/monday/talk.wav"), stem_with_mark("talk", "/friday/talk.wav")
      ('talk~3d6fbda23a2c7fa9', 'talk~cf67fdbe966068b9')
    """
    return f"{stem}~{_hash(recording, MARK_DIGITS)}"


@lru_cache(maxsize=4096)
def _safe(text: str, max_bytes: int) -> str:
    composed = unicodedata.normalize("NFC", text)
    safe = "".join(character if _is_safe(character) else "_" for character in composed)
    if not safe or safe[0] in ". " or unicodedata.category(safe[0])[0] == "M":
        safe = "_" + safe[1:]
    if safe[-1] == " ":
        safe = safe[:-1] + "_"
    if safe == composed and len(safe.encode()) <= max_bytes:
        return safe
    kept = safe.encode()[: max_bytes - _HASH_DIGITS - 1].decode(errors="ignore")
    return f"{kept}~{_hash(text, _HASH_DIGITS)}"


def _is_safe(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in _PUNCTUATION
    letter_or_mark = character.isalnum() or unicodedata.category(character) in {"Mn", "Mc"}
    return letter_or_mark and character not in _INVISIBLE


def _hash(text: str, n_digits: int) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=n_digits // 2).hexdigest()


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """Return text as file systems compare it that ignore case (Unicode: canonical caseless matching, D145)."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize("NFC", folded)


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
