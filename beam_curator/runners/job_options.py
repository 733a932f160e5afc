"""The options of each job: one frozen dataclass per concern, most of them from the rooms below."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.clips.cut_rules import CutRules
from beam_curator.curate.curate_rules import (
    BandFilter,
    ClipRules,
    Concatenation,
    CurateOutputOptions,
    CurateRules,
    CurateVad,
    MonoConversion,
    QualityRules,
    SpeakerSeparation,
    TimestampMapper,
)
from beam_curator.curate.score_rules import Dnsmos, Sigmos, Utmos
from beam_curator.diarization.diarize_rules import (
    DiarizeRules,
    InferenceOptions,
    ModelOptions,
    StreamingOptions,
    TurnOptions,
)
from beam_curator.diarization.speaker_counts import SpeakerCounts
from beam_curator.entries.filter_rules import FilterRules
from beam_curator.export.export_rules import ExportRules
from beam_curator.files.moved_inputs import moved_of
from beam_curator.quality.measure_rules import MeasureRules
from beam_curator.rules import option, option_problems, raise_problems
from beam_curator.runners.options import Sections
from beam_curator.separation.separate_rules import SeparateRules, TrackOutputOptions
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.sets.set_options import InputOptions, RowOutputOptions
from beam_curator.windows.window_options import OverlapOptions, WindowInputOptions, WindowOutputOptions
from beam_curator.windows.window_rules import WindowRules


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How the job runs; none of it decides the rows."""

    runner: str = option(
        "direct", "where to run the job: direct, prism, flink, dataflow, or the name of another Beam runner"
    )
    jobs: str = option(
        "auto",
        "number of worker processes, on flink also the parallelism; auto: one, or on runner direct as many as there "
        "are cores where the input is large",
    )
    gpu: str | None = option(None, "GPU of each Dataflow worker, such as nvidia-l4")
    wait: bool = option(True, "wait for the job to end (dataflow)")
    tolerate: str = option("0", "failures to accept as success: a number, or a percentage of the rows and of the clips")
    overwrite: bool = option(False, "replace an output set made from other inputs or options")
    update: bool = option(
        False,
        "bring a complete set up to date: keep what is unchanged, and do what is new, changed or failed",
    )
    rehash: bool = option(
        False, "read every file again to tell whether it changed, instead of trusting its size and times"
    )
    moved: tuple[str, ...] = option(
        (), "OLD=NEW: with --update, a directory of the inputs that was moved, and its place now"
    )
    plan: bool = option(False, "print what would be read, written and run, then stop")
    show_options: bool = option(False, "print every option with its value and origin, then stop")
    verbose: bool = option(False, "show the engine's log")

    def __post_init__(self) -> None:
        problems = problems_of_jobs(self.jobs)
        if self.update and self.overwrite:
            problems.append("update keeps what is unchanged, and overwrite replaces all: give one of them")
        problems += _problems_of_moved(self.moved)
        if not _TOLERATE.fullmatch(self.tolerate):
            problems.append(f"tolerate {self.tolerate!r} is neither a number nor a percentage: write 10 or 0.5%")
        raise_problems("run", [*problems, *option_problems(self)])

    @property
    def n_jobs(self) -> int:
        """The number of worker processes; 1 as long as it is not decided."""
        return 1 if self.jobs == AUTO else int(self.jobs)

    def tolerates(self, failures: Sequence[tuple[int, int]]) -> bool:
        """Tell whether failures still count as success.

        Args:
          failures: for each kind of thing that failed, how many did and of how many. A percentage holds for each kind
            by itself, a number for all of them together.

        Example:
          >>> RunOptions(tolerate="1%").tolerates([(1, 100), (0, 5)]), RunOptions(tolerate="1").tolerates([(2, 100)])
          (True, False)
        """
        if self.tolerate.endswith("%"):
            return all(n_failed * 100 <= float(self.tolerate[:-1]) * n for n_failed, n in failures)
        return sum(n_failed for n_failed, _ in failures) <= int(self.tolerate)


def problems_of_jobs(jobs: str) -> list[str]:
    """Return a complaint about a number of worker processes that is none, or nothing."""
    is_number = jobs.isascii() and jobs.isdigit() and int(jobs) > 0
    if is_number or jobs == AUTO:
        return []
    return [f"jobs {jobs!r} is neither auto nor a number above 0: give one of them"]


