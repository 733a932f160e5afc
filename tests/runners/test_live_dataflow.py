"""A live job on Dataflow, translated on this machine as it would be there; nothing is sent."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from beam_curator.live.live_options import LiveRules, LiveSinks
from beam_curator.runners import cli
from beam_curator.runners.engines.dataflow import job_description, translate
from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.options import UsageError
from beam_curator.runners.presets import STREAM, resolve_engine
from beam_curator.transforms.live.stream_subscription import StreamSubscription
from tests.manifests import run
from tests.templates.test_dataflow import IMAGE, PLACE
from tests.transforms.live.test_stream_messages import load

pytestmark = pytest.mark.skipif(find_spec("google.cloud") is None, reason="needs beam-curator[gcp]")
SUBSCRIPTION, TOPIC = "projects/my-project/subscriptions/calls", "projects/my-project/topics/events"
COMMAND = ["stream", "--subscription", SUBSCRIPTION, "--output", "gs://bucket/live", "--runner", "dataflow"]
WORKERS = [*PLACE, f"--sdk_container_image={IMAGE}"]


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(*COMMAND, *WORKERS, "--plan", *arguments) == 0
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_a_plan_shows_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    lines = planned(capsys, "--events-topic", TOPIC)
    assert lines[0] == f"Would hear {SUBSCRIPTION}, and write RTTM, entries and dead letters to gs://bucket/live"
    assert {"type: streaming", "machine: e2-highmem-2", "gpu: none", "hints: min_ram_bytes=8000000000"} <= {*lines}
    assert "--enable_streaming_engine  (state of sessions lies in the service, and workers come and go)" in lines
    steps = lines[lines.index("steps:") + 1 : lines.index("options:")]
    assert [step.partition(":")[0] for step in steps][:4] == [
        "Read messages",
        "Take messages",
        "Hear streams",
        "Render events",
    ]


def test_workers_with_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    lines = planned(capsys, "--gpu", "nvidia-l4", "--batch", "64")
    assert "machine: g2-standard-8" in lines
    assert "gpu: type:nvidia-l4;count:1;install-nvidia-driver:latest;use_nvidia_mps" in lines


def test_source_sink_and_timers_are_those_of_the_engine() -> None:
    engine = resolve_engine(RunOptions(runner="dataflow"), WORKERS, STREAM)
    streams = StreamSubscription(
        SUBSCRIPTION, "gs://bucket/live", rules=LiveRules(), load=load, sinks=LiveSinks(events_topic=TOPIC)
    )
    job: Any = translate(engine, streams)
    transforms = job.proto_pipeline.components.transforms.values()
    named = {urn: [each for each in transforms if each.spec.urn == f"beam:transform:{urn}:v1"] for urn in
             ("pubsub_read", "pubsub_write", "pardo")}  # fmt: skip
    (read,), (write,) = named["pubsub_read"], named["pubsub_write"]
    assert SUBSCRIPTION.encode() in read.spec.payload
    assert TOPIC.encode() in write.spec.payload
    from apache_beam.portability.api import beam_runner_api_pb2

    payloads = [beam_runner_api_pb2.ParDoPayload.FromString(each.spec.payload) for each in named["pardo"]]
    domains = {name: spec.time_domain for each in payloads for name, spec in each.timer_family_specs.items()}
    time_domain = beam_runner_api_pb2.TimeDomain
    assert {name.rpartition("-")[2]: domain for name, domain in domains.items()} == {
        "tick": time_domain.PROCESSING_TIME,
        "end": time_domain.EVENT_TIME,
    }
    description = job_description(job)
    assert description["type"] == "JOB_TYPE_STREAMING"
    assert "enable_streaming_engine" in description["environment"]["experiments"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--until-idle", "5"], "--until-idle ends a job on this machine, and one on Dataflow ends when it is drained"),
        (["--tolerate", "5"], "--tolerate ends a job on this machine"),
        (["--output", "live"], "runner dataflow: live is on this machine, which Dataflow's workers do not see"),
        (["--device", "cuda"], "--device cuda needs workers with a GPU: give --gpu"),
    ],
)
def test_what_dataflow_could_not_run(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        cli.run([*COMMAND, *WORKERS, *arguments])
    assert str(raised.value).startswith(message)


def test_chunks_in_a_folder_of_this_machine(tmp_path: Any) -> None:
    with pytest.raises(UsageError, match="live streams on Dataflow come from Pub/Sub: give --subscription and no FOLD"):
        cli.run(["stream", str(tmp_path), "--runner", "dataflow", *WORKERS])
