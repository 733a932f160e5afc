"""The floors of diarization: the bare forward loops, on audio that is decoded already, and nothing around them.

`nemo`: NeMo's own whole-file streaming, `model.forward`, one recording after the other.
`diarize`: NeMo's own `model.diarize`, which a user of NeMo calls, one recording after the other.
`onnx`: onnxruntime on inputs of the sizes that streaming has, chunk after chunk; no mel frames, no speaker cache.
Prints seconds of loading and of the loop as JSON.

    python benchmarks/floor_diarize.py nemo|diarize|onnx MODEL THREADS RECORDING…
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

PRESET = {
    "chunk_len": 340,
    "chunk_left_context": 1,
    "chunk_right_context": 40,
    "fifo_len": 40,
    "spkcache_update_period": 300,
    "spkcache_len": 188,
}


def main() -> None:
    way, path, threads, *names = sys.argv[1:]
    waveforms = [soundfile.read(name, dtype="float32")[0] for name in names]
    begin = time.perf_counter()
    run = {"nemo": load_nemo, "diarize": load_diarize, "onnx": load_onnx}[way](path, int(threads))
    loaded = time.perf_counter()
    for waveform in waveforms:
        run(waveform)
    print(json.dumps({"load": loaded - begin, "loop": time.perf_counter() - loaded}))


def restored(path: str, threads: int) -> Any:
    os.environ["TQDM_DISABLE"] = "1"
    import torch
    from random_sortformer import quieten_nemo

    quieten_nemo()
    from nemo.collections.asr.models import SortformerEncLabelModel

    torch.set_num_threads(threads)
    model = SortformerEncLabelModel.restore_from(path, map_location="cpu").eval()
    model.preprocessor.featurizer.dither, model.preprocessor.featurizer.pad_to = 0.0, 0
    for name, value in PRESET.items():
        setattr(model.sortformer_modules, name, value)
    return model


def load_nemo(path: str, threads: int) -> Callable[[np.ndarray], Any]:
    import torch

    model = restored(path, threads)

    def run(waveform: np.ndarray) -> Any:
        with torch.inference_mode():
            return model(
                audio_signal=torch.from_numpy(waveform)[None], audio_signal_length=torch.tensor([len(waveform)])
            )

    return run


def load_diarize(path: str, threads: int) -> Callable[[np.ndarray], Any]:
    model = restored(path, threads)
    return lambda waveform: model.diarize(
        audio=[waveform], sample_rate=16000, batch_size=1, num_workers=0, verbose=False
    )


def load_onnx(path: str, threads: int) -> Callable[[np.ndarray], Any]:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    pre_encoder, encoder = (
        onnxruntime.InferenceSession(str(Path(path) / name), options, providers=["CPUExecutionProvider"])
        for name in ("pre_encode_unmasked.onnx", "encode_unmasked.onnx")
    )
    random = np.random.default_rng(0)
    (mel_input, mel_lengths), (emb_input, emb_lengths) = (
        [item.name for item in session.get_inputs()] for session in (pre_encoder, encoder)
    )
    n_mels, width = pre_encoder.get_inputs()[0].shape[2], encoder.get_inputs()[0].shape[2]

    def run(waveform: np.ndarray) -> None:
        n_frames = -(-(len(waveform) // 160) // 8)
        for start in range(0, n_frames, PRESET["chunk_len"]):
            own = min(PRESET["chunk_len"], n_frames - start)
            around = min(1, start) + min(40, n_frames - start - own)
            before = 0 if not start else PRESET["spkcache_len"] + PRESET["fifo_len"]
            mel = random.standard_normal((1, 8 * (own + around), n_mels), dtype=np.float32)
            pre_encoder.run(None, {mel_input: mel, mel_lengths: np.array([mel.shape[1]])})
            embeddings = random.standard_normal((1, before + own + around, width), dtype=np.float32)
            encoder.run(None, {emb_input: embeddings, emb_lengths: np.array([embeddings.shape[1]])})

    return run


if __name__ == "__main__":
    main()
