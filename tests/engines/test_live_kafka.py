"""Live streams from a real broker of Kafka, on the direct runner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from beam_curator.files.kafka_messages import ConsumedMessages, KafkaError, check_kafka, commit_kafka, produce_all
from beam_curator.live.messages import Sent
from beam_curator.live.outgoing import Outgoing
from tests.engines.kafka_broker import running_broker, why_no_broker
from tests.fakes_models import Speech, write_band_model, write_sound
from tests.manifests import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(why_no_broker() != "", reason=why_no_broker()),
]
TALKS: dict[str, list[Speech]] = {
    "call": [(0.16, 1.04, 0), (0.96, 1.6, 1), (4.0, 4.8, 2)],
    "desk": [(0.32, 2.24, 3), (2.56, 3.6, 0)],
}


def test_streams_of_a_topic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [write_sound(tmp_path / "talks" / f"{name}.wav", 6.0, speech) for name, speech in TALKS.items()]
    model = ("--model-path", write_band_model(tmp_path / "model"), "--latency", "low")
    assert run("diarize", tmp_path / "talks", "--output", tmp_path / "batch", *model, "--vad", "energy") == 0
    with running_broker(tmp_path) as address:
        topic, dead = f"kafka://{address}/chunks", f"kafka://{address}/dead"
        with pytest.raises(KafkaError, match="/chunks cannot be used"):
            check_kafka(topic)
        produce_all(topic, [Outgoing(b"poison", {})])
        produce_all(dead, [])
        assert run("publish", *files, "--topic", topic) == 0
        sinks = ("--until-idle", "3", "--events", "own")
        assert run("stream", "--subscription", topic, "--output", tmp_path / "live", *model, *sinks) == 3
        batch, live = ({path.name: path.read_bytes() for path in (tmp_path / name / "rttm").glob("*.rttm")} for name in
                       ("batch", "live"))  # fmt: skip
        assert live == batch
        (failure,) = (json.loads(line) for line in (tmp_path / "live" / "failures.jsonl").read_bytes().splitlines())
        assert (failure["code"], failure["payload"]) == ("bad_message", "{}\npoison")
        # all of it was committed
        capsys.readouterr()
        assert run("stream", "--subscription", topic, "--output", tmp_path / "again", *model, "--until-idle", "2") == 0
        assert "again: 0 sessions (none)" in capsys.readouterr().out
        reader = ConsumedMessages(f"{topic}?group=other")
        first = messages_of(reader, 25)
        reader.close()
        # those that were given and not acknowledged come again
        assert sorted(messages_of(reader, 25)) == sorted(first)
        commit_kafka(f"{topic}?group=other", reader.take_acks())


def messages_of(reader: ConsumedMessages, n_messages: int) -> list[Sent]:
    """Return the next messages, 24 chunks and one that is none, of two partitions."""
    found: list[Sent] = []
    while len(found) < n_messages:
        message = reader.next_message()
        found += [] if message is None else [message]
    return found
