"""Write `talks.jsonl`: six made-up conversations with words and speakers, and one broken line.

Everything is drawn from a fixed seed, so that the file is the same wherever it is made:

    python examples/make_talks.py
"""

import json
import random
from pathlib import Path
from typing import Any

SENTENCES = (
    "so where did we leave off last week",
    "the boat was late and the tide had turned",
    "I would rather plant beans than roses",
    "nobody told me that the bridge was closed",
    "let us look at the numbers once more",
    "that is the third time the kettle broke",
    "you could hear the rain on the tin roof",
    "we ought to ask the neighbours first",
    "she drew a map on the back of a letter",
    "it takes an hour if the road is dry",
    "well that depends on who is driving",
    "the dog slept through all of it",
)
TALKS = (
    ("harbour", 16000, ("ana", "ben"), 90),
    ("garden", 22050, ("ana", "carl", "dora"), 80),
    ("workshop", 44100, ("ben", "dora", "emil", "finn"), 100),
    ("kitchen", 16000, ("gus", "hana"), 70),
    ("radio", 8000, ("ivo", "jana"), 40),
    ("meeting", 48000, ("ana", "ben", "carl", "dora", "emil", "finn", "gus"), 110),
)


def make_talk(name: str, sample_rate: int, speakers: tuple[str, ...], n_segments: int) -> dict[str, Any]:
    """Make one manifest row."""
    draw = random.Random(name)
    clock, segments = 0.0, []
    for _ in range(n_segments):
        clock += draw.choice((0.1, 0.3, 0.8, 2.5))
        words, begin = [], clock
        for word in draw.choice(SENTENCES).split():
            end = clock + draw.uniform(0.18, 0.55)
            words.append({"word": word, "start": round(clock, 2), "end": round(end, 2)})
            clock = end
        segments.append(
            {
                "start": round(begin, 2),
                "end": words[-1]["end"],
                "speaker": draw.choice(speakers),
                "text": " ".join(word["word"] for word in words),
                "words": words,
                "metrics": {"bandwidth": draw.choice((8000, 8200, 9500, 11000, 7400 if draw.random() < 0.1 else 8100))},
            }
        )
    return {
        "audio_filepath": f"audio/{name}.wav",
        "audio_sample_rate": sample_rate,
        "duration": round(clock + 1, 2),
        "language": "en",
        "segments": segments,
    }


def main() -> None:
    """Write the file beside this script."""
    lines = [json.dumps(make_talk(*talk)) for talk in TALKS]
    lines.insert(3, lines[0][:300])  # a line that was cut off, as after a full disk
    Path(__file__).with_name("talks.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
