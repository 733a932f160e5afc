"""The `curate` job: clean clips of one speaker."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from beam_curator.curate.curate_rules import CurateOptions
from beam_curator.curate.curated_rows import CLIPS_FOLDER
from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.files.listing import Lister, list_either
from beam_curator.files.output_target import OutputTarget
from beam_curator.models.curate_checks import (
    check_scorers,
    check_speech_model,
    check_weights,
    curate_set_config,
    models_of,
)
from beam_curator.models.curate_job import CurateJob as CurateWork
from beam_curator.models.model_checks import check_links, check_model, check_walk, files_beside, with_own_links
from beam_curator.runners.jobs.clips import crosstalk_hint, unmixed_hint
from beam_curator.runners.jobs.listening_job import ListeningJob
from beam_curator.runners.options import read_config
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
from beam_curator.sets.output_set import MANIFEST_NAME, Config
from beam_curator.sets.set_kinds import CURATE

if TYPE_CHECKING:
    from beam_curator.transforms.curate.curate_speech import CurateSpeech

RESOURCE_KEYS = ("cpus", "gpus", "num_workers", "batch_size", "adapter_target", "adapter_kwargs")
"""Keys of the reference's configuration that say where its stages run."""


_SECONDS_OF_DNSMOS = 0.3
"""Of a core for a window of 9 s."""


