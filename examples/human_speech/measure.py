"""Compare models on conversations of human voices, side by side, with one thread each.

    beam-curator models install cascade
    python examples/human_speech/make.py human_speech
    python examples/human_speech/measure.py human_speech/report demo cascade

`--peer DIR` adds RTTM that another diarizer wrote for the same recordings, such as that of `peer.py`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

COLLARS = ("0.25", "0")


def diarized(folder: Path, model: str, output: Path) -> float:
    """Diarize all recordings with a model; return how many seconds of sound it hears in a second of the model's."""
    command = ["diarize", str(folder / "audio"), "--model-name", model, "--threads", "1", "--output", str(output)]
    run(*command, "--overwrite")
    summary = json.loads((output / "summary.json").read_text())
    listened = next(stage for stage in summary["stages"] if stage["name"] == "listen")
    return float(listened["seconds"] / listened["time_total"])


def run(*command: str) -> str:
    """Run beam-curator; return its output."""
    done = subprocess.run(["beam-curator", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def scores(folder: Path, rttm: Path) -> list[dict[str, Any]]:
    """Return the report of each collar."""
    collars = [part for collar in COLLARS for part in ("--collar", collar)]
    return json.loads(run("score", str(folder / "rttm"), str(rttm), "--format", "json", *collars))["tables"]


def row_of(name: str, tables: list[dict[str, Any]], pace: float | None) -> str:
    """Return a row of the table."""
    rates = [f"{table['weighted']['der']:.1f}" for table in tables]
    strict = tables[-1]
    errors = [recording["speaker_count_error"] for recording in strict["recordings"]]
    real_time = f"{pace:.0f}" if pace is not None else ""
    cells = [name, *rates, f"{strict['weighted']['jer']:.1f}", f"{errors.count(0)} of {len(errors)}", real_time]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with audio and rttm")
    parser.add_argument("models", nargs="+", help="names of models that are installed")
    parser.add_argument("--peer", type=Path, action="append", default=[], help="folder with RTTM of another diarizer")
    arguments = parser.parse_args()
    print("| diarizer | DER, collar 0.25 | DER, collar 0 | JER | speakers right | times real time |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models:
            output = Path(folder) / model.replace("/", "_")
            pace = diarized(arguments.folder, model, output)
            print(row_of(model, scores(arguments.folder, output / "rttm"), pace), flush=True)
    for peer in arguments.peer:
        print(row_of(peer.name, scores(arguments.folder, peer), None))


if __name__ == "__main__":
    main()
