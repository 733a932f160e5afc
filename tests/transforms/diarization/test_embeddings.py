"""Embeddings of speakers and turns as tables of a set, with a model whose answers are worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions
from beam_curator.diarization.models import Floats
from beam_curator.diarization.probabilities import ModelIdentity, Probabilities
from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings, pool_embeddings
from beam_curator.export.tree import clip_uuid
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.embedding_tables import METADATA_KEY, WriteEmbeddings
from beam_curator.files.output_target import OutputTarget
from beam_curator.models.turn_finding import Diarized
from beam_curator.sets.set_options import RowOutputOptions
from beam_curator.transforms.diarization.diarize_recordings import POOLED, Diarize
from tests.fakes_models import BandHandler, Speech, turns_of, write_sound
from tests.manifests import failures_in, manifest_of
from tests.transforms.clips.clip_sets import mark_run, write_rows
from tests.transforms.diarization.turn_sets import by_id, bytes_of, diarize_here, entries_in

TALK: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 1), (2.4, 3.2, 2)]
COVERED: list[Speech] = [(0.8, 3.2, 0), (1.6, 2.4, 1)]
"""Speaker 1 never talks alone."""

RULES = DiarizeRules(embeddings=True)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    write_sound(folder / "talk.wav", 4.0, TALK)
    write_sound(folder / "covered.wav", 4.0, COVERED, 8000)
    write_sound(folder / "long.flac", 40.0, [(0.0, 0.8, 3), (33.6, 35.2, 0)], 44100, 2)
    write_sound(folder / "silence.wav", 2.0)
    write_sound(folder / "short.wav", 100 / 16000)
    (folder / "html.wav").write_bytes(b"<html>")
    return folder


def embedded(inputs: Sequence[object], target: Path | OutputTarget, **options: Any) -> Path:
    inference = options.get("inference")
    handler = BandHandler(keeps_frames=True, inference=inference)
    return diarize_here(inputs, target, handler, **{"rules": RULES} | options)


def table_of(out: Path, kind: str) -> dict[str, list[float]]:
    """Return the embeddings of a table by their ids, in order."""
    rows = [row for path in sorted(out.glob(f"{kind}-embeddings-*.parquet")) for row in pq.read_table(path).to_pylist()]
    found = {row["id"]: row["embedding"] for row in rows}
    assert len(found) == len(rows)
    return found


def frames_of(path: Path) -> Probabilities:
    """Return what the model says of a recording at 16 kHz."""
    handler = BandHandler(keeps_frames=True)
    (result,) = handler.run_inference([soundfile.read(path, dtype="float32")[0]], handler.load_model())
    assert isinstance(result.inference, Probabilities)
    return result.inference


class TestTables:
    def test_speakers_and_turns_by_their_ids(self, recordings: Path, tmp_path: Path) -> None:
        out = embedded([recordings], tmp_path / "out")
        speakers, turns = table_of(out, "speaker"), table_of(out, "turn")
        assert list(speakers) == [
            "covered/speaker_0", "long/speaker_0", "long/speaker_3",
            "talk/speaker_0", "talk/speaker_1", "talk/speaker_2",
        ]  # fmt: skip
        place = recordings / "talk.wav"
        assert {clip_uuid(str(place), round(16000 * start), round(16000 * end)) for start, end, _ in TALK} <= set(turns)
        assert clip_uuid(str(recordings / "covered.wav"), 6400, 25600) in turns
        assert clip_uuid(str(recordings / "covered.wav"), 12800, 19200) not in turns
        assert len(turns) == 6
        for name, vector in speakers.items():
            assert int(np.argmax(vector)) == int(name[-1]), "the tone of the speaker is the loudest"
            assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6)
        counts = manifest_of(out)["counts"]
        assert {name: n for name, n in counts.items() if "embeddings" in name} == {
            "diarize.speaker-embeddings": 7,
            "diarize.speaker-embeddings.missing": 1,
            "diarize.turn-embeddings": 7,
            "diarize.turn-embeddings.missing": 1,
        }

    def test_they_are_means_of_the_frames(self, recordings: Path, tmp_path: Path) -> None:
        out = embedded([recordings / "talk.wav"], tmp_path / "out")
        heard = frames_of(recordings / "talk.wav")
        assert heard.encoder_frames is not None
        assert heard.encoder_frames.dtype == np.float16
        expected = pool_embeddings(heard.encoder_frames, 0.08, turns_of(TALK))
        for number, vector in expected.speakers.items():
            assert vector is not None
            np.testing.assert_array_equal(np.float32(table_of(out, "speaker")[f"talk/speaker_{number}"]), vector)
        found = list(table_of(out, "turn").values())
        np.testing.assert_array_equal(
            np.float32(found), np.stack([each for each in expected.turns if each is not None])
        )

    @pytest.mark.parametrize("kind", ["speaker", "turn"])
    def test_pyarrow_pandas_and_datasets_read_them(self, recordings: Path, tmp_path: Path, kind: str) -> None:
        pandas = pytest.importorskip("pandas")
        out = embedded([recordings], tmp_path / "out", output=RowOutputOptions(row_format="avro"))
        (path,) = out.glob(f"{kind}-embeddings-00000-of-00001.parquet")
        table = pq.read_table(path)
        assert str(table.schema.field("embedding").type) == "fixed_size_list<element: float not null>[4]"
        assert str(table.schema.field("id").type) == "string"
        frame = pandas.read_parquet(path)
        assert frame["id"].tolist() == table["id"].to_pylist()
        assert np.stack(frame["embedding"]).shape == (len(table), 4)
        assert json.loads(table.schema.metadata[METADATA_KEY.encode()]) == {
            "model": {"name": "bands", "revision": "", "sha256": "", "backend": ""},
            "method": POOLED,
        }

    def test_hugging_face_datasets_read_them(
        self, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        datasets = pytest.importorskip("datasets")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        out = embedded([recordings], tmp_path / "out")
        files = [str(path) for path in out.glob("speaker-embeddings-*.parquet")]
        found = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
        assert dict(zip(found["id"], found["embedding"], strict=True)) == table_of(out, "speaker")

    def test_where_nobody_talks_there_are_no_tables(self, recordings: Path, tmp_path: Path) -> None:
        out = embedded([recordings / "silence.wav", recordings / "short.wav"], tmp_path / "out")
        assert len(entries_in(out)) == 2
        assert not list(out.glob("*embeddings*"))
        assert not any("embeddings" in name for name in manifest_of(out)["counts"])

    def test_rows_of_one_recording_share_them_and_pieces_have_their_own(self, recordings: Path, tmp_path: Path) -> None:
        rows = [
            {"id": 0, "audio_filepath": "talk.wav"},
            {"id": 1, "audio_filepath": "talk.wav"},
            {"id": 2, "audio_filepath": "covered.wav", "offset": 1.6, "duration": 2.0},
        ]
        out = embedded([write_rows(recordings / "m.jsonl", rows)], tmp_path / "out")
        entries = {entry["id"]: entry for entry in entries_in(out)}
        piece = entries[2]["recording_id"]
        assert list(table_of(out, "speaker")) == [
            "talk/speaker_0",
            "talk/speaker_1",
            "talk/speaker_2",
            f"{piece}/speaker_0",
        ]
        assert {"start": 1.6, "end": 3.2, "speaker": "speaker_0"} in entries[2]["segments"]
        assert clip_uuid(str(recordings / "covered.wav"), 12800, 25600) in table_of(out, "turn")
        assert manifest_of(out)["counts"]["diarize.turn-embeddings"] == 5


class TestSameBytes:
    def test_turns_are_the_same_with_and_without(self, recordings: Path, tmp_path: Path) -> None:
        plain = diarize_here([recordings], tmp_path / "plain", BandHandler())
        out = embedded([recordings], tmp_path / "out")
        names = {name for name in bytes_of(plain) if name != "_MANIFEST.json"}
        assert {name: bytes_of(out)[name] for name in names} == {name: bytes_of(plain)[name] for name in names}
        assert not any("embeddings" in name for name in manifest_of(plain)["counts"])

    @pytest.mark.parametrize("shards", [0, 3])
    def test_again_and_in_any_bundles(self, recordings: Path, tmp_path: Path, shards: int) -> None:
        targets = [OutputTarget(directory=str(tmp_path / name), n_shards=shards) for name in ("one", "two")]
        one = embedded([recordings], targets[0])
        two = embedded([recordings], targets[1], runner_options=["--direct_runner_bundle_repeat=1"])
        assert bytes_of(one) == bytes_of(two)
        assert sorted(table_of(one, "turn")) == sorted(table_of(embedded([recordings], tmp_path / "all"), "turn"))

    def test_in_batches(self, recordings: Path, tmp_path: Path) -> None:
        options = InferenceOptions(inference_batch_size=4, batch_seconds=100)
        batched = embedded([recordings], tmp_path / "four", inference=options)
        one = embedded([recordings], tmp_path / "one")
        assert table_of(batched, "turn") == table_of(one, "turn")
        assert table_of(batched, "speaker") == table_of(one, "speaker")


class TestResume:
    def target(self, out: Path) -> OutputTarget:
        out.mkdir(exist_ok=True)
        mark_run(out, "t")
        return OutputTarget(directory=str(out), token="t", resume=True)

    def stopped(self, recordings: Path, out: Path) -> OutputTarget:
        target = self.target(out)
        handler = BandHandler(keeps_frames=True)
        with pytest.raises(RuntimeError, match="lost"), beam.Pipeline("FnApiRunner") as pipeline:
            made = pipeline | Diarize([str(recordings)], target, handler=handler, rules=RULES)
            _ = made.files | beam.Map(_lose)
        return target

    def test_what_is_finished_is_not_heard_again(self, recordings: Path, tmp_path: Path) -> None:
        """The second attempt has a model that fails at everything."""
        out = tmp_path / "out"
        target = self.stopped(recordings, out)
        diarize_here([recordings], target, BandHandler(keeps_frames=True, most_seconds=0.0), rules=RULES)
        assert set_of(out) == set_of(embedded([recordings], tmp_path / "whole"))

    @pytest.mark.parametrize("damage", ["removed", "cut", "more"])
    def test_what_has_lost_a_table_is_heard_again(self, recordings: Path, tmp_path: Path, damage: str) -> None:
        out = tmp_path / "out"
        target = self.stopped(recordings, out)
        hidden = sorted(path for path in out.glob(".*turn-embeddings-*.jsonl*") if path.stat().st_size)
        assert hidden
        for path in hidden:
            if damage == "removed":
                path.unlink()
            else:
                data = path.read_bytes()
                path.write_bytes(data[:-9] if damage == "cut" else data * 9)
        embedded([recordings], target)
        assert set_of(out) == set_of(embedded([recordings], tmp_path / "whole"))


def set_of(out: Path) -> dict[str, bytes]:
    """Return what lies in a set, but for the mark of the test's own launcher."""
    return {name: data for name, data in bytes_of(out).items() if name != "_RUN.json"}


