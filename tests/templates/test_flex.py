"""Flex templates, as far as that goes without an engine for images and without a cloud."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from apache_beam.internal import pickler
from apache_beam.portability.api import beam_runner_api_pb2

from beam_curator.runners import cli, flex, job_options
from beam_curator.runners.beam_options import known_flags
from beam_curator.runners.jobs import kind_of_job
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.options import UsageError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "templates" / "flex"
PATHS = ["--input=gs://bucket/in.jsonl", "--output=gs://bucket/out"]
LAUNCHER = [
    "--runner=DataflowRunner",
    "--project=my-project",
    "--region=us-central1",
    "--job_name=my-job",
    "--temp_location=gs://bucket/tmp",
    "--staging_location=gs://bucket/staging",
    "--template_location=gs://bucket/staging/template_launches/1/job_object",
    "--sdk_container_image=europe-docker.pkg.dev/my-project/curation/windows:1",
    '--labels={\n  "goog-dataflow-provided-template-type": "flex"\n}\n',
    "--service_account_email=worker@my-project.iam.gserviceaccount.com",
    "--network=default",
    "--subnetwork=regions/us-central1/subnetworks/default",
    "--max_num_workers=10",
]
"""What Dataflow's launcher adds to the parameters."""

ONE_OPTION = {
    "windows": ("--min_speakers=3", "--min-speakers=3"),
    "extract": ("--output_format=flac", "--output-format=flac"),
    "export": ("--generate_previews=true", "--generate-previews"),
    "diarize": ("--model_path=gs://bucket/model.nemo", "--model-path=gs://bucket/model.nemo"),
    "separate": ("--buffer_mode=pad_turns", "--buffer-mode=pad_turns"),
    "curate": ("--min_duration_sec=3", "--min-duration-sec=3"),
    "filter": ("--where=duration >= 2, a", "--where=duration >= 2, a"),
    "measure": ("--vad=energy", "--vad=energy"),
}
"""Job to a parameter, and what it is on the command line."""

MACHINES = dict.fromkeys(("diarize", "curate"), "e2-highmem-2")
"""Job to the machine of its workers, where it is not that of the others."""
each_job, each_template = (pytest.mark.parametrize("name", names) for names in (job_options.JOBS, flex.TEMPLATES))
needs_google = pytest.mark.skipif(find_spec("google.cloud") is None, reason="needs beam-curator[gcp]")


def job_at(job: str, *arguments: str) -> Job:
    """Return the job that a launch stands for."""
    name, *rest = flex.command_line(job, [*PATHS, *arguments])
    assert name == job
    parser = cli.parser_of(name)
    ours, beams = cli.split_arguments(parser, rest)
    parsed = parser.parse_intermixed_args(ours)
    return kind_of_job(name).of(parsed, beams, parsed.output)


@each_template
def test_the_metadata_is_up_to_date(name: str) -> None:
    written = (FOLDER / f"metadata_{name}.json").read_text(encoding="utf-8")
    assert written == flex.metadata_text(name), "run python -m beam_curator.runners.flex templates/flex"


def test_the_metadata_is_written_by_its_command(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "beam_curator.runners.flex", str(tmp_path)], check=True)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in FOLDER.glob("metadata_*.json")}
    assert list(ONE_OPTION) == list(job_options.JOBS)


@each_template
def test_parameters_are_the_flags_of_the_entry_point_and_none_of_beam(name: str) -> None:
    named = [parameter["name"] for parameter in flex.metadata(name)["parameters"]]
    assert sorted(f"--{item}" for item in named) == sorted(flex.parser_of(name)._option_string_actions)
    assert {item for item in named if f"--{item}" in known_flags()} <= {"dry_run"}  # Beam's is for tests of runners
    command = cli.parser_of(name)._option_string_actions
    flags = {item: f"--{item.replace('_', '-')}" for item in named if item != "input"}
    assert [item for item, flag in flags.items() if not {flag, flag.replace("--", "--no-", 1)} & set(command)] == []


