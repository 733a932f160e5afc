"""The public API: every public transform is a name of `beam_curator.transforms`, and is loaded when it is used."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import apache_beam as beam

from beam_curator import transforms


def public_transforms() -> set[str]:
    """Return the names of all public transforms, but for those of Beam YAML, which has names of its own."""
    found = set()
    for module in pkgutil.walk_packages(transforms.__path__, f"{transforms.__name__}."):
        if ".yaml" in module.name:
            continue
        for name, thing in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            is_ours = thing.__module__ == module.name and issubclass(thing, beam.PTransform)
            if is_ours and not name.startswith("_"):
                found.add(name)
    return found


def test_every_public_transform_is_a_name_of_the_package() -> None:
    classes = {name for name in transforms.__all__ if issubclass(getattr(transforms, name), beam.PTransform)}
    assert classes == public_transforms()


def test_names_are_loaded_when_they_are_used() -> None:
    code = "import sys; from beam_curator.files.beam_imports import import_beam; import_beam()\n"
    code += "from beam_curator.transforms import CutClips\n"
    code += "print(sorted({'apache_beam.ml.inference.base', 'torch', 'onnxruntime'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_name_that_is_none() -> None:
    assert not hasattr(transforms, "CutClip")