def _lose(_: Any) -> None:
    raise RuntimeError("lost")


def test_a_model_that_gives_no_frames_fails_and_says_so(recordings: Path, tmp_path: Path) -> None:
    out = diarize_here([recordings / "talk.wav", recordings / "silence.wav"], tmp_path / "out", rules=RULES)
    assert list(by_id(out)) == ["silence"]
    (letter,) = failures_in(out)
    assert (letter["code"], letter["message"]) == (
        "model_error", "the model gave no frames to make embeddings of, expected 50",
    )  # fmt: skip
    assert "keeps_frames=True" in letter["cure"]


def test_embeddings_of_two_models_are_not_put_into_one_table(tmp_path: Path) -> None:
    rows = [
        {"id": name, "embedding": "AACAPw==", "model": {"name": model}} for name, model in (("a", "one"), ("b", "two"))
    ]
    with (
        pytest.raises(
            EntryError, match=r"the embedding of b was made by \{'name': 'two'\}, others by \{'name': 'one'\}"
        ),
        AtomicFile(str(tmp_path), "a.parquet") as file,
    ):
        WriteEmbeddings(POOLED)(file, rows)


class _Nothing:
    """A model that knows nothing."""


class VoiceHandler(ModelHandler[Diarized, PredictionResult, _Nothing]):
    """A model that embeds speaker k as the k-th direction; it fails on recordings of a name."""

    def __init__(self, fails_on: str = "") -> None:
        super().__init__()
        self._fails_on = fails_on

    def load_model(self) -> _Nothing:
        return _Nothing()

    def run_inference(
        self, batch: Sequence[Diarized], model: _Nothing, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        return [PredictionResult(item, self._embeddings(item)) for item in batch]

    def _embeddings(self, item: Diarized) -> SpeakerEmbeddings | EntryError:
        if item.recording_id == self._fails_on:
            return EntryError(FailureCode.OUT_OF_MEMORY, "it does not fit", "take a smaller one")
        directions: Floats = np.eye(4, dtype=np.float32)
        return SpeakerEmbeddings(
            speakers={turn.speaker: directions[turn.speaker] for turn in item.turns},
            turns=tuple(directions[turn.speaker] if turn.speaker else None for turn in item.turns),
            model=ModelIdentity("voices", "main", "ff", "nemo"),
        )


class TestAnotherModel:
    RULES = DiarizeRules(embeddings=True, embedding_model="org/voices")

    def test_it_embeds_what_the_first_one_found(self, recordings: Path, tmp_path: Path) -> None:
        out = diarize_here([recordings], tmp_path / "out", rules=self.RULES, embedding_handler=VoiceHandler())
        plain = diarize_here([recordings], tmp_path / "plain")
        assert entries_in(out) == entries_in(plain)
        assert table_of(out, "speaker")["covered/speaker_1"] == [0, 1, 0, 0]
        assert len(table_of(out, "turn")) == 4
        assert manifest_of(out)["counts"]["diarize.turn-embeddings.missing"] == 3
        assert {letter["code"] for letter in failures_in(out)} == {"not_audio"}
        (path,) = out.glob("speaker-embeddings-*")
        about = json.loads(pq.read_schema(path).metadata[METADATA_KEY.encode()])
        assert about["model"] == {"name": "voices", "revision": "main", "sha256": "ff", "backend": "nemo"}

    def test_a_recording_that_it_fails_on_fails(self, recordings: Path, tmp_path: Path) -> None:
        handler = VoiceHandler(fails_on="talk")
        out = diarize_here([recordings], tmp_path / "out", rules=self.RULES, embedding_handler=handler)
        letters = {Path(letter["source"]).name: letter["code"] for letter in failures_in(out)}
        assert letters == {"talk.wav": "out_of_memory", "html.wav": "not_audio"}
        assert "talk" not in by_id(out)
        assert not (out / "rttm" / "talk.rttm").exists()

    def test_what_the_first_one_fails_on_does_not_reach_it(self, recordings: Path, tmp_path: Path) -> None:
        out = diarize_here(
            [recordings], tmp_path / "out", BandHandler(most_seconds=0), rules=self.RULES,
            embedding_handler=VoiceHandler(),
        )  # fmt: skip
        assert {letter["code"] for letter in failures_in(out)} == {"out_of_memory", "not_audio"}

    def test_rules_need_both(self) -> None:
        with pytest.raises(ValueError, match="embedding_model makes nothing without embeddings"):
            DiarizeRules(embedding_model="org/voices")
