"""The `separate` job: a track for each speaker of a recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beam_curator.files.jobs.track_job import TrackJob, track_config
from beam_curator.files.output_target import OutputTarget
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.stages import (
    Stage,
    Times,
    dropped_of,
    failures_of,
    number_of,
    read_stage,
    recordings_done,
    with_times,
)
from beam_curator.separation.separate_rules import TRACKS_FOLDER
from beam_curator.sets.output_set import MANIFEST_NAME, Config
from beam_curator.sets.set_kinds import SEPARATE

if TYPE_CHECKING:
    from beam_curator.transforms.separation.separate_speakers import SeparateSpeakers


class SeparateJob(Job):
    """A track for each speaker of a recording."""

    kind = SEPARATE
    label = "Separate speakers"

    def config(self) -> Config:
        options = self.options
        return track_config(
            options["separation"], options["rows"], options["input"], options["output"], self.target().n_shards
        )

    def transform(self, target: OutputTarget) -> SeparateSpeakers:
        from beam_curator.transforms.separation.separate_speakers import SeparateSpeakers

        options = self.options
        return SeparateSpeakers(
            self.inputs,
            target,
            separation=options["separation"],
            rules=options["rows"],
            output=options["output"],
            reading=options["input"],
        )

    def recording_job(self) -> TrackJob:
        options = self.options
        return TrackJob(options["separation"], options["rows"], options["output"].output_format)

    def plan_lines(self) -> list[str]:
        return [
            f"{TRACKS_FOLDER}/ID_speaker_NAME.{self.options['output'].output_format}",
            "tracks-*, failures-* where there are any",
            f"{MANIFEST_NAME}, summary.json",
        ]

    @staticmethod
    def stages(counts: Counter[str], n_files: int, times: Times) -> list[Stage]:
        stages = [
            read_stage(counts),
            Stage(name="plan", what_in="rows", n_in=counts["read.rows"], what_out="recordings",
                  n_out=counts["plan.rows"], failures=failures_of(counts, "plan")),
            Stage(name="separate", what_in="recordings", n_in=counts["plan.rows"], what_out="recordings",
                  n_out=counts["separate.rows"], failures=failures_of(counts, "separate"),
                  seconds=counts["separate.audio_us"] / 1e6),
            Stage(name="tracks", what_in="speakers", n_in=counts["plan.speakers"] - counts["separate.speakers_failed"],
                  what_out="tracks", n_out=counts["separate.tracks"], dropped=dropped_of(counts, "separate"),
                  seconds=counts["separate.spans_us"] / 1e6),
            Stage(name="write", what_in="tracks", n_in=counts["separate.tracks"], what_out="files", n_out=n_files),
        ]  # fmt: skip
        if n_bad := counts["plan.bad_segments"]:
            n_turns = counts["plan.turns"]
            stages.insert(2, Stage(name="turns", what_in="turns", n_in=n_turns + n_bad, what_out="turns", n_out=n_turns,
                                   dropped={"bad_segments": n_bad}))  # fmt: skip
        return with_times(stages, times)

    @staticmethod
    def progress(counts: Counter[str], share_read: float, seconds: float) -> str:
        """Say in one line how far such a job is.

        Example:
          >>> counts = Counter({"plan.rows": 40, "progress.separate.rows": 10, "progress.separate.tracks": 30})
          >>> counts["progress.separate.audio_us"] = 3_600_000_000
          >>> SeparateJob.progress(counts, 1.0, 2.0)
          '10 of 40 recordings  30 tracks  1.0 h separated  0 failures  1,800x real time'
        """
        del share_read
        return recordings_done(counts, "separate", "rows", "separated", seconds, "tracks")

    def result(self, stages: Sequence[Stage]) -> str:
        separated, tracks = stages[-3], stages[-2]
        return (
            f"{number_of(separated.n_out, 'recordings')}, {number_of(tracks.n_out, 'tracks')}, "
            f"{tracks.seconds or 0:,.1f} s"
        )

    def hint(self, counts: Counter[str]) -> str | None:
        return separation_hint(counts)


def separation_hint(counts: Counter[str]) -> str | None:
    """Return advice on the tracks of a job; None where there is none.

    Example:
      >>> separation_hint(Counter({"separate.silent": 2, "separate.rows": 2}))
      'No recording has a turn: look whether --diar-segments-key names the right key.'
    """
    saturated, silent, outside = (counts[f"separate.{what}"] for what in ("saturated", "silent", "turns_outside"))
    if saturated:
        whose = "its tracks" if saturated == 1 else "their tracks"
        who = "its diarizer" if saturated == 1 else "their diarizers"
        return (
            f"{number_of(saturated, 'recordings')} with speech from as many speakers as {who} can tell apart "
            f"(speakers_saturated): {whose} may mix people."
        )
    if outside:
        return (
            f"{number_of(outside, 'turns')} behind the end of the recording, left out: "
            "look whether turns and recordings belong together, and whether times are in seconds."
        )
    if silent and silent == counts["separate.rows"]:
        return "No recording has a turn: look whether --diar-segments-key names the right key."
    if counts["separate.dropped"] and not counts["separate.tracks"]:
        return "No speaker has a track: all they say is overlapped or too short; lower --min-duration or --buffer-time."
    return None
