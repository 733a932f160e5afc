"""Jobs for Dataflow, translated on this machine as they would be there; nothing is sent."""

import itertools
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from beam_curator.runners import cli
from beam_curator.runners.beam_options import known_flags
from beam_curator.runners.engines.dataflow import check_dataflow, job_description, job_text, top_steps, translate
from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.jobs import kind_of_job
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.options import UsageError
from beam_curator.runners.presets import FLINK_FLAGS, FLINK_OPTIONS, GPUS, JOB_PRESETS, PRESETS, resolve_engine
from beam_curator.windows.overlap import OVERLAP_SCOPES

pytestmark = pytest.mark.skipif(find_spec("google.cloud") is None, reason="needs beam-curator[gcp]")

IMAGE = "europe-docker.pkg.dev/my-project/curation/windows:1"
PLACE = ["--project=my-project", "--region=us-central1", "--temp_location=gs://bucket/tmp"]
DATAFLOW = ["--runner=dataflow", *PLACE, f"--sdk_container_image={IMAGE}"]


def job_at(*arguments: str, command: str = "windows") -> Job:
    """Return the job of a command line."""
    parser = cli.parser_of(command)
    ours, beams = cli.split_arguments(parser, ["gs://bucket/in.jsonl", "--output=gs://bucket/out", *arguments])
    parsed = parser.parse_intermixed_args(ours)
    return kind_of_job(command).of(parsed, beams, parsed.output)


def described(*arguments: str, command: str = "windows") -> dict[str, Any]:
    """Return the job of a command line as Dataflow's API would get it."""
    job = job_at(*DATAFLOW, *arguments, command=command)
    return job_description(translate(job.engine, job.transform(job.target())))


def hints_of(*arguments: str) -> list[dict[str, bytes]]:
    """Return the resource hints of each environment of a job."""
    job = job_at(*DATAFLOW, *arguments)
    components = translate(job.engine, job.transform(job.target())).proto_pipeline.components
    return [dict(environment.resource_hints) for environment in components.environments.values()]


def test_every_preset_option_is_one_that_beam_or_flink_knows() -> None:
    beams = {flag.removeprefix("--") for flag in known_flags()}
    for name, preset in PRESETS.items():
        options = {**preset["options"], **preset.get("streaming", {})}
        unknown = [option for option in options if option not in beams | {*FLINK_OPTIONS, *FLINK_FLAGS}]
        assert unknown == [], name
    for gpu, command in itertools.product(GPUS, ["", *JOB_PRESETS]):
        engine = resolve_engine(RunOptions(runner="dataflow", gpu=gpu), [], command)
        assert [option.name for option in engine.options if option.name not in beams] == []


def test_flags_of_a_preset_take_no_value_and_options_do() -> None:
    flags = known_flags()
    for preset in PRESETS.values():
        for option, (value, _) in {**preset["options"], **preset.get("streaming", {})}.items():
            assert flags[f"--{option}"] == (value != "true"), option


@pytest.mark.parametrize("scope", OVERLAP_SCOPES)
@pytest.mark.parametrize("output", [[], ["--shards=4"], ["--row-format=parquet"], ["--row-format=avro"]], ids=str)
def test_a_job_is_translated_offline(scope: str, output: list[str]) -> None:
    job = job_at(*DATAFLOW, f"--overlap-scope={scope}", *output)
    pipeline = translate(job.engine, job.transform(job.target())).proto_pipeline
    (environment,) = pipeline.components.environments.values()
    assert environment.urn == "beam:env:docker:v1"
    assert IMAGE.encode() in environment.payload
    assert dict(environment.resource_hints) == {"beam:resources:min_ram_bytes:v1": b"2000000000"}
    assert list(environment.dependencies) == []  # neither a main session nor a package is staged
    assert "Write training windows" in " ".join(top_steps(pipeline))
    assert b"__main__" not in pipeline.SerializeToString()


