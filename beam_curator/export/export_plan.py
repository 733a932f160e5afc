"""Which clips are to be made of one recording, once it is known how long it is."""

from dataclasses import dataclass

from beam_curator.audio import AudioInfo
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import Cut, cut_of
from beam_curator.clips.packs import Recording
from beam_curator.clips.records import ClipRequest
from beam_curator.export.export_rules import ExportRules
from beam_curator.export.tree import clip_uuid
from beam_curator.export.values import values_of
from beam_curator.failures import EntryError
from beam_curator.sets.blocks import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedClip:
    """A clip to be.

    Attributes:
      position: of its row.
      request: what is asked for.
      cut: where it is.
      span_uuid: its id.
    """

    position: Position
    request: ClipRequest
    cut: Cut
    span_uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """The plan for the requests of one recording.

    Attributes:
      clips: in order of time; of equal ones that of the first row.
      failed: requests that cannot be met, with the places of their rows, in the order of rows.
      n_repeated: requests for a clip that an earlier row asked for.
    """

    clips: tuple[PlannedClip, ...]
    failed: tuple[tuple[Position, ClipRequest, EntryError], ...]
    n_repeated: int


def plan_export(recording: Recording, info: AudioInfo, cut_rules: CutRules, rules: ExportRules) -> ExportPlan:
    """Find the samples that requests mean, and refuse those whose rows hold values that cannot be used.

    Raises:
      EntryError: the name of the recording cannot be hashed.
    """
    clips: dict[tuple[int, int, int], PlannedClip] = {}
    failed = []
    n_repeated = 0
    for position, request in sorted(recording.requests, key=place_of):
        try:
            cut = cut_of(request, info, cut_rules)
            values_of(request.fields, rules)
        except EntryError as err:
            failed.append((position, request, err))
            continue
        place = cut.first, cut.stop, -1 if cut.channel is None else cut.channel
        if place in clips:
            n_repeated += 1
            continue
        clips[place] = PlannedClip(
            position=position,
            request=request,
            cut=cut,
            span_uuid=clip_uuid(recording.name, cut.first, cut.stop, cut.channel),
        )
    return ExportPlan(clips=tuple(clips[place] for place in sorted(clips)), failed=tuple(failed), n_repeated=n_repeated)


def place_of(item: tuple[Position, ClipRequest]) -> tuple[Position, int]:
    """Return the key that sorts requests into the order of the manifest."""
    return item[0], item[1].index
