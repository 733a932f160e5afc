"""Ids of recordings whose rows come from anywhere: those of a job of diarization as they are, all others made alike."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from beam_curator.intervals import Seconds
from beam_curator.recordings.safe_names import MARK_DIGITS, folded, safe_stem, stem_of, stem_with_mark

ID_KEY = "recording_id"
_MARK = "~"


def wanted_id(row: Mapping[str, Any], name: str) -> str:
    """Return the id that the recording of a row goes by unless another one wants it, too.

    Args:
      row: of a manifest; its `recording_id` is taken where a job of diarization may have given it.
      name: of the recording otherwise, any text.

    Example:
      >>> wanted_id({"recording_id": "talk~3d6fbda23a2c7fa9"}, "talk"), wanted_id({"recording_id": "a/b"}, "talk")
      ('talk~3d6fbda23a2c7fa9', 'talk')
    """
    given = row.get(ID_KEY)
    return given if isinstance(given, str) and is_recording_id(given) else safe_stem(name)


def name_below(folder: str, recording: str) -> str:
    """Return the name of a recording in a folder below the directory that was searched: that of both.

    It follows from the recording alone, so that others of its file name never change it.

    Example:
      >>> name_below("monday/am", "/in/monday/am/talk.wav"), name_below("", "/in/talk.wav")
      ('monday_am_talk', 'talk')
    """
    return "_".join((*filter(None, folder.split("/")), stem_of(recording)))


def stem_in_row(row: Mapping[str, Any], recording: str) -> str:
    """Return the stem of names for pieces of a recording: its own, or its id where `name_below` gave that.

    Other ids are not taken: a row of a clip or a track may still hold the id of the recording that it was cut from.

    Example:
      >>> stem_in_row({"recording_id": "monday_talk"}, "/in/monday/talk.wav")
      'monday_talk'
      >>> stem_in_row({"recording_id": "talk"}, "/clips/talk_segment_001.wav")
      'talk_segment_001'
    """
    own, given = stem_of(recording), row.get(ID_KEY)
    if isinstance(given, str) and given.endswith(f"_{safe_stem(own)}"):
        folders = recording.rpartition("/")[0].split("/")
        for first in range(len(folders) - 1, -1, -1):
            if given == safe_stem(name_below("/".join(folders[first:]), recording)):
                return given
    return safe_stem(own)


def id_key(wanted: str) -> str:
    """Return a key that ids share wherever they, or ids made of them by `different_ids`, could be one.

    Example:
      >>> id_key("Talk~3d6fbda23a2c7fa9"), id_key("talk")
      ('talk', 'talk')
    """
    return folded(wanted).partition(_MARK)[0]


def different_ids(wanted: Mapping[str, str]) -> dict[str, str]:
    """Give different ids to all recordings of one `id_key`, also for a file system that ignores case.

    One that is alone with its wish gets it; several with one wish are marked with a hash of what they are, all of them.

    Args:
      wanted: for the identity of each recording, the id that it would like.

    Example:
      >>> different_ids({"/monday/talk.wav": "talk"})
      {'/monday/talk.wav': 'talk'}
      >>> different_ids({"/monday/talk.wav": "talk", "/friday/talk.wav": "Talk"})
      {'/monday/talk.wav': 'talk~3d6fbda23a2c7fa9', '/friday/talk.wav': 'Talk~cf67fdbe966068b9'}
    """
    ids = dict(wanted)
    while True:
        groups: dict[str, list[str]] = defaultdict(list)
        for identity, chosen in ids.items():
            groups[folded(chosen)].append(identity)
        # repeated, since a marked id may equal one that another recording wished for
        alike = [identity for group in groups.values() if len(group) > 1 for identity in group]
        if not alike:
            return ids
        ids |= {identity: stem_with_mark(wanted[identity].partition(_MARK)[0], identity) for identity in alike}


_ID = re.compile(rf"([^~]+)(?:~[0-9a-f]{{8}})?(?:~[0-9a-f]{{{MARK_DIGITS}}})?")
"""What `ids_of` makes: a text, the mark of one that was made safe, the mark of one that was not alone."""


def is_recording_id(text: str) -> bool:
    """Tell whether a text may be an id made by a diarization job, which is safe in file names as it is.

    Example:
      >>> is_recording_id("talk 1"), is_recording_id("talk~3d6fbda23a2c7fa9"), is_recording_id("a/b")
      (True, True, False)
    """
    made = _ID.fullmatch(text)
    return made is not None and safe_stem(made[1]) == made[1]


def identity_of(recording: str, start: Seconds, end: Seconds | None, channel: int | None = None) -> str:
    """Return a text that distinguishes a recording, a piece of one, or a channel of either, from all others.

    Example:
      >>> identity_of("/a.wav", 0.0, None), identity_of("/a.wav", 1.5, 3.5)
      ('/a.wav', '/a.wav#1.5-3.5')
    """
    heard = "" if channel is None else f"#channel {channel}"
    if start == 0 and end is None:
        return f"{recording}{heard}"
    # nine digits tell milliseconds apart within eleven days
    return f"{recording}#{start:.9g}-{'' if end is None else format(end, '.9g')}{heard}"


def ids_of(name: str, identities: Iterable[str]) -> dict[str, str]:
    """Give ids to all recordings that would have one name in a file system that ignores case.

    One alone goes by its name, made safe for file names; several each get a mark that follows from what they are.

    Args:
      name: the smallest of their names.
      identities: see `identity_of`.

    Example:
      >>> ids_of("talk", ["/monday/talk.wav"])
      {'/monday/talk.wav': 'talk'}
      >>> ids_of("talk", ["/monday/talk.wav", "/friday/talk.wav"])
      {'/friday/talk.wav': 'talk~cf67fdbe966068b9', '/monday/talk.wav': 'talk~3d6fbda23a2c7fa9'}
    """
    distinct = sorted(set(identities))
    stem = safe_stem(name)
    if len(distinct) == 1:
        return {distinct[0]: stem}
    return {identity: stem_with_mark(stem, identity) for identity in distinct}
