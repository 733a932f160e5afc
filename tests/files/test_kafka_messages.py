"""Names of Kafka's topics, and a client that is missing."""

from __future__ import annotations

import sys

import pytest

from beam_curator.files.kafka_messages import KafkaError, check_kafka
from beam_curator.runners import cli
from beam_curator.runners.options import UsageError


@pytest.mark.parametrize("name", ["kafka://", "kafka://host:9092", "kafka://host/a/b", "kafka://host/a?grp=x"])
def test_a_name_that_is_none_is_wrong_usage(name: str) -> None:
    with pytest.raises(UsageError) as raised:
        cli.run(["stream", "--subscription", name])
    assert str(raised.value) == f"{name!r} is no topic of Kafka: write kafka://HOST:PORT/TOPIC, or …/TOPIC?group=NAME"


def test_a_missing_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(KafkaError, match=r"which is not installed: pip install 'beam-curator\[kafka\]'"):
        check_kafka("kafka://host:9092/chunks")


def test_no_engine_but_the_direct_runner_reads_kafka() -> None:
    said = r"kafka://host/a on flink: Kafka is read on the direct runner alone, .*: leave --runner out"
    with pytest.raises(UsageError, match=said):
        cli.run(["stream", "--subscription", "kafka://host/a", "--runner", "flink"])
