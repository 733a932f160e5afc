"""The work of `beam-curator report`: rows are gathered by recording, and a page of them is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from beam_curator.files import storage
from beam_curator.files.explained_rows import NamedRow
from beam_curator.files.opened_recordings import version_of
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.report_files import PageFiles
from beam_curator.files.report_rows import RowsByRecording
from beam_curator.files.report_sound import Sound, link_to, sounds_of
from beam_curator.recordings.safe_names import stem_of
from beam_curator.report.distributions import Distribution
from beam_curator.report.filter_commands import filter_command, sign_of
from beam_curator.report.recordings import ShownRecording
from beam_curator.report.reference_errors import DER, compare
from beam_curator.report.report_options import ReportOptions
from beam_curator.report.shown_rows import Value, shown_row, speech_of, values_of
from beam_curator.report.spectrograms import N_BANDS
from beam_curator.scoring.pairing import Recordings
from beam_curator.sets.counting import microseconds
from beam_curator.sets.output_set import FileRecord
from beam_curator.sets.set_kinds import REPORT

PAGE_FOLDER = "page_files"
_A_PAGE = 100
"""Recordings whose details are one file: a few are opened, and each of them loads so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSet:
    """A set to show.

    Attributes:
      overview: what is shown of it as a whole.
      rows, letters: read its rows, and its dead letters.
      limits: thresholds in force, by the key of the values.
    """

    overview: dict[str, Any]
    rows: Callable[[], Iterable[NamedRow]]
    letters: Callable[[], Iterable[NamedRow]]
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """The outcome: the counts, and the files of the page."""

    counts: Counter[str]
    files: list[FileRecord]


def write_report(
    sets: Sequence[SourceSet],
    target: OutputTarget,
    options: ReportOptions,
    title: str,
    reference: Recordings,
    limit: int | None = None,
) -> Reported:
    """Write a page; nothing is committed.

    Args:
      sets: to show.
      target: where to write.
      options: of the page.
      title: of the page.
      reference: who speaks when, to compare the turns with; may be empty.
      limit: bytes that a page may have which is to be one file, without copies of audio; None for any other.

    Raises:
      ModuleNotFoundError: pyannote.metrics is not installed, and there is a reference.
      OSError: a file cannot be written.
      PageTooLargeError: the page has more bytes than the limit.
    """
    pages = PageFiles(target, PAGE_FOLDER, limit)
    report = _Report(target=target, options=options, pages=pages, reference=reference, copies=limit is None)
    storage.make_directory(target.directory)
    with RowsByRecording(target.directory) as rows:
        charts = [chart for number, source in enumerate(sets) for chart in report.gather(number, source, rows)]
        report.write_recordings(rows)
    overview = {"title": title, "sets": [source.overview for source in sets], "charts": charts}
    report.pages.put_script("overview", overview | report.facts())
    report.pages.put_static()
    report.pages.sweep()
    return Reported(counts=report.counts, files=report.pages.records)