@pytest.mark.parametrize(
    ("job", "name", "expected"),
    [
        ("windows", "truncation", {"paramType": "BOOLEAN", "defaultValue": "true", "groupName": "Windows"}),
        ("windows", "overwrite", {"paramType": "BOOLEAN", "defaultValue": "false", "groupName": "Run"}),
        ("windows", "shards", {"paramType": "NUMBER", "defaultValue": "0", "groupName": "Output"}),
        ("windows", "overlap_target_duration", {"paramType": "NUMBER", "isOptional": True}),
        ("windows", "overlap_scope", {"paramType": "ENUM", "defaultValue": "row", "groupName": "Overlap"}),
        ("windows", "drop_fields_top_level", {"paramType": "TEXT", "defaultValue": "words,segments"}),
        ("windows", "input", {"paramType": "TEXT", "isOptional": False, "groupName": "Paths"}),
        ("windows", "output", {"paramType": "GCS_WRITE_FOLDER", "isOptional": False}),
        ("extract", "what", {"paramType": "ENUM", "defaultValue": "auto", "groupName": "Clips"}),
        ("extract", "sample_rate", {"paramType": "NUMBER", "isOptional": True}),
        ("extract", "allowed_root", {"paramType": "TEXT", "defaultValue": "", "groupName": "Clips"}),
        ("export", "generate_previews", {"paramType": "BOOLEAN", "defaultValue": "false", "groupName": "Export"}),
        ("export", "embeddings", {"paramType": "TEXT", "isOptional": True}),
        ("export", "input", {"paramType": "TEXT", "isOptional": False, "groupName": "Paths"}),
        ("diarize", "model_path", {"paramType": "TEXT", "defaultValue": "", "groupName": "Model"}),
        ("diarize", "latency", {"paramType": "ENUM", "defaultValue": "very-high", "groupName": "Streaming"}),
        ("diarize", "chunk_len", {"paramType": "NUMBER", "isOptional": True, "groupName": "Streaming"}),
        ("diarize", "turn_preset", {"paramType": "ENUM", "isOptional": True, "groupName": "Turns"}),
        ("diarize", "bandwidth", {"paramType": "BOOLEAN", "defaultValue": "false", "groupName": "Diarization"}),
        ("diarize", "inference_batch_size", {"paramType": "NUMBER", "defaultValue": "1", "groupName": "Inference"}),
        ("separate", "exclude_overlaps", {"paramType": "BOOLEAN", "defaultValue": "true", "groupName": "Separation"}),
        ("separate", "diar_segments_key", {"paramType": "TEXT", "defaultValue": "", "groupName": "Rows"}),
        ("diarize", "gpu", {"paramType": "TEXT", "isOptional": True, "groupName": "Run"}),
    ],
)
def test_a_parameter_is_made_from_its_option(job: str, name: str, expected: dict[str, Any]) -> None:
    (found,) = [parameter for parameter in flex.metadata(job)["parameters"] if parameter["name"] == name]
    assert {key: found[key] for key in expected} == expected
    assert ("defaultValue" in found) == ("defaultValue" in expected)


@needs_google
@each_template
def test_dataflow_accepts_the_metadata_and_rejects_broken_ones(name: str) -> None:
    from google.cloud.dataflow_v1beta3 import TemplateMetadata

    text = flex.metadata_text(name)
    template = TemplateMetadata.from_json(text)
    assert [parameter.name for parameter in template.parameters] == [item.name for item in flex.parameters(name)]
    assert all(parameter.label and parameter.help_text for parameter in template.parameters)
    for whole, broken in (
        ('"helpText"', '"helptext"'),
        ('"NUMBER"', '"INTEGER"'),
        ('"isOptional": true', '"isOptional": 1'),
    ):
        assert whole in text
        with pytest.raises(Exception, match=r"helptext|INTEGER|is_optional|isOptional|bool"):
            TemplateMetadata.from_json(text.replace(whole, broken, 1))


