"""Make conversations of voices that the demo model never heard, as Opus, and who speaks when in them, as RTTM.

    python examples/demo_model/make_held_out.py held_out --number 48 --seconds 20

    python examples/demo_model/make_held_out.py tests/data/held_out --number 8 --seed 7
    python examples/demo_model/make_held_out.py round_table --number 1 --speakers 3 --seconds 150 --seed 3

The second command made what the tests measure, the third `examples/round_table.opus` and its `.rttm`.

`held_out/audio` and `held_out/rttm` are what `beam-curator diarize` and `beam-curator score` take. The same arguments
give the same conversations, as far as espeak-ng is the same; pages of an Ogg have a random number in them.
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
    path = folder / "audio" / f"{name}.opus"
    soundfile.write(path, talk.samples, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=0.9)
    (folder / "rttm" / f"{name}.rttm").write_text(render_rttm(name, turns))


def main() -> None:
    """Make the conversations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, default=48, help="of conversations")
    parser.add_argument("--speakers", type=int, nargs="+", default=(1, 2, 3, 4), metavar="N", help="taken by turns")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each")
    parser.add_argument("--seed", type=int, default=99)
    parser.add_argument("--voices", type=Path, default=CACHE, help="where what was spoken before is kept")
    arguments = parser.parse_args()
    for part in ("audio", "rttm"):
        (arguments.folder / part).mkdir(parents=True, exist_ok=True)
    voices = load_voices(choose_voices(HELD_OUT_VARIANTS, VOICES_EACH, seed=2), SENTENCES, arguments.voices)
    random = np.random.default_rng(arguments.seed)
    for number in range(arguments.number):
        n_speakers = arguments.speakers[number % len(arguments.speakers)]
        speakers = choose_speakers(len(voices), n_speakers, random)
        talk = make_conversation(voices, speakers, arguments.seconds, random)
        write(arguments.folder, f"talk-{number:03d}-of-{n_speakers}", talk)


if __name__ == "__main__":
    main()
