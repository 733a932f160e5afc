"""Patience with object stores: errors that pass are waited out, and a bucket that never answers is asked no more."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_FIRST_ANSWER_SECONDS = 4.0
"""How long a bucket may take to answer for the first time: signing in and finding the host are part of it."""
_WAITS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_PASSING = frozenset({None, 408, 429, 500, 502, 503, 504})
_SIGN_IN = "sign in to the store (gcloud auth application-default login, aws configure), or check the network"


class StoreError(OSError):
    """An object store refuses a request, or does not answer.

    Attributes:
      cure: what to do about it.
    """

    def __init__(self, message: str, cure: str = "check that you may read it") -> None:
        super().__init__(message)
        self.cure = cure


class DeadBucketError(StoreError):
    """A bucket that cannot be reached, or only with other credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The reason for which a store refused a request.

    Attributes:
      why: in a line.
      status: of HTTP; None where nothing answered.
      lasting: asking again is of no use, also for other objects: there are no credentials.
    """

    why: str
    status: int | None = None
    lasting: bool = False

    @property
    def is_for_all(self) -> bool:
        """Whether all objects of the bucket share it."""
        return self.lasting or self.status == 401


def innermost(err: BaseException) -> str:
    """Say in a line why there was no answer: the reason behind all that clients wrap around it.

    What is around names the object that was asked for; of one cause there would be as many messages as rows.

    Example:
      >>> innermost(OSError("a.wav", OSError("pool", ConnectionRefusedError(111, "Connection refused"))))
      'Connection refused'
    """
    while True:
        inner = [err.__cause__, err.__context__, getattr(err, "reason", None), *reversed(err.args)]
        found = next((item for item in inner if isinstance(item, BaseException)), None)
        if found is None:
            said = getattr(err, "strerror", None) or str(err).rpartition("): ")[2]
            return " ".join(str(said).split())[:200] or type(err).__name__
        err = found


class Patience:
    """Asks buckets, and remembers which have answered and which never will; one for each process.

    Args:
      clock: seconds, from any beginning.
      sleep: waits for seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._answered: set[str] = set()
        self._dead: dict[str, str] = {}

    def ask(
        self,
        path: str,
        act: Callable[[], T],
        greet: Callable[[], object],
        trouble_of: Callable[[Exception], Trouble | None],
    ) -> T:
        """Ask a store for something, again where an error may pass.

        Args:
          path: of the object, with its scheme and bucket.
          act: asks.
          greet: makes a small request first, where the bucket has not answered yet; any answer is good.
          trouble_of: tells an exception's meaning; None stands for an error that is not the store's.

        Raises:
          FileNotFoundError: the object is not there.
          DeadBucketError: the bucket has never answered, or not to these credentials.
          StoreError: the store refuses, or goes on failing.
        """
        bucket = "/".join(path.split("/", 3)[:3])
        self._meet(bucket, greet, trouble_of)
        for wait in (*_WAITS, None):
            try:
                return act()
            except Exception as err:
                trouble = trouble_of(err)
                if trouble is None:
                    raise
                self._give_up(bucket, path, trouble, err, last=wait is None)
                self._sleep(wait or 0.0)
        raise AssertionError("the last round returns or raises")

    def _meet(
        self, bucket: str, greet: Callable[[], object], trouble_of: Callable[[Exception], Trouble | None]
    ) -> None:
        """Wait for the first answer of a bucket."""
        begin = self._clock()
        waits = iter(_WAITS)
        if bucket in self._dead:
            raise DeadBucketError(self._dead[bucket], _SIGN_IN)
        while bucket not in self._answered:
            try:
                _within(begin + _FIRST_ANSWER_SECONDS - self._clock(), greet)
            except Exception as err:
                trouble = trouble_of(err)
                if trouble is None:
                    raise
                wait = next(waits)
                late = self._clock() + wait > begin + _FIRST_ANSWER_SECONDS
                if trouble.is_for_all or (trouble.status is None and late):
                    raise self._buried(bucket, trouble) from err
                if trouble.status is None:
                    self._sleep(wait)
                    continue
            self._answered.add(bucket)

    def _give_up(self, bucket: str, path: str, trouble: Trouble, err: Exception, *, last: bool) -> None:
        """Raise the error of a trouble, unless it may pass."""
        if trouble.is_for_all:
            raise self._buried(bucket, trouble) from err
        if trouble.status == 404:
            raise FileNotFoundError(f"{path} is not there") from err
        if last or trouble.status not in _PASSING:
            if trouble.status is None:  # the next one waits as for a first answer
                self._answered.discard(bucket)
            raise StoreError(f"{path} cannot be had: {trouble.why}") from err

    def _buried(self, bucket: str, trouble: Trouble) -> DeadBucketError:
        said = f"{bucket} cannot be reached: {trouble.why}"
        if self._dead.setdefault(bucket, said) is said:
            _LOG.warning("%s: %s; nothing in it is asked for again", said, _SIGN_IN)
        return DeadBucketError(self._dead[bucket], _SIGN_IN)


def _within(seconds: float, act: Callable[[], T]) -> T:
    """Return the result of a call, or raise TimeoutError; one that hangs is left behind in its thread."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(act())
        except BaseException as err:
            done.set_exception(err)

    threading.Thread(target=run, daemon=True, name="beam_curator_first_answer").start()
    return done.result(seconds)
