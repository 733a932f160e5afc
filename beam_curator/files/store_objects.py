"""Objects of a store, and the few requests that one answers: each is a single one, asked once."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object as a list has it.

    Attributes:
      name: in its bucket.
      n_bytes: size.
      version: tells contents of one name apart: a generation or an etag.
    """

    name: str
    n_bytes: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer to a request for a list.

    Attributes:
      found: objects, sorted by name.
      folders: beginnings of names up to the next slash, where the list is flat.
      token: asks for the next page; None at the end.
    """

    found: list[Found]
    folders: list[str]
    token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first bytes of an object, its size in bytes, and its version."""

    data: bytes
    n_bytes: int
    version: str


class Parts(Protocol):
    """An upload in parts: the object appears when it is finished."""

    def add(self, data: bytes) -> None:
        """Send a part; all but the last have one size."""

    def finish(self) -> None:
        """Make the object appear."""

    def abort(self) -> None:
        """Give the upload up: no object appears."""


class Store(Protocol):
    """Buckets of objects; errors are those of the store's own client."""

    def find(self, bucket: str, name: str) -> Found | None:
        """Look an object up by its name."""

    def page(self, bucket: str, prefix: str, *, flat: bool, token: str | None, limit: int | None) -> Page:
        """List objects whose names begin with a prefix; flat: none behind a further slash."""

    def head(self, bucket: str, name: str, n_bytes: int) -> Head:
        """Read the first bytes of an object, all where it has no more."""

    def read(self, bucket: str, name: str, version: str, start: int, stop: int) -> bytes:
        """Read bytes `[start, stop)` of a version of an object."""

    def put(self, bucket: str, name: str, data: bytes, *, replaces: str | None) -> None:
        """Write an object at once.

        Args:
          bucket: that holds it.
          name: in the bucket.
          data: all of it.
          replaces: version that must be there ("" for none), where the store knows such conditions; None for any.
        """

    def begin(self, bucket: str, name: str) -> Parts:
        """Begin an upload in parts."""

    def copy(self, bucket: str, name: str, to: str) -> None:
        """Copy an object to another name in its bucket, within the store."""

    def delete(self, bucket: str, name: str) -> None:
        """Delete an object; one that is gone already is fine."""
