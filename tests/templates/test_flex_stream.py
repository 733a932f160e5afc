"""The flex template of live streams: no input but a subscription, and no end."""

from beam_curator.runners import cli, flex
from beam_curator.runners.live_arguments import STREAM_SECTIONS
from beam_curator.runners.options import given_options, resolve


def test_a_stream_has_a_subscription_and_is_not_waited_for() -> None:
    given = ["--subscription=projects/p/subscriptions/s", "--output=gs://b/live", "--dead_air_gate=false", "--gpu="]
    command = flex.command_line("stream", [*given, "--project=p", "--runner=DataflowRunner"])
    assert command == [
        "stream",
        "--subscription=projects/p/subscriptions/s",
        "--output=gs://b/live",
        "--no-dead-air-gate",
        "--runner=dataflow",
        "--project=p",
    ]
    assert flex.metadata("stream")["streaming"]
    assert not flex.metadata("windows")["streaming"]
    found = {parameter["name"]: parameter for parameter in flex.metadata("stream")["parameters"]}
    assert (found["subscription"]["paramType"], found["subscription"]["isOptional"]) == ("PUBSUB_SUBSCRIPTION", False)
    # they mean nothing where the job runs
    assert found.keys().isdisjoint({"until_idle", "tolerate", "jobs", "overwrite", "input"})


def test_all_defaults_of_a_stream_are_those_of_the_command() -> None:
    paths = ["--subscription=projects/p/subscriptions/s", "--output=gs://b/live"]
    items = flex.metadata("stream")["parameters"]
    command = flex.command_line(
        "stream", [*paths, *(f"--{item['name']}={item['defaultValue']}" for item in items if "defaultValue" in item)]
    )
    parsed = cli.parser_of("stream").parse_intermixed_args(command[1:])
    flags = {name: value for name, value in vars(parsed).items() if "." in name and name != "run.runner"}
    options = resolve(STREAM_SECTIONS, given_options(STREAM_SECTIONS, {}, [], flags))
    assert options == {name: options() for name, options in STREAM_SECTIONS.items()}
