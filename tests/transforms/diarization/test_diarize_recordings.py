"""From recordings and manifests to complete sets, with a model whose answers are worked out by hand."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import soundfile
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions, StreamingOptions
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.set_options import RowOutputOptions
from beam_curator.transforms.diarization.diarize_recordings import Diarize
from tests.fakes_models import POISON, BandHandler, Speech, segments_of, sound_of, write_sound
from tests.manifests import failures_in, line_of, manifest_of, write_lines
from tests.transforms.clips.clip_sets import mark_run, write_rows
from tests.transforms.diarization.turn_sets import by_id, bytes_of, diarize_here, entries_in, names_below

TALK: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 1), (2.4, 3.2, 2)]
LONG: list[Speech] = [(0.0, 0.8, 3), (33.6, 35.2, 0)]


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of good recordings of all kinds, and of bad ones."""
    folder = tmp_path / "in"
    write_sound(folder / "talk.wav", 4.0, TALK)
    write_sound(folder / "eight.wav", 4.0, TALK, 16000, 8)
    write_sound(folder / "phone.wav", 4.0, TALK, 8000)
    write_sound(folder / "studio.flac", 40.0, LONG, 44100, 2)
    write_sound(folder / "silence.wav", 2.0)
    write_sound(folder / "short.wav", 100 / 16000)
    write_sound(folder / "poison.wav", 4.0, [(0.8, 1.6, POISON)])
    (folder / "html.wav").write_bytes(b"<html>no such talk</html>")
    (folder / "nothing.wav").write_bytes(b"")
    (folder / "cut.wav").write_bytes((folder / "talk.wav").read_bytes()[:64000])
    sound = sound_of(4.0, TALK)
    sound[30000] = np.nan
    soundfile.write(folder / "nan.wav", sound, 16000, subtype="FLOAT")
    return folder


CODES = {
    "poison.wav": "model_error",
    "html.wav": "not_audio",
    "nothing.wav": "empty_audio",
    "cut.wav": "truncated_audio",
    "nan.wav": "non_finite",
}
SPOKEN: dict[str, list[Speech]] = {
    "talk": TALK,
    "eight": TALK,
    "phone": TALK,
    "studio": LONG,
    "silence": [],
    "short": [],
}


class TestRecordings:
    @pytest.mark.parametrize("size", [1, 4])
    def test_a_tree_of_good_and_bad_ones(self, recordings: Path, tmp_path: Path, size: int) -> None:
        inference = InferenceOptions(inference_batch_size=size)
        out = diarize_here([recordings], tmp_path / "out", BandHandler(inference=inference), inference=inference)
        found = by_id(out)
        assert {name: entry["segments"] for name, entry in found.items()} == {
            name: segments_of(speech) for name, speech in SPOKEN.items()
        }
        assert {name: entry["audio_sample_rate"] for name, entry in found.items() if name in ("phone", "studio")} == {
            "phone": 8000,
            "studio": 44100,
        }
        letters = failures_in(out)
        assert {Path(letter["source"]).name: letter["code"] for letter in letters} == CODES
        assert {letter["stage"] for letter in letters} == {"diarize"}
        payload = json.loads(next(letter["payload"] for letter in letters if letter["code"] == "not_audio"))
        assert payload == {"audio_filepath": str(recordings / "html.wav")}
        assert names_below(out / "rttm") == sorted(f"{name}.rttm" for name in SPOKEN)
        assert (out / "rttm" / "studio.rttm").read_text() == (
            "SPEAKER studio 1 0.000 0.800 <NA> <NA> speaker_3 <NA> <NA>\n"
            "SPEAKER studio 1 33.600 1.600 <NA> <NA> speaker_0 <NA> <NA>\n"
        )
        assert Counter(manifest_of(out)["counts"]) == Counter(
            {
                "read.rows": 11,
                "plan.rows": 11,
                "diarize.turns": 6,
                "diarize.audio_us": 54_006_250,
                "diarize.segments": 11,
                "diarize.speech_us": 9_600_000,
                "diarize.speakers": 11,
                "diarize.silent": 2,
                "diarize.failures": 5,
                **{f"diarize.failures.{code}": 1 for code in CODES.values()},
            }
        )

    def test_an_offline_model_refuses_what_is_too_long(self, recordings: Path, tmp_path: Path) -> None:
        inference = InferenceOptions(inference_batch_size=4, max_offline_seconds=10.0)
        handler = BandHandler(inference=inference, streaming=False, most_seconds=9.0)
        names = [recordings / name for name in ("talk.wav", "eight.wav", "studio.flac", "poison.wav", "phone.wav")]
        out = diarize_here(names, tmp_path / "out", handler, inference=inference)
        assert {name: len(entry["segments"]) for name, entry in by_id(out).items()} == dict.fromkeys(
            ("talk", "eight", "phone"), 3
        )
        letters = {letter["code"]: letter for letter in failures_in(out)}
        assert sorted(letters) == ["model_error", "too_long"]
        assert letters["too_long"]["cure"] == "use a model of the streaming family, or raise --max-offline-seconds"

    def test_one_that_takes_too_long_is_given_up(self, recordings: Path, tmp_path: Path) -> None:
        inference = InferenceOptions(timeout=0.5)
        write_sound(tmp_path / "long.wav", 90.0)
        handler = BandHandler(inference=inference, nap=0.6)
        out = diarize_here([recordings / "talk.wav", tmp_path / "long.wav"], tmp_path / "out", handler)
        assert list(by_id(out)) == ["talk"]
        assert [letter["code"] for letter in failures_in(out)] == ["timeout"]


