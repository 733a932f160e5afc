"""The live job on a folder: what comes through Beam's state, and what lies in the directory then."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import jsonschema
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_curator.diarization.sortformer_streaming import StreamingSortformer
from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.files.chunk_folders import ChunkFolder, put_chunk
from beam_curator.files.event_files import EventReader
from beam_curator.files.live_output import prepare_live_output
from beam_curator.live.events import EVENT_SCHEMA
from beam_curator.live.live_options import LiveRules
from beam_curator.live.session_state import HearingRules
from beam_curator.transforms.live.message_source import MessageSource
from beam_curator.transforms.live.stream_messages import StreamMessages
from tests.fakes_models import BandBackend, sound_of
from tests.live.live_shards import Shard, chunks_of, rounded, rttm_of_whole

SOUND = rounded(sound_of(6.0, [(0.16, 1.04, 0), (0.96, 1.6, 1), (4.0, 4.8, 0)])[:, 0])


ODD_NAMES = ("../../calls/2026", "x" * 1024, "a b\n")


def load() -> HearingRules:
    return HearingRules(StreamingSortformer(BandBackend(), LATENCY_PRESETS["low"]), TurnRules())


def run(folder: Path, out: Path, **rules: Any) -> None:
    prepare_live_output(str(out), overwrite=False)
    with beam.Pipeline(runner="FnApiRunner", options=PipelineOptions(["--streaming"])) as pipeline:
        source = MessageSource(str(folder), "", until_idle=0.2)
        _ = pipeline | StreamMessages(source, str(out), rules=LiveRules(**rules), load=load)


def load_deaf() -> HearingRules:
    """Return a model whose turns begin above any probability that it has."""
    return load()._replace(turns=TurnRules(onset=1.0, offset=1.0))


def test_two_jobs_in_one_process_have_a_model_each(tmp_path: Path) -> None:
    folder = tmp_path / "chunks"
    folder.mkdir()
    for chunk in chunks_of(SOUND, 16_000):
        put_chunk(str(folder), chunk)
    with beam.Pipeline(runner="FnApiRunner", options=PipelineOptions(["--streaming"])) as pipeline:
        for name, model in (("deaf", load_deaf), ("hearing", load)):
            prepare_live_output(str(tmp_path / name), overwrite=False)
            source = MessageSource(str(folder), "", until_idle=0.5)
            _ = pipeline | name >> StreamMessages(source, str(tmp_path / name), rules=LiveRules(), load=model)
    assert (tmp_path / "deaf" / "rttm" / "a.rttm").read_text() == ""
    assert (tmp_path / "hearing" / "rttm" / "a.rttm").read_text() == rttm_of_whole(Shard(), SOUND)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_streams_of_a_folder(tmp_path: Path) -> None:
    folder, out = tmp_path / "chunks", tmp_path / "out"
    folder.mkdir()
    for number in range(5):
        chunks = chunks_of(SOUND, 4000 + 500 * number, stream_id=f"s{number}")
        # the latest first
        for chunk in chunks[::-1] if number != 4 else chunks[:15]:
            put_chunk(str(folder), chunk)
    put_chunk(str(folder), replace(chunks[0], stream_id="bad", data=b"odd"))
    for name in ODD_NAMES:
        put_chunk(str(folder), replace(chunks[0], stream_id=name, final=True))
    (folder / "poison.chunk").write_bytes(b"poison")
    (folder / "notes.txt").write_text("no chunk")
    run(folder, out, shards=2, streams_per_shard=8)
    expected = rttm_of_whole(Shard(), SOUND)
    for number in range(4):
        assert (out / "rttm" / f"s{number}.rttm").read_text() == expected.replace(" a ", f" s{number} ")
        assert (out / "rttm" / f"s{number}.uem").read_text() == f"s{number} 1 0.000 6.000\n"
    events = lines_of(out / "events" / "s0.jsonl")
    assert [event["event_seq"] for event in events] == list(range(len(events)))
    assert len({event["event_id"] for event in events}) == len(events)
    for event in events:
        jsonschema.validate(event, EVENT_SCHEMA)
    reader = EventReader(str(out))
    found = list(reader.new_events())
    assert {event["stream_id"] for event in found} == {"s0", "s1", "s2", "s3", "s4", "bad", *ODD_NAMES}
    # files of their own, and none of them elsewhere
    assert len({event["recording_id"] for event in found}) == len(list((out / "rttm").glob("*.rttm"))) == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chunks", "out"]
    assert list(reader.new_events()) == []
    (entry,) = lines_of(out / "entries" / "s4.jsonl")
    assert (entry["closed"], entry["duration"], entry["num_speakers"]) == ("drained", 5.625, 2)
    assert entry["segments"][0] == {"start": 0.16, "end": 1.04, "speaker": "speaker_0"}
    failures = lines_of(out / "failures.jsonl")
    assert sorted(failure["code"] for failure in failures) == ["bad_message", "not_audio"]


def test_an_output_of_another_job_is_refused(tmp_path: Path) -> None:
    prepare_live_output(str(tmp_path), overwrite=False)
    (tmp_path / "mine.txt").write_text("stays")
    (tmp_path / "events" / "a.jsonl").write_text("goes")
    with pytest.raises(FileExistsError, match="events is there from another job: name another directory, or give"):
        prepare_live_output(str(tmp_path), overwrite=False)
    prepare_live_output(str(tmp_path), overwrite=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["entries", "events", "mine.txt", "rttm"]


def test_a_folder_gives_each_chunk_once_as_it_comes(tmp_path: Path) -> None:
    folder = ChunkFolder(str(tmp_path))
    assert folder.next_message() is None
    first, second, third = chunks_of(SOUND, 40_000)
    put_chunk(str(tmp_path), second)
    assert next_of(folder) == second.to_bytes()
    put_chunk(str(tmp_path), first)
    put_chunk(str(tmp_path), third)
    assert [next_of(folder), next_of(folder), next_of(folder)] == [first.to_bytes(), third.to_bytes(), None]


def test_a_folder_remembers_the_chunks_that_lie_there_alone(tmp_path: Path) -> None:
    folder = ChunkFolder(str(tmp_path))
    for chunk in chunks_of(SOUND, 10_000):
        put_chunk(str(tmp_path), chunk)
        assert next_of(folder) == chunk.to_bytes()
        assert folder.next_message() is None
        (path,) = tmp_path.glob("*.chunk")
        path.unlink()
    assert folder.next_message() is None
    assert len(folder) == 0


def next_of(folder: ChunkFolder) -> bytes | None:
    message = folder.next_message()
    return None if message is None else message.data
