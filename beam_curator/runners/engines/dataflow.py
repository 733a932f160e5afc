"""Google Cloud Dataflow: checks of a job and a preview of it, both without a network."""

import contextlib
import importlib.util
import io
import json
import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from beam_curator.files import storage
from beam_curator.runners.engines.opening import temporary_folder
from beam_curator.runners.options import UsageError
from beam_curator.runners.presets import ACCELERATOR, Engine

WAYS_TO_WORKERS = ("sdk_container_image", "setup_file", "extra_package", "extra_packages", "requirements_file")
"""Options by which workers get beam_curator."""

_BUCKET = re.compile(r"gs://[a-z0-9][-_.a-z0-9]{1,220}[a-z0-9](/|$)")
"""Source: Cloud Storage, bucket naming. With any other name Beam asks the network for a default bucket."""
_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]")
"""Source: Resource Manager, project ids; before the colon, a domain."""
_MPS, _ONE_PROCESS = "use_nvidia_mps", "no_use_multiple_sdk_containers"
_MPS_GUIDE = "https://cloud.google.com/dataflow/docs/gpu/use-nvidia-mps"
_GUIDE = "https://cloud.google.com/dataflow/docs/guides/"


def check_dataflow(engine: Engine, inputs: Sequence[str], output: str, beside: Sequence[str] = ()) -> None:
    """Refuse a job that Dataflow could not run, before anything is touched.

    Args:
      engine: Dataflow with its options.
      inputs: paths as they were given.
      output: directory of the output set.
      beside: files that the job reads besides the inputs, such as those of a model.

    Raises:
      UsageError: all problems at once.
    """
    if not _has_google():
        raise UsageError("runner dataflow needs Google's libraries: pip install 'beam-curator[gcp]'")
    problems = [f"--{name} is missing" for name in ("project", "region") if engine.value(name) is None]
    temp = engine.value("temp_location")
    if temp is None or not _BUCKET.match(temp):
        problems.append(f"--temp_location is {temp or 'missing'}: name a folder in a bucket, gs://…")
    project = engine.value("project")
    if project is not None and not _PROJECT.fullmatch(project):
        problems.append(f"--project {project} cannot be the id of a project: give the id, not its name or number")
    local = [path for path in (*inputs, output) if not storage.is_remote(path)]
    if local:
        problems.append(f"{local[0]} is on this machine, which Dataflow's workers do not see: put it into a bucket")
    unseen = _named(path for path in beside if not storage.is_remote(path))
    problems += [
        f"{path} is on this machine, which Dataflow's workers do not see: "
        f"copy it, gcloud storage cp --recursive {path} gs://…, and give that place"
        for path in unseen
    ]
    if not any(engine.value(name) for name in WAYS_TO_WORKERS):
        problems.append(
            "workers would not have beam_curator: give --sdk_container_image (see templates/flex/README.md), "
            "or --setup_file=setup.py from a checkout"
        )
    problems += _conflicts(engine)
    if problems:
        raise UsageError("runner dataflow: " + "; ".join(problems))


def _has_google() -> bool:
    try:
        return importlib.util.find_spec("google.cloud.storage") is not None
    except ModuleNotFoundError:  # not even the package `google`
        return False


def _named(paths: Iterable[str]) -> list[str]:
    """Return files, or the folder of those that share one."""
    files = list(paths)
    in_folder = Counter(os.path.dirname(path) for path in files)
    named = (os.path.dirname(path) if in_folder[os.path.dirname(path)] > 1 else path for path in files)
    return list(dict.fromkeys(named))


def _conflicts(engine: Engine) -> list[str]:
    """Name options that Dataflow does not serve together, as its documentation says."""
    accelerator = engine.accelerator
    accelerated = accelerator is not None
    experiments = [option.value for option in engine.options if option.name in ("experiment", "experiments")]
    hinted = engine.value("resource_hints") or engine.value("resource_hint")
    flexible = engine.value("flexrs_goal")
    problems = []
    if flexible and accelerated:
        problems.append(f"--flexrs_goal {flexible} has no GPUs: leave one of the two out ({_GUIDE}flexrs)")
    if hinted and (flexible or accelerated):
        other = "a worker accelerator" if accelerated else "--flexrs_goal"
        problems.append(f"--resource_hints {hinted} and {other} exclude each other ({_GUIDE}right-fitting)")
    if accelerator is not None and _MPS in accelerator and any(_ONE_PROCESS in text for text in experiments):
        problems.append(f"--experiments {_ONE_PROCESS} and {_MPS} exclude each other: leave it out ({_MPS_GUIDE})")
    return problems