def test_code_of_a_main_session_would_be_noticed() -> None:
    """The check above can fail: a function of the running script is pickled by value, with its module's name."""
    script = (
        "from beam_curator.runners.beam_start import start_beam\n"
        "start_beam(for_dataflow=True)\n"
        "import apache_beam as beam\n"
        "from beam_curator.runners.engines.dataflow import translate\n"
        "from beam_curator.runners.job_options import RunOptions\n"
        "from beam_curator.runners.presets import resolve_engine\n"
        "class _MineFn(beam.DoFn):\n"
        "    def process(self, x): yield x\n"
        "class Mine(beam.PTransform):\n"
        "    def expand(self, begin): return begin | beam.Create([1]) | beam.ParDo(_MineFn())\n"
        f"engine = resolve_engine(RunOptions(runner='dataflow'), {DATAFLOW[1:]!r})\n"
        "print(b'__main__' in translate(engine, Mine()).proto_pipeline.SerializeToString())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_the_workers_of_a_job_are_the_presets() -> None:
    job = described()
    (pool,) = job["environment"]["workerPools"]
    assert job["type"] == "JOB_TYPE_BATCH"
    assert (pool["machineType"], pool["diskSizeGb"], pool["numThreadsPerWorker"]) == ("e2-standard-2", 50, 1)
    assert [image["containerImage"] for image in pool["sdkHarnessContainerImages"]] == [IMAGE]
    assert job["environment"]["sdkPipelineOptions"]["options"]["save_main_session"] is False


def test_what_the_user_says_of_the_workers_wins() -> None:
    given = ["--machine_type=n2-highmem-4", "--disk_size_gb=30", "--number_of_worker_harness_threads=3"]
    (pool,) = described(*given)["environment"]["workerPools"]
    assert (pool["machineType"], pool["diskSizeGb"], pool["numThreadsPerWorker"]) == ("n2-highmem-4", 30, 3)
    (pool,) = described("--worker_machine_type=n2-highmem-4")["environment"]["workerPools"]
    assert pool["machineType"] == "n2-highmem-4"
    assert hints_of("--resource_hint=min_ram=3GB") == [{"beam:resources:min_ram_bytes:v1": b"3000000000"}]


@pytest.mark.parametrize("gpu", GPUS)
def test_a_gpu_brings_its_machine_and_driver(gpu: str) -> None:
    job = described(f"--gpu={gpu}", "--experiments=mine", "--dataflow_service_options=enable_google_cloud_profiler")
    (pool,) = job["environment"]["workerPools"]
    assert (pool["machineType"], pool["diskSizeGb"]) == (GPUS[gpu]["machine_type"], 100)
    assert job["environment"]["serviceOptions"] == [
        "enable_google_cloud_profiler",
        f"worker_accelerator=type:{gpu};count:1;install-nvidia-driver",
    ]
    assert {"mine", "disable_worker_container_image_prepull"} <= set(job["environment"]["experiments"])


def test_the_users_own_accelerator_stays_alone() -> None:
    own = "worker_accelerator=type:nvidia-l4;count:2;install-nvidia-driver:latest"
    job = described("--gpu=nvidia-l4", f"--dataflow_service_options={own}", "--machine_type=g2-standard-24")
    assert job["environment"]["serviceOptions"] == [own]
    assert job["environment"]["workerPools"][0]["machineType"] == "g2-standard-24"


def test_resource_hints_give_way_to_what_excludes_them() -> None:
    own = "--dataflow_service_options=worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver"
    for given in ("--flexrs_goal=COST_OPTIMIZED", "--gpu=nvidia-l4", own):
        assert hints_of(given) == [{}], given
    job = described("--flexrs_goal=COST_OPTIMIZED")
    assert job["environment"]["flexResourceSchedulingGoal"] == "FLEXRS_COST_OPTIMIZED"


def test_all_problems_are_said_at_once() -> None:
    job = job_at("--runner=dataflow", "--temp_location=/tmp/here")
    with pytest.raises(UsageError) as raised:
        check_dataflow(job.engine, ["gs://bucket/in", "in.jsonl"], "out")
    assert str(raised.value) == (
        "runner dataflow: --project is missing; --region is missing; "
        "--temp_location is /tmp/here: name a folder in a bucket, gs://…; "
        "in.jsonl is on this machine, which Dataflow's workers do not see: put it into a bucket; "
        "workers would not have beam_curator: give --sdk_container_image (see templates/flex/README.md), "
        "or --setup_file=setup.py from a checkout"
    )


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--project=my project", "--project my project cannot be the id of a project"),
        ("--project=123456789", "--project 123456789 cannot be the id of a project"),
        ("--temp_location=gs://b/tmp", "--temp_location is gs://b/tmp: name a folder in a bucket"),
        ("--temp_location=gs://", "--temp_location is gs://: name a folder in a bucket"),
    ],
)
def test_names_that_beam_would_take_to_the_network_are_refused(flag: str, message: str) -> None:
    place = [given for given in PLACE if not given.startswith(flag.partition("=")[0])]
    job = job_at("--runner=dataflow", *place, flag, f"--sdk_container_image={IMAGE}")
    with pytest.raises(UsageError, match=message):
        check_dataflow(job.engine, job.inputs, job.output)


