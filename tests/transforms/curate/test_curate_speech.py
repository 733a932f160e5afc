"""From recordings to complete sets of clips, with a model whose answers are worked out by hand."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import soundfile
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.curate.curate_rules import (
    BandFilter,
    ClipRules,
    Concatenation,
    CurateOptions,
    CurateOutputOptions,
    CurateRules,
    CurateVad,
    MonoConversion,
    QualityRules,
    SpeakerSeparation,
)
from beam_curator.diarization.diarize_rules import ModelOptions
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.sets.output_set import RowFormat
from beam_curator.transforms.curate.curate_speech import CurateRows, CurateSpeech, HearSpeakers
from beam_curator.transforms.curate.speech_steps import ConcatenateSpeech, FilterSpeech, FindSpeech, MapClips
from tests.fakes_models import POISON, BandHandler, sound_of, write_sound
from tests.manifests import failures_in, line_of, manifest_of, run, write_lines
from tests.transforms.curate.curate_sets import (
    ENERGY,
    OPTIONS,
    TALK,
    assert_clips_hold_what_rows_say,
    clips_in,
    curate_here,
    found_in,
    names_of_clips,
    rejected_in,
)
from tests.transforms.diarization.calls import write_call
from tests.transforms.diarization.turn_sets import bytes_of

ALONE = replace(OPTIONS, speaker_separation=SpeakerSeparation(enable=False))
WHOLE = CurateVad(enable=False)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return write_sound(tmp_path / "in" / "talk.wav", 16.0, TALK)


class TestTopologies:
    def test_speech_of_one_speaker(self, talk: Path, tmp_path: Path) -> None:
        out = curate_here([talk], tmp_path / "out")
        # dead air begins 0.24 s behind sound; pieces of speech have 0.3 s of padding, which ends 0.1 s before others
        assert found_in(out) == [
            ("speaker_0", [[0, 62400]]),
            ("speaker_1", [[65600, 123584]]),
            ("speaker_0", [[158016, 225984]]),
        ]
        assert assert_clips_hold_what_rows_say(out) == 3
        assert {row["num_speakers"] for row in clips_in(out)} == {2}
        counts = manifest_of(out)["counts"]
        assert (counts["curate.segments"], counts["curate.speakers"], counts["curate.found"]) == (2, 2, 3)

    def test_others_may_stay(self, talk: Path, tmp_path: Path) -> None:
        out = curate_here([talk], tmp_path / "out", replace(OPTIONS, clips=ClipRules(others="keep")))
        assert found_in(out) == [
            ("speaker_0", [[0, 72384]]),
            ("speaker_1", [[55104, 123584]]),
            ("speaker_0", [[158016, 225984]]),
        ]

    def test_speech_of_anybody(self, talk: Path, tmp_path: Path) -> None:
        out = curate_here([talk], tmp_path / "out", ALONE)
        assert found_in(out) == [("", [[0, 123584]]), ("", [[158016, 225984]])]
        assert not {"speaker_id", "num_speakers", "speaking_duration"} & clips_in(out)[0].keys()

    def test_tracks(self, talk: Path, tmp_path: Path) -> None:
        out = curate_here([talk], tmp_path / "out", replace(OPTIONS, vad=WHOLE))
        assert found_in(out) == [
            ("speaker_0", [[12800, 62400], [166400, 217600]]),
            ("speaker_1", [[65600, 115200]]),
        ]
        assert assert_clips_hold_what_rows_say(out) == 2

    def test_the_recording(self, talk: Path, tmp_path: Path) -> None:
        out = curate_here([talk], tmp_path / "out", replace(ALONE, vad=WHOLE))
        assert found_in(out) == [("", [[0, 256000]])]

    @pytest.mark.parametrize(
        ("vad", "speakers", "on_reject", "clips"),
        itertools.product((ENERGY, WHOLE), (True, False), ("drop", "annotate"), (True, False)),
    )
    def test_books_balance(
        self, vad: CurateVad, speakers: bool, on_reject: str, clips: bool, talk: Path, tmp_path: Path
    ) -> None:
        options = CurateOptions(
            vad=vad,
            concatenation=OPTIONS.concatenation,
            speaker_separation=SpeakerSeparation(enable=speakers),
            quality=QualityRules(max_clip_duration=4.1, on_reject=on_reject),
            clips=ClipRules(clips=clips),
        )
        out = curate_here([talk], tmp_path / "out", options)
        n_rejected = {(True, True): 1, (True, False): 2, (False, True): 1, (False, False): 1}[vad is ENERGY, speakers]
        failed = [row for row in clips_in(out) if row["filters_failed"] == ["long"]]
        assert (len(rejected_in(out)), len(failed)) == ((n_rejected, 0) if on_reject == "drop" else (0, n_rejected))
        assert bool(names_of_clips(out)) == (clips and len(clips_in(out)) > 0)


def test_the_steps_one_by_one_give_the_same_clips(talk: Path) -> None:
    options = replace(OPTIONS, quality=QualityRules(min_level=-60, max_clip_duration=4.1))
    model = ModelOptions(model_name="demo")
    with beam.Pipeline("FnApiRunner") as pipeline:
        rows = pipeline | beam.Create([{"audio_filepath": str(talk)}, {"audio_filepath": "gone.wav"}])
        found = rows | FindSpeech(options)
        concatenated = found.recordings | FilterSpeech(options) | ConcatenateSpeech(options)
        heard = concatenated | HearSpeakers(options, handler=BandHandler())
        made = heard | MapClips(options, turns=TurnRules(), model=model)
        whole = rows | CurateRows(options, turns=TurnRules(), handler=BandHandler())
        both = [
            some | f"Keys {number}" >> beam.Map(lambda made: (made.kind, str(made.row["spans"]), len(made.files)))
            for number, some in enumerate((made.results, whole.results))
        ]
        counted = both | beam.Flatten() | beam.combiners.Count.PerElement() | beam.MapTuple(lambda key, n: (*key, n))
        assert_that(
            counted,
            equal_to([
                ("clips", "[[0, 62400]]", 1, 2),
                ("clips", "[[65600, 123584]]", 1, 2),
                ("rejected", "[[158016, 225984]]", 0, 2),
            ]),
        )  # fmt: skip
        assert_that(found.failures | beam.Map(lambda letter: letter.code), equal_to(["not_found"]), label="failed")


class TestFilters:
    def test_recordings_of_another_rate_are_dropped_when_that_is_asked_for(self, talk: Path, tmp_path: Path) -> None:
        options = replace(OPTIONS, mono_conversion=MonoConversion(strict_sample_rate=True))
        (row,) = rejected_in(curate_here([talk], tmp_path / "out", options))
        assert (row["level"], row["reason"], row["score"], row["threshold"]) == (
            "recording", "strict_sample_rate", 16000, 48000
        )  # fmt: skip

    def test_pieces_of_speech_are_filtered_before_speakers_are_told_apart(self, tmp_path: Path) -> None:
        sound = sound_of(16.0, TALK)
        sound[10 * 16000 :] *= 0.3  # still loud enough for the model
        soundfile.write(tmp_path / "talk.wav", sound, 16000)
        out = curate_here(
            [tmp_path / "talk.wav"], tmp_path / "out", replace(OPTIONS, quality=QualityRules(min_level=-25))
        )
        assert [(row["level"], row["reason"]) for row in rejected_in(out)] == [("segment", "level")]
        assert [spans for _, spans in found_in(out)] == [[[0, 62400]], [[65600, 123584]]]

    def test_the_band(self, talk: Path, tmp_path: Path) -> None:
        options = replace(ALONE, band_filter=BandFilter(enable=True, band_cutoff=4000))
        out = curate_here([talk], tmp_path / "out", options)
        assert {(row["reason"], row["score"]) for row in rejected_in(out)} == {("band", "narrow_band")}

    def test_what_is_rejected_may_be_counted_alone(self, talk: Path, tmp_path: Path) -> None:
        options = replace(ALONE, quality=QualityRules(max_clip_duration=5), clips=ClipRules(rejected=False))
        out = curate_here([talk], tmp_path / "out", options)
        counts = manifest_of(out)["counts"]
        assert (rejected_in(out), counts["curate.rejected.long"], counts["curate.unlisted"]) == ([], 1, 1)


class TestRows:
    def test_own_keys_stay_and_two_rows_of_one_recording_get_its_clips(self, talk: Path, tmp_path: Path) -> None:
        rows = [{"audio_filepath": "in/talk.wav", "lang": lang, "sample_rate": 1} for lang in ("de", "fr")]
        manifest = write_lines(tmp_path / "m.jsonl", map(line_of, rows))
        out = curate_here([manifest], tmp_path / "out", replace(ALONE, clips=ClipRules(clips=False)))
        assert [(row["lang"], row["input_sample_rate"], row["_origin"]["offset"] > 0) for row in clips_in(out)] == [
            ("de", 1, False), ("de", 1, False), ("fr", 1, True), ("fr", 1, True),
        ]  # fmt: skip

    def test_a_piece_of_a_recording(self, talk: Path, tmp_path: Path) -> None:
        row = {"audio_filepath": str(talk), "offset": 8.8, "duration": 4.8}
        manifest = write_lines(tmp_path / "m.jsonl", [line_of(row)])
        out = curate_here([manifest], tmp_path / "out", replace(ALONE, vad=WHOLE))
        assert found_in(out) == [("", [[140800, 217600]])]

    @pytest.mark.parametrize("row_format", ["parquet", "avro"])
    def test_as_tables(self, row_format: RowFormat, talk: Path, tmp_path: Path) -> None:
        options = replace(ALONE, quality=QualityRules(max_clip_duration=5))
        output = CurateOutputOptions(row_format=row_format, output_format="flac")
        out = tmp_path / "out"
        with beam.Pipeline("FnApiRunner") as pipeline:
            _ = pipeline | CurateSpeech([str(talk)], str(out), options, output=output)
        assert run("verify", out) == 0
        assert {path.name.partition("-")[0] for path in out.glob(f"*.{row_format}")} == {"clips", "rejected"}


def test_channels_one_by_one(tmp_path: Path) -> None:
    sound = sound_of(16.0, TALK, 8000, 2)
    sound[: 7 * 8000, 1] = 0  # the second channel is silent at first
    soundfile.write(tmp_path / "call.wav", sound, 8000)
    options = replace(OPTIONS, recordings=CurateRules(channels="split"))
    out = curate_here([tmp_path / "call.wav"], tmp_path / "out", options)
    speakers = {row["speaker_id"]: row["channel"] for row in clips_in(out)}
    assert speakers == {"channel_0_speaker_0": 0, "channel_0_speaker_1": 0, "channel_1": 1}
    assert assert_clips_hold_what_rows_say(out) == 4


def test_an_echo_on_another_channel_is_left_to_the_louder_one(tmp_path: Path) -> None:
    call = write_call(tmp_path / "call.wav")
    short = CurateVad(engine="energy", min_duration_sec=0.5)
    options = CurateOptions(vad=short, recordings=CurateRules(channels="split"))
    out = curate_here([call], tmp_path / "out", options)
    found = [(row["speaker_id"], round(row["spans"][0][0] / 8000), row["channel"]) for row in clips_in(out)]
    # channel 1 has the first turn of channel 0, too, and there is no clip of it
    assert found == [("channel_0", 0, 0), ("channel_1", 3, 1), ("channel_0", 5, 0), ("channel_1", 6, 1)]
    assert manifest_of(out)["counts"]["curate.crosstalk_us"] == pytest.approx(1_600_000, abs=80_000)


class TestBadInput:
    def write_all(self, folder: Path) -> None:
        folder.mkdir()
        write_sound(folder / "one.wav", 1 / 16000)
        write_sound(folder / "short.wav", 100 / 16000)
        write_sound(folder / "zeros.wav", 20.0)
        soundfile.write(folder / "dc.wav", np.full(20 * 16000, 0.25), 16000)
        write_sound(folder / "rate8.wav", 16.0, TALK, 8000)
        write_sound(folder / "rate44.flac", 16.0, TALK, 44100)
        write_sound(folder / "rate11.wav", 16.0, TALK, 11025)
        sound = sound_of(16.0, TALK)[:, 0]
        soundfile.write(folder / "opposite.wav", np.stack([sound, -sound], axis=1), 16000)
        long = sound_of(150.0, [(0, 150, 0)])
        soundfile.write(folder / "endless.flac", long, 16000)
        (folder / "empty.wav").write_bytes(b"")
        (folder / "page.wav").write_bytes(b"<html>")
        (folder / "cut.wav").write_bytes((folder / "rate8.wav").read_bytes()[:64000])
        sound[30000] = np.nan
        soundfile.write(folder / "nan.wav", sound, 16000, subtype="FLOAT")
        write_sound(folder / "poison.wav", 4.0, [(0.8, 3.6, POISON)])

    def test_each_has_its_outcome(self, tmp_path: Path) -> None:
        self.write_all(tmp_path / "in")
        out = curate_here([tmp_path / "in"], tmp_path / "out")
        codes = {Path(letter["source"]).name: letter["code"] for letter in failures_in(out)}
        assert codes == {
            "empty.wav": "empty_audio",
            "page.wav": "not_audio",
            "cut.wav": "truncated_audio",
            "nan.wav": "non_finite",
            "poison.wav": "model_error",
        }
        clips: dict[str, list[dict[str, object]]] = {}
        for row in clips_in(out):
            clips.setdefault(row["recording_id"], []).append(row)
        assert {name: len(rows) for name, rows in clips.items()} == {
            "rate8": 3, "rate44": 3, "rate11": 3, "opposite": 3, "endless": 3,
        }  # fmt: skip
        assert max(float(str(row["duration"])) for row in clips["endless"]) <= 60.0
        counts = manifest_of(out)["counts"]
        # one sample, shorter than a frame, zeros and a constant
        assert (counts["curate.silent"], counts["curate.unmixed"]) == (4, 1)

    def test_speakers_and_pieces_of_all_kinds(self, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        write_sound(folder / "many.wav", 720.0, [(3.6 * k + 0.8, 3.6 * k + 2.8, 0) for k in range(200)], 8000)
        write_sound(folder / "one.wav", 4.0, [(0.8, 3.6, 2)])
        write_sound(folder / "four.wav", 16.0, [(3.2 * k + 0.8, 3.2 * k + 4.0, k) for k in range(4)])
        write_sound(folder / "brief.wav", 8.0, [(0.8, 4.0, 0), (4.0, 4.4, 1), (4.4, 7.2, 0)])
        out = curate_here([folder], tmp_path / "out")
        clips = Counter((row["recording_id"], row["speaker_id"]) for row in clips_in(out))
        assert clips == {
            ("many", "speaker_0"): 200,
            ("one", "speaker_2"): 1,
            **{("four", f"speaker_{k}"): 1 for k in range(4)},
            ("brief", "speaker_0"): 1,
        }
        counts = manifest_of(out)["counts"]
        assert (counts["curate.saturated"], counts["curate.speakers_dropped.too_short"]) == (1, 1)

    @pytest.mark.parametrize("silence", [0.0, 60.0])
    def test_any_silence_between_pieces(self, silence: float, talk: Path, tmp_path: Path) -> None:
        options = replace(OPTIONS, concatenation=Concatenation(silence_duration_sec=silence))
        out = curate_here([talk], tmp_path / "out", options)
        assert [who for who, _ in found_in(out)] == ["speaker_0", "speaker_1", "speaker_0"]

    def test_clipped_sound_is_told(self, tmp_path: Path) -> None:
        sound = np.clip(20 * sound_of(16.0, TALK), -1, 1)
        soundfile.write(tmp_path / "clipped.wav", sound, 16000)
        options = replace(ALONE, quality=QualityRules(max_clipped_ratio=0.1, on_reject="annotate"))
        rows = clips_in(curate_here([tmp_path / "clipped.wav"], tmp_path / "out", options))
        assert [(row["clipped_ratio"] > 0.5, row["filters_failed"]) for row in rows] == [(True, ["clipped"])] * 2


def test_clips_that_a_crash_left_go_with_the_recording_that_fails_now(tmp_path: Path) -> None:
    strays = [tmp_path / "out" / "clips" / name for name in ("bad/speaker_0_000000000-000064000.wav", "talk/a.wav")]
    for stray in strays:
        stray.parent.mkdir(parents=True)
        stray.write_bytes(b"RIFF")
    write_sound(tmp_path / "in" / "talk.wav", 16.0, TALK)
    (tmp_path / "in" / "bad.wav").write_bytes(b"")
    out = curate_here([tmp_path / "in"], tmp_path / "out", ALONE)
    assert (len(clips_in(out)), len(failures_in(out))) == (2, 1)
    assert not any(map(Path.exists, strays))


def test_a_job_twice_writes_the_same(talk: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, quality=QualityRules(max_clip_duration=4.1))
    sets = [
        curate_here([talk], tmp_path / name, options, runner_options=given)
        for name, given in (("a", []), ("b", ["--direct_runner_bundle_repeat=1"]))
    ]
    assert bytes_of(sets[0]) == bytes_of(sets[1])
