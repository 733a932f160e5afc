"""`beam-curator score --by-channel`: speakers are matched within their channel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runners.score_sides import errors_of, scores


def write_call(path: Path, *turns: tuple[int, float, float, str], name: str = "call") -> Path:
    """Write an RTTM of turns `(channel, start, end, speaker)`."""
    lines = (f"SPEAKER {name} {ch} {start} {end - start} <NA> <NA> {who} <NA> <NA>\n" for ch, start, end, who in turns)
    path.write_text("".join(lines))
    return path


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write_call(tmp_path / "ref.rttm", (1, 0, 10, "ann"), (2, 5, 15, "bob"))


def test_channels_are_scored_by_themselves(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All is right but for the channels: the turns are on the wrong ones."""
    crossed = write_call(tmp_path / "hyp.rttm", (2, 0, 10, "a"), (1, 5, 15, "b"))
    assert errors_of(scores(capsys, reference, crossed)) == {"call": (0, 0, 0)}
    found = errors_of(scores(capsys, reference, crossed, "--by-channel"))
    assert found == {"call:1": (5, 5, 0), "call:2": (5, 5, 0)}
    assert errors_of(scores(capsys, reference, reference, "--by-channel")) == {"call:1": (0, 0, 0), "call:2": (0, 0, 0)}


def test_a_channel_of_one_side_alone(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Channel 2 is all missed; channel 3 is silent in the reference, and 4 s are a false alarm."""
    one = write_call(tmp_path / "hyp.rttm", (1, 0, 10, "a"), (3, 1, 5, "b"))
    found = errors_of(scores(capsys, reference, one, "--by-channel"))
    assert found == {"call:1": (0, 0, 0), "call:2": (10, 0, 0), "call:3": (0, 4, 0)}


def test_a_uem_says_which_channels(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uem = tmp_path / "parts.uem"
    uem.write_text("call 1 0 8\ncall 2 0 6\n")
    hypothesis = write_call(tmp_path / "hyp.rttm", (1, 2, 10, "a"), (2, 5, 15, "b"), (3, 0, 9, "c"))
    found = errors_of(scores(capsys, reference, hypothesis, "--by-channel", "--uem", uem))
    assert found == {"call:1": (2, 0, 0), "call:2": (0, 0, 0)}


def test_a_recording_in_which_nobody_talks_has_a_first_channel(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = tmp_path / "call.rttm"
    silent.write_text("")
    found = errors_of(scores(capsys, reference, silent, "--by-channel"))
    assert found == {"call:1": (10, 0, 0), "call:2": (10, 0, 0)}
