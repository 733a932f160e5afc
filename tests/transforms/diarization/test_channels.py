"""Recordings of several channels, heard by one of them or by each alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.audio import encode_audio
from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions
from beam_curator.diarization.models import Floats
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings
from beam_curator.export.tree import clip_uuid
from beam_curator.files.output_target import OutputTarget
from beam_curator.models.turn_finding import Diarized
from beam_curator.transforms.diarization.diarize_recordings import Diarize
from beam_curator.transforms.diarization.diarize_rows import DiarizeRows
from beam_curator.transforms.diarization.stream_handler import StreamsHandler
from tests.fakes_models import POISON, TONES, BandHandler, sound_of, write_sound
from tests.manifests import failures_in, manifest_of
from tests.transforms.clips.clip_sets import mark_run, write_rows
from tests.transforms.diarization.calls import ANA, BO, ECHO, SECONDS, call_of, write_call
from tests.transforms.diarization.turn_sets import by_id, bytes_of, diarize_here, entries_in

SPLIT = DiarizeRules(channels="split")


def segments(*turns: tuple[float, float, str, int | None]) -> list[dict[str, Any]]:
    """Return segments of turns, sorted by time; without a channel where that is None."""
    return [
        {"start": start, "end": end, "speaker": speaker} | ({} if channel is None else {"channel": channel})
        for start, end, speaker, channel in sorted(turns, key=lambda turn: (turn[0], turn[1], turn[3] or 0))
    ]


BY_CHANNEL = segments(
    *((start, end, "channel_0", 0) for start, end, _ in ANA), *((start, end, "channel_1", 1) for start, end, _ in BO)
)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """A folder of a call, of a recording of one channel, and of one whose second channel the model cannot bear."""
    folder = tmp_path / "in"
    write_call(folder / "call.wav")
    write_sound(folder / "one.wav", 4.0, [(0.8, 1.6, 0), (2.4, 3.2, 1)])
    poison = np.hstack((sound_of(4.0, [(0.8, 1.6, 0)]), sound_of(4.0, [(0.8, 1.6, POISON)])))
    (folder / "poison.wav").write_bytes(encode_audio(poison, 16000, "wav"))
    return folder


class _Nothing:
    """A model that knows nothing."""


class ToneHandler(ModelHandler[Diarized, PredictionResult, _Nothing]):
    """A model that embeds a turn as the power of the speakers' tones in all that is heard while it lasts."""

    def load_model(self) -> _Nothing:
        return _Nothing()

    def run_inference(
        self, batch: Sequence[Diarized], model: _Nothing, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        return [PredictionResult(item, self._embeddings(item)) for item in batch]

    def _embeddings(self, item: Diarized) -> SpeakerEmbeddings:
        heard = np.concatenate(list(item.pieces()))
        vectors = [self._tones(heard[round(16000 * turn.start) : round(16000 * turn.end)]) for turn in item.turns]
        speakers = {turn.speaker: vector for turn, vector in zip(item.turns, vectors, strict=True)}
        return SpeakerEmbeddings(speakers=speakers, turns=tuple(vectors), model=ModelIdentity("tones"))

    def _tones(self, samples: Floats) -> Floats:
        power = np.abs(np.fft.rfft(samples)) ** 2
        hertz = np.fft.rfftfreq(len(samples), 1 / 16000)
        tones = np.float32([power[np.abs(hertz - tone) < 100].sum() for tone in TONES])
        direction: Floats = tones / np.linalg.norm(tones)
        return direction


class TestSplit:
    def test_channels_are_heard_alone_and_an_echo_is_left_to_the_louder_one(self, calls: Path, tmp_path: Path) -> None:
        rules = DiarizeRules(channels="split", uem=True, overlaps=True)
        out = diarize_here([calls], tmp_path / "out", rules=rules)
        found = by_id(out)
        call = found["call"]
        assert call["segments"] == call["diar_segments"] == BY_CHANNEL
        assert (call["num_speakers"], call["crosstalk_seconds"]) == (2, 1.6)
        assert "channel" not in call
        assert found["one"]["segments"] == segments(
            (0.8, 1.6, "channel_0_speaker_0", 0), (2.4, 3.2, "channel_0_speaker_1", 0)
        )
        assert [(letter["code"], Path(letter["source"]).name) for letter in failures_in(out)] == [
            ("model_error", "poison.wav")
        ]
        assert (out / "rttm" / "call.rttm").read_text() == (
            "SPEAKER call 1 0.800 1.600 <NA> <NA> channel_0 <NA> <NA>\n"
            "SPEAKER call 2 3.200 1.600 <NA> <NA> channel_1 <NA> <NA>\n"
            "SPEAKER call 1 5.600 1.600 <NA> <NA> channel_0 <NA> <NA>\n"
            "SPEAKER call 2 6.400 1.600 <NA> <NA> channel_1 <NA> <NA>\n"
        )
        assert (out / "rttm" / "call.uem").read_text() == "call 1 0.000 9.600\ncall 2 0.000 9.600\n"
        assert (out / "rttm" / "call.ctm").read_text() == "call 1 6.400 0.800 channel_0+channel_1 2\n"
        counts = Counter(manifest_of(out)["counts"])
        assert counts["diarize.crosstalk_us"] == 1_600_000
        assert (counts["diarize.segments"], counts["diarize.speakers"], counts["diarize.audio_us"]) == (
            6, 4, 13_600_000
        )  # fmt: skip

    def test_the_same_bytes_in_any_bundles_and_in_batches(self, calls: Path, tmp_path: Path) -> None:
        write_call(calls / "studio.flac", 44100)
        out = diarize_here([calls], tmp_path / "one", rules=SPLIT)
        again = diarize_here([calls], tmp_path / "two", rules=SPLIT, runner_options=["--direct_runner_bundle_repeat=1"])
        assert bytes_of(again) == bytes_of(out)
        inference = InferenceOptions(inference_batch_size=3, batch_seconds=100)
        batched = diarize_here(
            [calls], tmp_path / "four", BandHandler(inference=inference), rules=SPLIT, inference=inference
        )
        assert entries_in(batched) == entries_in(out)
        assert by_id(out)["studio"]["segments"] == BY_CHANNEL

    def test_a_piece_and_its_bandwidths(self, calls: Path, tmp_path: Path) -> None:
        """The piece begins at 2 s: of the first turn and its echo there is too little to be judged, but no less."""
        manifest = write_rows(calls / "m.jsonl", [{"audio_filepath": "call.wav", "offset": 3.0}])
        (entry,) = entries_in(
            diarize_here([manifest], tmp_path / "out", rules=DiarizeRules(channels="split", bandwidth=True))
        )
        plain = [{key: value for key, value in turn.items() if key != "metrics"} for turn in entry["segments"]]
        assert [(round(turn["start"], 1), turn["channel"]) for turn in plain] == [(3.2, 1), (5.6, 0), (6.4, 1)]
        widths = [turn["metrics"]["bandwidth"] for turn in entry["segments"]]
        assert [1400 < width < 1800 for width in widths] == [True, False, True]
        assert 1900 < widths[1] < 2300

    def test_embeddings_are_those_of_the_channels(self, calls: Path, tmp_path: Path) -> None:
        """The model's frames are how loud its tones are: ANA's are of slot 3, BO's of slot 2."""
        out = diarize_here(
            [calls / "call.wav"],
            tmp_path / "out",
            BandHandler(keeps_frames=True),
            rules=DiarizeRules(channels="split", embeddings=True),
        )
        speakers, turns = (
            {row["id"]: row["embedding"] for row in pq.read_table(path).to_pylist()}
            for name in ("speaker", "turn")
            for path in out.glob(f"{name}-embeddings-*.parquet")
        )
        loudest = {name: int(np.argmax(vector)) for name, vector in speakers.items()}
        assert loudest == {"call/channel_0": 3, "call/channel_1": 2}
        path = str(calls / "call.wav")
        assert {name: int(np.argmax(vector)) for name, vector in turns.items()} == {
            clip_uuid(path, round(8000 * start), round(8000 * end), channel): slot
            for channel, slot, speech in ((0, 3, ANA), (1, 2, BO))
            for start, end, _ in speech
        }

    def test_another_model_embeds_each_channel_by_itself(self, calls: Path, tmp_path: Path) -> None:
        rules = DiarizeRules(channels="split", embeddings=True, embedding_model="org/tones")
        out = diarize_here([calls / "call.wav"], tmp_path / "out", rules=rules, embedding_handler=ToneHandler())
        found = {
            name: [np.float32(row["embedding"]) for row in pq.read_table(path).to_pylist()]
            for name in ("speaker", "turn")
            for path in out.glob(f"{name}-embeddings-*.parquet")
        }
        assert [int(vector.argmax()) for vector in found["speaker"]] == [3, 2]
        assert [int(vector.argmax()) for vector in found["turn"]] == [3, 2, 3, 2]
        # the last turns of both are said at once: nothing of the other is in them
        assert all(np.sort(vector)[-2] < 0.05 for vector in found["turn"])

    def test_what_is_finished_is_not_heard_again(self, calls: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        out.mkdir()
        mark_run(out, "t")
        target = OutputTarget(directory=str(out), token="t", resume=True)
        with pytest.raises(RuntimeError, match="lost"), beam.Pipeline("FnApiRunner") as pipeline:
            made = pipeline | Diarize([str(calls / "call.wav")], target, handler=BandHandler(), rules=SPLIT)
            _ = made.files | beam.Map(_lose)
        diarize_here([calls / "call.wav"], target, BandHandler(most_seconds=0.0), rules=SPLIT)
        assert by_id(out)["call"]["segments"] == BY_CHANNEL

    def test_without_files(self, calls: Path) -> None:
        rows = [{"audio_filepath": str(calls / "call.wav")}, {"audio_filepath": str(calls / "poison.wav")}]
        with beam.Pipeline("FnApiRunner") as pipeline:
            made = pipeline | beam.Create(rows) | DiarizeRows(rules=SPLIT, handler=BandHandler())
            assert_that(made.results | beam.Map(lambda one: one.row["segments"]), equal_to([BY_CHANNEL]), label="rows")
            assert_that(made.failures | beam.Map(lambda one: str(one.code)), equal_to(["model_error"]), label="failed")


def _lose(_: Any) -> None:
    raise RuntimeError("lost")


class TestOneChannel:
    @pytest.mark.parametrize(
        ("channels", "row", "expected"),
        [
            ("first", {}, [(start, end, "speaker_3", 0) for start, end, _ in ANA]),
            ("0", {}, [(start, end, "speaker_3", 0) for start, end, _ in ANA]),
            ("1", {}, [(start, end, f"speaker_{slot}", 1) for start, end, slot in (*BO, *ECHO)]),
            # the voices are as loud, and the second channel has the echo besides
            ("loudest", {}, [(start, end, f"speaker_{slot}", 1) for start, end, slot in (*BO, *ECHO)]),
            ("mix", {}, [(start, end, f"speaker_{slot}", None) for start, end, slot in (*ANA, *BO)]),
            # a row that names a channel has it heard, whatever the option says
            *(
                (how, {"channel": 1}, [(start, end, f"speaker_{slot}", 1) for start, end, slot in (*BO, *ECHO)])
                for how in ("mix", "split", "0")
            ),
        ],
    )
    def test_turns_are_those_of_the_channel(
        self, calls: Path, tmp_path: Path, channels: str, row: dict[str, Any], expected: Any
    ) -> None:
        manifest = write_rows(calls / "m.jsonl", [{"audio_filepath": "call.wav", **row}])
        (entry,) = entries_in(diarize_here([manifest], tmp_path / "out", rules=DiarizeRules(channels=channels)))
        assert entry["segments"] == segments(*expected)
        assert "crosstalk_seconds" not in entry
        fields = {line.split()[2] for line in (tmp_path / "out" / "rttm" / "call.rttm").read_text().splitlines()}
        assert fields == {"2" if expected[0][3] == 1 else "1"}

    def test_the_other_channel_may_be_the_loudest(self, tmp_path: Path) -> None:
        (tmp_path / "call.wav").write_bytes(encode_audio(np.float32([1.0, 0.25]) * call_of(), 8000, "wav"))
        (entry,) = entries_in(
            diarize_here([tmp_path / "call.wav"], tmp_path / "out", rules=DiarizeRules(channels="loudest"))
        )
        assert {turn["channel"] for turn in entry["segments"]} == {0}

    def test_of_channels_that_cancel_each_other_the_loudest_is_heard(self, tmp_path: Path) -> None:
        voice = call_of()[:, :1]
        samples = np.hstack([np.float32(-0.9) * voice, voice])
        (tmp_path / "call.wav").write_bytes(encode_audio(samples, 8000, "wav"))
        out = diarize_here([tmp_path / "call.wav"], tmp_path / "out")
        (entry,) = entries_in(out)
        assert entry["segments"] == segments(*((start, end, "speaker_3", 1) for start, end, _ in ANA))
        assert (entry["unmixed_channel"], manifest_of(out)["counts"]["diarize.unmixed"]) == (1, 1)
        # a job that reads its rows again begins anew
        (again,) = entries_in(diarize_here([out], tmp_path / "again", rules=DiarizeRules(channels="first")))
        assert {turn["channel"] for turn in again["segments"]} == {0}
        assert "unmixed_channel" not in again

    def test_rows_of_two_channels_of_one_recording_are_two_tasks(self, calls: Path, tmp_path: Path) -> None:
        rows = [{"audio_filepath": "call.wav", "channel": channel} for channel in (0, 1, 0, 2, "1")]
        out = diarize_here([write_rows(calls / "m.jsonl", rows)], tmp_path / "out")
        entries = entries_in(out)
        assert [(entry["channel"], {turn["channel"] for turn in entry["segments"]}) for entry in entries] == [
            (0, {0}), (0, {0}), (1, {1})
        ]  # fmt: skip
        assert len({entry["recording_id"] for entry in entries}) == 2
        assert sorted(letter["code"] for letter in failures_in(out)) == ["bad_type", "out_of_range"]

    def test_a_channel_that_is_not_there_is_a_dead_letter(self, calls: Path, tmp_path: Path) -> None:
        out = diarize_here([calls / "call.wav", calls / "one.wav"], tmp_path / "out", rules=DiarizeRules(channels="1"))
        assert list(by_id(out)) == ["call"]
        assert [letter["message"] for letter in failures_in(out)] == [
            "channel 1 of a recording that has only channel 0"
        ]

    @pytest.mark.parametrize("channels", ["first", "loudest"])
    def test_a_recording_of_one_channel_is_as_ever(self, calls: Path, tmp_path: Path, channels: str) -> None:
        plain = diarize_here([calls / "one.wav"], tmp_path / "mix")
        other = diarize_here([calls / "one.wav"], tmp_path / "out", rules=DiarizeRules(channels=channels))
        assert entries_in(other) == entries_in(plain)


class Counting(BandHandler):
    """Remembers how many streams it is given at once."""

    sizes: list[int] = []  # noqa: RUF012  shared on purpose

    def run_inference(self, batch: Any, model: Any, inference_args: Any = None) -> Any:
        self.sizes.append(len(batch))
        return super().run_inference(batch, model, inference_args)


class _Item:
    def __init__(self, *streams: Any) -> None:
        self.streams = streams


@pytest.mark.parametrize(("size", "sizes"), [(1, [1, 1, 1, 1]), (3, [3, 1]), (8, [4])])
def test_streams_are_heard_so_many_at_once(size: int, sizes: list[int]) -> None:
    Counting.sizes.clear()
    handler = StreamsHandler(Counting(), size)
    sounds = [sound_of(SECONDS / 4, [(0.8, 1.6, slot)])[:, 0] for slot in range(4)]
    batch = [_Item(sounds[0], sounds[1]), _Item(sounds[2]), _Item(sounds[3])]
    results = handler.run_inference(batch, handler.load_model())
    assert Counting.sizes == sizes
    assert [result.example for result in results] == batch
    assert [[int(heard.frames.max(axis=0).argmax()) for heard in one.inference] for one in results] == [
        [0, 1],
        [2],
        [3],
    ]
    assert handler.get_num_bytes(batch) == sum(sound.nbytes for sound in sounds)
