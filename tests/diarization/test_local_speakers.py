from __future__ import annotations

import numpy as np
import pytest

from beam_curator.diarization.local_speakers import (
    Run,
    activity_of,
    group_runs,
    long_runs,
    reach_of,
    runs_of,
    seconds_alone,
    talk_at_once,
    voiced_frames,
)


def talks_of(*spans: tuple[int, int, int], n_frames: int = 589) -> np.ndarray:
    """Return who talks in the frames of a window: `(local, start, stop)`."""
    talks = np.zeros((n_frames, 3), bool)
    for local, start, stop in spans:
        talks[start:stop, local] = True
    return talks


def test_each_class_is_of_nobody_one_or_two() -> None:
    likely = np.full((7, 7), 0.02, np.float32)
    np.fill_diagonal(likely, 0.88)
    activity = activity_of(np.log(likely))
    assert activity.talks.astype(int).tolist() == [
        [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1],
    ]  # fmt: skip
    # nobody: each of the three in three classes of 0.02, two at once in three
    assert activity.shares[0].tolist() == pytest.approx([0.06, 0.06, 0.06, 0.12, 0.06], abs=1e-6)
    assert activity.shares[4].tolist() == pytest.approx([0.92, 0.92, 0.06, 0.98, 0.92], abs=1e-6)


class TestRuns:
    def test_a_pause_of_0_3_s_does_not_end_a_run(self) -> None:
        # 18 frames are 0.30375 s
        runs = runs_of(talks_of((1, 0, 50), (1, 68, 100), (1, 119, 150)))
        assert [(run.local, run.start, run.stop) for run in runs] == [(1, 0, 100), (1, 119, 150)]

    def test_a_voice_is_told_by_the_frames_in_which_nobody_else_talks(self) -> None:
        (first, second) = runs_of(talks_of((0, 0, 100), (2, 60, 110)))
        assert (np.flatnonzero(first.voiced).tolist(), first.n_alone) == (list(range(60)), 60)
        # 10 frames alone are less than 0.4 s: all 50 tell
        assert (np.flatnonzero(second.voiced).tolist(), second.n_alone) == (list(range(60, 110)), 10)

    def test_who_says_too_little_has_no_voice(self) -> None:
        # 0.3 s are 18 frames
        (short,) = runs_of(talks_of((0, 100, 117)))
        assert voiced_frames([short]) is None
        (enough,) = runs_of(talks_of((0, 100, 118)))
        voiced = voiced_frames([enough])
        assert voiced is not None and int(voiced.sum()) == 18

    def test_seconds_alone(self) -> None:
        assert seconds_alone(runs_of(talks_of((0, 0, 160), (0, 300, 400)))) == pytest.approx(260 * 270 / 16000)

    def test_nobody(self) -> None:
        assert runs_of(talks_of()) == []


class TestGroupRuns:
    def runs(self) -> list[Run]:
        return runs_of(talks_of((0, 0, 100), (0, 130, 140), (0, 200, 300), (0, 400, 500)))

    def test_runs_that_sound_alike_are_of_one_voice(self) -> None:
        runs = self.runs()
        long = long_runs(runs)
        assert [run.start for run in long] == [0, 200, 400]
        vectors = np.float32([[1, 0], [0.8, 0.6], [0.9, 0.436]])
        assert group_runs(runs, long, vectors) == [runs]

    def test_runs_that_do_not_are_of_several_and_short_ones_follow_the_nearest(self) -> None:
        runs = self.runs()
        groups = group_runs(runs, long_runs(runs), np.float32([[1, 0], [0, 1], [0.9, 0.436]]))
        assert [[run.start for run in group] for group in groups] == [[0, 130, 400], [200]]

    def test_one_long_run_is_one_voice(self) -> None:
        runs = runs_of(talks_of((0, 0, 100), (0, 200, 240)))
        assert long_runs(runs) == []
        assert group_runs(runs, [], np.empty((0, 2), np.float32)) == [runs]


def test_a_voice_reaches_a_little_beyond_its_runs() -> None:
    reach = reach_of(runs_of(talks_of((0, 5, 30), (0, 100, 120))))
    assert np.flatnonzero(np.diff(reach)).tolist() == [38, 90, 128]
    assert reach[0]


def test_two_voices_talk_at_once_where_they_do_for_0_3_s() -> None:
    talks = talks_of((0, 0, 100), (1, 83, 200), (2, 82, 200))
    first, second, third = ([run] for run in runs_of(talks))
    assert not talk_at_once(talks, first, second)
    assert talk_at_once(talks, first, third)
    assert not talk_at_once(talks, first, first)
