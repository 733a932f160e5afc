from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_curator.diarization.diarize_rules import InferenceOptions
from beam_curator.diarization.models import Floats, OutOfMemoryError, hearing_error
from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import Turn, turns_from_probabilities
from beam_curator.failures import EntryError, FailureCode
from beam_curator.models.listening import (
    Heard,
    OfflineListener,
    StreamingListener,
    free_memory,
    listener_of,
    longest_offline,
)
from beam_curator.models.sources import Source, WaveformSource
from tests.fakes_models import POISON, BandBackend, Speech, sound_of, turns_of

TALK: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 1), (2.4, 3.2, 2)]
OTHER: list[Speech] = [(0.0, 0.8, 3), (33.6, 35.2, 0)]
HIGH = LATENCY_PRESETS["very-high"]


def waveform_of(seconds: float, speech: Sequence[Speech] = ()) -> WaveformSource:
    return WaveformSource(sound_of(seconds, speech)[:, 0])


@dataclass(slots=True)
class StuckSource:
    """A recording of which nothing comes until it is let go."""

    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def seconds(self) -> float:
        return 4.0

    def pieces(self) -> Iterator[Floats]:
        self.let_go.wait(30)
        yield np.zeros(64000, np.float32)


@dataclass(slots=True)
class BrokenSource:
    """A recording that is damaged behind its first piece."""

    @property
    def seconds(self) -> float:
        return 60.0

    def pieces(self) -> Iterator[Floats]:
        yield sound_of(30, TALK)[:, 0]
        raise EntryError(FailureCode.TRUNCATED_AUDIO, "it ends at 30 s", "fetch it again")


def hear(
    sources: Sequence[Source], *, streaming: bool, batch_seconds: float = 3600.0, **options: Any
) -> list[Heard | EntryError]:
    """Let a model of hand-worked answers listen; options are those of the backend, and the timeout."""
    timeout = options.pop("timeout", 0.0)
    backend = BandBackend(streaming=streaming, **options)
    inference = InferenceOptions(timeout=timeout, batch_seconds=batch_seconds)
    return listener_of(backend, HIGH, inference, 16 << 30).hear(sources)


def turns_in(heard: Heard | EntryError) -> list[Turn]:
    assert not isinstance(heard, EntryError)
    return turns_from_probabilities(heard.probabilities, TurnRules())


def said(heard: Sequence[Heard | EntryError]) -> list[str | int]:
    """Return the code of each failure, and the number of frames of each other."""
    return [one.code.value if isinstance(one, EntryError) else len(one.probabilities) for one in heard]


@pytest.fixture(params=[True, False], ids=["streaming", "offline"])
def streaming(request: pytest.FixtureRequest) -> bool:
    """Both families."""
    family: bool = request.param
    return family


class TestBothFamilies:
    def test_turns_are_those_of_the_speech(self, streaming: bool) -> None:
        heard = hear([waveform_of(4.0, TALK), waveform_of(40.0, OTHER), waveform_of(2.0)], streaming=streaming)
        assert said(heard) == [50, 500, 25]
        assert [turns_in(one) for one in heard] == [turns_of(TALK), turns_of(OTHER), []]

    def test_alone_and_together_it_is_the_same(self, streaming: bool) -> None:
        sources = [waveform_of(4.0 + number, TALK) for number in range(5)]
        together = hear(sources, streaming=streaming)
        for source, heard in zip(sources, together, strict=True):
            (alone,) = hear([source], streaming=streaming)
            assert isinstance(heard, Heard)
            assert isinstance(alone, Heard)
            np.testing.assert_array_equal(heard.probabilities, alone.probabilities, strict=True)

    @pytest.mark.parametrize(("n_samples", "n_frames"), [(0, 0), (1, 0), (159, 0), (160, 1), (1280, 1), (1440, 2)])
    def test_short_ones_have_the_frames_that_they_have(self, streaming: bool, n_samples: int, n_frames: int) -> None:
        source = WaveformSource(np.zeros(n_samples, np.float32))
        assert said(hear([source, waveform_of(4.0)], streaming=streaming)) == [n_frames, 50]

    def test_nothing_is_heard_of_nothing(self, streaming: bool) -> None:
        assert hear([], streaming=streaming) == []

    def test_bad_ones_fail_alone(self, streaming: bool) -> None:
        nan = WaveformSource(np.full(16000, np.nan, np.float32))
        sources = [nan, waveform_of(4.0, TALK), BrokenSource(), waveform_of(4.0, [(0.8, 1.6, POISON)])]
        heard = hear([*sources, waveform_of(40.0, OTHER)], streaming=streaming)
        assert said(heard) == ["non_finite", 50, "truncated_audio", "model_error", 500]
        assert (turns_in(heard[1]), turns_in(heard[4])) == (turns_of(TALK), turns_of(OTHER))
        assert isinstance(heard[3], EntryError)
        assert heard[3].message == "the model failed: ModelFailedError: a sound that cannot be borne"

    def test_one_of_which_nothing_comes_is_given_up_and_the_others_go_on(self, streaming: bool) -> None:
        stuck = StuckSource()
        begin = time.monotonic()
        heard = hear([stuck, waveform_of(4.0, TALK), waveform_of(40.0, OTHER)], streaming=streaming, timeout=1.0)
        assert time.monotonic() - begin < 5
        assert said(heard) == ["timeout", 50, 500]
        assert [turns_in(one) for one in heard[1:]] == [turns_of(TALK), turns_of(OTHER)]
        stuck.let_go.set()


