"""The `diarize` job: who speaks when in recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from beam_curator.diarization.diarize_rules import DiarizeRules, ModelOptions
from beam_curator.files.listing import Lister, list_either
from beam_curator.files.output_target import OutputTarget
from beam_curator.models.model_checks import (
    check_embedding_model,
    check_embeddings,
    check_links,
    check_model,
    check_vad,
    check_walk,
    files_beside,
    is_cascade,
    with_embedding_model,
    with_own_links,
    with_own_vad,
)
from beam_curator.models.turn_job import TurnJob, turn_config
from beam_curator.runners.jobs.clips import crosstalk_hint, unmixed_hint
from beam_curator.runners.jobs.listening_job import ListeningJob
from beam_curator.runners.next_windows import windows_command
from beam_curator.runners.stages import Stage, Times, failures_of, number_of, read_stage, recordings_done, with_times
from beam_curator.sets.output_set import MANIFEST_NAME, Config
from beam_curator.sets.set_kinds import DIARIZE, EMBEDDING_TABLES
from beam_curator.vad.vad_options import ENERGY, SILERO

if TYPE_CHECKING:
    from beam_curator.transforms.diarization.diarize_recordings import Diarize


class DiarizeJob(ListeningJob):
    """Who speaks when in recordings."""

    kind = DIARIZE
    label = "Diarize"

    def with_model(self, model: ModelOptions) -> list[Self]:
        speakers = with_own_links(self.options["speakers"], model)
        chosen = ({"model": model, "speakers": speakers, "diarization": rules} for rules in self._rules_for(model))
        return [replace(self, options=self.options | options) for options in chosen]

    def _rules_for(self, model: ModelOptions) -> list[DiarizeRules]:
        """Return the rules with their models: one of each VAD that may be, the default first, if they name none."""
        rules = with_embedding_model(self.options["diarization"], model)
        own = with_own_vad(rules, model, is_elsewhere=self.engine.name == "dataflow")
        other = replace(own, vad=ENERGY if own.vad == SILERO else SILERO)
        return [own] if rules.vad is not None or rules.vad_path else [own, other]

    @property
    def lister(self) -> Lister:
        return list_either

    def beside(self) -> tuple[str, ...]:
        return files_beside(self._model(), self.options["diarization"])

    def problem(self) -> str | None:
        rules, walk = self.options["diarization"], self.options["streaming"].parameters()
        is_elsewhere = self.engine.name == "dataflow"
        try:
            model = self._model() if is_elsewhere else self.options["model"]
            check_embeddings(model, rules)
            check_walk(model, walk, self.options["speakers"])
            if is_elsewhere:
                return None
            check_model(model, walk)
            check_vad(rules, model)
            check_links(self.options["speakers"], model)
            if rules.embedding_model:
                check_embedding_model(rules, self.options["model"])
        except ValueError as err:  # of all that can be wrong with a model
            return str(err)
        return None

    def notices(self) -> list[str]:
        model, vad = self.options["model"], self.options["diarization"].vad
        said = super().notices()
        default = with_own_vad(DiarizeRules(), model, is_elsewhere=self.engine.name == "dataflow").vad
        if "diarization.vad" not in self.origins and not self.options["diarization"].vad_path and vad != default:
            said.append(f"{self.output} was begun with --vad {vad}, which stays: else give --vad and --overwrite")
        return said

    def config(self) -> Config:
        options = self.options
        return turn_config(
            self.options["diarization"],
            self._model(),
            options["streaming"].parameters(),
            self._turns(),
            options["speakers"],
            self._inference(),
            reading=options["input"],
            output=options["output"],
            n_shards=self.target().n_shards,
        )

    def transform(self, target: OutputTarget) -> Diarize:
        from beam_curator.transforms.diarization.diarize_recordings import Diarize

        return Diarize(
            self.inputs,
            target,
            model=self._model(),
            streaming=self.options["streaming"],
            speakers=self.options["speakers"],
            turns=self._turns(),
            rules=self.options["diarization"],
            inference=self._inference(),
            output=self.options["output"],
            reading=self.options["input"],
            beside=self.beside(),
            warns=False,
        )

    def recording_job(self) -> TurnJob:
        return TurnJob(self.options["diarization"], self._turns())

    def why_not_moved(self) -> str | None:
        has_embeddings = self.options["diarization"].embeddings
        return "embeddings of turns are named by hashes of the recordings' paths" if has_embeddings else None

    def plan_lines(self) -> list[str]:
        rules = self.options["diarization"]
        kinds = [".rttm", *([".uem"] if rules.uem else []), *([".ctm"] if rules.overlaps else [])]
        beside = [f"{rules.rttm_out_dir}/ID{kind}" for kind in kinds] if rules.rttm_out_dir else []
        model = self.options["model"]
        latency = f"; latency of a streaming model: {self.options['streaming'].parameters().latency:.2f} s"
        heard = f"model {model.model_path or model.model_name}{'' if is_cascade(model) else latency}"
        tables = [f"{table}-*.parquet" for table in EMBEDDING_TABLES if rules.embeddings]
        return [
            f"turns-*, failures-* where there are any ({heard})",
            *([", ".join(beside)] if beside else []),
            *([", ".join(tables)] if tables else []),
            f"{MANIFEST_NAME}, summary.json",
        ]

    @staticmethod
    def stages(counts: Counter[str], n_files: int, times: Times) -> list[Stage]:
        n_asked = counts["plan.rows"]
        n_heard = counts["diarize.turns"]
        stages = [
            read_stage(counts),
            Stage(name="plan", what_in="rows", n_in=counts["read.rows"], what_out="recordings", n_out=n_asked,
                  failures=failures_of(counts, "plan")),
            Stage(name="listen", what_in="recordings", n_in=n_asked, what_out="recordings", n_out=n_heard,
                  failures=failures_of(counts, "diarize"), seconds=counts["diarize.audio_us"] / 1e6),
            Stage(name="turns", what_in="recordings", n_in=n_heard, what_out="turns",
                  n_out=counts["diarize.segments"], seconds=counts["diarize.speech_us"] / 1e6),
            Stage(name="write", what_in="recordings", n_in=n_asked, what_out="files", n_out=n_files),
        ]  # fmt: skip
        asked, missing = (
            sum(counts[f"diarize.{table}{what}"] for table in EMBEDDING_TABLES) for what in ("", ".missing")
        )
        if asked:
            dropped = {"never_alone": missing} if missing else {}
            stages.insert(-1, Stage(name="embed", what_in="speakers and turns", n_in=asked, what_out="embeddings",
                                    n_out=asked - missing, dropped=dropped))  # fmt: skip
        if "load" in times:
            total, mean = times["load"]
            n_models = round(total / mean) if mean else 1
            stages.insert(2, Stage(name="load", what_in="models", n_in=n_models, what_out="models", n_out=n_models))
        return with_times(stages, times)

    @staticmethod
    def progress(counts: Counter[str], share_read: float, seconds: float) -> str:
        """Say in one line how far such a job is.

        Example:
          >>> counts = Counter({"plan.rows": 40, "progress.diarize.turns": 9, "progress.diarize.failures": 1})
          >>> counts["progress.diarize.audio_us"] = 3_600_000_000
          >>> DiarizeJob.progress(counts, 1.0, 2.0)
          '10 of 40 recordings  1.0 h heard  1 failures  1,800x real time'
        """
        del share_read
        return recordings_done(counts, "diarize", "turns", "heard", seconds)

    def result(self, stages: Sequence[Stage]) -> str:
        heard, turns = (next(stage for stage in stages if stage.name == name) for name in ("listen", "turns"))
        return f"{number_of(heard.n_out, 'recordings')}, {number_of(turns.n_out, 'turns')}, {heard.seconds or 0:,.1f} s"

    def next_step(self, names: Sequence[str]) -> str | None:
        return windows_command(self.output, names)

    def hint(self, counts: Counter[str]) -> str | None:
        unmixed = unmixed_hint(counts["diarize.unmixed"], "recordings")
        hints = [] if unmixed is None else [unmixed]
        n_saturated, n_silent = counts["diarize.saturated"], counts["diarize.silent"]
        non_speech = counts["diarize.non_speech_us"] / 1e6
        if non_speech:
            hints.append(f"{non_speech:,.1f} s of turns were left out, as nobody speaks there; --vad none keeps them.")
        if counts["diarize.clipped"]:
            hints.append(
                f"{number_of(counts['diarize.clipped'], 'recordings')} with clipped samples, three or more in a row at "
                "full scale: clipped_ratio of the row says how many."
            )
        if n_saturated:
            hints.append(
                f"{number_of(n_saturated, 'recordings')} with speech from as many speakers as the model can tell apart "
                "(speakers_saturated): there may be more: --model-name cascade or --link-pieces would tell."
            )
        crosstalk = counts["diarize.crosstalk_us"] / 1e6
        if crosstalk and not n_saturated:
            hints.append(crosstalk_hint(crosstalk))
        if n_silent and n_silent == counts["diarize.turns"]:
            hints.append("No recording has a turn: look whether they hold speech, or lower --onset.")
        return " ".join(hints) or None
