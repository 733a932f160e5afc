"""The fate of each piece of a row, job by job: from the rows of a set, its dead letters, and its rules asked again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_curator.audio import AudioInfo
from beam_curator.clips.entry_pieces import EntryKeys
from beam_curator.clips.records import BadInterval, ClipRequest
from beam_curator.clips.requests import requests_of_row
from beam_curator.curate.curated_rows import REJECTED
from beam_curator.entries.entry import Entry
from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.export.values import inherited_keys, own_keys
from beam_curator.failures import EntryError
from beam_curator.files.annotation_manifests import AnnotationReading
from beam_curator.files.explained_rows import NamedRow, Origin, dead_letters, input_rows, set_rows
from beam_curator.recordings.tar_members import nemo_member
from beam_curator.runners.stages import number_of
from beam_curator.separation.recording_plan import OUTSIDE, plan_recording
from beam_curator.separation.speaker_turns import turns_of_row
from beam_curator.sets.counting import DROP_TEXTS
from beam_curator.sets.output_set import Manifest
from beam_curator.sets.set_kinds import SET_KINDS
from beam_curator.windows.entry_blocks import audio_file_of
from beam_curator.windows.explaining import changes_of, choose_windows, explain_starts

Values = dict[str, Any]
_NOTES = {
    "non_speech_seconds": "s of turns were left out, as nobody speaks there",
    "crosstalk_seconds": "s of turns were left to a louder channel",
    "clipped_ratio": "of the samples heard are clipped",
    "unmixed_channel": "is the channel that was heard, as the channels cancel each other",
}


_WITH_RECORDINGS = ("clips", "rows", "measure")
"""Sections that say where recordings of rows are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSet:
    """A complete set: its directory, its manifest, and the options that made it, by section."""

    directory: str
    manifest: Manifest
    options: Mapping[str, Any]

    def inputs(self) -> Iterator[NamedRow]:
        """Read its input rows again; none for a diarization, whose rows say all.

        Raises:
          InputGoneError: they are gone, or have changed.
        """
        if self.options:
            reading = self.options["input"]
            rules = next((self.options[name] for name in _WITH_RECORDINGS if name in self.options), None)
            annotations = (
                AnnotationReading.for_windows(reading)
                if rules is None
                else AnnotationReading(audio_root=rules.audio_root)
            )
            key = "" if rules is None else rules.audio_filepath_key
            yield from input_rows(self.manifest, self.directory, annotations, reading.max_line_bytes, key)

    def rows(self) -> Iterator[NamedRow]:
        """Read its rows."""
        return set_rows(self.manifest, self.directory)

    def placed_rows(self) -> Iterator[NamedRow]:
        """Read its rows if they say where they come from: those of blocks do not, and their inputs say it all."""
        return iter(()) if SET_KINDS[self.manifest.command].of_blocks else self._with_rejected()

    def rejected(self) -> Iterator[NamedRow]:
        """Read the rows that filters dropped; only a set of clean clips has any."""
        has_them = REJECTED in SET_KINDS[self.manifest.command].tables
        return (row for row in self._with_rejected() if row.table) if has_them else iter(())

    def _with_rejected(self) -> Iterator[NamedRow]:
        return set_rows(self.manifest, self.directory, tables=(REJECTED,))

    def letters(self) -> Iterator[NamedRow]:
        """Read its dead letters."""
        return dead_letters(self.manifest, self.directory)


def explain_rows(made: MadeSet, origins: Sequence[Origin]) -> list[Values]:
    """Explain rows by their places: facts, the fate of each piece, failures, and changes that would give more.

    Raises:
      InputGoneError: the rules cannot be asked again.
    """
    found = [[row for row in of if row.origin in origins] for of in (made.placed_rows(), made.letters(), made.inputs())]
    return [
        _explained(made, origin, *([row for row in of if row.origin == origin] for of in found)) for origin in origins
    ]


def _explained(
    made: MadeSet, origin: Origin, rows: Sequence[NamedRow], letters: Sequence[NamedRow], inputs: Sequence[NamedRow]
) -> Values:
    recording = next((row.recording for row in (*inputs, *rows, *letters) if row.recording), "")
    facts: list[str] = []
    pieces: list[Values] = []
    changes: list[str] = []
    if made.manifest.command == "diarize":
        facts, pieces = _of_turns([row.fields for row in rows])
    if made.manifest.command == "curate":
        facts, pieces = _of_curated(rows)
    try:
        if made.manifest.command == "windows" and inputs and not letters:
            facts, pieces, changes = _of_starts(made, inputs[0])
        if made.manifest.command in ("extract", "export") and inputs:
            facts, pieces = _of_clips(made, inputs[0], rows, letters)
        if made.manifest.command == "separate" and inputs and not letters:
            facts, pieces = _of_tracks(made, inputs[0], [row.fields for row in rows])
    except EntryError:
        if not letters:  # which say it
            raise
    failures = [{key: letter.fields[key] for key in ("code", "stage", "message", "cure")} for letter in letters]
    return {"source": origin[0], "offset": origin[1], "recording": recording, "facts": facts, "pieces": pieces,
            "failures": failures, "changes": changes}  # fmt: skip


