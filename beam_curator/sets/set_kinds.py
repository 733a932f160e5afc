"""Kinds of output sets: the names of a command's files, and the balance of its books."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from beam_curator.sets.output_set import FAILURES, FileRecord, UnbalancedBooksError, is_ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One equation of the books: the count on the way in equals the count dropped plus the rows that writers wrote.

    Attributes:
      what: the thing that is counted, in the plural.
      came: names of counts that add up to the input.
      dropped: names of counts of items that a rule dropped, or that went on under another name.
      written: kinds of files whose rows are the rest; "failures" stands for those of all stages.
    """

    what: str
    came: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    written: tuple[str, ...] = ()

    def check(self, counts: Mapping[str, int], rows: Mapping[str, int]) -> None:
        """Compare both sides.

        Args:
          counts: the stages' counts, by name.
          rows: rows written, by kind of file.

        Raises:
          UnbalancedBooksError: they differ.
        """
        came = sum(counts.get(name, 0) for name in self.came)
        gone = {name: counts.get(name, 0) for name in self.dropped}
        written = {kind: rows_of(kind, rows) for kind in self.written}
        if came != sum(gone.values()) + sum(written.values()):
            parts = ", ".join(f"{n} {name}" for name, n in (gone | written).items())
            raise UnbalancedBooksError(
                f"{came} {self.what} ({' + '.join(self.came)}), but {parts}: "
                "nothing was committed; run the same command again, and report this if it stays"
            )


def rows_of(kind: str, rows: Mapping[str, int]) -> int:
    """Return the number of rows of a kind of file; that of failures stands for those of all stages.

    Example:
      >>> rows_of("failures", {"failures-read": 1, "failures-build": 2, "windows": 7})
      3
    """
    return sum(n for name, n in rows.items() if name == kind or name.startswith(f"{kind}-"))


def rows_by_kind(files: Iterable[FileRecord]) -> dict[str, int]:
    """Add up the rows of files by kind."""
    rows: dict[str, int] = {}
    for record in files:
        rows[record.kind] = rows.get(record.kind, 0) + record.n_rows
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKind:
    """The contents of the sets of one command.

    Attributes:
      command: the command that writes them.
      rows: kind of their row files.
      balances: equations that hold before anything is committed.
      beside: names of the other files directly in the directory: media and indexes.
      folders: names of sub-directories that belong to the set as a whole.
      tables: kinds of its other files of rows.
      of_blocks: a block of rows is what an update keeps, not a recording, and rows do not say where they come from.
      own_recordings: relative names of recordings in its rows begin at the set itself.
      audio: name of the count of its audio, in microseconds.
    """

    command: str
    rows: str
    balances: tuple[Balance, ...]
    beside: re.Pattern[str] | None = None
    folders: re.Pattern[str] | None = None
    tables: tuple[str, ...] = ()
    of_blocks: bool = False
    own_recordings: bool = False
    audio: str = ""

    def has_row_file(self, name: str) -> bool:
        """Tell whether a name is that of a row file, of dead letters, or of something temporary."""
        return is_ours(name, (self.rows, FAILURES, *self.tables))

    def has_file_beside(self, name: str) -> bool:
        """Tell whether a name is that of a media or index file of the set."""
        return self.beside is not None and self.beside.fullmatch(name) is not None

    def has_folder(self, name: str) -> bool:
        """Tell whether a name is that of a sub-directory of the set."""
        return self.folders is not None and self.folders.fullmatch(name) is not None

    def check_books(self, counts: Mapping[str, int], files: Iterable[FileRecord]) -> None:
        """Check all equations.

        Raises:
          UnbalancedBooksError: one does not hold.
        """
        rows = rows_by_kind(files)
        for balance in self.balances:
            balance.check(counts, rows)


_READ = ("read.rows", "read.failures", "file.failures")


def _read_and_planned(*gone: str) -> Balance:
    return Balance(
        what="rows were read",
        came=_READ,
        dropped=("plan.rows", *gone),
        written=(f"{FAILURES}-file", f"{FAILURES}-read", f"{FAILURES}-plan"),
    )


def recording_books(rows: str, stage: str) -> tuple[Balance, ...]:
    """Return the equations of a job that makes one row of each row it reads, or a dead letter.

    Args:
      rows: kind of its rows.
      stage: that makes them.
    """
    return (
        _read_and_planned(),
        Balance(what="recordings were asked for", came=("plan.rows",), written=(rows, f"{FAILURES}-{stage}")),
        Balance(what=f"{rows} were made", came=(f"{stage}.{rows}",), written=(rows,)),
    )


WINDOWS = SetKind(
    command="windows",
    rows="windows",
    of_blocks=True,
    audio="overlap.audio_us",
    balances=(
        Balance(what="rows were read", came=_READ, written=("windows", FAILURES)),
        Balance(what="rows were kept", came=("overlap.rows",), written=("windows",)),
        Balance(what="rows failed", came=("build.failures",), written=(f"{FAILURES}-build",)),
    ),
)

FILTER = SetKind(
    command="filter",
    rows="filtered",
    of_blocks=True,
    balances=(
        Balance(what="rows were read", came=_READ, dropped=("filter.dropped",), written=("filtered", FAILURES)),
        Balance(what="rows were kept", came=("filter.rows",), written=("filtered",)),
        Balance(what="rows failed", came=("filter.failures",), written=(f"{FAILURES}-filter",)),
        Balance(what="segments were judged", came=("segments.in",), dropped=("segments.kept", "segments.dropped")),
    ),
)

