from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest

from beam_curator.diarization.diarize_rules import (
    DiarizeRules,
    InferenceOptions,
    ModelOptions,
    StreamingOptions,
    TurnOptions,
)
from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS, StreamingParameters
from beam_curator.diarization.turn_rules import TURN_PRESETS, TurnRules


@pytest.mark.parametrize("latency", LATENCY_PRESETS)
def test_a_latency_is_the_published_preset(latency: str) -> None:
    assert StreamingOptions(latency=latency).parameters() == LATENCY_PRESETS[latency]


def test_values_that_are_given_replace_those_of_the_preset() -> None:
    options = StreamingOptions(latency="low", chunk_left_context=0, fifo_len=7, asynchronous=True)
    assert options.parameters() == StreamingParameters(
        chunk_len=6,
        chunk_left_context=0,
        chunk_right_context=7,
        fifo_len=7,
        spkcache_update_period=144,
        spkcache_len=188,
        asynchronous=True,
    )


def test_values_of_turns_replace_those_of_the_preset() -> None:
    rules = TurnOptions(turns="v1-callhome", onset=0.0, min_duration_off=1.5).rules()
    assert astuple(rules) == (0.0, 0.49, 0.23, 0.01, 0.42, 1.5)
    assert TurnOptions().rules() == TURN_PRESETS["default"] == TurnRules()


WRONG: list[tuple[type, dict[str, Any], str]] = [
    (ModelOptions, {"backend": "torch"}, "model: backend 'torch' is not known: use one of auto, onnx, nemo"),
    (ModelOptions, {"device": "tpu", "autocast": "fp8"}, "device 'tpu' is not known: .*; autocast 'fp8' is not known"),
    (ModelOptions, {"sha256": "abc"}, "model-sha256 'abc' is not 64 hexadecimal digits: give all of them"),
    (ModelOptions, {"sha256": "g" * 64}, "is not 64 hexadecimal digits"),
    (
        StreamingOptions,
        {"latency": "none"},
        "latency 'none' is not known: use one of very-high, high, medium, low, ultra-low",
    ),
    (StreamingOptions, {"chunk_len": 0}, "chunk_len 0 is below 1: raise it"),
    (TurnOptions, {"turns": "v3"}, "turns 'v3' is not known: use one of default, v1-callhome"),
    (TurnOptions, {"onset": 2.0}, "onset 2 must be 0-1"),
    (InferenceOptions, {"inference_batch_size": 0}, "inference_batch_size 0 must be 1-4096: choose a value"),
    (InferenceOptions, {"timeout": -1, "threads": 2000}, "threads 2000 must be 0-1024: .*; timeout -1 is below 0"),
    (InferenceOptions, {"batch_seconds": 0}, "batch_seconds 0 is below 1: raise it"),
    (DiarizeRules, {"diar_format": "rttm"}, "diar_format 'rttm' is not known: use one of dicts, pairs"),
    (DiarizeRules, {"channels": "keep"}, "channels 'keep' is not known: use one of mix, first, loudest, split, or the"),
    (DiarizeRules, {"vad": "webrtc"}, "vad 'webrtc' is not known: use one of silero, energy, none"),
    (DiarizeRules, {"vad": "none", "vad_path": "a"}, "vad_path is of silero, and vad is none: leave one of them out"),
    (DiarizeRules, {"channels": "-1"}, "channels '-1' is not known"),
    (DiarizeRules, {"channels": True}, "channels 'True' is not known"),
    (DiarizeRules, {"audio_filepath_key": ""}, "audio_filepath_key is empty: name a key"),
    (DiarizeRules, {"rttm_out_dir": "../rttm"}, r"rttm_out_dir '\.\./rttm' is no name of a folder of the output set"),
    (DiarizeRules, {"rttm_out_dir": "turns"}, "give letters and digits with rttm among them"),
]


@pytest.mark.parametrize(("kind", "options", "problem"), WRONG)
def test_what_cannot_hold_is_refused_with_its_cure(kind: type, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        kind(**options)


def test_what_holds() -> None:
    assert ModelOptions(sha256="A" * 64, backend="onnx", device="cuda", autocast="bfloat16").sha256 == "A" * 64
    assert DiarizeRules(rttm_out_dir="pred_rttms", channels="first").rttm_out_dir == "pred_rttms"


def test_channels_are_one_of_four_words_or_a_number() -> None:
    assert [DiarizeRules(channels=how).channel for how in ("mix", "first", "loudest", "split", "0", "12")] == [
        *[None] * 4, 0, 12
    ]  # fmt: skip
    assert [how for how in ("mix", "split", "1") if DiarizeRules(channels=how).splits] == ["split"]
    numbered = DiarizeRules(channels=1)  # type: ignore[arg-type]  # as YAML has it
    assert (numbered, numbered.channel) == (DiarizeRules(channels="1"), 1)
    with pytest.warns(DeprecationWarning, match="mono is now called channels"):
        assert DiarizeRules(mono="first") == DiarizeRules(channels="first")  # type: ignore[call-arg]
    assert DiarizeRules(rttm_out_dir="").rttm_out_dir == ""
    assert InferenceOptions(timeout=0.5, inference_batch_size=4096).timeout == 0.5


def test_two_keys_may_not_be_one() -> None:
    with pytest.raises(ValueError, match="diar_segments_key 'segments' is a key of the entry already: choose another"):
        DiarizeRules(diar_segments_key="segments")