_Told = tuple[list[str], list[Values]]


def _of_starts(made: MadeSet, row: NamedRow) -> tuple[list[str], list[Values], list[str]]:
    rules, root = made.options["windows"], made.options["input"].audio_root
    overlap = made.options["overlap"].rules(rules)
    entry = Entry.from_json(row.raw, strict=rules.strict)
    together, recording = [entry], audio_file_of(entry, row.origin[0], root)
    if overlap.scope == "audio_file" and recording is not None:
        failed = {letter.origin for letter in made.letters()}
        others = sorted((of.origin, of.raw) for of in made.inputs() if of.origin not in failed)
        parsed = [(at, entry if at == row.origin else Entry.from_json(raw, strict=rules.strict)) for at, raw in others]
        together = [of for at, of in parsed if audio_file_of(of, at[0], root) == recording]
    chosen = choose_windows(together, rules, overlap)
    fates = explain_starts(entry, chosen[[of is entry for of in together].index(True)], rules)
    reasons = Counter(fate.reason for fate in fates)
    n_kept = sum(len(each.kept) for each in chosen)
    changes = [
        f"{option} gives {number_of(n_windows, 'windows')}, {n:,} kept (now {n_kept:,})"
        for option, n_windows, n in changes_of(together, rules, overlap, [*reasons])
    ]
    pieces = [{"segment": f.index, "start": f.start, "end": f.end, "fate": f.reason, "why": f.why} for f in fates]
    return [_summed("starts", reasons), *_bad(entry.bad_segments)], pieces, changes


def _summed(what: str, fates: Mapping[str, int]) -> str:
    return f"{number_of(sum(fates.values()), what)}: " + ", ".join(f"{n:,} {fate}" for fate, n in fates.items())


def _bad(n: int) -> list[str]:
    return [f"{n:,} bad_segments left out: {DROP_TEXTS['bad_segments']}"] if n else []


def _of_turns(entries: Sequence[Mapping[str, Any]]) -> _Told:
    facts, pieces = [], []
    for entry in entries:
        turns = entry["segments"]
        speech = sum(turn["end"] - turn["start"] for turn in turns)
        counted = f"{number_of(entry['num_speakers'], 'speakers')}, {number_of(len(turns), 'turns')}"
        facts.append(f"{entry['duration']:.1f} s, {counted}, {speech:.1f} s of turns")
        facts += [f"{key} {entry[key]:.4g}: {text}" for key, text in _NOTES.items() if entry.get(key) is not None]
        if entry["speakers_saturated"]:
            facts.append("speakers_saturated: as many speakers talk as the model can tell apart; there may be more")
        for turn in turns:
            seconds = {"seconds": round(turn["end"] - turn["start"], 3)}
            pieces.append({key: turn[key] for key in turn if key != "metrics"} | seconds | turn.get("metrics", {}))
    return facts, pieces


def _of_curated(rows: Sequence[NamedRow]) -> _Told:
    pieces = []
    for row in rows:
        fields = row.fields
        start, end = (fields[f"original_{end}_ms"] / 1000 for end in ("start", "end"))
        if row.table == REJECTED:
            fate, why = f"rejected {fields['level']}", _limit_missed(fields)
        else:
            fate, why = "clip", fields["audio_filepath"] if fields["files"] else "no clip was asked for"
        measured = fields.get("scores", fields)
        about = {key: measured.get(key) for key in _SOUND}
        failed = {"filters_failed": ", ".join(fields.get("filters_failed") or ())}
        who = {"speaker": fields.get("speaker_id")}
        pieces.append({"start": start, "end": end, "fate": fate, **who, "why": why, **about, **failed})
    pieces.sort(key=lambda piece: (piece["start"], piece["end"]))
    kept = [row.fields["duration"] for row in rows if row.table != REJECTED]
    by = Counter(f"rejected by {row.fields['reason']}" for row in rows if row.table == REJECTED)
    fates = {"kept": len(kept), **by}
    return [_summed("pieces", {fate: n for fate, n in fates.items() if n}), f"{sum(kept):.1f} s of clips"], pieces


