"""Planning clips: the requests, failures and counts of the rows of one block."""

from dataclasses import dataclass
from typing import cast

from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.entry_pieces import EntryKeys
from beam_curator.clips.records import BadInterval, ClipRequest
from beam_curator.clips.requests import What, requests_of_row
from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.failures import EntryError, Failure
from beam_curator.files.opened_recordings import recording_of
from beam_curator.recordings.tar_members import nemo_member
from beam_curator.sets.blocks import Line, LineBlock
from beam_curator.sets.recording_jobs import ROW_STAGE

INTERVAL_STAGE = "interval"


@dataclass(slots=True)
class PlannedPieces:
    """The requests, failures and counts of the rows of one block.

    Attributes:
      requests: recording to byte offsets and requests.
      rows_failed: rows that cannot be understood.
      intervals_failed: pieces of other rows with impossible times.
      n_rows: rows that ask for at least one piece, possible or not.
      n_dropped: rows that ask for none.
    """

    requests: dict[str, list[tuple[int, ClipRequest]]]
    rows_failed: list[Failure]
    intervals_failed: list[Failure]
    n_rows: int = 0
    n_dropped: int = 0

    def counts(self) -> dict[str, int]:
        """Return the counts for the books, besides those of failures."""
        n_good = sum(map(len, self.requests.values()))
        return {
            "plan.rows": self.n_rows,
            "plan.dropped": self.n_dropped,
            "plan.dropped.no_pieces": self.n_dropped,
            "plan.clips": n_good + len(self.intervals_failed),
        }


def plan_clips(block: LineBlock, rules: CutRules, keys: EntryKeys | None = None) -> PlannedPieces:
    """Plan the clips that the rows of one block ask for; by default they have no keys that hold lists or objects."""
    keys = keys if keys is not None else EntryKeys(audio=rules.audio_filepath_key)
    plan = PlannedPieces(requests={}, rows_failed=[], intervals_failed=[])
    for line in block.lines:
        try:
            _plan_row(plan, block.ref.source, line, rules, keys)
        except EntryError as err:
            failure = Failure.from_error(
                err, stage=ROW_STAGE, source=block.ref.source, offset=line.offset, payload=line.raw
            )
            plan.rows_failed.append(failure)
    return plan


def _plan_row(plan: PlannedPieces, source: str, line: Line, rules: CutRules, keys: EntryKeys) -> None:
    row = parse_object(line.raw)
    member = nemo_member(source, row)
    items = requests_of_row(row, cast(What, rules.what), keys, member=member)
    plan.n_rows += bool(items)
    plan.n_dropped += not items
    for item in items:
        if isinstance(item, BadInterval):
            failure = Failure.from_error(
                item.error, stage=INTERVAL_STAGE, source=source, offset=line.offset, payload=encode(item.fields)
            )
            plan.intervals_failed.append(failure)
            continue
        recording = recording_of(item.fields["original_file"], source, rules.audio_root)
        plan.requests.setdefault(recording, []).append((line.offset, item))
