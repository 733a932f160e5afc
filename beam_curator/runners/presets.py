"""Runners by name: the engine behind each, the options that it starts from, and how they are resolved.

What a user sets wins over a preset, always. `beam-curator windows --show-options` prints the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.options import UsageError, nearest

DEFAULT_CHECKPOINTING_MS = 10_000
GIVEN = "you"
"""Who set the options of an engine that a person gave."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "direct": {
        "engine": "FnApiRunner",
        "why": "Beam's in-memory runner, in this process; with --jobs in worker processes of its own",
        "options": {
            "direct_num_workers": ("{jobs}", "--jobs"),
        },
    },
    "prism": {
        "engine": "PrismRunner",
        "why": "Beam's portable runner in Go, as a process beside this one, which does the work",
        "options": {
            "environment_type": ("LOOPBACK", "the work is done in this process"),
            "prism_log_level": ("warn", "its daily chatter tells a user nothing"),
            "requirements_cache": ("skip", "nothing is to be downloaded for the worker"),
        },
    },
    "flink": {
        "engine": "FlinkRunner",
        "why": "Apache Flink through Beam's job server, a Java process beside this one",
        "options": {
            "flink_master": ("[local]", "a small cluster inside the job server; host:port names a real one"),
            "parallelism": ("{jobs}", "--jobs"),
            "environment_type": ("EXTERNAL", "worker processes: threads of one process would share a core"),
            "sdk_worker_parallelism": ("{parallelism}", "as many worker processes as there are slots"),
            "environment_cache_millis": ("600000", "workers stay from one stage to the next; starting takes seconds"),
            "requirements_cache": ("skip", "nothing is to be downloaded for the workers"),
        },
        "streaming": {
            "checkpointing_interval": (
                str(DEFAULT_CHECKPOINTING_MS),
                "ms; a stream is acknowledged with checkpoints only: without them every message comes again",
            ),
            "finish_bundle_before_checkpointing": ("true", "what a checkpoint holds is whole bundles"),
        },
    },
    "dataflow": {
        "engine": "DataflowRunner",
        "why": "Google Cloud Dataflow: this process submits the job, workers of the project do it",
        "options": {
            "machine_type": ("e2-standard-2", "two vCPUs, 8 GB: a worker process needs about 300 MB and one of them"),
            "disk_size_gb": ("50", "rows stream to the bucket; the disk holds the container image"),
            "number_of_worker_harness_threads": ("1", "a block keeps a core busy; more threads would wait for it"),
            "resource_hints": ("min_ram=2GB", "a block is held whole while it is worked on"),
            "no_save_main_session": ("true", "all code is in the installed package; nothing of __main__ is pickled"),
        },
    },
}
"""Runner to what it stands for: Beam's class, why, and options as `name: (value, why)`; `streaming` ones besides."""

_LISTENING: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "dataflow": {
        "machine_type": ("e2-highmem-2", "two vCPUs, 16 GB: a process for each, and a model of about 2 GB in each"),
        "resource_hints": ("min_ram=8GB", "of a worker: a model of about 2 GB in each of two processes"),
    },
    "gpu": {
        "dataflow_service_options": (
            "worker_accelerator=type:{gpu};count:1;install-nvidia-driver:latest;use_nvidia_mps",
            "--gpu; all processes of a machine use one model, and torch wants a driver for CUDA 13",
        ),
    },
}

STREAM = "stream"
"""The command whose jobs have no end."""

_LIVE: Mapping[str, Mapping[str, tuple[str, str]]] = {
    **_LISTENING,
    "dataflow": {
        **_LISTENING["dataflow"],
        "enable_streaming_engine": ("true", "state of sessions lies in the service, and workers come and go"),
    },
    "flink": {
        "checkpointing_interval": ("1000", "ms; messages are acknowledged, and sessions kept, with checkpoints only"),
        "state_backend": ("filesystem", "Flink's default holds checkpoints in memory and fails above 5 MiB of state"),
        "externalized_checkpoints_enabled": ("true", "a job that is started again goes on from the latest"),
        "retain_externalized_checkpoints_on_cancellation": ("true", "also where it was cancelled"),
        "max_bundle_time_mills": ("100", "ms; events wait for the end of a bundle"),
        "max_cache_memory_usage_mb": ("500", "workers keep the state that they wrote: each step would read it again"),
    },
}

JOB_PRESETS: Mapping[str, Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "diarize": _LISTENING,
    "curate": _LISTENING,
    STREAM: _LIVE,
}
"""Command to what its jobs want in place of the preset of a runner; under `gpu`, what they want with `--gpu`."""

