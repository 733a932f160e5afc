"""The job that measures the sound of recordings, and adds the measures to their rows."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from beam_curator.audio import AudioReader, Samples
from beam_curator.audio_formats import Channels
from beam_curator.clips.cutting import readable
from beam_curator.clips.interval_lists import check_forward, span_of
from beam_curator.diarization.hearing import SampleMeter, channels_to_hear, heard_pieces, samples_asked
from beam_curator.diarization.models import OutOfMemoryError, hearing_error
from beam_curator.entries.channel_key import channel_in, check_channel
from beam_curator.entries.json_lines import kind_of
from beam_curator.entries.own_keys import ORIGIN_KEY
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.asked_lines import asked_row
from beam_curator.intervals import Span
from beam_curator.models.sound_scoring import Score, SoundScorer, load_asked, scorer_config
from beam_curator.models.speech_detectors import SpeechDetecting, load_detector, vad_config
from beam_curator.quality.measure_rules import MeasureRules
from beam_curator.quality.measured_rows import MEASURE_STAGE, MEASURED, Measures, measured_row
from beam_curator.quality.scorers import SCORERS, named_scorers
from beam_curator.quality.segment_meters import SegmentMeters, SegmentSpan
from beam_curator.quality.sound_meter import SoundMeter
from beam_curator.recordings.recording_options import limits_of
from beam_curator.recordings.row_paths import named_in_set
from beam_curator.rules import config_of
from beam_curator.sets.asked_rows import AskedRow, key_of, tasks_of
from beam_curator.sets.blocks import LineBlock
from beam_curator.sets.output_set import Config
from beam_curator.sets.recording_events import Event, Made
from beam_curator.sets.recording_jobs import BlockPlan, LinePlace, OpenedJob, RowsTask, plan_lines
from beam_curator.sets.set_kinds import MEASURE
from beam_curator.sets.set_options import InputOptions, RowOutputOptions, output_config

MeasureTask = RowsTask[AskedRow]
_LEAST_RATE = 100
"""Hz: below it a bandwidth means nothing."""


class MeasureJob(OpenedJob[AskedRow, MeasureTask]):
    """Rows, or recordings, to rows with measures of their sound.

    Args:
      rules: what is measured, and how speech is told from the rest.
    """

    kind = MEASURE
    rows = MEASURED
    shown = frozenset(f"{MEASURE_STAGE}.{name}" for name in ("measured", "failures", "audio_us"))

    def __init__(self, rules: MeasureRules) -> None:
        self._rules = rules
        self._detector: SpeechDetecting | None = None
        self._scorers: list[SoundScorer] | None = None
        self.audio_root = rules.audio_root
        self.allowed_root = rules.allowed_root
        self.limits = limits_of(rules)
        self.key_of_recordings = rules.audio_filepath_key

    def plan(self, block: LineBlock) -> BlockPlan[AskedRow]:
        return plan_lines(block, self._plan_line)

    def _plan_line(self, plan: BlockPlan[AskedRow], raw: bytes, place: LinePlace) -> None:
        rules = self._rules
        plan.asked.append(asked_row(raw, place, key=rules.audio_filepath_key, audio_root=rules.audio_root))
        plan.counts["plan.rows"] += 1

    def key(self, asked: AskedRow) -> str:
        return key_of(asked)

    def tasks(self, key: str, asked: Iterable[AskedRow], *, marked: bool) -> Iterator[MeasureTask]:
        return tasks_of(asked)

    def close(self) -> None:
        self._detector = self._scorers = None

    def work(self, task: MeasureTask, reader: AudioReader) -> Iterator[Event]:
        asked, info = task.rows[0], reader.info
        first, stop = samples_asked(info, asked.start, asked.end)
        rows = [row.fields() for row in task.rows]
        with readable():
            channels = channels_to_hear(reader, first, stop, asked.channel)
            planned = [self._planned(fields, reader, (first, stop), channels) for fields in rows]
            spans = {(row, at): span for row, plan in enumerate(planned) for at, span in plan.spans.items()}
            meters = _Meters(reader, first, channels, spans)
            speech = self._speech(reader, (first, stop), channels, meters)
            scores = self._scores(reader, (first, stop), channels)
        measures = Measures(
            sample_rate=info.sample_rate,
            n_channels=info.n_channels,
            seconds=round((stop - first) / info.sample_rate, 6),
            sound=meters.sound.sound(speech),
            scores=scores,
            unmixed=channels if asked.channel is None and isinstance(channels, int) else None,
        )
        bandwidths = meters.segments.bandwidths()
        for number, (row, fields, plan) in enumerate(zip(task.rows, rows, planned, strict=True)):
            if plan.error is not None:
                yield task.missed_row(number, plan.error, MEASURE_STAGE)
                continue
            key = self._rules.audio_filepath_key
            fields[key] = named_in_set(fields.get(key), row.recording)
            of_row = {at: bandwidths[number, at] for at in plan.spans}
            made = measured_row(fields, replace(measures, bandwidths=of_row), self._rules.segments_key)
            origin = {ORIGIN_KEY: {"source": row.source, "offset": row.offset}}
            yield Made(row=made | origin, order=(number,), counts=plan.counts)

    def failed(self, task: MeasureTask, error: EntryError) -> Iterator[Event]:
        return task.missed(error, MEASURE_STAGE)

    def _planned(
        self, fields: Mapping[str, Any], reader: AudioReader, within: tuple[int, int], channels: Channels
    ) -> "_PlannedSegments":
        """Return the segments of a row that can be measured; a row may fail alone."""
        rules, plan = self._rules, _PlannedSegments()
        segments = fields.get(rules.segments_key)
        if not rules.bandwidth or segments is None or reader.info.sample_rate < _LEAST_RATE:
            return plan
        if not isinstance(segments, list):
            plan.error = EntryError(
                FailureCode.BAD_TYPE,
                f"{rules.segments_key} is {kind_of(segments)}, expected an array",
                "write [] where there are none, or give --no-bandwidth",
            )
            return plan
        for at, segment in enumerate(segments):
            plan.counts["segments"] += 1
            try:
                plan.spans[at] = _segment_span(segment, f"{rules.segments_key}[{at}]", reader, within, channels)
            except EntryError as err:
                if rules.strict:
                    plan.error = err.with_traceback(None)
                    return plan
                plan.counts["bad_segments"] += 1
        return plan

    def _speech(
        self, reader: AudioReader, span: tuple[int, int], channels: Channels, meters: SampleMeter
    ) -> Sequence[Span]:
        if self._detector is None:
            self._detector = load_detector(self._rules)
        try:
            return self._detector.speech(heard_pieces(reader, *span, channels, meters))
        except OutOfMemoryError as err:
            raise hearing_error(err) from err

    def _scores(self, reader: AudioReader, span: tuple[int, int], channels: Channels) -> dict[str, Score]:
        """Return the scores of all models, each of which hears the recording by itself: decoding it takes no time."""
        if self._scorers is None:
            self._scorers = load_asked(self._rules)
        found: dict[str, Score] = {}
        for scorer in self._scorers:
            rate = scorer.rate_of(reader.info.sample_rate)
            try:
                found |= scorer.score(heard_pieces(reader, *span, channels, sample_rate=rate), rate)
            except OutOfMemoryError as err:
                raise hearing_error(err) from err
        return found


@dataclass(slots=True)
class _PlannedSegments:
    """The segments of a row that are measured, by their places, counts of all, and the error that the row fails by."""

    spans: dict[int, SegmentSpan] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    error: EntryError | None = None


def _segment_span(
    segment: Any, where: str, reader: AudioReader, within: tuple[int, int], heard: Channels
) -> SegmentSpan:
    """Return the samples of a segment, as far as they lie in the piece that is measured.

    Raises:
      EntryError: it is no object with times, has no sample there, or is of a channel that is not heard.
    """
    if not isinstance(segment, dict):
        raise EntryError(FailureCode.BAD_TYPE, f"{where} is {kind_of(segment)}, expected an object", "write it as one")
    start, end = span_of(segment, where)
    check_forward(start, end, where, "s")
    first, stop = samples_asked(reader.info, max(start, 0.0), end)
    first, stop = max(first, within[0]), min(stop, within[1])
    channel = channel_in(segment, where)
    check_channel(channel, reader.info.n_channels)
    if first >= stop or (channel is not None and isinstance(heard, int) and channel != heard):
        raise EntryError(FailureCode.OUT_OF_RANGE, f"{where} is not in the piece that is measured", "mend its times")
    # of one channel that is heard, the meters get no other
    return SegmentSpan(first=first, stop=stop, channels="mix" if channel is None or isinstance(heard, int) else channel)


class _Meters:
    """All that is measured in the samples of a recording, on their way to the detector of speech."""

    def __init__(
        self, reader: AudioReader, first: int, channels: Channels, spans: Mapping[tuple[int, int], SegmentSpan]
    ) -> None:
        info = reader.info
        self.sound = SoundMeter(info.sample_rate, 1 if isinstance(channels, int) else info.n_channels, info.codec)
        self.segments = SegmentMeters(spans, info.sample_rate, first)

    def add(self, samples: Samples, full_scale: float, /) -> None:
        del full_scale
        self.sound.add(samples)
        self.segments.add(samples)


def measure_config(rules: MeasureRules, reading: InputOptions, output: RowOutputOptions, n_shards: int) -> Config:
    """Return the settings that decide the rows of a measured set, as its manifest records them."""
    return {
        "measure": config_of(rules) | {"vad_path": "", "scorers": _without_folders(rules)},
        "input": config_of(reading),
        "output": output_config(output, n_shards, "row_format", "shards"),
        "models": vad_config(rules) | scorer_config(rules),
    }


def _without_folders(rules: MeasureRules) -> list[str]:
    """Return the scorers as they are recorded: a file of a user's is hashed besides, and installed ones are pinned."""
    named = named_scorers(rules.scorers)
    return [
        f"{name}={os.path.basename(path)}" if SCORERS[name].sha256 is None else name for name, path in named.items()
    ]