class CurateJob(ListeningJob):
    """Clean clips of one speaker."""

    kind = CURATE
    label = "Curate speech"

    @classmethod
    def config_of_file(cls, path: str) -> dict[str, Any]:
        """Return the options in a file; that of the reference will do, but for keys about resources."""
        config = read_config(path)
        ignored = set()
        for section in filter(lambda values: isinstance(values, dict), config.values()):
            for key in [key for key in RESOURCE_KEYS if key in section]:
                ignored.add(key)
                del section[key]
        if ignored:
            named = ", ".join(key for key in RESOURCE_KEYS if key in ignored)
            print(f"beam-curator: {named} of {path} ignored: the runner decides about resources", file=sys.stderr)
        return config

    @property
    def lister(self) -> Lister:
        return list_either

    @property
    def curation(self) -> CurateOptions:
        """All options that decide the clips, besides the diarizer's."""
        return CurateOptions(**{field.name: self.options[field.name] for field in fields(CurateOptions)})

    @property
    def _asks_speakers(self) -> bool:
        return self.curation.speaker_separation.enable

    def beside(self) -> tuple[str, ...]:
        return files_beside(self._model(), DiarizeRules()) if self._asks_speakers else ()

    def problem(self) -> str | None:
        walk, is_elsewhere = self.options["streaming"].parameters(), self.engine.name == "dataflow"
        try:
            check_weights(self.curation)
            if self._asks_speakers:
                check_walk(self._model(), walk, self.options["speakers"])
            if is_elsewhere:
                return None
            check_speech_model(self.curation)
            check_scorers(self.curation)
            if self._asks_speakers:
                check_model(self.options["model"], walk)
                check_links(with_own_links(self.options["speakers"], self._model()), self._model())
        except (ValueError, FileNotFoundError) as err:  # of all that can be wrong with a model
            return str(err)
        return None

    def notices(self) -> list[str]:
        return super().notices() if self._asks_speakers else []

    def config(self) -> Config:
        options = self.options
        return curate_set_config(
            self.curation,
            self._model(),
            options["streaming"].parameters(),
            self._turns(),
            options["speakers"],
            self._inference(),
            reading=options["input"],
            output=options["output"],
            n_shards=self.target().n_shards,
        )

    def transform(self, target: OutputTarget) -> CurateSpeech:
        from beam_curator.transforms.curate.curate_speech import CurateSpeech

        return CurateSpeech(
            self.inputs,
            target,
            self.curation,
            model=self._model(),
            streaming=self.options["streaming"],
            speakers=self.options["speakers"],
            turns=self._turns(),
            inference=self._inference(),
            output=self.options["output"],
            reading=self.options["input"],
            beside=self.beside(),
            warns=False,
        )

    def recording_job(self) -> CurateWork:
        models = models_of(self.curation, self._model())
        return CurateWork(self.curation, self._turns(), self.options["output"].output_format, models)

    def plan_lines(self) -> list[str]:
        rules, output = self.curation.clips, self.options["output"]
        return [
            *([f"{CLIPS_FOLDER}/ID/SPEAKER_FIRST-STOP.{output.output_format}"] if rules.clips else []),
            f"clips-*{', rejected-*' if rules.rejected else ''}, failures-* where there are any{self._scored()}",
            f"{MANIFEST_NAME}, summary.json",
        ]

    def _scored(self) -> str:
        """Say which models score clips, and how long the one whose weights are known takes for it."""
        options = self.curation
        if not options.scorers:
            return ""
        hop = options.dnsmos.hop
        cost = f"; dnsmos hears a window each {hop:g} s, {hop / _SECONDS_OF_DNSMOS:.1f} times real time on a core"
        return f" (clips are scored once, by {', '.join(options.scorers)}{cost if options.dnsmos.enable else ''})"

    @staticmethod
    def stages(counts: Counter[str], n_files: int, times: Times) -> list[Stage]:
        n_asked, n_clips = counts["plan.rows"], counts["curate.clips"]
        dropped = dropped_of(counts, "curate") | {f"rejected by {name}": n for name, n in _rejected(counts).items()}
        n_rejected = counts["curate.rejected_recordings"] + counts["curate.rejected_segments"]
        n_failed, of_clips = counts["curate.clips_failed"], _prefixed(counts, "curate.clips_failed.")
        failures = Counter(failures_of(counts, "curate")) - Counter(of_clips)
        stages = [
            read_stage(counts),
            Stage(name="plan", what_in="rows", n_in=counts["read.rows"], what_out="recordings", n_out=n_asked,
                  failures=failures_of(counts, "plan")),
            Stage(name="speech", what_in="recordings", n_in=n_asked, what_out="pieces",
                  n_out=counts["curate.segments"], failures=dict(failures),
                  seconds=counts["curate.speech_us"] / 1e6),
            Stage(name="clips", what_in="clips", n_in=counts["curate.found"] - n_failed + n_rejected, what_out="clips",
                  n_out=n_clips, dropped=dropped, seconds=counts["curate.clips_us"] / 1e6),
            Stage(name="write", what_in="clips", n_in=n_clips, what_out="files", n_out=n_files),
        ]  # fmt: skip
        if n_scored := counts["curate.scored"]:
            stages.insert(3, Stage(name="scores", what_in="clips", n_in=n_scored, what_out="clips",
                                   n_out=n_scored - n_failed, failures=of_clips,
                                   seconds=counts["curate.scored_us"] / 1e6))  # fmt: skip
        if n_speakers := counts["curate.speakers"]:
            gone = _prefixed(counts, "curate.speakers_dropped.")
            stages.insert(3, Stage(name="speakers", what_in="speakers", n_in=n_speakers, what_out="speakers",
                                   n_out=counts["curate.speakers_kept"], dropped=gone))  # fmt: skip
        # listening tells speakers apart, and clips are cut where a model's result becomes turns
        own = {stage: times[work] for stage, work in _WORK_OF_STAGES.items() if work in times}
        return with_times(stages, {**times, **own})

    @staticmethod
    def progress(counts: Counter[str], share_read: float, seconds: float) -> str:
        """Say in one line how far such a job is.

        Example:
          >>> counts = Counter({"plan.rows": 40, "progress.curate.rows": 10, "progress.curate.clips": 30})
          >>> counts["progress.curate.audio_us"] = 3_600_000_000
          >>> CurateJob.progress(counts, 1.0, 2.0)
          '10 of 40 recordings  30 clips  1.0 h heard  0 failures  1,800x real time'
        """
        del share_read
        counts = Counter(counts)
        # of recordings that are done
        counts["progress.curate.rows"] -= counts["progress.curate.clips_failed"]
        return recordings_done(counts, "curate", "rows", "heard", seconds, "clips")

    def result(self, stages: Sequence[Stage]) -> str:
        heard, clips = (next(stage for stage in stages if stage.name == name) for name in ("speech", "clips"))
        return f"{number_of(heard.n_in, 'recordings')}, {number_of(clips.n_out, 'clips')}, {clips.seconds or 0:,.1f} s"

    def hint(self, counts: Counter[str]) -> str | None:
        unmixed = unmixed_hint(counts["curate.unmixed"], "recordings")
        hints = [] if unmixed is None else [unmixed]
        if crosstalk := counts["curate.crosstalk_us"] / 1e6:
            hints.append(crosstalk_hint(crosstalk))
        if counts["curate.saturated"]:
            hints.append(
                f"{number_of(counts['curate.saturated'], 'recordings')} with speech from as many speakers as the model "
                "can tell apart: clips may mix people."
            )
        if silent := counts["curate.silent"]:
            hints.append(f"{number_of(silent, 'recordings')} without speech: lower --threshold if there is some.")
        if counts["curate.found"] and not counts["curate.clips"]:
            most = max(_rejected(counts).items(), key=lambda each: each[1], default=("", 0))
            if most[0]:
                hints.append(f"No clip stayed: most were rejected by {most[0]}; --on-reject annotate keeps them.")
        return " ".join(hints) or None


_WORK_OF_STAGES = {"speech": "look", "speakers": "listen", "clips": "turns"}


def _rejected(counts: Counter[str]) -> dict[str, int]:
    return _prefixed(counts, "curate.rejected.")


def _prefixed(counts: Counter[str], prefix: str) -> dict[str, int]:
    return {name[len(prefix) :]: n for name, n in sorted(counts.items()) if name.startswith(prefix) and n}
