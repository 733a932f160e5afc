"""Turns with names: read out of rows of any diarizer, and kept inside their recording."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from beam_curator.clips.interval_lists import check_forward, span_of
from beam_curator.entries.channel_key import channel_in
from beam_curator.entries.json_lines import kind_of
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds

NO_SPEAKER = "no-speaker"
"""Label of pieces in which nobody talks, as taggers of the reference fill gaps with them."""

TURN_KEYS = ("diar_segments", "segments")
"""Keys that hold turns, the first that says who talks."""

_MAX_SPEAKER = 1 << 63
_DIGITS = re.compile("([0-9]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerTurn:
    """A speaker, by name, talks from `start` to `end`, in seconds, half-open; on `channel`, if it is told, from 0."""

    start: Seconds
    end: Seconds
    speaker: str
    channel: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnsOfRow:
    """The turns of a row: who speaks when.

    Attributes:
      key: where it was found.
      turns: in the order of the row; all have a length.
      n_empty: turns without length that were left out.
      n_no_speaker: pieces without anybody that were left out.
      n_bad: turns without usable times that were left out.
    """

    key: str
    turns: tuple[SpeakerTurn, ...]
    n_empty: int = 0
    n_no_speaker: int = 0
    n_bad: int = 0


def turns_of_row(row: Mapping[str, Any], key: str = "", *, strict: bool = False) -> TurnsOfRow:
    """Read the turns of a row.

    A turn is an object with `start`, `end` and `speaker`, or an array `[start, end, speaker]`; a speaker is a name, or
    an integer k from 0, which is `speaker_k`. Pieces of `no-speaker` are left out, whatever their times are. Turns
    without length say nothing and are left out, too; in the reference one of them spoils the rest of the recording. So
    is a turn without usable times, unless no other is left. The `channel` of a turn is that of the object, or else of
    the row.

    Args:
      row: of a manifest, or an entry.
      key: that holds the turns; "" for `diar_segments`, or `segments` where that is absent, null, or holds pairs
        without speakers.
      strict: refuse the row for one turn without usable times.

    Raises:
      EntryError: there are no turns, one does not say who speaks, or none has usable times; the message names its
        place.

    Example:
      >>> turns_of_row({"segments": [{"start": 0, "end": 2.5, "speaker": 1}]}).turns
      (SpeakerTurn(start=0, end=2.5, speaker='speaker_1', channel=None),)
    """
    key = key or _key_of(row)
    found = _Found(channel=channel_in(row))
    for position, item in enumerate(_items(row, key)):
        found.add(item, f"{key}[{position}]")
    if found.errors and (strict or not found.turns):
        raise found.errors[0]
    return TurnsOfRow(
        key=key,
        turns=tuple(found.turns),
        n_empty=found.n_empty,
        n_no_speaker=found.n_no_speaker,
        n_bad=len(found.errors),
    )


@dataclass(slots=True)
class _Found:
    """Turns that were read so far, the number left out, and the errors of those that have no usable times."""

    channel: int | None
    turns: list[SpeakerTurn] = field(default_factory=list)
    errors: list[EntryError] = field(default_factory=list)
    n_empty: int = 0
    n_no_speaker: int = 0

    def add(self, item: Any, where: str) -> None:
        """Read a further item; raise an EntryError where it has times, but does not say who speaks."""
        if not isinstance(item, (dict, list, tuple)):
            self.errors.append(_form_error(item, where))
            return
        speaker = _speaker_of(item, where)
        if speaker == NO_SPEAKER:
            self.n_no_speaker += 1
            return
        own = channel_in(item, where) if isinstance(item, dict) else None
        try:
            turn = _turn_of(item, speaker, self.channel if own is None else own, where)
        except EntryError as error:
            self.errors.append(error)
            return
        if turn is None:
            self.n_empty += 1
        else:
            self.turns.append(turn)


def _items(row: Mapping[str, Any], key: str) -> Sequence[Any]:
    if key not in row:
        raise EntryError(
            FailureCode.MISSING_KEY,
            f"key '{key}' is absent, expected the turns of the recording",
            f"add '{key}', or name the key that holds them",
        )
    items = row[key]
    if not isinstance(items, (list, tuple)):
        raise EntryError(
            FailureCode.BAD_TYPE, f"{key} is {kind_of(items)}, expected an array", "write [] where nobody talks"
        )
    return items


def _key_of(row: Mapping[str, Any]) -> str:
    first, second = TURN_KEYS
    if row.get(first) is None and row.get(second) is None:
        raise EntryError(
            FailureCode.MISSING_KEY,
            f"the row has neither '{first}' nor '{second}'",
            "diarize the recording first, or name the key that holds its turns",
        )
    items = row.get(first)
    says_nobody = isinstance(items, (list, tuple)) and len(items) > 0 and _is_pair(items[0])
    return second if row.get(second) is not None and (items is None or says_nobody) else first


def _is_pair(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 2


def _speaker_of(item: Any, where: str) -> str:
    if isinstance(item, dict) and "speaker" in item:
        speaker, place = item["speaker"], f"{where}.speaker"
    elif isinstance(item, (list, tuple)) and len(item) == 3:
        speaker, place = item[2], f"{where}[2]"
    elif isinstance(item, dict) or _is_pair(item):
        raise EntryError(
            FailureCode.MISSING_KEY,
            f"{where} does not say who speaks, expected a speaker beside start and end",
            "write objects with start, end and speaker, or [start, end, speaker], as diarize --diar-format dicts does",
        )
    else:
        raise _form_error(item, where)
    return _name_of(speaker, place)


def _form_error(item: Any, where: str) -> EntryError:
    found = f"an array of {len(item)}" if isinstance(item, (list, tuple)) else kind_of(item)
    return EntryError(
        FailureCode.BAD_TYPE,
        f"{where} is {found}, expected an object with start, end and speaker, or [start, end, speaker]",
        "write turns in one of these forms",
    )


def speaker_name(speaker: Any) -> str | None:
    """Return the name of the speaker that a turn has; None where it has none.

    Example:
      >>> speaker_name("ana"), speaker_name(1), speaker_name(None)
      ('ana', 'speaker_1', None)
    """
    if isinstance(speaker, str) and speaker:
        return speaker
    return f"speaker_{speaker}" if type(speaker) is int and 0 <= speaker < _MAX_SPEAKER else None


def _name_of(speaker: Any, place: str) -> str:
    name = speaker_name(speaker)
    if name is not None:
        return name
    if type(speaker) is int:
        found = "below 0" if speaker < 0 else "beyond 2^63"
    elif type(speaker) is float:
        found = repr(speaker)
    else:
        found = "empty" if speaker == "" else kind_of(speaker)
    raise EntryError(
        FailureCode.BAD_TYPE,
        f"{place} is {found}, expected a name or an integer from 0",
        f"name the speaker, or write '{NO_SPEAKER}' where nobody talks",
    )


def _turn_of(item: Any, speaker: str, channel: int | None, where: str) -> SpeakerTurn | None:
    """Return a turn, None where it has no length."""
    start, end = span_of(item if isinstance(item, dict) else item[:2], where)
    if min(start, end) < 0:
        raise EntryError(
            FailureCode.BAD_TIME,
            f"{where} runs from {start!r} to {end!r} s, expected times from 0 on",
            "correct its times, or leave it out",
        )
    if start == end:
        return None
    check_forward(start, end, where, "s")
    return SpeakerTurn(start=start, end=end, speaker=speaker, channel=channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClampedTurns:
    """Turns that lie inside of their recording.

    Attributes:
      turns: in the order in which they came.
      n_cut: turns that ended after the recording, and end with it now.
      n_outside: turns that began at its end or after it, and are gone.
      speakers_outside: who has no other turns, in natural order.
    """

    turns: tuple[SpeakerTurn, ...]
    n_cut: int = 0
    n_outside: int = 0
    speakers_outside: tuple[str, ...] = ()


def clamp_turns(turns: Iterable[SpeakerTurn], duration: Seconds) -> ClampedTurns:
    """Cut turns at the end of the recording.

    Args:
      turns: in any order.
      duration: of the recording, seconds.

    Example:
      >>> clamp_turns([SpeakerTurn(start=1, end=9, speaker="ana"), SpeakerTurn(start=8, end=9, speaker="bo")], 4.5)
      ClampedTurns(turns=(SpeakerTurn(start=1, end=4.5, speaker='ana', channel=None),),
                   n_cut=1, n_outside=1, speakers_outside=('bo',))
    """
    inside, outside = [], []
    n_cut = 0
    for turn in turns:
        if turn.start >= duration:
            outside.append(turn.speaker)
        elif turn.end > duration:
            inside.append(replace(turn, end=duration))
            n_cut += 1
        else:
            inside.append(turn)
    lost = set(outside) - {turn.speaker for turn in inside}
    return ClampedTurns(
        turns=tuple(inside),
        n_cut=n_cut,
        n_outside=len(outside),
        speakers_outside=tuple(sorted(lost, key=natural_order)),
    )


def channels_of_speakers(turns: Iterable[SpeakerTurn]) -> dict[str, int | None]:
    """Return the one channel that all turns of a speaker name; None where they name several, or some name none.

    Example:
      >>> channels_of_speakers([SpeakerTurn(start=0, end=1, speaker="ana", channel=1),
      ...                       SpeakerTurn(start=1, end=2, speaker="bo")])
      {'ana': 1, 'bo': None}
    """
    named: dict[str, set[int | None]] = {}
    for turn in turns:
        named.setdefault(turn.speaker, set()).add(turn.channel)
    return {speaker: next(iter(channels)) if len(channels) == 1 else None for speaker, channels in named.items()}


def natural_order(speaker: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """Return a key that puts speakers in order as people count: `speaker_2` before `speaker_10`.

    Example:
      >>> sorted(["speaker_10", "speaker_2", "ana"], key=natural_order)
      ['ana', 'speaker_2', 'speaker_10']
    """
    parts = _DIGITS.split(speaker)
    parts[1::2] = [digits.lstrip("0") for digits in parts[1::2]]
    return tuple((len(part) if place % 2 else 0, part) for place, part in enumerate(parts)), speaker
