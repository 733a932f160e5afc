"""Names of track files: safe in any file system, and each speaker's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from beam_curator.recordings.recording_ids import is_recording_id
from beam_curator.recordings.safe_names import folded, safe_label, safe_stem, stem_with_mark

_BETWEEN = "_speaker_"


def track_names(recording_id: str, speakers: Iterable[str], audio_format: str) -> dict[str, str]:
    """Name the track of each speaker of a recording.

    A name is `<recording id>_speaker_<speaker>.<format>`, its parts made safe as in names of clips; the label of
    `speaker_0` is `0`. Speakers whose names would be one in a file system that ignores case are marked with a hash,
    all of them. As no label holds `_speaker_`, names of different stems differ; stems do where recording ids come from
    `recordings.recording_ids`, which come out as they are. Any other id is made safe and marked with a hash
    of itself.

    Args:
      recording_id: any text.
      speakers: all of the recording, in any order; names follow from all of them together.
      audio_format: the extension, without a dot.

    Returns:
      Names by speaker, in the order given.

    Example:
      >>> track_names("talk", ["speaker_0", "Ana", "0"], "flac")["Ana"]
      'talk_speaker_Ana.flac'
      >>> track_names("talk", ["speaker_0", "0"], "flac")["0"]
      'talk_speaker_0~842b7d9d43cddf75.flac'
    """
    stem = _stem_of(recording_id)
    return {
        speaker: f"{stem}{_BETWEEN}{label}.{audio_format}" for speaker, label in _different_labels(speakers).items()
    }


def _stem_of(recording_id: str) -> str:
    if is_recording_id(recording_id):
        return recording_id
    return stem_with_mark(safe_stem(recording_id), recording_id)


def _different_labels(speakers: Iterable[str]) -> dict[str, str]:
    labels = {speaker: _label_of(speaker) for speaker in speakers}
    while True:
        groups: dict[str, list[str]] = defaultdict(list)
        for speaker, label in labels.items():
            groups[folded(label)].append(speaker)
        alike = [speaker for group in groups.values() if len(group) > 1 for speaker in group]
        if not alike:
            return labels
        labels |= {speaker: stem_with_mark(labels[speaker], speaker) for speaker in alike}


def _label_of(speaker: str) -> str:
    """Return a label that a stem before it cannot be mistaken for a part of."""
    label = safe_label(speaker)
    return stem_with_mark("", speaker) if folded(_BETWEEN + label).rfind(_BETWEEN) else label
