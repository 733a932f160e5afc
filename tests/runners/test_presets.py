from typing import Any

import pytest

from beam_curator.runners.job_options import JOBS, RunOptions
from beam_curator.runners.options import UsageError
from beam_curator.runners.presets import JOB_PRESETS, PRESETS, STREAM, Engine, resolve_engine


def engine(*beam_arguments: str, **run: Any) -> Engine:
    return resolve_engine(RunOptions(**run), beam_arguments)


def test_names_stand_for_runners_of_beam() -> None:
    classes = {name: engine(runner=name).beam_class for name in PRESETS}
    assert classes == {
        "direct": "FnApiRunner",
        "prism": "PrismRunner",
        "flink": "FlinkRunner",
        "dataflow": "DataflowRunner",
    }


def test_another_runner_of_beam_is_taken_as_it_is() -> None:
    other = engine("--job_endpoint=localhost:8099", runner="PortableRunner")
    assert (other.beam_class, other.arguments()) == ("PortableRunner", ["--job_endpoint=localhost:8099"])


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("flnk", "did you mean flink?"),
        ("spark", "known are direct, prism, flink, dataflow"),
        ("DirectRunner", "known are direct, prism, flink, dataflow"),
        ("", "known are direct, prism, flink, dataflow"),
    ],
)
def test_an_unknown_runner_is_refused_with_the_names(name: str, end: str) -> None:
    with pytest.raises(UsageError) as caught:
        engine(runner=name)
    assert str(caught.value).startswith(f"unknown runner {name!r}: ")
    assert str(caught.value).endswith(end)


def test_what_the_user_sets_wins() -> None:
    flink = engine("--flink_master=localhost:8081", "--environment_type", "LOOPBACK", runner="flink")
    assert flink.value("flink_master") == "localhost:8081"
    assert flink.value("environment_type") == "LOOPBACK"
    assert [option.name for option in flink.options].count("environment_type") == 1
    assert {option.name: option.why for option in flink.options}["environment_type"] == "you"


def test_jobs_are_the_parallelism_of_flink_and_its_worker_processes_follow() -> None:
    flink = engine(runner="flink", jobs="3")
    assert (flink.value("parallelism"), flink.value("sdk_worker_parallelism")) == ("3", "3")
    flink = engine("--parallelism=2", runner="flink")
    assert (flink.value("parallelism"), flink.value("sdk_worker_parallelism")) == ("2", "2")


def test_workers_are_kept_between_stages_only_where_no_task_is_started_again() -> None:
    for inside in (engine(runner="flink"), engine("--flink_master=[auto]", runner="flink")):
        assert inside.value("environment_cache_millis") == "600000"
    assert engine("--flink_master=flink:8081", runner="flink").value("environment_cache_millis") is None
    chosen = engine("--flink_master=flink:8081", "--environment_cache_millis=5000", runner="flink")
    assert chosen.value("environment_cache_millis") == "5000"


def test_jobs_are_the_workers_of_the_direct_runner() -> None:
    assert engine(jobs="4").arguments() == ["--direct_num_workers=4"]


def test_a_flag_without_a_value_stays_one() -> None:
    prism = engine("--streaming", "--experiments=a", runner="prism")
    assert prism.arguments()[:2] == ["--streaming", "--experiments=a"]


