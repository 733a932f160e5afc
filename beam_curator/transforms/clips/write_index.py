"""The index of a set of clips: metadata.csv, metadata.parquet, extraction_summary.json, and the combined manifest."""

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.pvalue import AsIter, PCollection

from beam_curator.files import storage
from beam_curator.files.clip_index import IndexOptions, write_combined, write_index
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Shard
from beam_curator.files.replacing import is_output_set
from beam_curator.sets.output_set import FileRecord
from beam_curator.transforms.metrics import timed


class WriteIndex(beam.PTransform[PCollection[Shard], PCollection[FileRecord]]):
    """Write one row for each clip of the set, in the order of the rows, once all of them are there.

    Args:
      target: where the files lie.
      options: which index files to write.
    """

    def __init__(self, target: OutputTarget, options: IndexOptions) -> None:
        super().__init__()
        self._target = target
        self._options = options

    def expand(self, shards: PCollection[Shard]) -> PCollection[FileRecord]:
        start = shards.pipeline | "Start index" >> beam.Create([None])
        return start | "Write index" >> beam.FlatMap(_write, self._target, self._options, shards=AsIter(shards))


def _write(_: None, target: OutputTarget, options: IndexOptions, *, shards: Iterable[Shard]) -> Iterator[FileRecord]:
    with timed("index"):
        yield from write_index(target, shards, options)
        directories = [given for given in options.inputs if storage.is_directory(given)]
        manifests = [given for given in directories if not is_output_set(given)]
        if manifests:
            yield write_combined(target, manifests, options.audio_root)