@dataclass(slots=True, kw_only=True)
class _Report:
    """A page at work."""

    target: OutputTarget
    options: ReportOptions
    pages: PageFiles
    reference: Recordings
    copies: bool
    counts: Counter[str] = field(default_factory=Counter)
    columns: set[str] = field(default_factory=set)
    scores: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)

    def gather(self, number: int, source: SourceSet, rows: RowsByRecording) -> list[dict[str, Any]]:
        """Read a set; return the distributions of its values."""
        found: dict[tuple[str, str], Distribution] = {}
        for row in source.rows():
            shown = shown_row(row.fields)
            rows.add(row.recording, number, shown)
            self.counts["read.rows"] += 1
            for value in values_of(row.fields, shown):
                _distribution(found, value, source.limits).add(value.value, value.seconds)
        for letter in source.letters():
            rows.add_failure(letter.recording, number, dict(letter.fields))
            self.counts["read.rows"] += 1
        charts = []
        for (of, key), each in sorted(found.items()):
            chart = {"set": number, "of": of, "key": key, "limit": source.limits.get(key), "sign": sign_of(key)}
            command = filter_command(source.overview, of, key)
            charts.append({**chart, "command": command, "bars": each.bars(), "edges": each.edges})
        return charts

    def facts(self) -> dict[str, Any]:
        """Return the facts about the table and all recordings, once they were written."""
        return {
            "recordings": self.counts["report.recordings"],
            "columns": sorted(self.columns),
            "scores": sorted(self.scores),
            "reasons": sorted(self.reasons),
            "sort": DER if DER in self.scores else "",
            "page_size": self.options.page_size,
            "speech_us": self.counts["report.speech_us"],
        }

    def write_recordings(self, rows: RowsByRecording) -> None:
        """Write the table and the details of all recordings."""
        lines: list[dict[str, Any]] = []
        n_tables = 0
        recordings = rows.recordings(common_folder(rows.names()))
        for number, page in enumerate(iter(lambda: list(islice(recordings, _A_PAGE)), [])):
            self._write_details(number, page, [self._compared(recording) for recording in page])
            for place, recording in enumerate(page):
                lines.append(recording.line() | {"at": [number, place]})
                self.columns |= lines[-1].keys()
                self.scores |= recording.scores.keys()
                self.reasons |= recording.lost.keys()
                speech, _ = speech_of(next(iter(recording.turns.values()), []))
                self.counts["report.speech_us"] += microseconds(speech)
                if len(lines) == self.options.page_size:
                    self.pages.put_script(f"table-{n_tables:05d}", lines)
                    n_tables, lines = n_tables + 1, []
        if lines:
            self.pages.put_script(f"table-{n_tables:05d}", lines)

    def _compared(self, recording: ShownRecording) -> dict[str, Any]:
        """Score a recording beside the reference, if there is one; return the parts of its picture."""
        name, turns = recording.id or stem_of(recording.path), next(iter(recording.turns.values()), [])
        compared = compare(name, turns, self.reference) if self.reference else None
        if compared is None:
            return {}
        recording.scores |= compared.scores
        self.counts["report.compared"] += 1
        return compared.details()

    def _write_details(
        self, number: int, page: Sequence[ShownRecording], compared: Sequence[Mapping[str, Any]]
    ) -> None:
        name = f"details-{number:05d}"
        self.counts["report.recordings"] += len(page)
        details = [recording.details() | dict(of) for recording, of in zip(page, compared, strict=True)]
        paths = [recording.path for recording in page]
        links = [link_to(path, self.target.place) for path in paths]
        versions = [version_of(path) for path in paths] if self.options.waveforms else []
        n_unheard = self.pages.kept(
            name, [details, links, versions, self.options.copy_audio, self.options.spectrograms]
        )
        if n_unheard is None:
            for place, sound in enumerate(self._sounds(paths, links)):
                each = details[place] | {"audio": links[place], "peaks": sound.peaks, "problem": sound.problem}
                each["duration"] = max(each["duration"], round(sound.duration, 3))
                digits = f"{number * _A_PAGE + place:06d}"
                if sound.copy is not None:
                    each["audio"] = self.pages.put_clip(f"audio-{digits}.opus", sound.copy)
                if sound.spectrogram:
                    each["spectrogram"] = f"spectrogram-{digits}"
                    picture = {"levels": sound.spectrogram, "n_bands": N_BANDS, "highest": sound.sample_rate / 2}
                    self.pages.put_script(each["spectrogram"], picture)
                details[place] = each
            n_unheard = sum(bool(each["problem"]) for each in details)
            n_rows = sum(recording.n_rows for recording in page)
            self.pages.put_script(name, details, REPORT.rows, n_rows)
            self.pages.keep(name, n_unheard)
        self.counts["report.unheard"] += n_unheard

    def _sounds(self, paths: Sequence[str], links: Sequence[str]) -> Iterator[Sound]:
        if not self.options.waveforms:
            return (Sound() for _ in paths)
        copied = [self.copies and (self.options.copy_audio or not link) for link in links]
        return sounds_of(paths, copied, spectrograms=self.options.spectrograms)


def _distribution(
    found: dict[tuple[str, str], Distribution], value: Value, limits: Mapping[str, float]
) -> Distribution:
    of_key = value.of, value.key
    if of_key not in found:
        found[of_key] = Distribution([limits[value.key]] if value.key in limits else [])
    return found[of_key]


def common_folder(paths: Iterable[str]) -> str:
    """Return the folder that all recordings lie below, with its slash; "" where there is none.

    Example:
      >>> common_folder(["/a/b/c.wav", "/a/bd.wav"]), common_folder(["a.wav"]), common_folder([])
      ('/a/', '', '')
    """
    common: str | None = None
    for path in paths:
        folder = path[: path.rfind("/") + 1]
        while common is not None and path and not folder.startswith(common):
            common = common[: common.rfind("/", 0, -1) + 1]
        common = folder if common is None and path else common
    return common or ""
