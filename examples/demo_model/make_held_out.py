"""Make conversations of voices that the demo model never heard, as FLAC, and who speaks when in them, as RTTM.

    python examples/demo_model/make_held_out.py held_out --number 48 --seconds 20

`held_out/audio` and `held_out/rttm` are what `beam-curator diarize` and `beam-curator score` take. The same arguments
give the same conversations, as far as espeak-ng is the same.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
from conversations import Conversation, choose_speakers, make_conversation
from voices import CACHE, HELD_OUT_VARIANTS, SAMPLE_RATE, SENTENCES, VOICES_EACH, choose_voices, load_voices

from beam_curator.diarization.rttm import render_rttm


def write(folder: Path, name: str, talk: Conversation) -> None:
    """Write a conversation and its turns."""
    numbers = list(dict.fromkeys(turn.voice for turn in talk.turns))
    turns = [
        (turn.start / SAMPLE_RATE, turn.stop / SAMPLE_RATE, f"voice_{numbers.index(turn.voice)}") for turn in talk.turns
    ]
    soundfile.write(folder / "audio" / f"{name}.flac", talk.samples, SAMPLE_RATE)
    (folder / "rttm" / f"{name}.rttm").write_text(render_rttm(name, turns))


def main() -> None:
    """Make the conversations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, default=48, help="of conversations, with 1 to 4 speakers by turns")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each")
    parser.add_argument("--seed", type=int, default=99)
    parser.add_argument("--voices", type=Path, default=CACHE, help="where what was spoken before is kept")
    arguments = parser.parse_args()
    for part in ("audio", "rttm"):
        (arguments.folder / part).mkdir(parents=True, exist_ok=True)
    voices = load_voices(choose_voices(HELD_OUT_VARIANTS, VOICES_EACH, seed=2), SENTENCES, arguments.voices)
    random = np.random.default_rng(arguments.seed)
    for number in range(arguments.number):
        speakers = choose_speakers(len(voices), 1 + number % 4, random)
        talk = make_conversation(voices, speakers, arguments.seconds, random)
        write(arguments.folder, f"talk-{number:03d}-of-{len(speakers)}", talk)


if __name__ == "__main__":
    main()