@each_template
def test_gcloud_makes_a_template_of_the_metadata(name: str, tmp_path: Path) -> None:
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("gcloud is not installed")
    command = [gcloud, "dataflow", "flex-template", "build", f"gs://bucket/{name}.json", "--image=europe/i:1"]
    command += ["--sdk-language=PYTHON", f"--metadata-file={FOLDER / f'metadata_{name}.json'}"]
    command += ["--print-only", "--project=my-project", "--format=json"]
    made = subprocess.run(
        command, env={**os.environ, "CLOUDSDK_CONFIG": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    template = json.loads(made.stdout) if made.stdout.startswith("{") else json.loads(json.loads(made.stdout))
    assert template["image"] == "europe/i:1"
    kept = (
        "name",
        "label",
        "helpText",
        "isOptional",
        "regexes",
        "paramType",
        "groupName",
        "defaultValue",
        "enumOptions",
    )
    ours = flex.metadata(name)["parameters"]
    assert [{key: item[key] for key in kept if key in item} for item in template["metadata"]["parameters"]] == ours


@each_job
def test_a_launch_without_options_is_the_job_with_its_defaults(name: str) -> None:
    job = job_at(name, *LAUNCHER)
    plain = kind_of_job(name).of(cli.parser_of(name).parse_args(["x"]), [], "y")
    assert job.inputs == ("gs://bucket/in.jsonl",)
    assert job.output == "gs://bucket/out"
    assert job.options | {"run": None} == plain.options | {"run": None}
    assert (job.run.runner, job.run.wait, job.run.overwrite) == ("dataflow", False, False)
    assert job.engine.beam_class == "DataflowRunner"
    passed = [option.argument() for option in job.engine.options if option.why == "you"]
    assert passed == [argument for argument in LAUNCHER if not argument.startswith("--runner")]


@each_job
def test_all_defaults_given_are_the_same_job_as_none(name: str) -> None:
    items = flex.metadata(name)["parameters"]
    given = [f"--{item['name']}={item['defaultValue']}" for item in items if "defaultValue" in item]
    assert job_at(name, *given).options == job_at(name).options


def test_parameters_reach_their_options() -> None:
    job = job_at(
        "windows",
        "--target_window_duration=90.5",
        "--min_speakers=3",
        "--truncation=FALSE",
        "--drop_fields=words, my key",
        "--drop_fields_top_level=",
        "--overlap_scope=audio_file",
        "--overlap_target_duration=",
        "--keep_duplicates=true",
        "--layout=spans",
        "--row_format=parquet",
        "--shards=16",
        "--overwrite=true",
        "--verbose=true",
    )
    windows, overlap = job.options["windows"], job.options["overlap"]
    assert (windows.target_window_duration, windows.min_speakers, windows.truncation) == (90.5, 3, False)
    assert (windows.drop_fields, windows.drop_fields_top_level) == (("words", "my key"), ())
    assert (overlap.scope, overlap.target_duration) == ("audio_file", None)
    assert job.options["input"].keep_duplicates is True
    output = job.options["output"]
    assert (output.layout, output.row_format, output.shards) == ("spans", "parquet", 16)
    assert (job.run.overwrite, job.run.verbose) == (True, True)


def test_parameters_of_clips_reach_their_options() -> None:
    cut = ["--what=segments", "--mono=first", "--sample_rate=16000", "--allowed_root=gs://a/x,gs://b/y", "--shards=4"]
    for name in ("extract", "export"):
        job = job_at(name, *cut)
        clips = job.options["clips"]
        assert (clips.what, clips.mono, clips.sample_rate) == ("segments", "first", 16000)
        assert clips.allowed_root == ("gs://a/x", "gs://b/y")
        assert job.options["output"].shards == 4
    output = job_at("extract", "--output_format=ogg", "--pack=nemo-tar", "--index=parquet").options["output"]
    assert (output.output_format, output.pack, output.index) == ("ogg", "nemo-tar", "parquet")
    export = job_at("export", "--upload_clips=false", "--caption_models=canary,text", "--embeddings=gs://a/e.parquet")
    rules = export.options["export"]
    assert (rules.upload_clips, rules.caption_models) == (False, ("canary", "text"))
    assert rules.embeddings == "gs://a/e.parquet"


def test_former_names_reach_the_command_which_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert job_at("extract", "--audio_key=wav").options["clips"].audio_filepath_key == "wav"
    assert capsys.readouterr().err == "beam-curator: warning: --audio-key is now called --audio-filepath-key\n"
    assert "audio_key" not in {parameter.name for parameter in flex.parameters("extract")}


def test_parameters_of_diarization_reach_their_options() -> None:
    job = job_at(
        "diarize",
        "--model_path=gs://a/model.nemo",
        "--model_sha256=" + "0f" * 32,
        "--latency=low",
        "--fifo_len=100",
        "--turn_preset=v2-dihard3",
        "--onset=0.6",
        "--bandwidth=true",
        "--rttm_out_dir=pred_rttms",
        "--inference_batch_size=4",
        "--batch_seconds=600",
        "--gpu=nvidia-l4",
    )
    model, turns = job.options["model"], job.options["turns"].rules()
    assert (model.model_path, model.sha256, model.device) == ("gs://a/model.nemo", "0f" * 32, "auto")
    walk = job.options["streaming"].parameters()
    assert (walk.chunk_len, walk.fifo_len) == (6, 100)
    assert (turns.onset, turns.offset) == (0.6, 1.0)
    assert (job.options["diarization"].bandwidth, job.options["diarization"].rttm_out_dir) == (True, "pred_rttms")
    inference = job.options["inference"]
    assert (inference.inference_batch_size, inference.batch_seconds) == (4, 600.0)
    assert job.engine.value("machine_type") == "g2-standard-8"
    assert job.engine.accelerator == "type:nvidia-l4;count:1;install-nvidia-driver:latest;use_nvidia_mps"


def test_only_jobs_that_use_a_gpu_have_it_as_a_parameter() -> None:
    with_gpu = [job for job in flex.TEMPLATES if "gpu" in {parameter.name for parameter in flex.parameters(job)}]
    assert with_gpu == ["diarize", "curate", "stream"]


def test_several_inputs_are_told_apart_and_names_may_hold_spaces_and_commas() -> None:
    command = flex.command_line("windows", ["--input=gs://a/one file.jsonl, gs://b/x,y/*.jsonl", "--output=gs://c/d e"])
    assert command[:4] == ["windows", "gs://a/one file.jsonl", "gs://b/x,y/*.jsonl", "--output=gs://c/d e"]


def test_flags_without_a_value_are_written_as_beam_takes_them() -> None:
    flags = ["--use_public_ips=false", "--enable_streaming_engine=true", "--update=false", "--experiments=a,b"]
    command = flex.command_line("windows", [*PATHS, *flags])
    assert command[-3:] == ["--no_use_public_ips", "--enable_streaming_engine", "--experiments=a,b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=gs://c"], r"the following arguments are required: --input"),
        ([*PATHS, "--truncation=maybe"], r"parameter truncation is 'maybe', expected true or false"),
        ([*PATHS, "--min_speakers=two"], r"argument --min-speakers: invalid whole number value: 'two'"),
        ([*PATHS, "--layout=fat"], r"argument --layout: invalid choice: 'fat'"),
        ([*PATHS, "--min_speakers=7"], r"min_speakers 7 exceeds max_speakers 5"),
        ([*PATHS, "--min_speeker=7"], r"unknown flag --min_speeker: did you mean --min-speakers\?"),
        (["--input=", "--output=gs://c"], r"no INPUT given"),
        pytest.param(PATHS, r"--project is missing; --region is missing; .*sdk_container_image", marks=needs_google),
    ],
)
def test_what_cannot_be_launched_ends_with_a_message_and_code_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["windows.py", *arguments])
    monkeypatch.setattr(cli, "settle_threads", lambda: None)  # which is for the process that a launch is
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / "windows.py"), run_name="__main__")
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_process_that_cannot_launch_says_so_and_no_more() -> None:
    command = [sys.executable, str(FOLDER / "windows.py"), "--output=gs://c"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert process.stderr.startswith("beam-curator: the following arguments are required: --input")
    assert "Traceback" not in process.stderr


WITHOUT_CREDENTIALS = """
import runpy, socket, sys
from beam_curator.runners.beam_start import start_beam
start_beam(for_dataflow=True)
from apache_beam.internal.gcp import auth
auth.get_service_credentials = lambda options: None
resolve = socket.getaddrinfo
def only_here(host, *rest, **more):
    if host not in ("127.0.0.1", "localhost"):
        raise AssertionError(f"asked for {host}")
    return resolve(host, *rest, **more)
socket.getaddrinfo = only_here
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def launched(name: str) -> Iterator[tuple[Any, "subprocess.CompletedProcess[str]"]]:
    """Launch as Dataflow does, with a store on this machine; return the store and the finished process."""
    pytest.importorskip("google.cloud.storage", reason="needs beam-curator[gcp]")
    from tests.templates.fake_gcs import fake_gcs

    with fake_gcs() as store:
        store.objects["bucket/in.jsonl"] = (ROOT / "examples" / "talks.jsonl").read_bytes()
        arguments = [str(FOLDER / f"{name}.py"), *PATHS, ONE_OPTION[name][0], *LAUNCHER, "--no_auth"]
        process = subprocess.run(
            [sys.executable, "-c", WITHOUT_CREDENTIALS, *arguments],
            env={**os.environ, "STORAGE_EMULATOR_HOST": store.url},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        yield store, process


def modules_of(pipeline: bytes) -> set[str]:
    """Return the packages, of two names, whose functions a pipeline refers to."""
    transforms = beam_runner_api_pb2.Pipeline.FromString(pipeline).components.transforms.values()
    pardos = [each.spec.payload for each in transforms if each.spec.urn == "beam:transform:pardo:v1"]
    functions = [pickler.loads(beam_runner_api_pb2.ParDoPayload.FromString(each).do_fn.payload)[0] for each in pardos]
    called = [getattr(function, "_fn", function) for function in functions]
    return {".".join(getattr(each, "__module__", "").split(".")[:2]) for each in called}


@pytest.mark.parametrize(
    "name", [name if name in MACHINES else pytest.param(name, marks=pytest.mark.slow) for name in job_options.JOBS]
)
def test_a_launch_leaves_the_job_where_dataflow_looks_for_it(name: str, launched: Any) -> None:
    store, process = launched
    assert process.returncode == 0, process.stderr
    assert process.stdout == "The job runs on; gs://bucket/out is complete when it holds _MANIFEST.json.\n"
    line = process.stderr.partition("launching: beam-curator ")[2]
    assert shlex.split(line)[:4] == [name, "gs://bucket/in.jsonl", "--output=gs://bucket/out", ONE_OPTION[name][1]]
    job = json.loads(store.objects["bucket/staging/template_launches/1/job_object"])
    pool = job["environment"]["workerPools"][0]
    assert job["name"] == "my-job"
    assert job["labels"] == {"goog-dataflow-provided-template-type": "flex"}
    assert pool["machineType"] == MACHINES.get(name, "e2-standard-2")
    assert pool["sdkHarnessContainerImages"][0]["containerImage"].endswith("curation/windows:1")
    staged = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"].removeprefix("gs://")
    assert "beam_curator.transforms" in modules_of(store.objects[staged])
    assert b"__main__" not in store.objects[staged]
    assert store.names_under("bucket/out/") == ["_RUN.json"]
    assert [
        name for name in store.names_under("bucket/staging/") if not name.endswith(("job_object", "pipeline.pb"))
    ] == []


@each_template
def test_an_entry_file_is_importable_code_only(name: str) -> None:
    lines = (FOLDER / f"{name}.py").read_text(encoding="utf-8").split("\n\n")
    assert lines[1:] == ["from beam_curator.runners.flex import launch", f'launch("{name}")\n']


def test_the_entry_point_raises_for_a_broken_parameter() -> None:
    with pytest.raises(UsageError, match="parameter verbose is '1', expected true or false"):
        flex.command_line("windows", [*PATHS, "--verbose=1"])
