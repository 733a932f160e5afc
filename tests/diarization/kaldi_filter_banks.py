"""Filter banks of noises by Kaldi's own code, and the noises: recorded, as it is no dependency.

Run as `python -m tests.diarization.kaldi_filter_banks` where kaldi-native-fbank is installed, to record it anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from beam_curator.diarization.models import Floats

RECORDED = Path(__file__).parents[1] / "data" / "kaldi_filter_banks.npz"
LENGTHS = (400, 559, 560, 30_000)


def noises(n_samples: int) -> dict[str, Floats]:
    """Return silence, a noise, one that fades, and a tone with an offset: float32 [n_samples] at 16 kHz each."""
    random, times = np.random.default_rng(n_samples), np.arange(n_samples) / 16000
    noise = random.standard_normal(n_samples) * 0.1
    made = {
        "silence": np.zeros(n_samples),
        "noise": noise,
        "fading": noise * np.exp(-3 * times),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * times) + 0.01 * noise + 0.05,
    }
    return {name: sound.astype(np.float32) for name, sound in made.items()}


def filter_banks_by_kaldi(samples: Floats) -> Floats:
    """Return float32 [n_frames, 80]."""
    import kaldi_native_fbank  # type: ignore[import-not-found]

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    options.mel_opts.low_freq, options.mel_opts.high_freq = 20, 0
    computed = kaldi_native_fbank.OnlineFbank(options)
    computed.accept_waveform(16000, samples.tolist())
    computed.input_finished()
    return np.array([computed.get_frame(at) for at in range(computed.num_frames_ready)], np.float32)


if __name__ == "__main__":
    np.savez_compressed(
        RECORDED,
        **{
            # every tenth frame of a long one
            f"{name} {n_samples}": filter_banks_by_kaldi(samples)[:: 10 if n_samples > 1000 else 1]
            for n_samples in LENGTHS
            for name, samples in noises(n_samples).items()
        },
    )
