from __future__ import annotations

from collections.abc import Mapping

import pytest

from beam_curator.sets.output_set import FileRecord, UnbalancedBooksError
from beam_curator.sets.set_kinds import DIARIZE, EXPORT, EXTRACT, SEPARATE, WINDOWS, Balance, SetKind

ENDING = ": nothing was committed; run the same command again, and report this if it stays"


def files(**n_rows: int) -> list[FileRecord]:
    """Make a record of a file of each kind with so many rows; "_" stands for "-"."""
    return [
        FileRecord(name=f"{kind}-00000-of-00001.jsonl", n_bytes=9, sha256="", n_rows=n, kind=kind.replace("_", "-"))
        for kind, n in n_rows.items()
    ]


def said(kind: SetKind, counts: Mapping[str, int], records: list[FileRecord]) -> str:
    """Return what is said of books that do not balance."""
    with pytest.raises(UnbalancedBooksError) as caught:
        kind.check_books(counts, records)
    text = str(caught.value)
    assert text.endswith(ENDING)
    return text.removesuffix(ENDING)


class TestBalance:
    BALANCE = Balance(what="eggs", came=("laid", "bought"), dropped=("broken",), written=("boiled", "failures"))

    def test_that_holds_says_nothing(self) -> None:
        self.BALANCE.check({}, {})
        self.BALANCE.check({"laid": 5, "bought": 2, "broken": 1, "x": 9}, {"boiled": 3, "failures-fry": 3, "y": 9})
        self.BALANCE.check({"laid": 6}, {"boiled": 1, "boiled-soft": 2, "failures-a": 1, "failures-b": 2})

    @pytest.mark.parametrize(
        ("counts", "rows", "message"),
        [
            ({"laid": 5, "bought": 2}, {"boiled": 6}, "7 eggs (laid + bought), but 0 broken, 6 boiled, 0 failures"),
            ({"broken": 1}, {}, "0 eggs (laid + bought), but 1 broken, 0 boiled, 0 failures"),
            (
                {"laid": 3},
                {"boiledover": 1, "failures": 1, "failures-a": 1},
                "3 eggs (laid + bought), but 0 broken, 0 boiled, 2 failures",
            ),
        ],
    )
    def test_that_does_not_says_each_number(self, counts: dict[str, int], rows: dict[str, int], message: str) -> None:
        with pytest.raises(UnbalancedBooksError) as caught:
            self.BALANCE.check(counts, rows)
        assert str(caught.value) == message + ENDING


WINDOWS_COUNTS = {"read.rows": 9, "read.failures": 1, "build.failures": 2, "overlap.rows": 7}
WINDOWS_FILES = {"windows": 7, "failures_read": 1, "failures_build": 2}


class TestBooksOfWindows:
    def test_that_balance_raise_nothing(self) -> None:
        WINDOWS.check_books(WINDOWS_COUNTS, files(**WINDOWS_FILES))
        WINDOWS.check_books({}, [])
        unreadable = {"read.rows": 9, "file.failures": 1, "build.failures": 2, "overlap.rows": 7}
        WINDOWS.check_books(unreadable, files(windows=7, failures_file=1, failures_build=2))
        halves = [*files(windows=3), *files(windows=4), *files(failures_read=1, failures_build=2)]
        WINDOWS.check_books(WINDOWS_COUNTS, iter(halves))

    @pytest.mark.parametrize(
        ("counts", "written", "message"),
        [
            (
                {},
                {"windows": 7, "failures_read": 1},
                "10 rows were read (read.rows + read.failures + file.failures), but 7 windows, 1 failures",
            ),
            (
                {},
                {"windows": 14, "failures_read": 1, "failures_build": 2},
                "10 rows were read (read.rows + read.failures + file.failures), but 14 windows, 3 failures",
            ),
            (
                dict.fromkeys(WINDOWS_COUNTS, 0),
                {"windows": 7},
                "0 rows were read (read.rows + read.failures + file.failures), but 7 windows, 0 failures",
            ),
            ({"overlap.rows": 8}, WINDOWS_FILES, "8 rows were kept (overlap.rows), but 7 windows"),
            ({"build.failures": 0}, WINDOWS_FILES, "0 rows failed (build.failures), but 2 failures-build"),
            (
                {},
                {"windows": 7, "failures_read": 2, "failures_build": 1},
                "2 rows failed (build.failures), but 1 failures-build",
            ),
        ],
    )
    def test_that_do_not_say_so(self, counts: dict[str, int], written: dict[str, int], message: str) -> None:
        assert said(WINDOWS, WINDOWS_COUNTS | counts, files(**written)) == message


