"""Rejections, transcripts and scores of a clip, from named keys of its row; and clips in chunks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from beam_curator.entries.json_lines import kind_of
from beam_curator.failures import EntryError, FailureCode

CLIPS_PER_CHUNK = 256
TEXT_MODEL = "text"
"""The model whose transcript is the row's own `text`."""

Request = TypeVar("Request")


def rejection_of(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the names of the rules that rejected a clip, by a key of its row.

    An absent key, null, false, "", [] and {} mean that the clip passed; true means rejected by an unnamed rule. A
    string names a rule, an array of strings several; an object names rules and says true where one rejected.

    Raises:
      EntryError: the value is of another kind.

    Example:
      >>> rejection_of({"rejected": {"snr": True, "bandwidth": False}}, "rejected"), rejection_of({}, "rejected")
      (('snr',), ())
    """
    value = row.get(key)
    if value is None or value is False or value == "":
        return ()
    if value is True:
        return ("rejected",)
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(rule, str) and rule for rule in value):
        return tuple(dict.fromkeys(value))
    if isinstance(value, dict) and all(isinstance(verdict, bool) for verdict in value.values()) and "" not in value:
        return tuple(rule for rule, verdict in value.items() if verdict)
    found = f"{kind_of(value)} that holds something else" if isinstance(value, (list, dict)) else kind_of(value)
    raise EntryError(
        FailureCode.BAD_TYPE,
        f"'{key}' is {found}, expected the rules that rejected the clip",
        "write null, true, the name of a rule, an array of names, or an object of name to true or false",
    )


def transcripts_of(row: Mapping[str, Any], models: Sequence[str]) -> dict[str, str]:
    """Return the transcripts that a row has, by model, in the order of the models.

    The transcript of a model is in the key `<model>_transcript`; that of the model "text" is in `text`. Absent and
    null ones are left out; an empty one is a transcript.

    Raises:
      EntryError: a transcript is not a string.

    Example:
      >>> transcripts_of({"text": "hello", "canary_transcript": "Hello."}, ["canary", "parakeet", "text"])
      {'canary': 'Hello.', 'text': 'hello'}
    """
    found: dict[str, str] = {}
    for model in models:
        key = TEXT_MODEL if model == TEXT_MODEL else f"{model}_transcript"
        value = row.get(key)
        if value is None:
            continue
        if not isinstance(value, str):
            raise EntryError(
                FailureCode.BAD_TYPE, f"'{key}' is {kind_of(value)}, expected a string", "write the transcript as text"
            )
        found[model] = value
    return found


def missing_transcripts(transcripts: Mapping[str, str], models: Sequence[str]) -> tuple[str, ...]:
    """Name the transcripts that were asked for and are not there, as `errors` of a clip's document does.

    Example:
      >>> missing_transcripts({"text": "hello"}, ["canary", "text"])
      ('canary_transcript_missing',)
    """
    return tuple(f"{model}_transcript_missing" for model in models if model not in transcripts)


def scores_of(row: Mapping[str, Any], keys: Sequence[str]) -> dict[str, float]:
    """Return the scores that a row has, by name, in the order asked for; absent and null ones are left out.

    Raises:
      EntryError: a score is not a number, or not finite.

    Example:
      >>> scores_of({"utmos": 3.5, "snr": None}, ["snr", "utmos", "pesq"])
      {'utmos': 3.5}
    """
    scores: dict[str, float] = {}
    for key in keys:
        value = row.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise EntryError(
                FailureCode.BAD_TYPE, f"'{key}' is {kind_of(value)}, expected a number", "write the score as a number"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise EntryError(FailureCode.NON_FINITE, f"'{key}' is {value}, expected a finite number", "write null")
        scores[key] = value
    return scores


def chunks_of(requests: Iterable[Request], clips_per_chunk: int) -> Iterator[tuple[int, list[Request]]]:
    """Cut the clips asked of one recording into consecutive chunks, numbered from 0; only the last may be shorter.

    Nothing is read ahead of the chunk that is taken, so that a ten-hour recording is never held as a whole.

    Raises:
      ValueError: `clips_per_chunk` is below 1.

    Example:
      >>> list(chunks_of("abcde", 2))
      [(0, ['a', 'b']), (1, ['c', 'd']), (2, ['e'])]
    """
    if clips_per_chunk < 1:
        raise ValueError(f"clips_per_chunk {clips_per_chunk} is below 1: raise it")
    clips = iter(requests)
    return enumerate(iter(lambda: list(itertools.islice(clips, clips_per_chunk)), []))


def n_chunks(n_clips: int, clips_per_chunk: int) -> int:
    """Return how many chunks that number of clips makes.

    Example:
      >>> n_chunks(0, 256), n_chunks(256, 256), n_chunks(257, 256)
      (0, 1, 2)
    """
    return -(-n_clips // clips_per_chunk)