_PLANNED = (
    _read_and_planned("plan.dropped"),
    Balance(
        what="clips were planned",
        came=("plan.clips",),
        dropped=("cut.dropped",),
        written=("clips", f"{FAILURES}-interval", f"{FAILURES}-cut"),
    ),
    Balance(what="clips were cut", came=("cut.clips",), written=("clips",)),
)
"""Rows give several clips each: both generations have books of their own."""

EXTRACT = SetKind(
    command="extract",
    rows="clips",
    audio="cut.audio_us",
    balances=_PLANNED,
    beside=re.compile(
        r"(?!\.).+_segment_\d{3,}\.(wav|flac|ogg)|shard-\d{6,}\.tar|audio_\d+\.tar"
        r"|metadata\.(csv|parquet)|manifest\.jsonl|extraction_summary\.json"
    ),
    folders=re.compile(r"sharded_manifests"),
)

EXPORT = SetKind(
    command="export",
    rows="clips",
    audio="cut.audio_us",
    balances=_PLANNED,
    folders=re.compile(
        r"clips|filtered_clips|previews|metas|processed_audios|processed_clip_chunks|[a-z0-9_-]+_embd(_parquet)?"
    ),
)

EMBEDDING_TABLES = ("speaker-embeddings", "turn-embeddings")

DIARIZE = SetKind(
    command="diarize",
    rows="turns",
    audio="diarize.audio_us",
    balances=(
        *recording_books("turns", "diarize"),
        *(
            Balance(
                what=f"{table} were asked for",
                came=(f"diarize.{table}",),
                dropped=(f"diarize.{table}.missing",),
                written=(table,),
            )
            for table in EMBEDDING_TABLES
        ),
    ),
    tables=EMBEDDING_TABLES,
    folders=re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*)?rttm[A-Za-z0-9_-]*"),
)

SEPARATE = SetKind(
    command="separate",
    rows="tracks",
    audio="separate.spans_us",
    balances=(
        _read_and_planned(),
        Balance(
            what="recordings were asked for",
            came=("plan.rows",),
            dropped=("separate.rows",),
            written=(f"{FAILURES}-separate",),
        ),
        Balance(
            what="speakers were found",
            came=("plan.speakers",),
            dropped=("separate.dropped", "separate.speakers_failed"),
            written=("tracks",),
        ),
        Balance(what="tracks were made", came=("separate.tracks",), written=("tracks",)),
    ),
    folders=re.compile(r"tracks"),
    own_recordings=True,
)

CURATE = SetKind(
    command="curate",
    rows="clips",
    audio="curate.audio_us",
    balances=(
        _read_and_planned(),
        Balance(
            what="recordings were asked for, or clips failed",
            came=("plan.rows", "curate.clips_failed"),
            dropped=("curate.rows", "curate.rejected_recordings"),
            written=(f"{FAILURES}-curate",),
        ),
        Balance(
            what="pieces of speech were found",
            came=("curate.segments",),
            dropped=("curate.segments_kept", "curate.rejected_segments"),
        ),
        Balance(
            what="speakers were found",
            came=("curate.speakers",),
            dropped=("curate.speakers_kept", "curate.speakers_dropped"),
        ),
        Balance(
            what="clips were found, or dropped before",
            came=("curate.found", "curate.rejected_segments", "curate.rejected_recordings"),
            dropped=("curate.dropped", "curate.unlisted", "curate.clips_failed"),
            written=("clips", "rejected"),
        ),
        Balance(what="clips were made", came=("curate.clips",), written=("clips",)),
        Balance(
            what="samples were found",
            came=("curate.found_samples",),
            dropped=("curate.samples", "curate.dropped_samples", "curate.rejected_samples", "curate.failed_samples"),
        ),
    ),
    folders=re.compile(r"clips"),
    tables=("rejected",),
    own_recordings=True,
)

MEASURE = SetKind(
    command="measure", rows="measured", audio="measure.audio_us", balances=recording_books("measured", "measure")
)

CONVERT = SetKind(
    command="convert",
    rows="annotations",
    balances=(
        _read_and_planned(),
        Balance(
            what="rows were planned",
            came=("plan.rows",),
            dropped=("convert.rows",),
            written=(f"{FAILURES}-convert",),
        ),
        Balance(
            what="segments were planned",
            came=("plan.segments",),
            dropped=("convert.dropped", "convert.segments_failed"),
            written=("annotations", f"{FAILURES}-segment"),
        ),
    ),
    beside=re.compile(
        r"transcripts\.(ctm|stm)|wav\.scp|segments|text|utt2spk|spk2utt|reco2dur|manifest\.jsonl|tasks\.json|labels\.xml"
        r"|(recordings|supervisions|cuts)\.jsonl\.gz"
    ),
    folders=re.compile(r"rttm|uem|textgrid|labels|eaf|webvtt|srt"),
)

REPORT = SetKind(
    command="report",
    rows="details",
    balances=(Balance(what="rows were read", came=("read.rows",), written=("details",)),),
    beside=re.compile(r"index\.html"),
    folders=re.compile(r"page_files"),
)

_ALL = (WINDOWS, EXTRACT, EXPORT, DIARIZE, SEPARATE, CURATE, FILTER, MEASURE, CONVERT, REPORT)
SET_KINDS = {kind.command: kind for kind in _ALL}
"""Command to what it writes."""
