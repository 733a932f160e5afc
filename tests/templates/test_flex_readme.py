"""The page about flex templates names parameters, machines and files that exist."""

import re
from pathlib import Path

from beam_curator.runners import flex, job_options
from beam_curator.runners.presets import GPUS

FOLDER = Path(__file__).parents[2] / "templates" / "flex"


def test_the_readme_names_what_there_is() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(nvidia-[a-z0-9-]+)`[^|]*\| `([^`]+)` \|$", text, re.MULTILINE)) == {
        name: gpu["machine_type"] for name, gpu in GPUS.items()
    }
    given = re.findall(r"--parameters=(?:\^~\^)?(\S+?)[` ]*$", text, re.MULTILINE)
    names = {item.partition("=")[0] for parameters in given for item in re.split(r"~|,(?!gs:)", parameters)}
    assert {"input", "output", "truncation"} <= names
    known = {parameter.name for job in job_options.JOBS for parameter in flex.parameters(job)}
    assert names <= known | {"sdk_container_image"}
    for name in re.findall(r"^\| `([^`]+\.\w+)`", text, re.MULTILINE):
        assert (FOLDER / name).exists(), name