GPUS: Mapping[str, Mapping[str, str]] = {
    "nvidia-tesla-t4": {"machine_type": "n1-standard-8"},
    "nvidia-l4": {"machine_type": "g2-standard-8"},
    "nvidia-tesla-v100": {"machine_type": "n1-standard-8"},
    "nvidia-tesla-a100": {"machine_type": "a2-highgpu-1g"},
    "nvidia-a100-80gb": {"machine_type": "a2-ultragpu-1g"},
}
"""Accelerators of Dataflow workers, and the machine type that each goes with.

One accelerator a machine, rented on demand: a machine with one H100 is lent as spot or flex-start only.
"""

FLINK_OPTIONS = (
    "auto_watermark_interval",
    "checkpoint_timeout_millis",
    "checkpointing_interval",
    "checkpointing_mode",
    "execution_mode_for_batch",
    "execution_retry_delay",
    "flink_conf_dir",
    "job_check_interval_in_secs",
    "latency_tracking_interval",
    "max_bundle_size",
    "max_bundle_time_mills",
    "min_pause_between_checkpoints",
    "num_concurrent_checkpoints",
    "number_of_execution_retries",
    "savepoint_path",
    "shutdown_sources_after_idle_ms",
    "state_backend",
    "state_backend_storage_path",
)
FLINK_FLAGS = (
    "allow_non_restored_state",
    "attached_mode",
    "externalized_checkpoints_enabled",
    "fail_on_checkpointing_errors",
    "faster_copy",
    "finish_bundle_before_checkpointing",
    "object_reuse",
    "re_iterable_group_by_key_result",
    "retain_externalized_checkpoints_on_cancellation",
    "unaligned_checkpoint_enabled",
    "use_data_stream_for_batch",
)
"""Options (with a value) and flags that only Flink's job server knows: Beam's Python side passes them on."""

ACCELERATOR = "worker_accelerator"
_SERVICE_OPTIONS = ("dataflow_service_option", "dataflow_service_options")
LOCAL_MASTERS = ("[local]", "[auto]")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOption:
    """One option of an engine, as it will be given to Beam.

    Attributes:
      name: as Beam spells it, without dashes in front.
      value: its text; "true" for a flag without a value.
      why: who or what set it.
    """

    name: str
    value: str
    why: str

    def argument(self) -> str:
        """Return the command-line form."""
        return f"--{self.name}" if self.value == "true" else f"--{self.name}={self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A runner with its options resolved.

    Attributes:
      name: as the user gave it.
      beam_class: what Beam calls it.
      why: what that is.
      options: what the user set, then what the preset adds.
    """

    name: str
    beam_class: str
    why: str
    options: tuple[EngineOption, ...]

    def value(self, name: str) -> str | None:
        """Return the value of an option; the last one counts, as on a command line."""
        values = [option.value for option in self.options if option.name == name]
        return values[-1] if values else None

    @property
    def accelerator(self) -> str | None:
        """The accelerator of Dataflow's workers, such as `type:nvidia-l4;count:1;…`; None where they have none."""
        given = [option.value for option in self.options if option.name in _SERVICE_OPTIONS]
        found = [part.partition("=")[2] for value in given for part in value.split(",") if ACCELERATOR in part]
        return found[-1] if found else None

    def arguments(self) -> list[str]:
        """Return all options as Beam's command line takes them."""
        return [option.argument() for option in self.options]


def resolve_engine(run: RunOptions, beam_arguments: Sequence[str], command: str = "") -> Engine:
    """Put a runner's options together: those that the user set, and those that its preset adds.

    Args:
      run: which runner, and how.
      beam_arguments: Beam's options, as the user gave them.
      command: whose job it is; some want more of a runner than others.

    Raises:
      UsageError: an unknown runner, or options that cannot go together on it.
    """
    given = [_given(argument) for argument in _joined(beam_arguments)]
    preset = PRESETS.get(run.runner)
    if preset is None and (not run.runner.endswith("Runner") or run.runner == "DirectRunner"):
        raise UsageError(f"unknown runner {run.runner!r}{nearest(run.runner, PRESETS)}")
    _refuse(run)
    if preset is None:
        return Engine(name=run.runner, beam_class=run.runner, why="a runner of Beam's, as it is", options=tuple(given))
    streaming = command == STREAM or any(option.name == "streaming" for option in given)
    offered = _offered(run, given, command, streaming=streaming)
    chosen = list(given)
    known = {"jobs": str(run.n_jobs), "gpu": str(run.gpu)} | {option.name: option.value for option in given}
    for name, (template, why) in offered.items():
        if not _is_set(name, template, given):
            known[name] = template.format(**known)
            chosen.append(EngineOption(name=name, value=known[name], why=why))
    engine = Engine(name=run.runner, beam_class=str(preset["engine"]), why=str(preset["why"]), options=tuple(chosen))
    if run.runner == "flink" and streaming:
        _refuse_no_checkpoints(engine)
        if command == STREAM:
            _refuse_no_storage(engine)
    return engine


