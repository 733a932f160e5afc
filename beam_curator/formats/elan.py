"""EAF of ELAN: a tier of annotations for each speaker, times in milliseconds.

A document type is refused, and with it every entity of XML that could name a file or grow.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import quote, unquote
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from beam_curator.diarization.rttm import LineError
from beam_curator.formats.annotations import (
    Annotation,
    Segment,
    by_speaker,
    checked_span,
    in_units,
    layers,
    one_line,
)

DIGITS = 3

_SAVE = "save the file in ELAN again"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_NO_ONE = "speech"
"""Id of the tier of pieces whose speaker is not known: ids must not be empty."""


@dataclass(slots=True)
class _Piece:
    """An annotation as it is read: names of its time slots, its text, and its line."""

    speaker: str
    slots: tuple[str, str]
    line: int
    text: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Document:
    """A document as far as its events have come."""

    parser: expat.XMLParserType
    media: str = ""
    slots: dict[str, float] = field(default_factory=dict)
    pieces: list[_Piece] = field(default_factory=list)
    speaker: str | None = None
    open_text: list[str] | None = None
    root: str = ""

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """Take the beginning of an element."""
        line = self.parser.CurrentLineNumber
        if not self.root:
            self.root = name
            if name != "ANNOTATION_DOCUMENT":
                raise LineError(line, f"the file begins with <{name[:40]}>, expected ANNOTATION_DOCUMENT", _SAVE)
        if name == "MEDIA_DESCRIPTOR":
            self.media = self.media or attributes.get("RELATIVE_MEDIA_URL", "") or attributes.get("MEDIA_URL", "")
        elif name == "TIME_SLOT" and "TIME_VALUE" in attributes:
            self.slots[attributes.get("TIME_SLOT_ID", "")] = self._milliseconds(attributes["TIME_VALUE"], line)
        elif name == "TIER":
            is_part = "PARENT_REF" in attributes
            speaker = attributes.get("PARTICIPANT", "").strip() or attributes.get("TIER_ID", "")
            self.speaker = None if is_part else "" if speaker == _NO_ONE else speaker
        elif name == "ALIGNABLE_ANNOTATION" and self.speaker is not None:
            slots = attributes.get("TIME_SLOT_REF1", ""), attributes.get("TIME_SLOT_REF2", "")
            self.pieces.append(_Piece(speaker=self.speaker, slots=slots, line=line))
        elif name == "ANNOTATION_VALUE" and self.speaker is not None and self.pieces:
            self.open_text = self.pieces[-1].text

    @staticmethod
    def _milliseconds(value: str, line: int) -> float:
        try:
            return int(value) / 1000
        except ValueError:
            raise LineError(line, f"TIME_VALUE {value[:40]!r}, expected whole milliseconds", _SAVE) from None

    def end(self, name: str) -> None:
        """Take the end of an element."""
        if name in ("ANNOTATION_VALUE", "TIER"):
            self.open_text = None
        if name == "TIER":
            self.speaker = None

    def data(self, text: str) -> None:
        """Take a part of a text."""
        if self.open_text is not None:
            self.open_text.append(text)

    def refuse(self, *_: object) -> None:
        """Refuse a document type."""
        cure = f"remove the DOCTYPE, which no EAF has, or {_SAVE}"
        raise LineError(self.parser.CurrentLineNumber, "a document type, whose entities are not read", cure)

    def segment(self, piece: _Piece) -> Segment | None:
        """Return a piece with its times; None where it has no length."""
        for slot in piece.slots:
            if slot not in self.slots:
                raise LineError(piece.line, f"an annotation with time slot {slot[:40]!r}, which has no time", _SAVE)
        start, end = checked_span(self.slots[piece.slots[0]], self.slots[piece.slots[1]], piece.line)
        text = one_line("".join(piece.text))
        return Segment(start=start, end=end, speaker=piece.speaker, text=text) if start < end else None


def read_eaf(text: str) -> tuple[str, list[Segment]]:
    """Read the annotations of tiers that depend on no other; the participant of a tier, or else its id, is a speaker.

    Returns:
      The file name of the recording, "" where the document names none, and its segments.

    Raises:
      LineError: the document is no EAF, is damaged, or has a document type.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    document = _Document(parser)
    parser.StartElementHandler, parser.EndElementHandler = document.begin, document.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = document.data, document.refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as err:
        raise LineError(err.lineno, f"no valid XML: {expat.ErrorString(err.code)}", _SAVE) from err
    segments = [document.segment(piece) for piece in document.pieces]
    media = unquote(document.media.replace("\\", "/").rpartition("/")[2])
    return media, [segment for segment in segments if segment is not None]


def render_eaf(annotation: Annotation) -> str:
    """Render a recording as EAF 3.0, times to milliseconds.

    Where turns of one speaker overlap, a further tier has the same participant. What XML cannot hold is left out.
    """
    tiers = [
        (speaker, layer)
        for speaker, said in by_speaker(annotation.segments).items()
        for layer in layers(list(in_units(said, 1000)))
    ]
    times = sorted({time for _, layer in tiers for first, last, _ in layer for time in (first, last)})
    slots = {time: f"ts{number}" for number, time in enumerate(times, start=1)}
    number, used = 0, Counter[str]()
    body = [f'        <TIME_SLOT TIME_SLOT_ID="{slot}" TIME_VALUE="{time}"/>\n' for time, slot in slots.items()]
    body.append("    </TIME_ORDER>\n")
    for speaker, layer in tiers:
        name = _safe(speaker)
        body.append(f'    <TIER LINGUISTIC_TYPE_REF="default-lt" PARTICIPANT={quoteattr(name)} ')
        body.append(f"TIER_ID={quoteattr(_tier_id(name, used))}>\n")
        for first, last, segment in layer:
            number += 1
            body.append(
                f'        <ANNOTATION>\n            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" '
                f'TIME_SLOT_REF1="{slots[first]}" TIME_SLOT_REF2="{slots[last]}">\n'
                f"                <ANNOTATION_VALUE>{escape(_safe(one_line(segment.text)))}</ANNOTATION_VALUE>\n"
                "            </ALIGNABLE_ANNOTATION>\n        </ANNOTATION>\n"
            )
        body.append("    </TIER>\n")
    return "".join([*_head(annotation.audio), *body, *_TAIL])


def _tier_id(name: str, used: Counter[str]) -> str:
    """Return an id for a tier that no other one has."""
    while True:
        used[name] += 1
        tier = (name or _NO_ONE) + (f"-{used[name]}" if used[name] > 1 else "")
        if tier == name or used[tier] == 0:
            used[tier] += tier != name
            return tier


def _safe(text: str) -> str:
    return _NOT_IN_XML.sub("", text)


def _head(audio: str) -> list[str]:
    media = ""
    if audio:
        name = _safe(audio.rpartition("/")[2])
        url = audio if "://" in audio else f"file://{quote(audio)}" if audio.startswith("/") else f"./{quote(audio)}"
        media = (
            f'        <MEDIA_DESCRIPTOR MEDIA_URL={quoteattr(_safe(url))} MIME_TYPE="audio/x-wav" '
            f"RELATIVE_MEDIA_URL={quoteattr('./' + quote(name))}/>\n"
        )
    return [
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        '<ANNOTATION_DOCUMENT AUTHOR="" DATE="1970-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0" ',
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ',
        f'xsi:noNamespaceSchemaLocation="{_SCHEMA}">\n',
        f'    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">\n{media}    </HEADER>\n    <TIME_ORDER>\n',
    ]


_TAIL = (
    '    <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>\n',
    "</ANNOTATION_DOCUMENT>\n",
)
