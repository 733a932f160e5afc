from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from beam_curator.files import store_patience
from beam_curator.files.store_patience import DeadBucketError, Patience, StoreError, Trouble

BUSY, RESET = Trouble(why="busy", status=503), Trouble(why="reset")
PATH = "gs://bucket/a/b.wav"


class TroubleError(Exception):
    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.why)
        self.trouble = trouble


class Store:
    """Raises its troubles one after the other, then answers; its clock goes on while one sleeps."""

    def __init__(self, *troubles: Trouble) -> None:
        self.troubles = list(troubles)
        self.greetings: list[Trouble] = []
        self.now = 0.0
        self.n_asked = self.n_greeted = 0
        self.patience = Patience(lambda: self.now, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def answer(self) -> str:
        self.n_asked += 1
        if self.troubles:
            raise TroubleError(self.troubles.pop(0))
        return "answer"

    def greet(self) -> None:
        self.n_greeted += 1
        if self.greetings:
            raise TroubleError(self.greetings.pop(0))

    def ask(self, path: str = PATH) -> str:
        return self.patience.ask(
            path, self.answer, self.greet, lambda err: err.trouble if isinstance(err, TroubleError) else None
        )


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, None])
def test_what_passes_is_waited_out(status: int | None) -> None:
    store = Store(*[Trouble(why="", status=status)] * 7)
    assert store.ask() == "answer"
    assert store.now == 0.25 + 0.5 + 1 + 2 + 4 + 8 + 16


def test_what_goes_on_ends_in_an_error_that_says_why() -> None:
    store = Store(*[BUSY] * 8)
    with pytest.raises(StoreError, match=r"gs://bucket/a/b\.wav cannot be had: busy"):
        store.ask()
    assert (store.n_asked, store.now) == (8, 31.75)
    assert store.ask() == "answer"


@pytest.mark.parametrize("status", [400, 403, 412])
def test_a_refusal_is_final_for_its_object_alone(status: int) -> None:
    store = Store(Trouble(why="no", status=status))
    with pytest.raises(StoreError, match="cannot be had: no") as caught:
        store.ask()
    assert not isinstance(caught.value, DeadBucketError)
    assert (store.now, store.ask()) == (0, "answer")


def test_a_missing_object_is_a_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match=r"gs://bucket/a/b\.wav is not there"):
        Store(Trouble(why="", status=404)).ask()


def test_a_bucket_that_never_answers_is_dead_after_four_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    # what the root of all loggers hands on depends on the tests before
    warned: list[str] = []
    monkeypatch.setattr(store_patience._LOG, "warning", lambda text, *parts: warned.append(text % parts))
    store = Store()
    store.greetings = [RESET] * 9
    for _ in range(3):
        with pytest.raises(DeadBucketError, match=r"gs://bucket cannot be reached: reset"):
            store.ask()
        assert (store.n_greeted, store.n_asked, store.now) == (5, 0, 3.75)
    (said,) = warned
    assert "gs://bucket cannot be reached: reset: sign in" in said
    assert len(said.splitlines()) == 1
    store.greetings = []
    assert store.ask("gs://other/a") == store.ask("s3://bucket/a") == "answer"


@pytest.mark.parametrize("trouble", [BUSY, Trouble(why="no", status=403), Trouble(why="", status=404)])
def test_any_answer_will_do_at_first(trouble: Trouble) -> None:
    store = Store()
    store.greetings = [RESET, trouble]
    assert (store.ask(), store.ask(), store.n_greeted, store.now) == ("answer", "answer", 2, 0.25)


@pytest.mark.parametrize("trouble", [Trouble(why="no credentials", lasting=True), Trouble(why="who?", status=401)])
@pytest.mark.parametrize("at_first", [True, False])
def test_without_credentials_it_is_dead_at_once(trouble: Trouble, at_first: bool) -> None:
    store = Store()
    (store.greetings if at_first else store.troubles).append(trouble)
    for _ in range(2):
        with pytest.raises(DeadBucketError) as caught:
            store.ask()
        assert "gcloud auth application-default login" in caught.value.cure
    assert (store.n_asked, store.now) == (0 if at_first else 1, 0)


def test_one_that_answered_is_dead_only_after_its_long_wait_and_a_short_one() -> None:
    store = Store(*[RESET] * 8)
    with pytest.raises(StoreError) as caught:
        store.ask()
    assert not isinstance(caught.value, DeadBucketError)
    assert store.now == 31.75
    store.greetings = [RESET] * 9
    with pytest.raises(DeadBucketError):
        store.ask()
    assert store.now == 31.75 + 3.75


def test_a_greeting_that_hangs_is_left_behind() -> None:
    began = time.monotonic()
    with pytest.raises(DeadBucketError, match="cannot be reached: silent"):
        Patience().ask(PATH, lambda: None, lambda: time.sleep(30), lambda err: Trouble(why="silent"))
    assert 3.9 < time.monotonic() - began < 5


def test_other_errors_are_nobody_elses(caplog: pytest.LogCaptureFixture) -> None:
    def wrong() -> None:
        raise KeyError("bug")

    hear: Callable[[Exception], Trouble | None] = lambda err: None  # noqa: E731
    with pytest.raises(KeyError, match="bug"):
        Patience().ask(PATH, wrong, lambda: None, hear)
    assert not caplog.records
