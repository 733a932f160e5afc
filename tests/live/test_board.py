"""The board of live sessions fits the terminal."""

from __future__ import annotations

from beam_curator.live.board import Board


def board_of(n_sessions: int) -> Board:
    board = Board()
    for number in range(n_sessions):
        name = f"通话-{number}"
        board.hear({"type": "progress", "recording_id": name, "decided_until": 1.0, "waiting": 0.0})
    return board


def test_lines_fit_the_columns() -> None:
    head, line = board_of(1).lines(n_columns=8)
    # two characters take four columns
    assert (head, line) == ("session ", "通话-0  ")
    assert board_of(1).lines(n_columns=3)[1] == "通"


def test_sessions_that_go_on_come_first_where_there_are_too_many() -> None:
    board = board_of(5)
    assert len(board.lines(n_rows=6)) == 6
    for number in range(4):
        ended = {"type": "closed", "recording_id": f"通话-{number}", "duration": 1.0, "reason": "final"}
        board.hear(ended)
    assert [line.split()[0] for line in board.lines(n_rows=4)] == ["session", "通话-4", "通话-0", "…"]
    assert board.lines(n_rows=4)[-1] == "… and 3 more"