class TestMemory:
    def test_where_it_lacks_batches_are_halved(self) -> None:
        sources = [waveform_of(4.0, TALK) for _ in range(8)]
        backend = BandBackend(streaming=False, most_seconds=9.0)
        heard = listener_of(backend, HIGH, InferenceOptions(), 16 << 30).hear(sources)
        assert [turns_in(one) for one in heard] == [turns_of(TALK)] * 8
        assert backend.batch_sizes == [2, 2, 2, 2]

    def test_one_that_is_too_much_alone_fails_alone(self) -> None:
        heard = hear([waveform_of(4.0, TALK), waveform_of(12.0)] * 2, streaming=False, most_seconds=9.0)
        assert said(heard) == [50, "out_of_memory", 50, "out_of_memory"]
        assert isinstance(heard[1], EntryError)
        assert heard[1].message == "the model lacks memory for this recording alone: 12 s at once"
        assert heard[1].cure.startswith("use a streaming model")

    def test_streams_go_through_fewer_at_a_time(self) -> None:
        sources = [waveform_of(40.0, OTHER) for _ in range(4)]
        heard = hear(sources, streaming=True, most_seconds=2 * 30.5)
        assert [turns_in(one) for one in heard] == [turns_of(OTHER)] * 4

    def test_a_batch_has_at_most_so_many_seconds(self) -> None:
        backend = BandBackend(streaming=False)
        inference = InferenceOptions(batch_seconds=10.0)
        listener_of(backend, HIGH, inference, 16 << 30).hear([waveform_of(seconds) for seconds in (2, 9, 4, 2, 40)])
        assert backend.batch_sizes == [1, 1, 2, 1]

    def test_an_offline_model_refuses_what_is_too_long(self) -> None:
        backend = BandBackend(streaming=False)
        listener = listener_of(backend, HIGH, InferenceOptions(max_offline_seconds=10.0), 1 << 40)
        heard = listener.hear([waveform_of(4.0, TALK), waveform_of(10.1), waveform_of(10.0)])
        assert said(heard) == [50, "too_long", 125]
        assert isinstance(heard[1], EntryError)
        assert heard[1].message == (
            "the recording is 10 s long, and this model hears a recording at once: up to 10 s, "
            "by --max-offline-seconds or by the memory there is"
        )
        assert heard[1].cure == "use a model of the streaming family, or raise --max-offline-seconds"

    def test_what_is_too_long_follows_from_the_memory(self) -> None:
        assert longest_offline(16 << 30) == pytest.approx(0.08 * ((6.5 * 2**30) / 256) ** 0.5)
        assert longest_offline(0) == longest_offline(1 << 30) == pytest.approx(0.08 * 1024)
        listener = listener_of(BandBackend(streaming=False), HIGH, InferenceOptions(), 0)
        assert said(listener.hear([waveform_of(82.0), waveform_of(81.0)])) == ["too_long", 1013]


class TestTimeout:
    def test_a_model_that_is_too_slow_is_given_up(self) -> None:
        begin = time.monotonic()
        heard = hear([waveform_of(4.0, TALK), waveform_of(300.0)], streaming=True, timeout=0.3, nap=0.35)
        assert said(heard) == [50, "timeout"]
        assert time.monotonic() - begin < 5

    def test_without_one_nothing_is(self) -> None:
        assert said(hear([waveform_of(70.0)], streaming=True, nap=0.05)) == [875]


def test_the_family_chooses_the_listener() -> None:
    for streaming, kind in ((True, StreamingListener), (False, OfflineListener)):
        assert isinstance(listener_of(BandBackend(streaming=streaming), HIGH, InferenceOptions(), 0), kind)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EntryError(FailureCode.NOT_AUDIO, "m", "c"), "not_audio"),
        (OutOfMemoryError("x"), "out_of_memory"),
        (PermissionError(13, "no"), "not_readable"),
        (ValueError("x"), "model_error"),
    ],
)
def test_every_failure_has_code_and_cure(error: Exception, code: str) -> None:
    found = hearing_error(error)
    assert found.code == code
    assert found.cure


class TestFreeMemory:
    def machine(self, root: Path, available_kib: int, **group: object) -> str:
        """Write what a kernel says of its memory and of that of a control group; return the root."""
        (root / "proc").mkdir()
        (root / "proc" / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:  {available_kib} kB\nHugePages: 0\n")
        (root / "sys" / "fs" / "cgroup").mkdir(parents=True)
        for name, value in group.items():
            (root / "sys" / "fs" / "cgroup" / f"memory.{name}").write_text(f"{value}\n")
        return f"{root}/"

    @pytest.mark.parametrize(
        ("group", "n_bytes"),
        [
            ({}, 102400),
            ({"max": "max", "current": 9}, 102400),
            ({"max": 50000, "current": 40000, "stat": "anon 1\ninactive_file 30000"}, 40000),
            ({"max": 500000, "current": 40000, "stat": "inactive_file 0"}, 102400),
            ({"max": 50000, "current": 60000, "stat": "inactive_file 0"}, 0),
        ],
    )
    def test_it_is_that_of_the_group_or_the_machine(self, tmp_path: Path, group: dict[str, Any], n_bytes: int) -> None:
        assert free_memory(self.machine(tmp_path, 100, **group)) == n_bytes

    def test_of_this_machine(self, tmp_path: Path) -> None:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert 0 <= free_memory() <= total
        assert free_memory(f"{tmp_path}/") == total // 2
