"""Pipelines in Beam YAML, run as Beam's own command runs them."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest


def arguments_of(pipeline: Path | str, variables: dict[str, Any]) -> list[str]:
    flags = [f"--yaml_pipeline_file={pipeline}", "--runner=FnApiRunner"]
    return [*flags, *([f"--jinja_variables={json.dumps(variables)}"] if variables else [])]


def run_yaml(pipeline: Path | str, cwd: Path, **variables: Any) -> list[str]:
    """Run Beam's command in this process, where its libraries load once; return the lines that it logs."""
    from apache_beam.yaml import main

    root, stream = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(root, "handlers", [handler])
        root.setLevel(logging.INFO)  # as the command does
        try:
            main.run(arguments_of(pipeline, variables))
        finally:
            root.setLevel(level)
    return stream.getvalue().splitlines()
