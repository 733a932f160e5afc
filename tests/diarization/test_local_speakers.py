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
    seconds_told,
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
    def test_a_pause_of_0_1_s_does_not_end_a_run(self) -> None:
        # 6 frames are 0.10125 s
        runs = runs_of(talks_of((1, 0, 50), (1, 56, 80), (1, 87, 150)))
        assert [(run.local, run.start, run.stop) for run in runs] == [(1, 0, 80), (1, 87, 150)]

    def test_longer_talk_is_runs_of_about_a_second(self) -> None:
        # 59 frames are a second: 88 are 1.49, and 200 are 3.39
        runs = runs_of(talks_of((0, 0, 88), (2, 100, 300)))
        assert [(run.local, run.start, run.stop) for run in runs] == [
            (0, 0, 88), (2, 100, 166), (2, 166, 233), (2, 233, 300),
        ]  # fmt: skip
        assert [run.n_alone for run in runs] == [88, 66, 67, 67]

    def test_a_voice_is_told_by_the_frames_in_which_nobody_else_talks(self) -> None:
        (first, second) = runs_of(talks_of((0, 0, 80), (2, 50, 96)))
        assert (np.flatnonzero(first.voiced).tolist(), first.n_alone) == (list(range(50)), 50)
        # 16 frames alone are less than 0.4 s: all 46 tell
        assert (np.flatnonzero(second.voiced).tolist(), second.n_alone) == (list(range(50, 96)), 16)

    def test_who_says_too_little_has_no_voice(self) -> None:
        # 0.3 s are 18 frames
        (short,) = runs_of(talks_of((0, 100, 117)))
        assert voiced_frames([short]) is None
        (enough,) = runs_of(talks_of((0, 100, 118)))
        voiced = voiced_frames([enough])
        assert voiced is not None and int(voiced.sum()) == 18

    def test_seconds_told(self) -> None:
        assert seconds_told(runs_of(talks_of((0, 0, 160), (0, 300, 400)))) == pytest.approx(260 * 270 / 16000)

    @pytest.mark.parametrize(("stop", "n_frames"), [(100, 100), (106, 106), (107, 7), (150, 50)])
    def test_all_talk_counts_of_one_who_is_never_alone(self, stop: int, n_frames: int) -> None:
        # 6 frames alone are 0.1 s
        first = [run for run in runs_of(talks_of((0, 0, stop), (1, 0, 100))) if run.local == 0]
        assert seconds_told(first) == pytest.approx(n_frames * 270 / 16000)

    def test_nobody(self) -> None:
        assert runs_of(talks_of()) == []


class TestGroupRuns:
    def runs(self) -> list[Run]:
        return runs_of(talks_of((0, 0, 60), (0, 110, 120), (0, 200, 260), (0, 400, 460)))

    def test_runs_that_sound_alike_are_of_one_voice(self) -> None:
        runs = self.runs()
        long = long_runs(runs)
        assert [run.start for run in long] == [0, 200, 400]
        vectors = np.float32([[1, 0], [0.8, 0.6], [0.9, 0.436]])
        assert group_runs(runs, long, vectors) == [runs]

    def test_runs_that_do_not_are_of_several_and_short_ones_follow_the_nearest(self) -> None:
        runs = self.runs()
        groups = group_runs(runs, long_runs(runs), np.float32([[1, 0], [0, 1], [0.9, 0.436]]))
        assert [[run.start for run in group] for group in groups] == [[0, 110, 400], [200]]

    @pytest.mark.parametrize(("cosine", "n_voices"), [(0.45, 1), (0.42, 2)])
    def test_short_runs_of_one_person_may_be_less_alike(self, cosine: float, n_voices: int) -> None:
        runs = runs_of(talks_of((0, 0, 60), (0, 200, 260)))
        # of 1.0125 s each 0.42 + 0.08 * 0.5125 / 0.65 = 0.483 is expected, and 0.9 of that is enough: 0.435
        vectors = np.float32([[1, 0], [cosine, (1 - cosine**2) ** 0.5]])
        assert len(group_runs(runs, runs, vectors)) == n_voices

    def test_one_long_run_is_one_voice(self) -> None:
        runs = runs_of(talks_of((0, 0, 80), (0, 200, 229)))
        assert long_runs(runs) == []
        assert group_runs(runs, [], np.empty((0, 2), np.float32)) == [runs]


def test_a_voice_reaches_a_little_beyond_its_runs() -> None:
    reach = reach_of(runs_of(talks_of((0, 2, 30), (0, 100, 120))))
    assert np.flatnonzero(np.diff(reach)).tolist() == [32, 96, 122]
    assert reach[0]


def test_two_voices_talk_at_once_where_they_do_for_0_3_s() -> None:
    talks = talks_of((0, 0, 100), (1, 83, 200), (2, 82, 200))
    runs = runs_of(talks)
    first, second, third = ([run for run in runs if run.local == local] for local in range(3))
    assert not talk_at_once(talks, first, second)
    assert talk_at_once(talks, first, third)
    assert not talk_at_once(talks, first, first)