BAD_ROWS: dict[bytes, str] = {
    b'{"path": "talk.wav"}': "missing_key",
    b'{"audio_filepath": 7}': "bad_type",
    b'{"audio_filepath": "talk.wav", "offset": -1}': "bad_time",
    b'{"audio_filepath": "talk.wav", "offset": 1, "duration": 0}': "bad_time",
    b'{"audio_filepath": "talk.wav", "offset": "1"}': "bad_type",
    b'{"audio_filepath"': "bad_json",
    b"[]": "not_an_object",
}


class TestManifests:
    def test_good_and_bad_rows(self, recordings: Path, tmp_path: Path) -> None:
        write_sound(recordings / "monday" / "talk.wav", 4.0, LONG[:1])
        rows: list[dict[str, Any]] = [
            {"id": 0, "audio_filepath": "talk.wav", "segments": [1], "duration": 4.0, "num_speakers": 9},
            {"id": 1, "audio_filepath": "html.wav"},
            {"id": 2, "audio_filepath": "talk.wav"},
            {"id": 3, "audio_filepath": "phone.wav", "offset": 1.2, "duration": 0.8},
            {"id": 4, "audio_filepath": "phone.wav", "offset": 2.0},
            {"id": 5, "audio_filepath": "gone.wav", "offset": 2.0},
            {"id": 6, "audio_filepath": "monday/talk.wav"},
            {"id": 7, "audio_filepath": "talk.wav", "session_name": "my session/1"},
            {"id": 8, "audio_filepath": "talk.wav", "offset": 4.0, "duration": 1.0},
            {"id": 9, "audio_filepath": "gone.wav", "offset": 2.0},
        ]
        manifest = write_lines(recordings / "m.jsonl", [*map(line_of, rows), *BAD_ROWS])
        out = diarize_here([manifest], tmp_path / "out")
        entries = {entry["id"]: entry for entry in entries_in(out)}
        assert {number: entry["segments"] for number, entry in entries.items()} == {
            0: segments_of(TALK),
            2: segments_of(TALK),
            3: segments_of([(1.2, 1.6, 0), (1.2, 1.99, 1)]),
            4: segments_of([(2.4, 3.2, 2)]),
            6: segments_of(LONG[:1]),
            7: segments_of(TALK),
        }
        moved = {key: value for key, value in entries[0].items() if key.startswith("input_")}
        assert moved == {"input_segments": [1], "input_duration": 4.0, "input_num_speakers": 9}
        ids = {number: entry["recording_id"] for number, entry in entries.items()}
        assert ids[0] != ids[2]  # the first four seconds are a piece, which may be less than the whole
        assert [ids[number].partition("~")[0] for number in (0, 3, 4, 6, 7)] == [
            "talk", "phone", "phone", "talk", "my session_1"
        ]  # fmt: skip
        assert len(set(ids.values())) == 6
        assert names_below(out / "rttm") == sorted(f"{name}.rttm" for name in set(ids.values()))
        assert (out / "rttm" / f"{ids[3]}.rttm").read_text().split()[3:5] == ["1.200", "0.400"]
        assert entries[6]["rttm_filepath"] == f"rttm/{ids[6]}.rttm"
        codes = [letter["code"] for letter in failures_in(out)]
        heard = ["not_audio", "not_found", "not_found", "out_of_range"]
        assert Counter(codes) == Counter([*BAD_ROWS.values(), *heard])
        assert manifest_of(out)["counts"]["diarize.audio_us"] == round((4.0 * 4 + 0.8 + 2.0) * 1e6)

    def test_own_rows_give_the_same_entries_again(self, recordings: Path, tmp_path: Path) -> None:
        rows = [
            {"path": "talk.wav", "duration": 1, "audio_filepath": "other.wav"},
            {"path": "phone.wav", "offset": 1.2, "duration": 0.8},
        ]
        rules = DiarizeRules(audio_filepath_key="path")
        first = diarize_here([write_rows(recordings / "m.jsonl", rows)], tmp_path / "one", rules=rules)
        second = diarize_here([first], tmp_path / "two", rules=rules)
        once, twice = ([dict(entry, _origin=None) for entry in entries_in(out)] for out in (first, second))
        assert once == twice
        assert [list(entry) for entry in once] == [list(entry) for entry in twice]
        assert [entry["audio_filepath"] for entry in once] == ["talk.wav", "phone.wav"]
        assert {name: text for name, text in bytes_of(first).items() if name.startswith("rttm/")} == {
            name: text for name, text in bytes_of(second).items() if name.startswith("rttm/")
        }