def _offered(
    run: RunOptions, given: Sequence[EngineOption], command: str, *, streaming: bool
) -> dict[str, tuple[str, str]]:
    """Return the options of a preset: of the runner, of the command on it, and of a GPU."""
    preset, wanted = PRESETS[run.runner], JOB_PRESETS.get(command, {})
    offered = {
        **preset["options"],
        **({"streaming": ("true", "the job has no end")} if command == STREAM else {}),
        **(preset.get("streaming", {}) if streaming else {}),
        **wanted.get(run.runner, {}),
        **(_gpu_options(run.gpu) | dict(wanted.get("gpu", {})) if run.gpu is not None else {}),
    }
    if run.runner == "dataflow" and (run.gpu is not None or _excludes_hints(given)):
        del offered["resource_hints"]
    if run.runner == "flink" and (streaming or _is_cluster(given)):
        # tasks that are started again must not find a dead worker kept
        del offered["environment_cache_millis"]
    return offered


def _joined(arguments: Sequence[str]) -> list[str]:
    """Join `--name value` to `--name=value`."""
    joined: list[str] = []
    for argument in arguments:
        if argument.startswith("--") or not joined:
            joined.append(argument)
        else:
            joined[-1] += f"={argument}"
    return joined


def _given(argument: str) -> EngineOption:
    name, _, value = argument.removeprefix("--").partition("=")
    return EngineOption(name=name, value=value or "true", why=GIVEN)


def _excludes_hints(given: Sequence[EngineOption]) -> bool:
    """Tell whether the user chose something that Dataflow does not serve together with resource hints."""
    return any(
        option.name == "flexrs_goal" or (option.name in _SERVICE_OPTIONS and ACCELERATOR in option.value)
        for option in given
    )


def _is_set(name: str, value: str, given: Sequence[EngineOption]) -> bool:
    plain = name.removeprefix("no_")
    same = {name, plain, f"no_{plain}"} | {"worker_machine_type" if name == "machine_type" else name}
    if name == "resource_hints":
        same.add("resource_hint")
    if name in ("dataflow_service_options", "experiments"):  # lists: other entries of the user's go along with ours
        key = value.partition("=")[0]
        return any(option.name in (name, name.removesuffix("s")) and key in option.value for option in given)
    return any(option.name in same for option in given)


def _is_cluster(given: Sequence[EngineOption]) -> bool:
    return any(option.name == "flink_master" and option.value not in LOCAL_MASTERS for option in given)


def _gpu_options(gpu: str) -> dict[str, tuple[str, str]]:
    return {
        "machine_type": (GPUS[gpu]["machine_type"], f"the machine that {gpu} goes with"),
        "disk_size_gb": ("100", "an image with CUDA is large"),
        "dataflow_service_options": (f"{ACCELERATOR}=type:{gpu};count:1;install-nvidia-driver", f"--gpu {gpu}"),
        "experiments": ("disable_worker_container_image_prepull", "a large image is pulled once, not twice"),
    }


def _refuse(run: RunOptions) -> None:
    """Refuse options that the runner would ignore.

    Raises:
      UsageError: names the option, and what to give instead.
    """
    problems = []
    if run.n_jobs > 1 and run.runner not in ("direct", "flink"):
        cure = "give --max_num_workers" if run.runner == "dataflow" else "use --runner direct or flink"
        problems.append(f"--jobs {run.jobs}: runner {run.runner} has no worker processes of ours: {cure}")
    if not run.wait and run.runner != "dataflow":
        problems.append(f"--no-wait: runner {run.runner} ends with this process: leave it out")
    if run.gpu is not None and run.runner != "dataflow":
        problems.append(f"--gpu {run.gpu}: only runner dataflow rents machines; elsewhere the worker's own GPU is used")
    if run.gpu is not None and run.gpu not in GPUS:
        problems.append(f"--gpu {run.gpu}{nearest(run.gpu, GPUS)}")
    if problems:
        raise UsageError("; ".join(problems))


def _refuse_no_checkpoints(engine: Engine) -> None:
    interval = engine.value("checkpointing_interval") or ""
    if not interval.isdigit() or int(interval) == 0:
        raise UsageError(
            f"--checkpointing_interval {interval}: a stream on Flink acknowledges nothing without checkpoints: "
            f"give milliseconds above 0, or leave it out ({DEFAULT_CHECKPOINTING_MS})"
        )


def _refuse_no_storage(engine: Engine) -> None:
    if not engine.value("state_backend_storage_path"):
        raise UsageError(
            "--state_backend_storage_path is missing: live streams on Flink keep their sessions in checkpoints: name a "
            "folder that all machines of the cluster reach, such as file:///mnt/checkpoints or gs://bucket/checkpoints"
        )