PLANNED_COUNTS = {
    "read.rows": 20,
    "read.failures": 2,
    "file.failures": 1,
    "plan.rows": 15,
    "plan.dropped": 3,
    "plan.clips": 40,
    "cut.dropped": 4,
    "cut.clips": 30,
}
PLANNED_FILES = {
    "failures_read": 2,
    "failures_file": 1,
    "failures_plan": 2,
    "clips": 30,
    "failures_interval": 1,
    "failures_cut": 5,
}
READ = "23 rows were read (read.rows + read.failures + file.failures), but "


@pytest.mark.parametrize("kind", [EXTRACT, EXPORT], ids=["extract", "export"])
class TestBooksOfClips:
    """23 rows: 15 planned, 3 dropped, 5 failed. 40 clips: 30 cut, 4 dropped, 6 failed."""

    def test_that_balance_raise_nothing(self, kind: SetKind) -> None:
        kind.check_books(PLANNED_COUNTS, files(**PLANNED_FILES))
        kind.check_books({}, [])
        halves = [*files(**PLANNED_FILES | {"clips": 10}), *files(clips=20)]
        kind.check_books(PLANNED_COUNTS, iter(halves))

    @pytest.mark.parametrize(
        ("counts", "written", "message"),
        [
            # rows
            (
                {"read.rows": 21},
                {},
                "24" + READ[2:] + "15 plan.rows, 3 plan.dropped, 1 failures-file, 2 failures-read, 2 failures-plan",
            ),
            (
                {"plan.rows": 14},
                {},
                READ + "14 plan.rows, 3 plan.dropped, 1 failures-file, 2 failures-read, 2 failures-plan",
            ),
            (
                {"plan.dropped": 0},
                {},
                READ + "15 plan.rows, 0 plan.dropped, 1 failures-file, 2 failures-read, 2 failures-plan",
            ),
            (
                {},
                {"failures_file": 0},
                READ + "15 plan.rows, 3 plan.dropped, 0 failures-file, 2 failures-read, 2 failures-plan",
            ),
            (
                {},
                {"failures_read": 3},
                READ + "15 plan.rows, 3 plan.dropped, 1 failures-file, 3 failures-read, 2 failures-plan",
            ),
            (
                {},
                {"failures_plan": 1},
                READ + "15 plan.rows, 3 plan.dropped, 1 failures-file, 2 failures-read, 1 failures-plan",
            ),
            # clips
            (
                {"plan.clips": 41},
                {},
                "41 clips were planned (plan.clips), but 4 cut.dropped, 30 clips, 1 failures-interval, 5 failures-cut",
            ),
            (
                {"cut.dropped": 3},
                {},
                "40 clips were planned (plan.clips), but 3 cut.dropped, 30 clips, 1 failures-interval, 5 failures-cut",
            ),
            (
                {},
                {"clips": 31},
                "40 clips were planned (plan.clips), but 4 cut.dropped, 31 clips, 1 failures-interval, 5 failures-cut",
            ),
            (
                {},
                {"failures_interval": 0},
                "40 clips were planned (plan.clips), but 4 cut.dropped, 30 clips, 0 failures-interval, 5 failures-cut",
            ),
            (
                {},
                {"failures_cut": 6},
                "40 clips were planned (plan.clips), but 4 cut.dropped, 30 clips, 1 failures-interval, 6 failures-cut",
            ),
            ({"cut.clips": 29}, {}, "29 clips were cut (cut.clips), but 30 clips"),
            ({}, {"clips": 29, "failures_cut": 6}, "30 clips were cut (cut.clips), but 29 clips"),
        ],
    )
    def test_that_do_not_say_so(
        self, kind: SetKind, counts: dict[str, int], written: dict[str, int], message: str
    ) -> None:
        assert said(kind, PLANNED_COUNTS | counts, files(**PLANNED_FILES | written)) == message

    def test_do_not_take_failures_of_rows_for_those_of_clips(self, kind: SetKind) -> None:
        written = PLANNED_FILES | {"failures_plan": 1, "failures_cut": 6}
        assert said(kind, PLANNED_COUNTS, files(**written)).startswith("23 rows were read")


