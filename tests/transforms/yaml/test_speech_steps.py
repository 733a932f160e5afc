"""The steps to clean clips in Beam YAML, one by one."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.fakes_models import write_sound
from tests.manifests import line_of, write_lines
from tests.transforms.curate.curate_sets import TALK
from tests.yaml_runs import run_yaml

OPTIONS = {"vad": "energy", "speaker_separation": False, "max_clip_duration": 5.0}
STEPS = ("FindSpeech", "FilterSpeech", "ConcatenateSpeech", "HearSpeakers", "MapClips")


def test_a_chain_of_the_steps_gives_clips_and_what_was_rejected(tmp_path: Path) -> None:
    write_sound(tmp_path / "talk.wav", 16.0, TALK)
    rows = write_lines(tmp_path / "m.jsonl", [line_of({"audio_filepath": "talk.wav"})])
    listing = Path(__file__).parents[3] / "templates" / "yaml" / "providers.yaml"
    chain = [
        {"type": "ReadManifests", "config": {"inputs": [str(rows)]}},
        *({"type": step, "config": OPTIONS} for step in STEPS),
        {"type": "MapToFields", "config": {"fields": {"kind": "kind"}}},
        {"type": "LogForTesting"},
    ]
    text = {"pipeline": {"type": "chain", "transforms": chain}, "providers": [{"include": str(listing)}]}
    (tmp_path / "steps.yaml").write_text(yaml.safe_dump(text, sort_keys=False))
    logged = run_yaml(tmp_path / "steps.yaml", tmp_path)
    kinds = sorted(word for line in logged for word in ("clips", "rejected") if f'"kind": "{word}"' in line)
    assert kinds == ["clips", "rejected"], logged
