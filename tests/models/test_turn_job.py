from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.audio import AudioInfo, AudioReader
from beam_curator.diarization.bandwidth import estimate_bandwidth
from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.diarization.turn_entries import EntryFacts, diarized_entry
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, rows_of_part
from beam_curator.files.recording_files import RecordingFiles
from beam_curator.models.turn_finding import Diarized, Ready, TurnTask, diarized_of
from beam_curator.models.turn_job import TurnJob
from beam_curator.sets.asked_rows import AskedRow
from beam_curator.sets.recording_events import Event
from beam_curator.sets.recording_jobs import LinePlace, RowsTask
from beam_curator.transforms.jobs.model_steps import look_into
from tests.fakes_models import Speech, said, segments_of, write_sound
from tests.files.parts import written
from tests.manifests import line_of
from tests.transforms.clips.clip_sets import mark_run, samples_in

TALK: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 1)]
TALK_RTTM = (
    "SPEAKER talk 1 0.800 0.800 <NA> <NA> speaker_0 <NA> <NA>\n"
    "SPEAKER talk 1 1.200 0.800 <NA> <NA> speaker_1 <NA> <NA>\n"
)


def asked_row(
    raw: bytes,
    source: str = "/data/m.jsonl",
    position: tuple[int, int, int] = (0, 0, 0),
    *,
    rules: DiarizeRules | None = None,
) -> AskedRow:
    """Tell which recording a line asks for."""
    job = TurnJob(rules if rules is not None else DiarizeRules(), TurnRules())
    return job.asked_by(raw, LinePlace(source=source, position=position, n_blocks=3))


def row_of(path: str, place: int = 0, **fields: Any) -> AskedRow:
    """Return the row of a manifest in /data."""
    return asked_row(line_of({"audio_filepath": path, **fields}), position=(0, 0, place))


def task_of(path: Path, *rows: dict[str, Any], name: str = "talk") -> TurnTask:
    """Return the task of rows that ask for one recording; without rows one asks for all of it."""
    asked = [{"audio_filepath": path.name} | row for row in rows or ({},)]
    places = [(2, 0, 100 * number) for number in range(len(asked))]
    made = [
        asked_row(line_of(row), str(path.parent / "m.jsonl"), place) for row, place in zip(asked, places, strict=True)
    ]
    return RowsTask(recording_id=name, identity=made[0].identity, rows=tuple(made))


