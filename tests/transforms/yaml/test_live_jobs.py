"""Live streams in Beam YAML: the template on a folder of chunks, and what cannot hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("apache_beam.yaml.main")

from beam_curator.files.chunk_folders import put_chunk
from beam_curator.files.live_output import prepare_live_output
from beam_curator.transforms.live.stream_messages import StreamMessages
from beam_curator.transforms.live.stream_subscription import StreamSubscription
from beam_curator.transforms.yaml.live_jobs import StreamSpeech
from tests.fakes_models import write_band_model
from tests.live.live_shards import Shard, chunks_of, rttm_of_whole
from tests.transforms.live.test_stream_messages import SOUND
from tests.yaml_runs import run_yaml

pytestmark = pytest.mark.heavy
TEMPLATE = Path(__file__).parents[3] / "templates" / "yaml" / "stream.yaml"


def test_the_template_hears_a_folder(tmp_path: Path) -> None:
    folder, out = tmp_path / "chunks", tmp_path / "live"
    folder.mkdir()
    for chunk in chunks_of(SOUND, 8000):
        put_chunk(str(folder), chunk)
    prepare_live_output(str(out), overwrite=False)
    model = str(write_band_model(tmp_path / "model"))
    places = {"folder": str(folder), "output": str(out), "model": model}
    run_yaml(TEMPLATE, tmp_path, **places, native=False, until_idle=0.2, latency="low")
    assert (out / "rttm" / "a.rttm").read_text() == rttm_of_whole(Shard(), SOUND)


def test_the_source_is_that_of_the_engine_where_it_is_asked_for() -> None:
    name = "projects/p/subscriptions/s"
    assert isinstance(StreamSpeech("gs://bucket/live", subscription=name, native=True)._job, StreamSubscription)
    assert isinstance(StreamSpeech("live", subscription=name, shards=4)._job, StreamMessages)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give a folder of chunks, or a subscription, and not both"),
        ({"folder": "a", "subscription": "b"}, "give a folder of chunks, or a subscription, and not both"),
        ({"folder": "a", "native": True}, "native is for subscriptions: leave it out, or give one"),
        ({"folder": "a", "shards": 0}, "live: shards 0 must be 1-4096"),
    ],
)
def test_what_cannot_hold(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StreamSpeech("live", **given)
