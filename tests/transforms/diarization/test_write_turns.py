from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.testing.util import assert_that, equal_to
from beam_curator.transforms.diarization.find_turns import diarized_of
from beam_curator.transforms.diarization.prepare_recordings import PrepareRecordings, Ready, look_into, writer_of
from beam_curator.transforms.diarization.read_recordings import Task, row_of_line
from beam_curator.transforms.diarization.write_turns import TurnWriter, WriteTurns, WriteUnheard
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.diarization.bandwidth import estimate_bandwidth
from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part
from tests.fakes_models import Speech, segments_of, write_sound
from tests.manifests import line_of
from tests.transforms.clips.clip_sets import mark_run, samples_in

TALK: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 1)]
TALK_RTTM = (
    "SPEAKER talk 1 0.800 0.800 <NA> <NA> speaker_0 <NA> <NA>\n"
    "SPEAKER talk 1 1.200 0.800 <NA> <NA> speaker_1 <NA> <NA>\n"
)


def task_of(path: Path, *rows: dict[str, Any], name: str = "talk") -> Task:
    """Return the task of rows that ask for one recording; without rows one asks for all of it."""
    asked = [{"audio_filepath": path.name} | row for row in rows or ({},)]
    return Task(
        recording_id=name,
        rows=tuple(
            row_of_line(line_of(row), str(path.parent / "m.jsonl"), (2, 0, 100 * number), 3, DiarizeRules())
            for number, row in enumerate(asked)
        ),
    )


