"""Inputs that were moved to another directory: their names in the rows that a set keeps, and now."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from beam_curator.sets.recording_jobs import Request

_CODE = ("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Moved:
    """Directories that were moved; a name is one of theirs where it begins a text, or a string in it.

    Attributes:
      pairs: each with the name of before and that of now.

    Example:
      >>> moved = Moved((("old/talks", "/new"),))
      >>> moved.now(b'{"a": "old/talks/1.wav", "b": "old/talks2"}'), moved.before("/new/1.wav")
      (b'{"a": "/new/1.wav", "b": "old/talks2"}', 'old/talks/1.wav')
    """

    pairs: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def now(self, text: bytes) -> bytes:
        """Return a text with the names of now."""
        return _renamed(text, self.pairs)

    def name_now(self, name: str) -> str:
        """Return a name of before as it is now."""
        return self.now(name.encode(*_CODE)).decode(*_CODE)

    def directory_now(self, directory: str) -> str:
        """Return a directory of before as it is now."""
        return self.name_now(f"{directory.rstrip('/')}/")[:-1] if self.pairs and directory else directory

    def before(self, name: str) -> str:
        """Return a name of now as it was before."""
        return _renamed(name.encode(*_CODE), self._back).decode(*_CODE)

    def requests_before(self, asked: Sequence[Request]) -> list[Request] | None:
        """Return requests as they were before; None if one still holds a name of before, which rows keep."""
        if not self.pairs:
            return list(asked)
        if any(self.now(request.text) != request.text for request in asked):
            return None
        return [request._replace(text=_renamed(request.text, self._back)) for request in asked]

    @property
    def _back(self) -> tuple[tuple[str, str], ...]:
        return tuple((now, before) for before, now in self.pairs)


NOT_MOVED = Moved()


def moved_of(given: Sequence[str]) -> Moved:
    """Parse `OLD=NEW`, once for each directory.

    Raises:
      ValueError: a text is not of that form.

    Example:
      >>> moved_of(["/data/talks/=/mnt/talks"])
      Moved(pairs=(('/data/talks', '/mnt/talks'),))
    """
    pairs = []
    for text in given:
        before, is_pair, now = text.partition("=")
        before, now = before.rstrip("/"), now.rstrip("/")
        if not is_pair or "=" in now or not before or not now:
            raise ValueError(
                f"moved {text!r} names no two directories: write OLD=NEW, as the inputs were and are named"
            )
        pairs.append((before, now))
    return Moved(tuple(pairs))


def _renamed(text: bytes, pairs: tuple[tuple[str, str], ...]) -> bytes:
    if not pairs:
        return text
    pattern, names = _pattern(pairs)
    return pattern.sub(lambda found: names[found[0]], text)


@lru_cache(maxsize=8)
def _pattern(pairs: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[bytes], dict[bytes, bytes]]:
    """Return a pattern that finds the first of each pair where a name begins, and the second by it."""
    names = {f"{first}/".encode(*_CODE): f"{second}/".encode(*_CODE) for first, second in pairs}
    # of two directories, one in the other, the inner one counts
    choice = b"|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rb'(?:(?<=["\n])|\A)(?:' + choice + rb")"), names