def test_what_beam_refuses_is_a_usage_error() -> None:
    job = job_at("--runner=dataflow", *PLACE, f"--sdk_container_image={IMAGE}", "--job_name=Not_A_Name")
    with pytest.raises(UsageError, match="runner dataflow: Pipeline has validations errors"):
        translate(job.engine, job.transform(job.target()))


def test_a_job_that_could_run_passes() -> None:
    for way in (f"--sdk_container_image={IMAGE}", "--setup_file=setup.py", "--extra_package=dist/beam_curator.whl"):
        job = job_at("--runner=dataflow", *PLACE, way)
        check_dataflow(job.engine, job.inputs, job.output)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--flexrs_goal=COST_OPTIMIZED", "--gpu=nvidia-l4"], "COST_OPTIMIZED has no GPUs"),
        (["--flexrs_goal=COST_OPTIMIZED", "--resource_hints=min_ram=1GB"], "and --flexrs_goal exclude each other"),
        (["--gpu=nvidia-l4", "--resource_hint=min_ram=1GB"], "and a worker accelerator exclude each other"),
        (
            ["--gpu=nvidia-l4", "--experiments=a,no_use_multiple_sdk_containers"],
            "no_use_multiple_sdk_containers and use_nvidia_mps exclude each other: leave it out",
        ),
    ],
)
def test_what_dataflow_does_not_serve_together_is_refused(given: list[str], message: str) -> None:
    job = job_at(*DATAFLOW, *DIARIZE, *given, command="diarize")
    with pytest.raises(UsageError, match=message):
        check_dataflow(job.engine, job.inputs, job.output)


@pytest.mark.parametrize("way", ["--setup_file=setup.py", "--extra_package=dist/beam_curator.whl"])
def test_a_package_that_would_be_sent_is_named_and_not_built(way: str) -> None:
    job = job_at("--runner=dataflow", *PLACE, way)
    text = job_text(job.engine, job.transform(job.target()))
    (image,) = [line for line in text.splitlines() if line.startswith("  image: ")]
    assert image.endswith(way)


NO_NETWORK = """
import socket, sys
def refused(*given, **more):
    raise AssertionError(f"network: {given}")
socket.getaddrinfo = socket.create_connection = refused
socket.socket.connect = socket.socket.connect_ex = refused
from beam_curator.runners.cli import main
main()
"""