def said(seconds: float, speech: Iterable[Speech], n_speakers: int = 4) -> Probabilities:
    """Return probabilities of 1 where speakers talk, and of 0 elsewhere."""
    frames = np.zeros((-(-round(seconds * 1000) // 80), n_speakers), np.float32)
    for start, end, speaker in speech:
        frames[round(start / 0.08) : round(end / 0.08), speaker] = 1.0
    return Probabilities(frames, 0.08)


def ready_of(path: Path, *rows: dict[str, Any], rules: DiarizeRules | None = None) -> Ready:
    return look_into(task_of(path, *rows), rules if rules is not None else DiarizeRules())


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
    writer = TurnWriter(OutputTarget(directory=str(out)), rules, TurnRules())
    part = writer.write(ready_of(talk, *rows, rules=rules), heard)
    writer.close()
    return part


def rows_of(out: Path, part: Part) -> list[Any]:
    return [json.loads(line) for record in part.files for line in (out / record.name).read_bytes().splitlines()]


class TestLookInto:
    def test_a_whole_recording(self, talk: Path) -> None:
        ready = ready_of(talk)
        assert (ready.first, ready.stop, ready.sample_rate, ready.duration) == (0, 32000, 8000, 4.0)
        assert (ready.name, ready.mono, ready.seconds) == (str(talk), "mix", 4.0)

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
        rules = DiarizeRules(mono="first", allowed_root=(str(talk.parent),))
        ready = ready_of(talk, rules=rules)
        assert (ready.mono, ready.allowed_root) == ("first", (str(talk.parent),))
        with pytest.raises(EntryError, match="lies outside of /none"):
            ready_of(talk, rules=DiarizeRules(allowed_root=("/none",)))


class TestTurnWriter:
    def test_an_entry_and_its_rttm(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(4.0, TALK), {"lang": "de"})
        assert (out / "rttm" / "talk.rttm").read_text() == TALK_RTTM
        (row,) = rows_of(out, part)
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
        rows = rows_of(out, part)
        assert [(row["id"], row["_origin"]["offset"], len(row["segments"])) for row in rows] == [(1, 0, 2), (2, 100, 2)]
        assert [(record.n_rows, record.position, record.n_blocks) for record in part.files] == [(2, (2, 0, 0), 3)]

    def test_files_beside(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(4.0, TALK), uem=True, overlaps=True, rttm_out_dir="pred_rttms")
        assert (out / "pred_rttms" / "talk.uem").read_text() == "talk 1 0.000 4.000\n"
        assert (out / "pred_rttms" / "talk.ctm").read_text() == "talk 1 1.200 0.400 speaker_0+speaker_1 2\n"
        (row,) = rows_of(out, part)
        assert [name for name, _, _ in row["files"]] == [f"pred_rttms/talk.{kind}" for kind in ("rttm", "uem", "ctm")]

    def test_no_files_where_none_are_wanted(self, talk: Path, out: Path) -> None:
        (row,) = rows_of(out, write(out, talk, said(4.0, TALK), rttm_out_dir=""))
        assert row["files"] == []
        assert "rttm_filepath" not in row
        assert [path.name for path in out.iterdir() if path.is_dir()] == []

    def test_times_of_a_piece_are_those_of_the_recording(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(2.0, [(0.8, 1.6, 3)]), {"offset": 1.5, "duration": 2.0}, uem=True)
        (row,) = rows_of(out, part)
        assert row["segments"] == [{"start": 2.3, "end": 3.1, "speaker": "speaker_3"}]
        assert (row["duration"], row["input_offset"], row["input_duration"]) == (4.0, 1.5, 2.0)
        assert (out / "rttm" / "talk.rttm").read_text().split()[3:5] == ["2.300", "0.800"]
        assert (out / "rttm" / "talk.uem").read_text() == "talk 1 1.500 3.500\n"
        assert dict(part.counts)["diarize.audio_us"] == 2_000_000

    def test_turns_end_with_the_piece(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(2.5, [(0.0, 2.56, 0)]), {"offset": 1.5}, rttm_out_dir="")
        (row,) = rows_of(out, part)
        assert row["segments"] == [{"start": 1.5, "end": 4.0, "speaker": "speaker_0"}]

    def test_bandwidths_are_those_of_the_turns(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(4.0, [*TALK, (2.4, 3.2, 2)]), bandwidth=True)
        (row,) = rows_of(out, part)
        samples = samples_in(talk)[:, 0]
        pieces = (samples[6400:12800], samples[9600:16000], samples[19200:25600])
        found = [segment["metrics"]["bandwidth"] for segment in row["segments"]]
        assert found == [estimate_bandwidth(piece, 8000) for piece in pieces]
        assert found[0] > 1000 > found[2] == 0

    def test_silence_is_an_entry(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(4.0, []))
        (row,) = rows_of(out, part)
        assert (row["segments"], row["num_speakers"], row["speakers_saturated"]) == ([], 0, False)
        assert (out / "rttm" / "talk.rttm").read_bytes() == b""
        assert dict(part.counts)["diarize.silent"] == 1

    def test_all_slots_taken_is_said(self, talk: Path, out: Path) -> None:
        part = write(out, talk, said(4.0, TALK, n_speakers=2))
        assert rows_of(out, part)[0]["speakers_saturated"] is True
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
        letters = rows_of(out, part)
        assert [(letter["code"], letter["stage"], letter["offset"]) for letter in letters] == [
            (code, "diarize", 0),
            (code, "diarize", 100),
        ]
        assert [json.loads(letter["payload"]) for letter in letters] == [
            {"audio_filepath": "talk.wav", "id": number} for number in (1, 2)
        ]
        assert dict(part.counts) == {"diarize.failures": 2, f"diarize.failures.{code}": 2}
        assert list((out / "rttm").iterdir()) == []

    def test_a_recording_that_is_gone_when_its_bandwidth_is_wanted_fails(self, talk: Path, out: Path) -> None:
        rules = DiarizeRules(bandwidth=True)
        ready = ready_of(talk)
        talk.unlink()
        part = TurnWriter(OutputTarget(directory=str(out)), rules, TurnRules()).write(ready, said(4.0, TALK))
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
    def done(self, target: OutputTarget, talk: Path) -> Iterator[tuple[Task, Part]]:
        """Return a task that an earlier attempt has done, and what it left."""
        writer = TurnWriter(target, DiarizeRules(uem=True), TurnRules())
        ready = ready_of(talk, {"id": 1}, {"id": 2})
        yield ready.task, writer.write(ready, said(4.0, TALK))
        writer.close()

    def test_what_is_whole_is_kept(self, target: OutputTarget, done: tuple[Task, Part]) -> None:
        task, part = done
        assert writer_of(target, task, DiarizeRules()).kept(2) == part

    @pytest.mark.parametrize("name", ["rttm/talk.rttm", "rttm/talk.uem"])
    @pytest.mark.parametrize("damage", ["removed", "changed"])
    def test_what_has_lost_a_file_is_not(
        self, target: OutputTarget, done: tuple[Task, Part], out: Path, name: str, damage: str
    ) -> None:
        path = out / name
        path.unlink() if damage == "removed" else path.write_bytes(path.read_bytes()[:-1] + b"!")
        assert writer_of(target, done[0], DiarizeRules()).kept(2) is None

    def test_what_failed_is_not(self, target: OutputTarget, talk: Path) -> None:
        task = task_of(talk)
        TurnWriter(target, DiarizeRules(), TurnRules()).write_failed(
            task, EntryError(FailureCode.OUT_OF_MEMORY, "m", "c")
        )
        assert writer_of(target, task, DiarizeRules()).kept(1) is None

    def test_recordings_of_two_names_keep_what_is_theirs(self, target: OutputTarget, talk: Path) -> None:
        one = task_of(talk)
        other = replace(one, recording_id="monday")
        writer = TurnWriter(target, DiarizeRules(), TurnRules())
        parts = [
            writer.write(look_into(task, DiarizeRules()), said(4.0, speech))
            for task, speech in ((one, TALK), (other, []))
        ]
        assert [writer_of(target, task, DiarizeRules()).kept(1) for task in (one, other)] == parts
        assert len({part.files[0].name for part in parts}) == 2

    def test_it_is_not_looked_into_again(self, target: OutputTarget, done: tuple[Task, Part], talk: Path) -> None:
        task, part = done
        gone = task_of(talk.parent / "gone.wav", name="gone")
        talk.unlink()
        with beam.Pipeline("FnApiRunner") as pipeline:
            prepared = pipeline | beam.Create([task, gone]) | PrepareRecordings(target, DiarizeRules())
            assert_that(prepared["kept"], equal_to([part]), label="kept")
            assert_that(prepared["ready"] | beam.Map(lambda ready: ready.name), equal_to([]), label="ready")
            codes = prepared["unheard"] | beam.Map(
                lambda unheard: (unheard.task.recording_id, unheard.error.code.value)
            )
            assert_that(codes, equal_to([("gone", "not_found")]), label="unheard")


def test_what_is_heard_and_what_is_not_become_parts(talk: Path, out: Path) -> None:
    target = OutputTarget(directory=str(out))
    tasks = [task_of(talk), task_of(talk.parent / "gone.wav", {"id": 1}, {"id": 2}, name="gone")]
    with beam.Pipeline("FnApiRunner") as pipeline:
        prepared = pipeline | beam.Create(tasks) | PrepareRecordings(target, DiarizeRules())
        results = prepared["ready"] | beam.Map(lambda ready: PredictionResult(ready, said(4.0, TALK)))
        written = results | WriteTurns(target, DiarizeRules(), TurnRules())
        letters = prepared["unheard"] | WriteUnheard(target, DiarizeRules(), TurnRules())
        kinds = (written, letters) | beam.Flatten() | beam.FlatMap(lambda part: part.files)
        found = kinds | beam.Map(lambda record: (record.kind, record.n_rows))
        assert_that(found, equal_to([("turns", 1), ("turns", 0), ("failures-diarize", 2)]))
    assert (out / "rttm" / "talk.rttm").read_text() == TALK_RTTM