def ready_of(path: Path, *rows: dict[str, Any], rules: DiarizeRules | None = None) -> Ready:
    return look_into(TurnJob(rules if rules is not None else DiarizeRules(), TurnRules()), task_of(path, *rows))


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A recording of four seconds at 8 kHz."""
    return write_sound(tmp_path / "in" / "talk.wav", 4.0, TALK, 8000)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def write(out: Path, talk: Path, heard: Any, *rows: dict[str, Any], **options: Any) -> Part:
    """Write what a model says of a recording."""
    rules = DiarizeRules(**options)
    return write_ready(OutputTarget(directory=str(out)), ready_of(talk, *rows, rules=rules), heard, rules)


def write_ready(target: OutputTarget, ready: Ready | Diarized, heard: Any, rules: DiarizeRules) -> Part:
    """Write what a model says of a recording that was looked into."""
    job = TurnJob(rules, TurnRules())
    return part_of(job, target, job.task_of(ready), job.made(ready, heard))


def part_of(job: TurnJob, target: OutputTarget, task: TurnTask, events: Iterator[Event]) -> Part:
    _, part = written(job, target, task, events)
    return part


def kept(target: OutputTarget, task: TurnTask) -> Part | None:
    return RecordingFiles(TurnJob(DiarizeRules(), TurnRules()), target).kept(task)


def rows_in(out: Path, part: Part) -> list[Any]:
    """Return the rows and dead letters of a part."""
    heads = {record.name: record.kind == "turns" for record in part.files}
    return [row for name, has_head in heads.items() for row in rows_of_part(str(out / name), has_head=has_head)]


class TestAskedBy:
    def test_a_recording(self) -> None:
        row = row_of("x/talk.wav", 7, lang="de")
        assert (row.name, row.recording, row.start, row.end) == ("talk", "/data/x/talk.wav", 0.0, None)
        assert (row.identity, row.offset, row.source) == ("/data/x/talk.wav", 7, "/data/m.jsonl")
        assert row.fields() == {"audio_filepath": "x/talk.wav", "lang": "de"}

    def test_a_piece(self) -> None:
        row = row_of("talk.wav", offset=1.5, duration=2, session_name="one")
        assert (row.name, row.start, row.end, row.identity) == ("one", 1.5, 3.5, "/data/talk.wav#1.5-3.5")

    def test_names_begin_where_the_rules_say(self) -> None:
        rules = DiarizeRules(filepath_key="path", audio_root="gs://bucket/talks")
        row = asked_row(line_of({"path": "talk.wav"}), rules=rules)
        assert row.recording == "gs://bucket/talks/talk.wav"

    def test_a_member_of_a_tarred_dataset(self) -> None:
        raw = line_of({"audio_filepath": "a-sub2.wav", "shard_id": 3, "offset": 1.0, "duration": 1.0})
        row = asked_row(raw, "/data/sharded_manifests/manifest_3.json")
        assert (row.recording, row.name, row.start, row.end) == ("/data/audio_3.tar::a.wav", "a", 1.0, 2.0)

    def test_an_entry_asks_for_what_its_row_asked_for(self) -> None:
        facts = EntryFacts(
            recording_id="a", audio_filepath="", sample_rate=8000, duration=60.0, turns=(), saturated=False
        )
        fields = {"audio_filepath": "a.wav", "offset": 5.0, "duration": 2.0}
        entry = diarized_entry(fields, facts, DiarizeRules().diar_segments_key, "dicts")
        rows = [asked_row(line_of(one)) for one in (fields, entry)]
        assert rows[0].identity == rows[1].identity == "/data/a.wav#5-7"

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (b"{", "bad_json"),
            (b"[1]", "not_an_object"),
            (b"{}", "missing_key"),
            (b'{"audio_filepath": 3}', "bad_type"),
            (b'{"audio_filepath": "a.wav", "offset": -1}', "bad_time"),
            (b'{"audio_filepath": "\xff"}', "bad_utf8"),
        ],
    )
    def test_a_line_that_names_nothing(self, raw: bytes, code: str) -> None:
        with pytest.raises(EntryError) as caught:
            asked_row(raw)
        assert caught.value.code == code
        assert caught.value.cure


class TestReady:
    def test_a_whole_recording(self, talk: Path) -> None:
        ready = ready_of(talk)
        assert (ready.first, ready.stop, ready.sample_rate, ready.duration) == (0, 32000, 8000, 4.0)
        assert (ready.name, ready.channels, ready.seconds) == (str(talk), "mix", 4.0)

    def test_a_piece(self, talk: Path) -> None:
        ready = ready_of(talk, {"offset": 1.5, "duration": 10})
        assert (ready.first, ready.stop, ready.duration) == (12000, 32000, 4.0)

    @pytest.mark.parametrize(
        ("name", "content", "row", "code"),
        [
            ("none.wav", None, {}, "not_found"),
            ("a.wav", b"", {}, "empty_audio"),
            ("a.wav", b"<html>", {}, "not_audio"),
            ("talk.wav", None, {"offset": 4.0}, "out_of_range"),
        ],
    )
    def test_what_cannot_be_listened_to(self, talk: Path, name: str, content: Any, row: Any, code: str) -> None:
        path = talk.parent / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(EntryError) as caught:
            ready_of(path, row)
        assert caught.value.code == code

    def test_the_rules_go_with_it(self, talk: Path) -> None:
        rules = DiarizeRules(channels="0", allowed_root=(str(talk.parent),))
        ready = ready_of(talk, rules=rules)
        assert (ready.channels, ready.allowed_root) == (0, (str(talk.parent),))
        with pytest.raises(EntryError, match="lies outside of /none"):
            ready_of(talk, rules=DiarizeRules(allowed_root=("/none",)))


class _BrokenReader:
    """A recording of two channels on a disk that fails."""

    info = AudioInfo(sample_rate=8000, n_samples=8000, n_channels=2, container="wav", codec="pcm_16")
    version = ""

    def pieces(self, first: int, stop: int) -> Iterator[Any]:
        raise OSError(errno.EIO, f"samples {first} to {stop}")


class TestChannels:
    @pytest.mark.parametrize(("channels", "expected"), [("first", 0), ("1", 1), ("split", "mix")])
    def test_only_for_the_loudest_and_the_mean_the_recording_is_read_before(self, channels: str, expected: Any) -> None:
        job, reader = TurnJob(DiarizeRules(channels=channels), TurnRules()), cast(AudioReader, _BrokenReader())
        ready = job.ready(task_of(Path("/a.wav")), reader)
        assert (ready.channels, ready.split) == (expected, (0, 1) if channels == "split" else ())
        assert [stream.channels for stream in ready.streams] == ([0, 1] if channels == "split" else [expected])

    @pytest.mark.parametrize("channels", ["loudest", "mix"])
    def test_a_disk_that_fails_is_a_failure_of_the_recording(self, channels: str) -> None:
        job = TurnJob(DiarizeRules(channels=channels), TurnRules())
        with pytest.raises(EntryError, match="not_readable: the recording cannot be read: Input/output error"):
            job.ready(task_of(Path("/a.wav")), cast(AudioReader, _BrokenReader()))


class TestMade:
    def test_an_entry_and_its_rttm(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(4.0, TALK), {"lang": "de"})
        assert (out / "rttm" / "talk.rttm").read_text() == TALK_RTTM
        (row,) = rows_in(out, part)
        assert row["segments"] == row["diar_segments"] == segments_of(TALK)
        assert [(item["start"], item["end"]) for item in row["exclusive_segments"]] == [(0.8, 1.2), (1.6, 2.0)]
        assert row["_origin"] == {"source": str(talk.parent / "m.jsonl"), "offset": 0}
        facts = ("audio_filepath", "lang", "audio_sample_rate", "duration", "num_speakers", "rttm_filepath")
        assert [row[key] for key in facts] == ["talk.wav", "de", 8000, 4.0, 2, "rttm/talk.rttm"]
        assert dict(part.counts) == {
            "diarize.turns": 1,
            "diarize.audio_us": 4_000_000,
            "diarize.segments": 2,
            "diarize.speech_us": 1_600_000,
            "diarize.speakers": 2,
        }

    def test_every_row_that_asks_has_an_entry(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(4.0, TALK), {"id": 1}, {"id": 2})
        rows = rows_in(out, part)
        assert [(row["id"], row["_origin"]["offset"], len(row["segments"])) for row in rows] == [(1, 0, 2), (2, 100, 2)]
        assert [(record.n_rows, record.position, record.n_blocks) for record in part.files] == [(2, (2, 0, 0), 3)]

    def test_files_beside(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(4.0, TALK), uem=True, overlaps=True, rttm_out_dir="pred_rttms")
        assert (out / "pred_rttms" / "talk.uem").read_text() == "talk 1 0.000 4.000\n"
        assert (out / "pred_rttms" / "talk.ctm").read_text() == "talk 1 1.200 0.400 speaker_0+speaker_1 2\n"
        (row,) = rows_in(out, part)
        assert [name for name, _, _ in row["files"]] == [f"pred_rttms/talk.{kind}" for kind in ("rttm", "uem", "ctm")]

    def test_no_files_where_none_are_wanted(self, talk: Path, out: Path) -> None:
        (row,) = rows_in(out, write(out, talk, said(4.0, TALK), rttm_out_dir=""))
        assert row["files"] == []
        assert "rttm_filepath" not in row
        assert [path.name for path in out.iterdir() if path.is_dir()] == []

    def test_times_of_a_piece_are_those_of_the_recording(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(2.0, [(0.8, 1.6, 3)]), {"offset": 1.5, "duration": 2.0}, uem=True)
        (row,) = rows_in(out, part)
        assert row["segments"] == [{"start": 2.3, "end": 3.1, "speaker": "speaker_3"}]
        assert (row["duration"], row["input_offset"], row["input_duration"]) == (4.0, 1.5, 2.0)
        assert (out / "rttm" / "talk.rttm").read_text().split()[3:5] == ["2.300", "0.800"]
        assert (out / "rttm" / "talk.uem").read_text() == "talk 1 1.500 3.500\n"
        assert dict(part.counts)["diarize.audio_us"] == 2_000_000

    def test_turns_end_with_the_piece(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(2.5, [(0.0, 2.56, 0)]), {"offset": 1.5}, rttm_out_dir="")
        (row,) = rows_in(out, part)
        assert row["segments"] == [{"start": 1.5, "end": 4.0, "speaker": "speaker_0"}]

    def test_bandwidths_are_those_of_the_turns(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(4.0, [*TALK, (2.4, 3.2, 2)]), bandwidth=True)
        (row,) = rows_in(out, part)
        samples = samples_in(talk)[:, 0]
        pieces = (samples[6400:12800], samples[9600:16000], samples[19200:25600])
        found = [segment["metrics"]["bandwidth"] for segment in row["segments"]]
        assert found == [estimate_bandwidth(piece, 8000) for piece in pieces]
        assert found[0] > 1000 > found[2] == 0

    def test_silence_is_an_entry(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(4.0, []))
        (row,) = rows_in(out, part)
        assert (row["segments"], row["num_speakers"], row["speakers_saturated"]) == ([], 0, False)
        assert (out / "rttm" / "talk.rttm").read_bytes() == b""
        assert dict(part.counts)["diarize.silent"] == 1

    def test_turns_where_nothing_moves_are_left_out(self, talk: Path, out: Path) -> None:
        # the model hears somebody all the time, and nothing moves from 1 s on
        heard = replace(said(4.0, [(0.0, 4.0, 0)]), dead_air=((1.04, 4.0),))
        (row,) = rows_in(out, part := write(out, talk, heard))
        assert row["segments"] == [{"start": 0.0, "end": 1.04, "speaker": "speaker_0"}]
        assert (row["non_speech_seconds"], dict(part.counts)["diarize.non_speech_us"]) == (2.95, 2_950_000)
        (row,) = rows_in(out / "off", write(out / "off", talk, heard, vad="none"))
        assert (row["segments"][0]["end"], "non_speech_seconds" in row) == (3.99, False)
        (row,) = rows_in(
            out / "no", write(out / "no", talk, replace(said(4.0, [(0.0, 0.8, 0)]), dead_air=((1.04, 4.0),)))
        )
        assert "non_speech_seconds" not in row

    def test_all_slots_taken_is_said(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(4.0, TALK, n_speakers=2))
        assert rows_in(out, part)[0]["speakers_saturated"] is True
        assert dict(part.counts)["diarize.saturated"] == 1

    @pytest.mark.parametrize(
        ("heard", "code"),
        [
            (EntryError(FailureCode.TIMEOUT, "m", "c"), "timeout"),
            (Probabilities(np.full((2, 4), np.nan, np.float32), 0.08), "non_finite"),
        ],
    )
    def test_what_failed_is_a_letter_for_every_row(self, talk: Path, out: Path, heard: Any, code: str) -> None:
        part = write(out, talk, heard, {"id": 1}, {"id": 2})
        letters = rows_in(out, part)
        assert [(letter["code"], letter["stage"], letter["offset"]) for letter in letters] == [
            (code, "diarize", 0),
            (code, "diarize", 100),
        ]
        assert [json.loads(letter["payload"]) for letter in letters] == [
            {"audio_filepath": "talk.wav", "id": number} for number in (1, 2)
        ]
        assert dict(part.counts) == {"diarize.failures": 2, f"diarize.failures.{code}": 2}
        assert not [path for path in out.rglob("*.rttm") if path.is_file()]

    def test_a_recording_that_is_gone_when_its_bandwidth_is_wanted_fails(self, talk: Path, out: Path) -> None:
        rules = DiarizeRules(bandwidth=True)
        ready = ready_of(talk)
        talk.unlink()
        part = write_ready(OutputTarget(directory=str(out)), ready, said(4.0, TALK), rules)
        assert dict(part.counts)["diarize.failures.not_found"] == 1


@given(
    st.integers(0, 20000),
    st.integers(1, 60000),
    st.sampled_from([8000, 11025, 16000, 44100]),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 3)), max_size=12),
)
def test_turns_lie_within_what_was_heard(first: int, n: int, rate: int, active: list[tuple[int, int]]) -> None:
    ready = Ready(
        name="a.wav", first=first, stop=first + n, sample_rate=rate, task=task_of(Path("/a.wav")), duration=60.0
    )
    heard = said(n / rate, [])
    for frame, speaker in active:
        heard.frames[frame : frame + 3, speaker] = 1.0
    for turn in diarized_of(ready, heard, DiarizeRules(), TurnRules()).turns:
        assert first / rate - 0.001 < turn.start < turn.end <= (first + n) / rate + 1e-9
        assert (round(turn.start, 3), round(turn.end, 3)) == (turn.start, turn.end)


class TestResume:
    @pytest.fixture
    def target(self, out: Path) -> OutputTarget:
        """Return a target that a launcher prepared, to go on where another attempt stopped."""
        out.mkdir()
        mark_run(out, "t")
        return OutputTarget(directory=str(out), token="t", resume=True)

    @pytest.fixture
    def done(self, target: OutputTarget, talk: Path) -> tuple[TurnTask, Part]:
        """Return a task that an earlier attempt has done, and what it left."""
        ready = ready_of(talk, {"id": 1}, {"id": 2})
        return ready.task, write_ready(target, ready, said(4.0, TALK), DiarizeRules(uem=True))

    def test_what_is_whole_is_kept(self, target: OutputTarget, done: tuple[TurnTask, Part]) -> None:
        task, part = done
        assert kept(target, task) == part

    @pytest.mark.parametrize("name", ["rttm/talk.rttm", "rttm/talk.uem"])
    @pytest.mark.parametrize("damage", ["removed", "changed"])
    def test_what_has_lost_a_file_is_not(
        self, target: OutputTarget, done: tuple[TurnTask, Part], out: Path, name: str, damage: str
    ) -> None:
        path = out / name
        path.unlink() if damage == "removed" else path.write_bytes(path.read_bytes()[:-1] + b"!")
        assert kept(target, done[0]) is None

    @pytest.mark.parametrize("heard", [EntryError(FailureCode.OUT_OF_MEMORY, "m", "c")])
    def test_what_failed_is_not(self, target: OutputTarget, talk: Path, heard: EntryError) -> None:
        write_ready(target, ready_of(talk), heard, DiarizeRules())
        assert kept(target, task_of(talk)) is None

    def test_files_of_a_recording_that_fails_now_go(
        self, target: OutputTarget, done: tuple[TurnTask, Part], talk: Path, out: Path
    ) -> None:
        (out / "rttm" / "other.rttm").write_bytes(b"")
        heard = EntryError(FailureCode.OUT_OF_MEMORY, "m", "c")
        write_ready(target, ready_of(talk), heard, DiarizeRules())
        assert [path.name for path in (out / "rttm").iterdir()] == ["other.rttm"]

    def test_a_recording_by_two_names_has_parts_of_its_own(self, target: OutputTarget, talk: Path) -> None:
        one = task_of(talk)
        other = replace(one, recording_id="monday")
        job = TurnJob(DiarizeRules(), TurnRules())
        parts = [
            write_ready(target, look_into(job, task), said(4.0, speech), DiarizeRules())
            for task, speech in ((one, TALK), (other, []))
        ]
        assert [kept(target, task) for task in (one, other)] == parts
        assert len({part.files[0].name for part in parts}) == 2
