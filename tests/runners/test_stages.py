from collections import Counter
from typing import Any

import pytest

from beam_curator.runners.stages import Stage, failures_of, number_of, read_stage, with_times


def stage(name: str, **more: Any) -> Stage:
    return Stage(name=name, what_in="rows", n_in=3, what_out="rows", n_out=3, **more)


@pytest.mark.parametrize(
    ("n", "what", "text"),
    [
        (1, "files", "1 file"),
        (0, "files", "0 files"),
        (1, "entries", "1 entry"),
        (2000, "entries", "2,000 entries"),
        (1, "kept", "1 kept"),
    ],
)
def test_numbers_agree_with_what_is_counted(n: int, what: str, text: str) -> None:
    assert number_of(n, what) == text


def test_failures_are_those_of_one_stage_by_code() -> None:
    counts = {"cut.failures": 3, "cut.failures.truncated_audio": 1, "cut.failures.not_audio": 2, "read.failures": 4}
    assert list(failures_of(counts, "cut").items()) == [("not_audio", 2), ("truncated_audio", 1)]
    assert failures_of(counts, "build") == {}


def test_the_first_stage_is_what_was_read_and_what_could_not_be() -> None:
    counts = {
        "read.rows": 10,
        "read.failures": 2,
        "read.failures.line_too_long": 2,
        "file.failures": 1,
        "file.failures.not_found": 1,
        "build.failures": 5,
    }
    assert read_stage(Counter(counts)) == Stage(
        name="read",
        what_in="rows",
        n_in=13,
        what_out="rows",
        n_out=10,
        failures={"line_too_long": 2, "not_found": 1},
    )
    assert read_stage(Counter()) == Stage(name="read", what_in="rows", n_in=0, what_out="rows", n_out=0)


def test_times_go_to_the_stages_of_their_names() -> None:
    found = with_times([stage("read"), stage("cut")], {"cut": (2.0, 0.5), "commit": (9.0, 9.0)})
    assert found == [stage("read"), stage("cut", time_total=2.0, time_mean=0.5)]
