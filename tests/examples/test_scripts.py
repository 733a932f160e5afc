"""Scripts beside the package: each name that they import from it is there."""

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for folder in ("examples", "benchmarks") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=[str(path.relative_to(ROOT)) for path in SCRIPTS])
def test_imports_what_is_there(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("beam_curator"):
            module = importlib.import_module(node.module or "")
            missing = [
                name.name
                for name in node.names
                if not hasattr(module, name.name) and importlib.util.find_spec(f"{node.module}.{name.name}") is None
            ]
            assert missing == []
