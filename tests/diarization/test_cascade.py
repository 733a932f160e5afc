from __future__ import annotations

import numpy as np
import pytest

from beam_curator.diarization.cascade import CascadeStream, HeardWindow, frames_in_parts
from beam_curator.diarization.models import Floats
from tests.fakes_cascade import BankEmbedding, ToneSegmentation, in_pieces, talk


def heard(samples: Floats, *lengths: int) -> list[HeardWindow]:
    stream = CascadeStream(ToneSegmentation(), BankEmbedding())
    for piece in in_pieces(samples, lengths or (480_000,)):
        stream.push(piece)
    assert stream.n_samples == len(samples)
    return stream.finish()


def the_same(some: list[HeardWindow], others: list[HeardWindow]) -> bool:
    """Tell whether windows are the same to the last bit."""

    def plain(window: HeardWindow) -> object:
        voices = [
            (
                voice.local,
                None if voice.reach is None else voice.reach.tobytes(),
                voice.seconds,
                None if voice.vector is None else voice.vector.tobytes(),
            )
            for voice in window.voices
        ]
        return window.frame, window.shares.tobytes(), voices, window.at_once

    return [plain(window) for window in some] == [plain(window) for window in others]


class TestWindows:
    @pytest.mark.parametrize(
        ("n_samples", "frames"),
        [
            (1, [0]),
            (160_000, [0]),
            (160_001, [0, 1]),  # the last window ends with the recording, on the grid of frames
            (160_270, [0, 1]),
            (160_271, [0, 2]),
            (176_199, [0, 60]),
            (176_200, [0, 60]),
            (176_201, [0, 60, 61]),
            (192_400, [0, 60, 120]),
        ],
    )
    def test_start_every_60_frames_and_reach_to_the_end(self, n_samples: int, frames: list[int]) -> None:
        assert [window.frame for window in heard(np.zeros(n_samples, np.float32))] == frames

    def test_a_recording_without_samples_has_none(self) -> None:
        assert heard(np.zeros(0, np.float32)) == []

    def test_each_is_heard_once_and_so_is_each_filter_bank(self) -> None:
        segmentation, embedding = ToneSegmentation(), BankEmbedding()
        stream = CascadeStream(segmentation, embedding)
        for piece in in_pieces(talk(95.0), [480_000]):
            stream.push(piece)
        assert len(stream.finish()) == segmentation.windows == 1 + 83 + 1
        # 9 blocks of 1,000, and 498 that are heard with the 502 before them
        assert embedding.banks == 10_000

    @pytest.mark.parametrize("lengths", [(7_777,), (160_000,), (1_000_000,), (1, 999_999), (30_000, 123, 640_240)])
    def test_how_a_recording_is_cut_does_not_matter(self, lengths: tuple[int, ...]) -> None:
        samples = talk(73.3, (1, 9, 0), (9.5, 30, 1), (28, 50, 2), (55, 73, 0))
        assert the_same(heard(samples, *lengths), heard(samples))


class TestVoices:
    def test_people_have_the_numbers_of_their_window(self) -> None:
        (window,) = heard(talk(10, (1, 4, 2), (5, 9, 0)))
        assert [voice.local for voice in window.voices] == [0, 1]
        assert [voice.seconds for voice in window.voices] == pytest.approx([3, 4], abs=0.04)
        assert window.at_once == ()

    def test_a_voice_sounds_the_same_in_all_windows(self) -> None:
        # in turn, for 4 s each: both are in all windows
        windows = heard(talk(40, *((start, start + 4, start // 5 % 2) for start in range(0, 40, 5))))
        vectors = np.stack([voice.vector for window in windows for voice in window.voices if voice.vector is not None])
        assert len(windows) == 31 and len(vectors) == 62
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(62), abs=1e-5)
        is_first = vectors @ vectors[0] > 0
        assert is_first.sum() == 31
        assert (vectors[is_first] @ vectors[is_first].T).min() > 0.9
        assert (vectors[is_first] @ vectors[~is_first].T).max() < 0

    def test_people_who_talk_at_once(self) -> None:
        (window,) = heard(talk(10, (1, 6, 0), (5, 9, 1)))
        assert window.at_once == ((0, 1),)
        # each alone
        assert [voice.seconds for voice in window.voices] == pytest.approx([4, 3], abs=0.04)

    def test_a_number_that_sounds_like_two_people_is_two_voices(self) -> None:
        class OneNumber(ToneSegmentation):
            """Takes everybody for speaker 0."""

            def log_probabilities_at(self, samples: Floats, starts: object) -> Floats:
                said = super().log_probabilities_at(samples, starts)  # type: ignore[arg-type]  # as it is
                somebody = 1 - np.exp(said[..., 0])
                one = np.full_like(said, -9)
                one[..., 0], one[..., 1] = said[..., 0], np.log(somebody)
                return one

        stream = CascadeStream(OneNumber(), BankEmbedding())
        stream.push(talk(10, (1, 4, 0), (5, 9, 3)))
        (window,) = stream.finish()
        assert [voice.local for voice in window.voices] == [0, 0]
        assert [voice.seconds for voice in window.voices] == pytest.approx([3, 4], abs=0.04)
        reaches = [voice.reach for voice in window.voices if voice.reach is not None]
        assert len(reaches) == 2 and not (reaches[0] & reaches[1]).any()

    def test_who_says_too_little_has_no_voice(self) -> None:
        (window,) = heard(talk(3, (1, 1.2, 0)))
        assert [voice.vector for voice in window.voices] == [None]

    def test_memory_does_not_grow_with_the_sound(self) -> None:
        stream = CascadeStream(ToneSegmentation(), BankEmbedding())
        most = 0
        for piece in in_pieces(talk(200.0, (0, 200, 0)), [480_000]):
            stream.push(piece)
            most = max(most, len(stream._held))
        # a group of windows, a block before and one behind, and the piece that is just there
        assert most < 1_700_000


class TestFramesInParts:
    @pytest.mark.parametrize(
        ("n_banks", "lengths"),
        [
            (1, [1]),
            (449, [449]),
            (451, [226, 225]),
            (1000, [334, 332, 334]),  # all but the last are even: a frame is two filter banks
        ],
    )
    def test_a_model_hears_about_3_s_at_once(self, n_banks: int, lengths: list[int]) -> None:
        heard_at_once: list[int] = []

        class Counting(BankEmbedding):
            def frames(self, banks: Floats) -> Floats:
                heard_at_once.append(len(banks))
                return super().frames(banks)

        banks = np.random.default_rng(3).normal(size=(n_banks, 80)).astype(np.float32)
        made = frames_in_parts(Counting(), banks)
        assert heard_at_once == lengths
        assert made.tobytes() == BankEmbedding().frames(banks).tobytes()
