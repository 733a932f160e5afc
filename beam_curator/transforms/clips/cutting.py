"""Cutting clips: the requests for one recording to files, rows and dead letters."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packs import recording_from
from beam_curator.files import storage
from beam_curator.files.clip_cutting import cut_recording
from beam_curator.files.clip_files import ClipFiles
from beam_curator.files.clip_rows import CLIPS
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, PartWriter
from beam_curator.sets.counting import Count
from beam_curator.transforms.metrics import Noted, collector_paused, noted, timed


class CutClips(beam.PTransform[PCollection[tuple[str, dict[str, Any]]], Any]):
    """Open each recording once, cut the clips that are asked for, and write them with their rows.

    Returns:
      The outcome of each recording, and counts of clips for people while it is worked on.

    Args:
      target: where to.
      rules: how.
      output_format: of the clips.
    """

    def __init__(self, target: OutputTarget, rules: CutRules, output_format: AudioFormat) -> None:
        super().__init__()
        self._target = target
        self._rules = rules
        self._output_format = output_format

    def expand(self, groups: PCollection[tuple[str, dict[str, Any]]]) -> "tuple[PCollection[Part], PCollection[Count]]":
        work = _CutFn(self._target, self._rules, self._output_format)
        cut = groups | "Cut" >> beam.ParDo(work).with_outputs("progress", main="parts")
        return cut["parts"], cut["progress"]


class _CutFn(beam.DoFn):
    def __init__(self, target: OutputTarget, rules: CutRules, output_format: AudioFormat) -> None:
        self._target = target
        self._rules = rules
        self._output_format: AudioFormat = output_format

    def setup(self) -> None:
        if self._target.token is None:
            storage.make_directory(self._target.directory)
        self._files = ClipFiles(self._target)

    def teardown(self) -> None:
        self._files.close()

    def process(self, group: tuple[str, dict[str, Any]]) -> Iterator[Part | Noted]:
        name, joined = group
        recording = recording_from(name, joined["packs"], marked=any(joined["marks"]))
        writer = PartWriter(CLIPS, self._target, recording.name, recording.position, recording.n_blocks)
        with timed("cut"), collector_paused():
            part = writer.kept(len(recording.requests))
            if part is None:
                yield from noted(cut_recording(recording, self._rules, self._output_format, self._files, writer))
                self._files.flush()
                part = writer.write()
        yield part
