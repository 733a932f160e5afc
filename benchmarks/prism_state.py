"""Whether a runner keeps all updates of state while messages come in real time; Prism is refused for live streams.

    python benchmarks/prism_state.py                   # 20 trials on Prism
    python benchmarks/prism_state.py --runner direct --trials 3

Each trial counts the messages of 32 keys, 60 a second, in state that holds a count and 8 kB more, with 5 ms of work for
each. Counts that are too small were lost between two bundles of a key. The exit code is 1 where a trial lost any.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder, Coder
from apache_beam.io.unbounded_source import CheckpointMark, ReadFromUnboundedSource, UnboundedReader, UnboundedSource
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from beam_curator.runners.engines.opening import find_engine
from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.logs import quieten
from beam_curator.runners.presets import resolve_engine

N_KEYS, N_EACH, PER_SECOND = 32, 20, 60.0
WORK_SECONDS, N_MORE = 0.005, 8_000


class _Place(CheckpointMark):
    """How many messages were given, and when the first was."""

    def __init__(self, given: int, begun: float) -> None:
        self.given, self.begun = given, begun


class _PlaceCoder(Coder):
    def encode(self, value: _Place) -> bytes:
        return json.dumps([value.given, value.begun]).encode()

    def decode(self, encoded: bytes) -> _Place:
        return _Place(*json.loads(encoded))

    def is_deterministic(self) -> bool:
        return True


class _Numbers(UnboundedSource):
    """The numbers from 0, as many a second as messages come."""

    def split(self, desired_num_splits: int, options: Any = None) -> "list[_Numbers]":
        del desired_num_splits, options
        return [self]

    def create_reader(self, options: Any, checkpoint_mark: CheckpointMark | None) -> "_NumberReader":
        del options
        return _NumberReader(checkpoint_mark if isinstance(checkpoint_mark, _Place) else _Place(0, time.time()))

    def get_checkpoint_mark_coder(self) -> Coder:
        return _PlaceCoder()


class _NumberReader(UnboundedReader):
    def __init__(self, place: _Place) -> None:
        self._given, self._begun = place.given, place.begun

    def start(self) -> bool:
        return self.advance()

    def advance(self) -> bool:
        has_next = self._given < N_KEYS * N_EACH and time.time() >= self._begun + self._given / PER_SECOND
        self._given += has_next
        return has_next

    def get_current(self) -> int:
        return self._given - 1

    def get_current_timestamp(self) -> Timestamp:
        return Timestamp(self._begun)

    def get_watermark(self) -> Timestamp:
        return MAX_TIMESTAMP if self._given == N_KEYS * N_EACH else Timestamp(self._begun)

    def get_checkpoint_mark(self) -> _Place:
        return _Place(self._given, self._begun)

    def close(self) -> None:
        """Nothing is open."""


class _CountFn(beam.DoFn):
    """Counts the messages of a key, and leaves the count in a file."""

    _COUNT = ReadModifyWriteStateSpec("count", BytesCoder())

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def process(  # as Beam wants it
        self,
        element: tuple[int, int],
        state: Any = beam.DoFn.StateParam(_COUNT),  # noqa: B008
    ) -> Iterator[None]:
        key, _ = element
        count = int((state.read() or b"0").partition(b" ")[0]) + 1
        time.sleep(WORK_SECONDS)
        state.write(b"%d " % count + bytes(N_MORE))
        Path(self._folder, str(key)).write_text(str(count))
        yield from ()


def counted(runner: str) -> int:
    """Run a trial; return how many messages were counted."""
    found = find_engine(resolve_engine(RunOptions(runner=runner), ["--streaming"]))
    with (
        tempfile.TemporaryDirectory() as folder,
        found.opened(folder, jobs=1, verbose=False) as engine,
    ):
        pipeline = beam.Pipeline(runner=engine, options=found.options)
        numbers = pipeline | ReadFromUnboundedSource(_Numbers(), poll_interval=0.05, max_read_time_seconds=0.2)
        keyed = numbers | beam.Map(lambda number: (number % N_KEYS, number)).with_output_types(tuple[int, int])
        _ = keyed | beam.ParDo(_CountFn(folder))
        pipeline.run().wait_until_finish()
        return sum(int(path.read_text()) for path in Path(folder).iterdir() if path.name.isdigit())


def main() -> None:
    """Run the trials and say what was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", default="prism")
    parser.add_argument("--trials", type=int, default=20)
    given = parser.parse_args()
    quieten(verbose=False)
    n_lost = 0
    for trial in range(1, given.trials + 1):
        n = counted(given.runner)
        n_lost += n != N_KEYS * N_EACH
        print(f"trial {trial}: {n} of {N_KEYS * N_EACH} counted", flush=True)
    print(f"{given.runner} lost updates of state in {n_lost} of {given.trials} trials")
    sys.exit(n_lost > 0)


if __name__ == "__main__":
    main()
