"""Layers of a set in an object store: folders of its files, the newest first, as its `_MANIFEST.json` names them.

Objects cannot be renamed, so the next set grows in a folder of its own, and what it keeps stays where it is. A set that
never took the place of another one has no layers: its files lie in its directory.
"""

import hashlib
import json
import re
from collections.abc import Sequence

from beam_curator.sets.output_set import LAYERED_FORMAT, RunRecord

FIRST = ""
"""The layer of a set that was there before any other: its directory itself."""

LAYER = re.compile(r"/(set-(\d{5,})-[0-9a-f]{8}\.beam_curator)/")
"""A layer within a path."""


def layer_of_run(run: RunRecord, number: int) -> str:
    """Name the layer that a run writes: each job has its own, which it finds again.

    Example:
      >>> run = RunRecord(token="1", config_sha256="2", inputs={}, cleared=True, commands=("windows",))
      >>> layer_of_run(run, 3)
      'set-00003-18a3ad9f.beam_curator'
    """
    text = json.dumps([run.config_sha256, run.inputs, run.updates, run.replaces], sort_keys=True)
    return f"set-{number:05d}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.beam_curator"


def is_layer_of_run(layer: str, run: RunRecord) -> bool:
    """Tell whether a layer was begun by a run of the same job."""
    return layer == layer_of_run(run, number_of_layer(layer))


def number_of_layer(layer: str) -> int:
    """Return the number of a layer: that of the set before it, and one more.

    Example:
      >>> number_of_layer("set-00003-9a3c6b4f.beam_curator"), number_of_layer(FIRST)
      (3, 0)
    """
    match = LAYER.fullmatch(f"/{layer}/")
    return int(match[2]) if match is not None else 0


def render_layers(layers: Sequence[str]) -> bytes:
    """Render a `_MANIFEST.json` that names layers: the ordinary manifest of the set lies in the first of them."""
    return json.dumps({"format": LAYERED_FORMAT, "layers": list(layers)}, indent=1).encode() + b"\n"


def layers_in(text: bytes) -> tuple[str, ...]:
    """Return the layers that a `_MANIFEST.json` names, the newest first; none where it is an ordinary one.

    Example:
      >>> layers_in(render_layers(["set-00001-9a3c6b4f.beam_curator", ""]))
      ('set-00001-9a3c6b4f.beam_curator', '')
      >>> layers_in(b'{"format": 1}')
      ()
    """
    try:
        fields = json.loads(text)
        layers = tuple(fields["layers"]) if fields["format"] == LAYERED_FORMAT else ()
    except (ValueError, KeyError, TypeError):
        return ()
    # a layer is a folder of the set, wherever the text comes from
    return layers if all(layer == FIRST or number_of_layer(layer) for layer in layers) else ()
