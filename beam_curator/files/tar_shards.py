"""One tar shard of clips: its members in the order of their names, each cut when its turn comes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from operator import attrgetter

from beam_curator.audio import AudioReader
from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packing import TarWriter, pack_member_name
from beam_curator.clips.packs import Recording
from beam_curator.clips.tables import CutFacts
from beam_curator.entries.json_lines import encode
from beam_curator.failures import EntryError
from beam_curator.files.clip_files import EncodedClip
from beam_curator.files.jobs.clip_job import Outcome, cut_clip, progress_of, row_of
from beam_curator.files.kept_tars import KeptClip
from beam_curator.files.opened_recordings import open_recording
from beam_curator.recordings.recording_options import limits_of
from beam_curator.recordings.tar_members import member_locator
from beam_curator.sets.counting import Count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A clip to cut: its name in the tar, and the recording and request that it answers."""

    name: str
    recording: int
    request: int


class TarShard:
    """Cuts the clips of recordings into an open tar.

    Args:
      name: of the tar file, as rows name it.
      tar: takes the members.
      pack: "webdataset", where a member of JSON stands beside each clip, or "nemo-tar".
      rules: how clips are cut.
      output_format: of the clips.

    Attributes:
      outcomes: the outcome of each request, recording by recording.
      versions: of the recordings as they were opened; "" of one that was not.
    """

    def __init__(self, name: str, tar: TarWriter, pack: str, rules: CutRules, output_format: AudioFormat) -> None:
        self._name = name
        self._tar = tar
        self._pack = pack
        self._rules = rules
        self._output_format: AudioFormat = output_format
        self.outcomes: list[list[Outcome]] = []
        self.versions: list[str] = []

    def write(self, recordings: Sequence[Recording], kept: Sequence[KeptClip] = ()) -> Iterator[Count]:
        """Write all clips; `outcomes` and `versions` are complete then.

        Args:
          recordings: that are cut.
          kept: clips of others, which were cut before.

        Yields:
          Counts of clips as they are cut.
        """
        self.versions = [""] * len(recordings)
        found: list[list[Outcome | None]] = [[None] * len(recording.requests) for recording in recordings]
        with ExitStack() as stack:
            opened: tuple[int, AudioReader | EntryError] | None = None
            members: list[_Member | KeptClip] = [*self._members(recordings), *kept]
            for member in sorted(members, key=attrgetter("name")):
                if isinstance(member, KeptClip):
                    self._add(*member)
                    continue
                recording = recordings[member.recording]
                if opened is None or opened[0] != member.recording:
                    stack.close()
                    opened = member.recording, self._opened(recording, self.versions[member.recording], stack)
                    if isinstance(opened[1], AudioReader):
                        self.versions[member.recording] = opened[1].version
                outcome = self._write_member(member, recording, opened[1])
                found[member.recording][member.request] = outcome
                if isinstance(outcome, CutFacts):
                    yield from progress_of(outcome).items()
        self.outcomes = [[outcome for outcome in outcomes if outcome is not None] for outcomes in found]

    def _members(self, recordings: Sequence[Recording]) -> Iterator[_Member]:
        for number, recording in enumerate(recordings):
            names = recording.clip_names(self._output_format)
            for index, name in enumerate(names):
                yield _Member(name=pack_member_name(name, self._pack), recording=number, request=index)

    def _opened(self, recording: Recording, version: str, stack: ExitStack) -> AudioReader | EntryError:
        try:
            opened = open_recording(recording.name, self._rules.allowed_root, version, limits_of(self._rules))
            return stack.enter_context(opened)
        except EntryError as err:
            return err

    def _write_member(self, member: _Member, recording: Recording, reader: AudioReader | EntryError) -> Outcome:
        _, request = recording.requests[member.request]
        if isinstance(reader, EntryError):
            return reader
        clip = cut_clip(reader, request, self._rules, self._output_format)
        if isinstance(clip, EntryError):
            return clip
        facts = clip.facts(member_locator(self._name, member.name))
        self._add(member.name, clip.clip, encode(row_of(recording, member.request, facts)))
        return facts

    def _add(self, name: str, clip: EncodedClip, row: bytes) -> None:
        """Add a clip, and in WebDataset its row as a second member; the smaller name goes first."""
        beside = f"{name.partition('.')[0]}.json" if self._pack == "webdataset" else None
        if beside is not None and beside < name:
            self._tar.add(beside, row)
        self._tar.add_pieces(name, clip.n_bytes, clip.chunks())
        clip.close()
        if beside is not None and beside > name:
            self._tar.add(beside, row)
