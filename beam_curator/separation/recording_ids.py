"""Ids of recordings whose rows come from anywhere: those of a job of diarization as they are, all others made alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from beam_curator.clips.naming import folded, safe_stem, stem_with_mark
from beam_curator.separation.track_names import is_recording_id

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
      wanted: what tells a recording from all others, to the id that it would like.

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
        alike = [identity for group in groups.values() if len(group) > 1 for identity in group]
        if not alike:
            return ids
        ids |= {identity: stem_with_mark(wanted[identity].partition(_MARK)[0], identity) for identity in alike}