class TestSameBytes:
    def test_again_in_any_bundles_and_in_batches(self, recordings: Path, tmp_path: Path) -> None:
        out = diarize_here([recordings], tmp_path / "one")
        again = diarize_here([recordings], tmp_path / "two", runner_options=["--direct_runner_bundle_repeat=1"])
        assert bytes_of(again) == bytes_of(out)
        options = InferenceOptions(inference_batch_size=4, batch_seconds=10)
        batched = diarize_here([recordings], tmp_path / "four", BandHandler(inference=options), inference=options)
        rows = [[entry for entry in entries_in(made)] for made in (out, batched)]  # noqa: C416  a copy of each
        assert rows[0] == rows[1]


class TestResume:
    def target(self, out: Path) -> OutputTarget:
        out.mkdir(exist_ok=True)
        mark_run(out, "t")
        return OutputTarget(directory=str(out), token="t", resume=True)

    def test_what_is_finished_is_not_heard_again(self, recordings: Path, tmp_path: Path) -> None:
        """The second attempt has a model that fails at everything, so that what it gives was heard by the first."""
        names = [recordings / name for name in ("talk.wav", "eight.wav", "phone.wav", "html.wav")]
        out = tmp_path / "out"
        stopped = BandHandler()
        with pytest.raises(RuntimeError, match="lost"), beam.Pipeline("FnApiRunner") as pipeline:
            made = pipeline | Diarize([str(name) for name in names], self.target(out), handler=stopped)
            _ = made.files | beam.Map(_lose)
        (out / "rttm" / "eight.rttm").write_text("not what was written")
        (out / "rttm" / "phone.rttm").unlink()
        diarize_here(names, self.target(out), BandHandler(most_seconds=0.0))
        assert list(by_id(out)) == ["talk"]
        codes = {Path(letter["source"]).stem: letter["code"] for letter in failures_in(out)}
        assert codes == {"eight": "out_of_memory", "phone": "out_of_memory", "html": "not_audio"}
        assert names_below(out / "rttm") == ["talk.rttm"]


def _lose(_: Any) -> None:
    raise RuntimeError("lost")


class TestComposite:
    def test_files_and_counts(self, recordings: Path, tmp_path: Path) -> None:
        manifest = write_rows(recordings / "m.jsonl", [{"audio_filepath": "talk.wav"}, {"audio_filepath": "no.wav"}])
        with beam.Pipeline("FnApiRunner") as pipeline:
            made = pipeline | Diarize([str(manifest)], str(tmp_path / "out"), handler=BandHandler())
            names = made.files | beam.Map(lambda file: (file.name, file.n_rows))
            files = [("turns-00000-of-00001.jsonl", 1), ("failures-diarize-00000-of-00001.jsonl", 1)]
            assert_that(names, equal_to(files), label="files")
            totals = made.counts | beam.Flatten() | beam.CombinePerKey(sum)
            counts = {
                "read.rows": 2,
                "read.bytes": manifest.stat().st_size,
                "plan.rows": 2,
                "diarize.turns": 1,
                "diarize.audio_us": 4_000_000,
                "diarize.segments": 3,
                "diarize.speech_us": 2_400_000,
                "diarize.speakers": 3,
                "diarize.failures": 1,
                "diarize.failures.not_found": 1,
                "progress.diarize.turns": 1,
                "progress.diarize.audio_us": 4_000_000,
                "progress.diarize.failures": 1,
            }
            assert_that(totals, equal_to(list(counts.items())), label="counts")

    def test_config_holds_what_decides_the_rows(self) -> None:
        config = Diarize(
            ["a.wav"],
            OutputTarget(directory="out", n_shards=5),
            turns=TurnRules(onset=0.6),
            streaming=StreamingOptions(latency="low", fifo_len=9),
            inference=InferenceOptions(inference_batch_size=3, threads=2, timeout=9),
            output=RowOutputOptions(row_format="avro"),
            handler=BandHandler(),
        ).config()
        assert (config["turns"]["onset"], config["streaming"]["fifo_len"]) == (0.6, 9)
        assert config["inference"] == {"inference_batch_size": 3}
        assert config["output"] == {"row_format": "avro", "shards": 5}
        assert config["input"] == {"max_line_bytes": 32 << 20, "keep_duplicates": False}
        assert config["diarization"]["diar_segments_key"] == "diar_segments"