class TestStreamingOnFlink:
    def test_has_checkpoints_every_ten_seconds(self) -> None:
        flink = engine("--streaming", runner="flink")
        assert "--checkpointing_interval=10000" in flink.arguments()
        assert "--finish_bundle_before_checkpointing" in flink.arguments()

    def test_takes_the_user_s_interval(self) -> None:
        assert (
            engine("--streaming", "--checkpointing_interval=500", runner="flink").value("checkpointing_interval")
            == "500"
        )

    @pytest.mark.parametrize("interval", ["0", "-1", "never"])
    def test_refuses_to_run_without(self, interval: str) -> None:
        with pytest.raises(
            UsageError, match=f"--checkpointing_interval {interval}: a stream on Flink acknowledges nothing"
        ):
            engine("--streaming", f"--checkpointing_interval={interval}", runner="flink")

    def test_batch_jobs_need_none(self) -> None:
        assert engine(runner="flink").value("checkpointing_interval") is None


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            {"runner": "prism", "jobs": "2"},
            "--jobs 2: runner prism has no worker processes of ours: use --runner direct",
        ),
        ({"runner": "dataflow", "jobs": "2"}, "--jobs 2: runner dataflow .*: give --max_num_workers"),
        ({"runner": "flink", "wait": False}, "--no-wait: runner flink ends with this process: leave it out"),
        ({"runner": "direct", "gpu": "nvidia-l4"}, "--gpu nvidia-l4: only runner dataflow rents machines"),
        ({"runner": "dataflow", "gpu": "nvidia-l5"}, "--gpu nvidia-l5: did you mean nvidia-l4"),
    ],
)
def test_options_that_a_runner_would_ignore_are_refused(run: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        engine(**run)


def test_a_gpu_brings_its_machine_and_driver() -> None:
    dataflow = engine(runner="dataflow", gpu="nvidia-l4")
    assert dataflow.value("machine_type") == "g2-standard-8"
    assert dataflow.value("dataflow_service_options") == (
        "worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver"
    )


class TestJobsThatWantMore:
    @pytest.mark.parametrize("command", ["", "windows", "extract", "export"])
    def test_others_get_what_the_runner_has(self, command: str) -> None:
        for gpu in (None, "nvidia-l4"):
            run = RunOptions(runner="dataflow", gpu=gpu)
            assert resolve_engine(run, [], command) == resolve_engine(run, [])

    def test_a_model_wants_memory(self) -> None:
        dataflow = resolve_engine(RunOptions(runner="dataflow"), [], "diarize")
        assert (dataflow.value("machine_type"), dataflow.value("resource_hints")) == ("e2-highmem-2", "min_ram=8GB")
        assert dataflow.value("disk_size_gb") == "50"
        assert dataflow.accelerator is None

    def test_with_a_gpu_its_machine_wins_and_processes_share_it(self) -> None:
        dataflow = resolve_engine(RunOptions(runner="dataflow", gpu="nvidia-tesla-t4"), [], "diarize")
        assert (dataflow.value("machine_type"), dataflow.value("resource_hints")) == ("n1-standard-8", None)
        shared = "type:nvidia-tesla-t4;count:1;install-nvidia-driver:latest;use_nvidia_mps"
        assert dataflow.accelerator == shared
        assert dataflow.value("number_of_worker_harness_threads") == "1"

    def test_what_the_user_sets_wins(self) -> None:
        run = RunOptions(runner="dataflow", gpu="nvidia-l4")
        own = "--dataflow_service_options=a,worker_accelerator=type:x;count:2"
        dataflow = resolve_engine(run, ["--machine_type=g2-standard-24", own], "diarize")
        assert (dataflow.value("machine_type"), dataflow.accelerator) == ("g2-standard-24", "type:x;count:2")

    def test_elsewhere_nothing_changes(self) -> None:
        for runner in ("direct", "prism", "flink"):
            assert resolve_engine(RunOptions(runner=runner), [], "diarize") == resolve_engine(
                RunOptions(runner=runner), []
            )


def test_every_option_of_a_preset_says_why() -> None:
    for preset in PRESETS.values():
        for name, (value, why) in {**preset["options"], **preset.get("streaming", {})}.items():
            assert value and why, name
    assert set(JOB_PRESETS) <= {*JOBS, STREAM}
    for job in JOB_PRESETS.values():
        assert set(job) <= {*PRESETS, "gpu"}
        for options in job.values():
            assert all(value and why for value, why in options.values())


def stream(*beam_arguments: str) -> Engine:
    return resolve_engine(RunOptions(runner="flink", jobs="2"), beam_arguments, STREAM)


def test_live_streams_keep_their_state_in_checkpoints_on_flink() -> None:
    flink = stream("--state_backend_storage_path=file:///mnt/checkpoints", "--max_bundle_time_mills=50")
    values = {option.name: option.value for option in flink.options}
    assert {name: values[name] for name in ("streaming", "checkpointing_interval", "state_backend")} == {
        "streaming": "true",
        "checkpointing_interval": "1000",
        "state_backend": "filesystem",
    }
    assert (values["max_bundle_time_mills"], values["max_cache_memory_usage_mb"]) == ("50", "500")
    # a worker that died is not kept
    assert "environment_cache_millis" not in values


def test_live_streams_on_flink_need_a_place_for_checkpoints() -> None:
    with pytest.raises(UsageError, match="--state_backend_storage_path is missing: live streams on Flink"):
        stream()
    with pytest.raises(UsageError, match="--checkpointing_interval 0: a stream on Flink acknowledges nothing"):
        stream("--checkpointing_interval=0", "--state_backend_storage_path=file:///mnt/checkpoints")