def plan_without_network(*arguments: str, command: str = "windows") -> "subprocess.CompletedProcess[str]":
    """Plan a job in a process that may not open connections and has no credentials."""
    keep = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH")
    line = [command, "gs://bucket/in.jsonl", "--output=gs://bucket/out", "--plan"]
    return subprocess.run(
        [sys.executable, "-c", NO_NETWORK, *line, *arguments],
        env={name: os.environ[name] for name in keep if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_plan_needs_no_network_and_reads_like_one() -> None:
    process = plan_without_network(*DATAFLOW, "--job_name=talks", "--gpu=nvidia-l4")
    assert (process.returncode, process.stderr) == (0, "")
    text = process.stdout[process.stdout.index("Dataflow would run") :].splitlines()
    assert text[:11] == [
        "Dataflow would run this job (translated here, nothing was sent):",
        "  name: talks",
        "  project: my-project",
        "  region: us-central1",
        "  type: batch",
        "  machine: g2-standard-8",
        "  gpu: type:nvidia-l4;count:1;install-nvidia-driver",
        "  disk: 100 GB",
        "  threads: 1",
        f"  image: {IMAGE}",
        "  hints: none",
    ]
    steps = [line.strip() for line in text[text.index("  steps:") + 1 : text.index("  options:")]]
    assert steps[0].startswith("Choose windows: Read manifests, Build training windows, Filter overlaps")
    assert steps[-1].startswith("Commit output set")
    assert "    --machine_type=g2-standard-8  (the machine that nvidia-l4 goes with)" in text
    assert len(process.stdout.splitlines()) < 80


DIARIZE = ["--model-path=gs://bucket/model.nemo"]


def test_a_plan_of_diarization_shows_the_gpu_that_its_processes_share() -> None:
    process = plan_without_network(*DATAFLOW, *DIARIZE, "--gpu=nvidia-l4", command="diarize")
    assert (process.returncode, process.stderr) == (0, "")
    text = process.stdout[process.stdout.index("Dataflow would run") :].splitlines()
    shared = "type:nvidia-l4;count:1;install-nvidia-driver:latest;use_nvidia_mps"
    assert text[5:9] == ["  machine: g2-standard-8", f"  gpu: {shared}", "  disk: 100 GB", "  threads: 1"]
    assert text[10] == "  hints: none"
    (step,) = [line for line in text if line.startswith("    Hear: ")]
    assert "Listen" in step
    (shown,) = [line for line in text if "worker_accelerator" in line]
    assert shown.startswith(f"    --dataflow_service_options=worker_accelerator={shared}  (--gpu; all processes of a ")


def test_workers_of_diarization_have_memory_for_a_model_in_each_process() -> None:
    job = job_at(*DATAFLOW, *DIARIZE, command="diarize")
    text = job_text(job.engine, job.transform(job.target())).splitlines()
    assert {"  machine: e2-highmem-2", "  gpu: none", "  hints: min_ram_bytes=8000000000"} <= set(text)
    (pool,) = described(*DIARIZE, "--machine_type=n2-highmem-8", command="diarize")["environment"]["workerPools"]
    assert pool["machineType"] == "n2-highmem-8"


@pytest.mark.parametrize(
    ("given", "shares", "threads"),
    [
        ([], False, 1),
        (["--threads=3"], False, 3),
        (["--gpu=nvidia-l4"], True, 0),
        (["--gpu=nvidia-l4", "--device=cuda"], True, 0),
        (["--dataflow_service_options=worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver"], True, 0),
    ],
)
def test_one_model_for_all_processes_of_a_machine_with_a_gpu(given: list[str], shares: bool, threads: int) -> None:
    job = job_at(*DATAFLOW, *DIARIZE, *given, command="diarize")
    transform = job.transform(job.target())
    handler = transform._listening_handler()
    assert handler.share_model_across_processes() is shares
    assert transform._inference.threads == threads


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--device=cpu", "--gpu=nvidia-l4"], "--device cpu leaves type:nvidia-l4;count:1;.* idle: leave --device out"),
        (["--device=cuda"], "--device cuda needs workers with a GPU: give --gpu"),
    ],
)
def test_a_model_that_workers_cannot_have_is_refused(given: list[str], message: str) -> None:
    job = job_at(*DATAFLOW, *DIARIZE, *given, command="diarize")
    with pytest.raises(UsageError, match=message):
        job.transform(job.target())


@pytest.mark.parametrize(
    ("files", "named"), [(["model.nemo"], "model.nemo"), (["config.json", "encode.onnx", "_notes.txt"], "")]
)
def test_a_model_on_this_machine_is_refused_with_its_cure(files: list[str], named: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"")
    path = str(tmp_path / named)
    job = job_at(*DATAFLOW, f"--model-path={path}", command="diarize")
    with pytest.raises(UsageError) as raised:
        check_dataflow(job.engine, job.inputs, job.output, job.beside())
    assert str(raised.value) == (
        f"runner dataflow: {path} is on this machine, which Dataflow's workers do not see: "
        f"copy it, gcloud storage cp --recursive {path} gs://…, and give that place"
    )


def test_a_process_without_network_notices_a_connection() -> None:
    """The test above can fail: whatever opens a connection in such a process ends it."""
    script = NO_NETWORK.replace(
        "from beam_curator.runners.cli import main\nmain()", "socket.create_connection(('a', 1))"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "AssertionError: network" in process.stderr


def test_a_plan_of_a_job_that_could_not_run_says_so() -> None:
    process = plan_without_network("--runner=dataflow")
    assert process.returncode == 2
    assert process.stderr.startswith("beam-curator: runner dataflow: --project is missing; --region is missing; ")


def test_options_are_shown_with_their_reasons() -> None:
    command = [sys.executable, "-m", "beam_curator.runners.cli", "windows", "gs://b/in", "--output=gs://b/out"]
    shown = subprocess.run(
        [*command, *DATAFLOW, "--show-options"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout
    assert "  --no_save_main_session = true" in shown
    assert "  --machine_type = e2-standard-2" in shown