def offline_arguments(engine: Engine) -> list[str]:
    """Return the options with which Beam translates a job without credentials or network."""
    ours = ("sdk_location", *WAYS_TO_WORKERS[1:])
    kept = [option.argument() for option in engine.options if option.name not in ours]
    return [*kept, "--sdk_location=container", "--dry_run=True", "--no_auth"]


def translate(engine: Engine, transform: beam.PTransform[Any, Any]) -> Any:
    """Translate a job as Dataflow's runner does, offline.

    Returns:
      Beam's `apiclient.Job`, with `proto_pipeline`.

    Raises:
      UsageError: options that Beam refuses.
    """
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    with temporary_folder(), _silent():
        options = PipelineOptions(offline_arguments(engine))
        try:
            pipeline = beam.Pipeline(runner=DataflowRunner(), options=options)
        except ValueError as err:  # Beam has looked at its own options
            raise UsageError(f"runner dataflow: {err}") from err
        _ = pipeline | "Curate windows" >> transform
        result: Any = pipeline.run()
        return result.job


def job_description(job: Any) -> dict[str, Any]:
    """Return the job that would be sent to Dataflow, as its API's JSON.

    Args:
      job: what `translate` returned.
    """
    from apache_beam.runners.dataflow.internal import apiclient

    with temporary_folder() as folder, _silent():
        job.options.view_as(GoogleCloudOptions).staging_location = folder
        client = apiclient.DataflowApplicationClient(job.options, folder)
        client.create_job_description(job)
        description: dict[str, Any] = json.loads(job.json())
    return description


def job_text(engine: Engine, transform: beam.PTransform[Any, Any]) -> str:
    """Say which job would be launched: its place, its workers and its steps."""
    job = translate(engine, transform)
    description = job_description(job)
    environment = description["environment"]
    pool = environment["workerPools"][0]
    images = sorted({image["containerImage"] for image in pool["sdkHarnessContainerImages"]})
    shipped = [f"--{name}={engine.value(name)}" for name in WAYS_TO_WORKERS[1:] if engine.value(name)]
    accelerators = [text for text in environment.get("serviceOptions", []) if text.startswith(ACCELERATOR)]
    shown = {
        "name": engine.value("job_name") or "beam-curator-RUN, by the token of the run",
        "project": engine.value("project"),
        "region": engine.value("region"),
        "type": description["type"].removeprefix("JOB_TYPE_").lower(),
        "machine": pool["machineType"],
        "gpu": accelerators[0].partition("=")[2] if accelerators else "none",
        "disk": f"{pool['diskSizeGb']} GB",
        "threads": pool["numThreadsPerWorker"],
        "image": ", ".join([*images, *shipped]),
        "hints": ", ".join(hints_of(job.proto_pipeline)) or "none",
        "steps": top_steps(job.proto_pipeline),
        "options": [f"{option.argument()}  ({option.why})" for option in engine.options],
    }
    lines = [line for name, value in shown.items() for line in _lines(name, value)]
    return "\n".join(["Dataflow would run this job (translated here, nothing was sent):", *lines])


def hints_of(pipeline: Any) -> list[str]:
    """Return the resource hints of the steps of a job, each as `name=value`.

    Args:
      pipeline: Beam's proto, as `translate` leaves it.
    """
    environments = pipeline.components.environments.values()
    hints = {hint for environment in environments for hint in environment.resource_hints.items()}
    return sorted(f"{urn.split(':')[-2]}={value.decode()}" for urn, value in hints)


def _lines(name: str, value: object) -> list[str]:
    if isinstance(value, list):
        return [f"  {name}:", *(f"    {item}" for item in value)]
    return [f"  {name}: {value}"]


def top_steps(pipeline: Any) -> list[str]:
    """Return the top-level steps of a job, each with its parts.

    Args:
      pipeline: Beam's proto, as `translate` leaves it.
    """
    transforms = pipeline.components.transforms
    (root,) = pipeline.root_transform_ids
    # the job is one composite below Beam's unnamed root
    (composite,) = transforms[root].subtransforms
    return [_step(transforms, name) for name in transforms[composite].subtransforms]


def _step(transforms: Any, name: str) -> str:
    parts = [_label(transforms[part]) for part in transforms[name].subtransforms]
    return f"{_label(transforms[name])}: {', '.join(parts)}" if parts else _label(transforms[name])


def _label(transform: Any) -> str:
    label: str = transform.unique_name.rpartition("/")[2]
    return label


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep the translation's own chatter out of a plan."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
