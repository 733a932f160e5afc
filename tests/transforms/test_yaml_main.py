"""Beam's own command, on the template and on the examples of docs/yaml.md."""

import json
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from beam_curator.transforms.yaml.yaml_rows import RowRefusedError
from tests.manifests import BAD_LINES, TALKS, line_of, lines_in, manifest_of, rows_in, run, speech, write_lines
from tests.yaml_runs import arguments_of, run_yaml

pytestmark = pytest.mark.heavy

pytest.importorskip("apache_beam.yaml.main")

ROOT = Path(__file__).parents[2]
BATCH = ROOT / "templates" / "yaml" / "batch.yaml"
CLIPS = ROOT / "templates" / "yaml" / "clips.yaml"
PAGE = (ROOT / "docs" / "yaml.md").read_text(encoding="utf-8")


def without_stage(line: bytes) -> tuple[tuple[str, Any], ...]:
    return tuple((key, value) for key, value in json.loads(line).items() if key != "stage")


def test_the_template_gives_the_rows_and_failures_of_the_command(tmp_path: Path) -> None:
    bad = write_lines(tmp_path / "it's bad.jsonl", [line_of(speech(6)), *(raw for raw, _ in BAD_LINES.values())])
    inputs = [str(TALKS), str(bad)]
    run("windows", *inputs, "--output", tmp_path / "command")
    out = tmp_path / 'out "of" yaml'
    command = [sys.executable, "-m", "apache_beam.yaml.main"]
    command += arguments_of(BATCH, {"inputs": inputs, "output": str(out)})
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = lines_in(out, "windows.jsonl-*-of-*")
    assert len(rows) == 7
    assert sorted(rows) == sorted(rows_in(tmp_path / "command"))
    letters, expected = lines_in(out, "failures.jsonl-*-of-*"), lines_in(tmp_path / "command", "failures-*.jsonl")
    assert len(letters) == 1 + len(BAD_LINES)
    assert sorted(map(without_stage, letters)) == sorted(map(without_stage, expected))
    # one line is no text, which the reading notices here; all else is the same to the byte
    assert [json.loads(line)["code"] for line in set(letters) - set(expected)] == ["bad_utf8"]


@pytest.mark.slow
def test_the_template_runs_from_its_own_folder_with_another_target(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [line_of(speech(6))])
    run("windows", tmp_path / "a.jsonl", "--output", tmp_path / "command", "--target-window-duration", "80")
    places = {"inputs": [str(tmp_path / "a.jsonl")], "output": str(tmp_path / "out")}
    run_yaml(BATCH.name, BATCH.parent, **places, target=80)
    assert lines_in(tmp_path / "out", "windows.jsonl-*-of-*") == rows_in(tmp_path / "command")
    assert [path.read_bytes() for path in (tmp_path / "out").glob("failures.jsonl-*")] == [b""]


def test_the_whole_job_of_the_docs_writes_the_set_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (text,) = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "BuildWindowSet" in block]
    pipeline = tmp_path / "set.yaml"
    listing = str(BATCH.parent / "providers.yaml")
    pipeline.write_text(text.replace("templates/yaml/providers.yaml", listing), encoding="utf-8")
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "talks.jsonl").symlink_to(TALKS)
    lines = run_yaml(pipeline, tmp_path)
    logged = re.findall(r"^INFO:root:.*$", PAGE, re.MULTILINE)
    assert 'INFO:root:{"name": "overlap.windows", "value": 7}' in logged
    assert sorted(line for line in lines if line.startswith("INFO:root:")) == logged
    monkeypatch.chdir(tmp_path)
    run("windows", "examples/talks.jsonl", "--output", "command")
    assert manifest_of(Path("set_output")) == manifest_of(Path("command"))


def test_the_template_of_clips_writes_the_set_of_the_command(tmp_path: Path) -> None:
    pieces = str(TALKS.with_name("pieces.jsonl"))
    run("extract", pieces, "--output", tmp_path / "command", "--output-format", "flac")
    lines = run_yaml(CLIPS, tmp_path, inputs=[pieces], output=str(tmp_path / "out"))
    (shown,) = re.findall(r"`(\{\"name\": \"cut.clips\".*?\})`", PAGE)
    assert f"INFO:root:{shown}" in lines
    assert manifest_of(tmp_path / "out") == manifest_of(tmp_path / "command")


def test_without_error_handling_the_job_fails_and_says_why(tmp_path: Path) -> None:
    steps = "[{type: ReadManifests, config: {inputs: [examples/talks.jsonl]}}, {type: BuildTrainingWindows}]"
    listing = ROOT / "beam_curator" / "providers.yaml"
    (tmp_path / "p.yaml").write_text(
        f"pipeline: {{type: chain, transforms: {steps}}}\nproviders: [{{include: {listing}}}]\n", encoding="utf-8"
    )
    with pytest.raises(RowRefusedError) as caught:
        run_yaml(tmp_path / "p.yaml", ROOT)
    (shown,) = re.findall(r"^    beam_curator\S+RowRefusedError.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    last = traceback.format_exception_only(caught.value)[-1].splitlines()[-1]  # where a process would end
    assert last == " ".join(shown.split())
