"""The failures of a set by their cure, which often helps with many of them at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from beam_curator.files import storage
from beam_curator.runners.stages import number_of

MOST_READ = 10_000
"""Failures that are read; the cures of more of them would hardly differ."""

MOST_SHOWN = 5


class Letter(msgspec.Struct):
    """A dead letter, as far as people are told of it."""

    code: str
    source: str
    offset: int
    message: str
    cure: str


def cures_of(output: str, names: Iterable[str]) -> list[str]:
    """Read the dead letters of a set, and return a line for each of the cures that help with most of them.

    Args:
      output: the set.
      names: of its files.
    """
    letters = islice(letters_in(output, names), MOST_READ)
    return lines_of(Counter((letter.code, letter.cure) for letter in letters))


def letters_in(output: str, names: Iterable[str]) -> Iterator[Letter]:
    """Yield the dead letters of a set, given the names of its files.

    Raises:
      ValueError: a file of them cannot be read.
    """
    decoder = msgspec.json.Decoder(Letter)
    for name in sorted(name for name in names if name.startswith("failures-")):
        path = storage.join(output, name)
        try:
            with storage.open_raw(path) as stream:
                yield from map(decoder.decode, stream)
        except (msgspec.MsgspecError, FileNotFoundError) as err:
            raise ValueError(f"{path} cannot be read ({err}): it was changed") from err


def lines_of(cures: Counter[tuple[str, str]]) -> list[str]:
    """Say how many failures each cure helps with.

    Example:
      >>> print(*lines_of(Counter({("not_audio", "pip install 'beam-curator[av]'"): 12, ("not_found", "check it"): 1})))
        cure for 12 failures, not_audio: pip install 'beam-curator[av]'   cure for 1 failure, not_found: check it
    """
    most: Sequence[tuple[tuple[str, str], int]] = sorted(cures.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"  cure for {number_of(n, 'failures')}, {code}: {cure}" for (code, cure), n in most[:MOST_SHOWN]]
    rest = sum(n for _, n in most[MOST_SHOWN:])
    return [*lines, f"  {number_of(rest, 'failures')} with other cures"] if rest else lines
