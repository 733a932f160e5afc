"""Naming clips: recordings whose file names would collide are found by looking at all of them at once."""

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.clips.naming import NameClaim, claim_key, recordings_to_mark
from beam_curator.clips.packs import Pack


class MarkCollisions(beam.PTransform[PCollection[tuple[str, Pack]], PCollection[tuple[str, bool]]]):
    """Find the recordings that need a mark in their file names, since others would have the same."""

    def expand(self, packs: PCollection[tuple[str, Pack]]) -> PCollection[tuple[str, bool]]:
        return (
            packs
            | "Claim names" >> beam.Map(claim_names).with_output_types(tuple[str, NameClaim])
            | "Group by stem" >> beam.GroupByKey()
            | "Find collisions" >> beam.FlatMap(find_collisions).with_output_types(tuple[str, bool])
        )


def claim_names(item: tuple[str, Pack]) -> tuple[str, NameClaim]:
    """Return which file names the clips of a recording in one block would take."""
    claim = item[1].claim
    return claim_key(claim.stem), claim


def find_collisions(group: tuple[str, Iterable[NameClaim]]) -> Iterator[tuple[str, bool]]:
    """Yield the recordings among which names would collide."""
    for recording in sorted(recordings_to_mark(list(group[1]))):
        yield recording, True
