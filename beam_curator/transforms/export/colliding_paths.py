"""Recordings whose documents some file system would take for one are found by looking at all of them at once."""

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.clips.packs import Pack
from beam_curator.export.document_paths import claim_key, relative_path
from beam_curator.failures import EntryError


class MarkCollidingPaths(beam.PTransform[PCollection[tuple[str, Pack]], PCollection[tuple[str, bool]]]):
    """Find the recordings that need a mark in the names of their documents.

    Args:
      input_path: what their paths are relative to.
    """

    def __init__(self, input_path: str) -> None:
        super().__init__()
        self._input_path = input_path

    def expand(self, packs: PCollection[tuple[str, Pack]]) -> PCollection[tuple[str, bool]]:
        return (
            packs
            | "Claim paths" >> beam.FlatMap(claim_path, self._input_path).with_output_types(tuple[str, str])
            | "Group by claim" >> beam.GroupByKey()
            | "Find collisions" >> beam.FlatMap(find_collisions).with_output_types(tuple[str, bool])
        )


def claim_path(item: tuple[str, Pack], input_path: str) -> Iterator[tuple[str, str]]:
    """Yield a recording under the key of its path; one without a relative path will fail, and claims nothing."""
    try:
        yield claim_key(relative_path(item[0], input_path)), item[0]
    except EntryError:
        return


def find_collisions(group: tuple[str, Iterable[str]]) -> Iterator[tuple[str, bool]]:
    """Yield the recordings that have a claim in common with another."""
    recordings = set(group[1])
    if len(recordings) > 1:
        for recording in sorted(recordings):
            yield recording, True
