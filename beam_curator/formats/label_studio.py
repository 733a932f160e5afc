"""Label Studio: recordings as tasks with predictions, and its JSON export as entries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from beam_curator.diarization.rttm import LATEST
from beam_curator.entries.json_lines import encode, kind_of
from beam_curator.failures import EntryError, FailureCode
from beam_curator.formats.annotations import Annotation, Segment

DIGITS = 6

_LOCAL = "/data/local-files/"
_UPLOAD = re.compile(r"(?:.*/)?data/upload/.*?/?(?:[0-9a-f]{8}-)?([^/]+)")
_NO_ONE = "speech"
"""The label of a region whose speaker is not known."""

CONFIG_HEAD = '<View>\n  <Labels name="labels" toName="audio">\n'
CONFIG_TAIL = (
    '\n  </Labels>\n  <AudioPlus name="audio" value="$audio"/>\n'
    '  <TextArea name="transcription" toName="audio" perRegion="true" editable="true"/>\n</View>\n'
)


def task_lines(annotation: Annotation) -> Iterator[str]:
    """Yield the recording as a task whose prediction has a region for each segment."""
    result: list[dict[str, Any]] = []
    for number, segment in enumerate(annotation.segments):
        span = {"start": round(segment.start, DIGITS), "end": round(segment.end, DIGITS), "channel": 0}
        region: dict[str, Any] = {"id": f"segment-{number:06d}", "to_name": "audio"}
        region |= {"original_length": annotation.duration} if annotation.duration is not None else {}
        labels = {"labels": [segment.speaker or _NO_ONE]}
        result.append(region | {"from_name": "labels", "type": "labels", "value": span | labels})
        if segment.text:
            text = {"text": [segment.text]}
            result.append(region | {"from_name": "transcription", "type": "textarea", "value": span | text})
    data = {"audio": _url(annotation.audio), "audio_filepath": annotation.audio, "session_name": annotation.name}
    yield encode({"data": data, "predictions": [{"model_version": "beam-curator", "result": result}]}).decode()


def _url(audio: str) -> str:
    """Return the address by which Label Studio has a file, local ones below its root `/`."""
    return audio if "://" in audio else f"{_LOCAL}?d={quote(audio.lstrip('/'))}"


def label_lines(annotation: Annotation) -> Iterator[str]:
    """Yield a label of the labelling interface for each speaker."""
    for segment in annotation.segments:
        yield f"    <Label value={quoteattr(segment.speaker or _NO_ONE)}/>"


def entry_of_task(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the entry that a task of Label Studio's JSON export stands for; None for a row of any other kind.

    Of several annotations the ground truth counts, or else the last one that was not skipped; without any, the last
    prediction. The recording is `audio_filepath` of the data where that is there, as in tasks of `convert`, or the path
    in the address of its audio.

    Raises:
      EntryError: the task was skipped, is not annotated, names no audio, or a region has no times.

    Example:
      >>> value = {"start": 0.5, "end": 2, "labels": ["ana"]}
      >>> result = [{"id": "x", "type": "labels", "value": value}]
      >>> entry_of_task({"data": {"audio": "/data/upload/1/12ab34cd-a.wav"}, "annotations": [{"result": result}]})
      {'audio_filepath': 'a.wav', 'segments': [{'start': 0.5, 'end': 2.0, 'speaker': 'ana'}]}
    """
    data = row.get("data")
    if not isinstance(data, dict) or not any(isinstance(row.get(key), list) for key in ("annotations", "predictions")):
        return None
    place, result = _chosen(row)
    found: dict[str, dict[str, Any]] = {}
    for number, region in enumerate(result):
        _add(found, region, f"{place}.result[{number}]")
    segments = [
        Segment(start=one["start"], end=one["end"], speaker=one.get("speaker", ""), text=one.get("text", ""))
        for one in found.values()
        if one["start"] < one["end"]
    ]
    entry: dict[str, Any] = {"audio_filepath": _path_in(data)}
    entry |= {"session_name": data["session_name"]} if isinstance(data.get("session_name"), str) else {}
    ordered = sorted(segments, key=lambda one: (one.start, one.end, one.speaker))
    return entry | {"segments": [segment.fields() for segment in ordered]}


def _chosen(row: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the place and the regions of the annotation that counts."""
    annotations, predictions = (
        [each for each in row.get(key) or () if isinstance(each, dict)] for key in ("annotations", "predictions")
    )
    valid = [place for place, each in enumerate(annotations) if not each.get("was_cancelled")]
    if annotations and not valid:
        raise _refusal("the task was skipped", "annotate it, or leave it out of the export")
    if not valid and not predictions:
        raise _refusal("the task has neither annotations nor predictions", "annotate it, or leave it out of the export")
    truth = [place for place in valid if annotations[place].get("ground_truth")]
    key, of, place = ("annotations", annotations, (truth or valid)[-1]) if valid else ("predictions", predictions, -1)
    where = f"{key}[{place % len(of)}]"
    result = of[place].get("result")
    if not isinstance(result, list):
        raise _refusal(f"{where}.result is {kind_of(result)}, expected an array", "export the project as JSON")
    return where, result


def _add(found: dict[str, dict[str, Any]], region: Any, where: str) -> None:
    """Add a region, which has the id of another where it is about the same piece."""
    value = region.get("value") if isinstance(region, dict) else None
    if not isinstance(value, dict) or region.get("type") not in ("labels", "textarea") or "start" not in value:
        return
    start, end = (_seconds(value.get(key), f"{where}.value.{key}") for key in ("start", "end"))
    if end < start:
        raise _refusal(f"{where} ends at {end:g} s, before its start {start:g} s", "correct the region")
    one = found.setdefault(str(region.get("id", where)), {})
    one |= {"start": start, "end": end}
    for key, name in (("labels", "speaker"), ("text", "text")):
        texts = value.get(key)
        text = " ".join(filter(None, (each for each in [*_listed(texts)] if isinstance(each, str))))
        if key in value:
            one[name] = "" if name == "speaker" and text == _NO_ONE else text


def _seconds(time: Any, where: str) -> float:
    if type(time) not in (int, float) or not 0 <= time <= LATEST:
        found = repr(time)[:24] if type(time) in (int, float) else kind_of(time)
        raise _refusal(f"{where} is {found}, expected seconds, 0 or more", "correct the region")
    return round(float(time), DIGITS)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _path_in(data: Mapping[str, Any]) -> str:
    own = data.get("audio_filepath")
    other = next((data[key] for key in ("audio", "url") if key in data), None)
    address = own if isinstance(own, str) and own else other
    if not isinstance(address, str) or not address:
        raise _refusal(f"data.audio is {kind_of(address)}, expected the address of the recording", "name it there")
    if address == own or ("://" in address and not address.startswith("http")):
        return address
    local = parse_qs(urlsplit(address).query).get("d") if _LOCAL in address else None
    path = local[0] if local else unquote(urlsplit(address).path)
    upload = _UPLOAD.fullmatch(path)
    return upload[1] if upload is not None else path if local else path.rpartition("/")[2]


def _refusal(problem: str, cure: str) -> EntryError:
    return EntryError(FailureCode.BAD_TURNS, problem, cure)
