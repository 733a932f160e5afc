"""Every command writes the sets it wrote when they were frozen: manifests, rows, tables, sound."""

from pathlib import Path

import pytest

from tests.goldens.frozen import COMMANDS, FOLDER, frozen, seen, write_set
from tests.goldens.inputs import write_inputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("goldens")
    write_inputs(folder)
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_the_set_is_as_it_was(name: str, inputs: Path) -> None:
    write_set(name, inputs)
    assert seen(inputs / name).splitlines() == frozen(name).read_text(encoding="utf-8").splitlines()


def test_every_frozen_set_is_compared() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(COMMANDS)