_SOUND = ("snr_db", "rms_dbfs", "clipped_ratio", "bandwidth")


def _limit_missed(rejected: Mapping[str, Any]) -> str:
    """Say which value of something was beyond which limit.

    Example:
      >>> _limit_missed({"reason": "snr", "key": "snr_db", "score": 3.21, "threshold": 15.0})
      'snr: snr_db 3.21, limit 15'
    """
    score, limit = (f"{value:.6g}" if isinstance(value, float) else value
                    for value in (rejected.get("score"), rejected["threshold"]))  # fmt: skip
    return f"{rejected['reason']}: {rejected['key']} {score}, limit {limit}"


def _of_clips(made: MadeSet, row: NamedRow, rows: Sequence[NamedRow], letters: Sequence[NamedRow]) -> _Told:
    rules, export = made.options["clips"], made.options.get("export")
    kept, own = ((), ()) if export is None else (inherited_keys(export), own_keys(export))
    fields = parse_object(row.raw)
    member = nemo_member(row.origin[0], fields)
    keys = EntryKeys(audio=rules.audio_filepath_key, kept=kept, own=own)
    requests = requests_of_row(fields, rules.what, keys, member=member)
    clips = {clip.fields["segment_index"]: clip.fields for clip in rows}
    failed = {letter.raw: letter.fields for letter in letters}
    # a long payload is cut off; only an export drops pieces, so that those of an extraction have failed
    other = None if export is not None else next(iter(failed.values()), None)
    pieces = [
        _of_clip(item, clips.get(getattr(item, "index", -1)), failed.get(encode(item.fields), other))
        for item in requests
    ]
    no_pieces = [f"dropped: no_pieces, {DROP_TEXTS['no_pieces']}"]
    return [_summed("pieces", Counter(piece["fate"] for piece in pieces))] if pieces else no_pieces, pieces


def _of_clip(
    request: ClipRequest | BadInterval, clip: Mapping[str, Any] | None, letter: Mapping[str, Any] | None
) -> Values:
    if isinstance(request, BadInterval):
        return {"start": None, "end": None, "fate": "failed", "why": f"{request.error.code}: {request.error.message}"}
    unit = 1000 if request.unit == "ms" else 1
    span = {"start": request.start / unit, "end": None if request.end is None else request.end / unit}
    if clip is not None:
        rejected = ", ".join(clip.get("filtered_by") or ())
        why = clip["extracted_path"] or "no clip was asked for"
        fate, by = ("filtered", f", by {rejected}") if rejected else ("written", "")
        return {**span, "fate": fate, "why": f"{why}{by}"}
    if letter is not None:
        return {**span, "fate": "failed", "why": f"{letter['code']}: {letter['message']}"}
    return {**span, "fate": "dropped", "why": f"duplicate: {DROP_TEXTS['duplicate']}"}


def _of_tracks(made: MadeSet, row: NamedRow, tracks: Sequence[Mapping[str, Any]]) -> _Told:
    rules, separation = made.options["rows"], made.options["separation"]
    found = turns_of_row(parse_object(row.raw), rules.diar_segments_key, strict=rules.strict)
    rate = tracks[0]["audio_sample_rate"] if tracks else 16000
    # the recording is not opened again: a compact track does not tell how long it is
    whole = max((turn.end for turn in found.turns), default=0)
    whole = tracks[0]["track_duration"] if tracks and not separation.compact else whole
    info = AudioInfo(sample_rate=rate, n_samples=round(whole * rate), n_channels=64, container="", codec="")
    dropped = plan_recording(found.turns, info, separation).dropped
    facts = _bad(found.n_bad)
    pieces: list[tuple[str, Any, Any, str, str]] = []
    for track in tracks:
        name, account = track["speaker_id"], track["separation"]
        lost = [f", {account[part]:.2f} s {part}" for part in ("overlapped", "buffer", "too_short") if account[part]]
        facts.append(f"{name}: {account['kept']:.2f} of {account['spoken']:.2f} s kept{''.join(lost)}")
        pieces += [(name, start, end, "written", track["audio_filepath"]) for start, end in track["diar_segments"]]
    names = {track["speaker_id"] for track in tracks}
    for turn in found.turns:
        if turn.speaker not in names:
            reason = dropped.get(turn.speaker, OUTSIDE)
            pieces.append((turn.speaker, turn.start, turn.end, "dropped", f"{reason}: {DROP_TEXTS[reason]}"))
    pieces.sort(key=lambda piece: (piece[1], piece[0]))
    return facts, [dict(zip(("speaker", "start", "end", "fate", "why"), piece, strict=True)) for piece in pieces]
