from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_curator.audio import mix_channels, resample
from beam_curator.diarization.models import Floats
from beam_curator.failures import EntryError
from beam_curator.models.sources import (
    PIECES_AHEAD,
    PiecesAhead,
    RecordingSource,
    Source,
    TrackSource,
    WaveformSource,
    source_of,
)
from beam_curator.timelines import concatenated
from tests.transforms.clips.clip_sets import write_recording

PIECE = 30 * 16000


def test_dead_air_is_found_on_the_way() -> None:
    samples = np.concatenate([np.full(40 * 16000, 0.25, np.float32), np.tile(np.float32([0.5, -0.5]), 8000)])
    pieces = PiecesAhead(WaveformSource(samples))
    while not pieces.take()[1]:
        pass
    # the edge beside sound stays: 0.24 s
    assert pieces.dead_air() == ((0.0, pytest.approx(39.76)),)


def decoding_threads() -> int:
    return sum(thread.name == "beam_curator_decode" for thread in threading.enumerate())


def until(is_so: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Wait until something is so; return whether it came to be."""
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.005)
    return is_so()


@dataclass(slots=True, kw_only=True)
class CountedSource:
    """Makes pieces of ten samples, all the number of the piece, and counts them.

    Attributes:
      n: how many pieces.
      error: raised behind them.
      nap: seconds before each.
      made: pieces so far.
      is_closed: whether its generator came to an end.
    """

    n: int
    error: Exception | None = None
    nap: float = 0.0
    made: int = 0
    is_closed: bool = False

    @property
    def seconds(self) -> float:
        return self.n * 10 / 16000

    def pieces(self) -> Iterator[Floats]:
        try:
            for number in range(self.n):
                time.sleep(self.nap)
                self.made += 1
                yield np.full(10, number, np.float32)
            if self.error is not None:
                raise self.error
        finally:
            self.is_closed = True


def taken(pieces: PiecesAhead) -> list[tuple[list[float], bool]]:
    """Take all pieces; return the first sample of each with whether it was the last."""
    found = []
    is_last = False
    while not is_last:
        piece, is_last = pieces.take()
        found.append((piece[:1].tolist(), is_last))
    return found


class TestPiecesAhead:
    def test_pieces_come_in_order_and_the_last_is_known(self) -> None:
        assert taken(PiecesAhead(CountedSource(n=4))) == [([0.0], False), ([1.0], False), ([2.0], False), ([3.0], True)]
        assert taken(PiecesAhead(CountedSource(n=1))) == [([0.0], True)]

    def test_a_source_without_pieces_is_one_empty_piece(self) -> None:
        assert taken(PiecesAhead(CountedSource(n=0))) == [([], True)]

    def test_memory_is_bounded(self) -> None:
        source = CountedSource(n=1000)
        pieces = PiecesAhead(source)
        for number in range(3):
            assert pieces.take()[0][0] == number
            ahead = number + 1 + PIECES_AHEAD + 2
            assert until(lambda ahead=ahead: source.made == ahead)  # type: ignore[misc]  # bound at once
            time.sleep(0.02)
            assert source.made == ahead
        pieces.close()

    def test_it_goes_on_while_nobody_waits(self) -> None:
        source = CountedSource(n=3, nap=0.01)
        pieces = PiecesAhead(source)
        assert until(lambda: source.made == 3)
        assert len(taken(pieces)) == 3

    @pytest.mark.parametrize("error", [OSError("gone"), ZeroDivisionError("a bug")])
    def test_an_error_is_raised_where_pieces_are_taken(self, error: Exception) -> None:
        pieces = PiecesAhead(CountedSource(n=2, error=error))
        pieces.take()
        with pytest.raises(type(error), match=str(error)):
            pieces.take()

    def test_a_thread_ends_when_nobody_listens_any_more(self) -> None:
        before = decoding_threads()
        sources = [CountedSource(n=1000), CountedSource(n=1000), CountedSource(n=2, error=OSError())]
        ahead = [PiecesAhead(source) for source in sources]
        ahead[1].take()
        for pieces in ahead:
            pieces.close()
        assert until(lambda: decoding_threads() == before)
        gc.collect()
        assert all(source.is_closed for source in sources)

    def test_one_that_is_too_slow_is_given_up(self) -> None:
        pieces = PiecesAhead(CountedSource(n=3, nap=0.3), time.monotonic() + 0.1)
        with pytest.raises(EntryError) as caught:
            pieces.take()
        assert caught.value.code == "timeout"
        assert caught.value.cure == "raise --timeout, or look why it is slow"
        assert pieces.is_late
        pieces.close()

    def test_the_deadline_can_be_put_off(self) -> None:
        pieces = PiecesAhead(CountedSource(n=2, nap=0.15), time.monotonic() + 0.1)
        pieces.wait_longer(10.0)
        assert len(taken(pieces)) == 2
        assert not pieces.is_late
        never = PiecesAhead(CountedSource(n=0))
        never.wait_longer(1.0)
        assert not never.is_late


class TestWaveformSource:
    @pytest.mark.parametrize(("n_samples", "lengths"), [(0, [0]), (1, [1]), (PIECE, [PIECE]), (PIECE + 2, [PIECE, 2])])
    def test_pieces(self, n_samples: int, lengths: list[int]) -> None:
        samples = np.arange(n_samples, dtype=np.float32)
        source = WaveformSource(samples)
        assert source.seconds == n_samples / 16000
        assert [len(piece) for piece in source.pieces()] == lengths
        assert np.array_equal(np.concatenate(list(source.pieces())), samples)

    @pytest.mark.parametrize(
        ("samples", "code", "message"),
        [
            (np.zeros((10, 2), np.float32), "bad_type", r"the waveform is float32 of shape \(10, 2\)"),
            (np.zeros(10), "bad_type", r"the waveform is float64 of shape \(10,\), expected float32 \[n_samples\]"),
            (np.float32([0, np.nan, np.inf]), "non_finite", "sample 1 of the waveform is not finite"),
        ],
    )
    def test_what_is_no_waveform_is_refused(self, samples: Any, code: str, message: str) -> None:
        with pytest.raises(EntryError, match=message) as caught:
            list(WaveformSource(samples).pieces())
        assert caught.value.code == code

    def test_an_array_becomes_a_source_and_a_source_stays(self) -> None:
        source = source_of(np.zeros(16000, np.float32))
        assert source.seconds == 1.0
        assert source_of(source) is source


class TestRecordingSource:
    @pytest.mark.parametrize(
        ("sample_rate", "n_channels", "channels"),
        [(16000, 1, "mix"), (8000, 1, "mix"), (44100, 2, "mix"), (16000, 8, "mix"), (16000, 8, 7)],
    )
    def test_it_is_heard_at_16_khz_as_one_channel(
        self, tmp_path: Path, sample_rate: int, n_channels: int, channels: Any
    ) -> None:
        samples = write_recording(tmp_path / "a.wav", 1.5, sample_rate, n_channels)
        first, stop = sample_rate // 2, sample_rate
        source: Source = RecordingSource(
            name=str(tmp_path / "a.wav"), first=first, stop=stop, sample_rate=sample_rate, channels=channels
        )
        assert source.seconds == 0.5
        expected = resample(mix_channels(samples[first:stop], channels), sample_rate, 16000)[:, 0]
        assert len(expected) == 8000
        np.testing.assert_array_equal(np.concatenate(list(source.pieces())), expected)

    def test_long_ones_come_in_pieces(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "a.flac", 61, 8000)
        source = RecordingSource(name=str(tmp_path / "a.flac"), first=0, stop=61 * 8000, sample_rate=8000)
        assert [len(piece) for piece in source.pieces()] == [PIECE, PIECE, 16000]

    def test_what_is_gone_or_outside_is_refused(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "a.wav")
        for name, root, code in (("b.wav", tmp_path, "not_found"), ("a.wav", tmp_path / "x", "path_outside_root")):
            source = RecordingSource(
                name=str(tmp_path / name), first=0, stop=1, sample_rate=8000, allowed_root=(str(root),)
            )
            with pytest.raises(EntryError) as caught:
                list(source.pieces())
            assert caught.value.code == code


class TestTrackSource:
    @pytest.mark.parametrize(("sample_rate", "n_channels", "channels"), [(16000, 1, "mix"), (44100, 2, 1)])
    def test_it_is_heard_as_if_it_had_been_put_together(
        self, tmp_path: Path, sample_rate: int, n_channels: int, channels: Any
    ) -> None:
        samples = write_recording(tmp_path / "a.wav", 1.5, sample_rate, n_channels)
        spans = [(sample_rate // 10, sample_rate // 2), (sample_rate, sample_rate + 1001)]
        silence = 31 * sample_rate  # longer than a piece
        source: Source = TrackSource(
            name=str(tmp_path / "a.wav"),
            track=concatenated(spans, silence),
            sample_rate=sample_rate,
            channels=channels,
        )
        mono = mix_channels(samples, channels)
        parts = (mono[slice(*spans[0])], np.zeros((silence, 1), np.float32), mono[slice(*spans[1])])
        joined = np.concatenate(parts)
        assert source.seconds == len(joined) / sample_rate
        pieces = list(source.pieces())
        assert [len(piece) for piece in pieces[:-1]] == [PIECE]
        np.testing.assert_array_equal(np.concatenate(pieces), resample(joined, sample_rate, 16000)[:, 0])

    def test_one_without_samples_is_one_empty_piece(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "a.wav")
        source = TrackSource(name=str(tmp_path / "a.wav"), track=concatenated([]), sample_rate=8000)
        assert [len(piece) for piece in source.pieces()] == [0]
