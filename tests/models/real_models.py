"""The models of packages as `make test` installs them."""

import os

import pytest

from beam_curator.models.resolving import find_model

REQUIRED = os.environ.get("BEAM_CURATOR_REQUIRE_MODELS") == "1"


def need_model(name: str) -> str:
    """Return the folder of a model; skip the test where it is not installed, or fail if it must be."""
    found = find_model(name, None)
    if found is not None:
        return found.path
    cure = f"model {name} is not installed: beam-curator models install {name}"
    if REQUIRED:
        pytest.fail(f"BEAM_CURATOR_REQUIRE_MODELS=1, but {cure}")
    pytest.skip(cure)