HEARD_COUNTS = {"read.rows": 20, "read.failures": 2, "file.failures": 1, "plan.rows": 15, "diarize.turns": 11}
HEARD_FILES = {"failures_read": 2, "failures_file": 1, "failures_plan": 5, "turns": 11, "failures_diarize": 4}


class TestBooksOfTurns:
    """23 rows: 15 name a recording, 8 failed. Of the 15, 11 were heard and 4 failed."""

    def test_that_balance_raise_nothing(self) -> None:
        DIARIZE.check_books(HEARD_COUNTS, files(**HEARD_FILES))
        DIARIZE.check_books({}, [])
        DIARIZE.check_books(HEARD_COUNTS, iter([*files(**HEARD_FILES | {"turns": 6}), *files(turns=5)]))

    @pytest.mark.parametrize(
        ("counts", "written", "message"),
        [
            (
                {},
                {"failures_plan": 4},
                READ + "15 plan.rows, 1 failures-file, 2 failures-read, 4 failures-plan",
            ),
            (
                {"plan.rows": 16},
                {},
                READ + "16 plan.rows, 1 failures-file, 2 failures-read, 5 failures-plan",
            ),
            (
                {},
                {"failures_diarize": 3},
                "15 recordings were asked for (plan.rows), but 11 turns, 3 failures-diarize",
            ),
            (
                {},
                {"turns": 12, "failures_diarize": 3},
                "11 turns were made (diarize.turns), but 12 turns",
            ),
        ],
    )
    def test_that_do_not_say_so(self, counts: dict[str, int], written: dict[str, int], message: str) -> None:
        assert said(DIARIZE, HEARD_COUNTS | counts, files(**HEARD_FILES | written)) == message


SEPARATED_COUNTS = {
    "read.rows": 20,
    "read.failures": 2,
    "file.failures": 1,
    "plan.rows": 15,
    "plan.speakers": 40,
    "separate.rows": 11,
    "separate.tracks": 25,
    "separate.dropped": 6,
    "separate.speakers_failed": 9,
}
SEPARATED_FILES = {"failures_read": 2, "failures_file": 1, "failures_plan": 5, "tracks": 25, "failures_separate": 4}


class TestBooksOfTracks:
    """23 rows: 15 name a recording, 8 failed. Of the 15, 11 were separated and 4 failed.

    They have 40 speakers: 25 have a track, 6 none, and 9 are of recordings that failed.
    """

    def test_that_balance_raise_nothing(self) -> None:
        SEPARATE.check_books(SEPARATED_COUNTS, files(**SEPARATED_FILES))
        SEPARATE.check_books({}, [])

    @pytest.mark.parametrize(
        ("counts", "written", "message"),
        [
            (
                {},
                {"failures_plan": 4},
                READ + "15 plan.rows, 1 failures-file, 2 failures-read, 4 failures-plan",
            ),
            (
                {},
                {"failures_separate": 3},
                "15 recordings were asked for (plan.rows), but 11 separate.rows, 3 failures-separate",
            ),
            (
                {},
                {"tracks": 24},
                "40 speakers were found (plan.speakers), but 6 separate.dropped, 9 separate.speakers_failed, 24 tracks",
            ),
            (
                {"separate.dropped": 7, "separate.tracks": 24},
                {},
                "40 speakers were found (plan.speakers), but 7 separate.dropped, 9 separate.speakers_failed, 25 tracks",
            ),
            (
                {"separate.tracks": 24},
                {},
                "24 tracks were made (separate.tracks), but 25 tracks",
            ),
        ],
    )
    def test_that_do_not_say_so(self, counts: dict[str, int], written: dict[str, int], message: str) -> None:
        assert said(SEPARATE, SEPARATED_COUNTS | counts, files(**SEPARATED_FILES | written)) == message