def _problems_of_moved(given: Sequence[str]) -> list[str]:
    try:
        moved_of(given)
    except ValueError as err:
        return [str(err)]
    return []


AUTO = "auto"
"""The number of worker processes that follows from the size of the input."""

_TOLERATE = re.compile(r"[0-9]+|([0-9]*\.)?[0-9]+%")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The command line of one job.

    Attributes:
      sections: option classes by section, as in `--config` and `--set`.
      output: where the set goes by default.
      inputs: what INPUT may be.
      help: one line.
    """

    sections: Sections
    output: str
    inputs: str
    help: str


_PLACES = (
    "glob, directory tree or output set; .jsonl and .json, plain, .gz or .zst, or turns (.rttm, .TextGrid, …); local, "
    "gs:// or s3://"
)

JOBS: Mapping[str, JobOptions] = {
    "windows": JobOptions(
        sections={
            "windows": WindowRules,
            "overlap": OverlapOptions,
            "input": WindowInputOptions,
            "output": WindowOutputOptions,
            "run": RunOptions,
        },
        output="./windows_output",
        inputs=f"manifest, {_PLACES}",
        help="build training windows from diarized manifests",
    ),
    "extract": JobOptions(
        sections={
            "clips": CutRules,
            "input": InputOptions,
            "output": ClipOutputOptions,
            "run": RunOptions,
        },
        output="./clips_output",
        inputs=f"manifest of pieces or of entries, {_PLACES}",
        help="cut clips out of recordings",
    ),
    "export": JobOptions(
        sections={
            "export": ExportRules,
            "clips": CutRules,
            "input": InputOptions,
            "output": RowOutputOptions,
            "run": RunOptions,
        },
        output="./export_output",
        inputs=f"manifest of pieces or of entries, {_PLACES}",
        help="write clips with metadata, previews and embeddings as a folder tree",
    ),
    "diarize": JobOptions(
        sections={
            "model": ModelOptions,
            "streaming": StreamingOptions,
            "speakers": SpeakerCounts,
            "turns": TurnOptions,
            "diarization": DiarizeRules,
            "inference": InferenceOptions,
            "input": InputOptions,
            "output": RowOutputOptions,
            "run": RunOptions,
        },
        output="./diarize_output",
        inputs="recording, or a glob, directory tree or manifest of recordings; local, gs:// or s3://",
        help="find who speaks when in recordings",
    ),
    "separate": JobOptions(
        sections={
            "separation": SeparationRules,
            "rows": SeparateRules,
            "input": InputOptions,
            "output": TrackOutputOptions,
            "run": RunOptions,
        },
        output="./separate_output",
        inputs=f"manifest of diarized entries, {_PLACES}",
        help="write one track per speaker of a recording",
    ),
    "curate": JobOptions(
        sections={
            "mono_conversion": MonoConversion,
            "vad": CurateVad,
            "band_filter": BandFilter,
            "dnsmos": Dnsmos,
            "utmos": Utmos,
            "sigmos": Sigmos,
            "concatenation": Concatenation,
            "speaker_separation": SpeakerSeparation,
            "timestamp_mapper": TimestampMapper,
            "clips": ClipRules,
            "quality": QualityRules,
            "recordings": CurateRules,
            "model": ModelOptions,
            "streaming": StreamingOptions,
            "speakers": SpeakerCounts,
            "turns": TurnOptions,
            "inference": InferenceOptions,
            "input": InputOptions,
            "output": CurateOutputOptions,
            "run": RunOptions,
        },
        output="./curate_output",
        inputs="recording, or a glob, directory tree or manifest of recordings; local, gs:// or s3://",
        help="cut clean clips of one speaker out of recordings",
    ),
    "filter": JobOptions(
        sections={
            "filter": FilterRules,
            "input": InputOptions,
            "output": RowOutputOptions,
            "run": RunOptions,
        },
        output="./filter_output",
        inputs=f"manifest, {_PLACES}",
        help="keep rows and segments of manifests by their values",
    ),
    "measure": JobOptions(
        sections={
            "measure": MeasureRules,
            "input": InputOptions,
            "output": RowOutputOptions,
            "run": RunOptions,
        },
        output="./measure_output",
        inputs="recording, or a glob, directory tree or manifest of recordings; local, gs:// or s3://",
        help="measure the sound of recordings: length, level, clipping, bandwidth, speech to noise",
    ),
}
"""Command to its options."""
