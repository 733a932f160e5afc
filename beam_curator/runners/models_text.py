"""The output of `beam-curator models`: for people as a table or a list, for programs as JSON."""

import json
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from beam_curator.diarization.known_models import DEFAULT_MODEL, KNOWN_MODELS, KnownModel, warning_of
from beam_curator.models.model_descriptions import InstalledModel, ModelDescription
from beam_curator.models.model_places import REINSTALL_CURE, hub_folder, models_folder

_UNKNOWN = "not known"
_NEMO = "pip install 'beam-curator[nemo]'"
_LABEL = 10
_ENGINES = {
    "sortformer-offline": "Sortformer, offline",
    "sortformer-streaming": "Sortformer, streaming",
    "nemotron": "Nemotron, streaming",
    "titanet": "TitaNet, embeddings of speakers",
}
_RUNTIMES = {
    "sortformer-offline": f"NeMo ({_NEMO}), or, once exported, the core alone",
    "sortformer-streaming": f"NeMo ({_NEMO}), or, once exported, the core alone",
    "nemotron": "transformers (pip install 'beam-curator[nemotron]')",
    "titanet": f"NeMo ({_NEMO})",
}
_RUNTIME_OF_KIND = {"nemo": "NeMo", "onnx": "onnxruntime", "transformers": "transformers"}


def list_text(models: Sequence[ModelDescription], others: Sequence[str], cache_dir: str, columns: int) -> str:
    """Render the known models as a table, and below it how one is chosen and where they lie.

    Args:
      models: the known ones.
      others: paths of other models on this machine.
      cache_dir: where models are kept; "" for the usual places.
      columns: of the terminal; where the table is wider, each model takes two lines.
    """
    head = ("model", "speakers", "frame", "licence", "size", "installed")
    rows = [head, *map(_row, models)]
    lines = _table(rows)
    if max(map(len, lines)) > columns:
        lines = _two_lines_each(rows)
    added = [model for model in models if model.published is None or not model.published.packaged]
    places = [f"  {model.name}\n    {shortened(model.installed.path)}" for model in added if model.installed]
    places += [f"  {shortened(path)}" for path in others]
    return "\n".join([*lines, "", *_how_to(cache_dir, columns), *(["Installed:", *places] if places else [])])


def _row(model: ModelDescription) -> tuple[str, ...]:
    published = model.published
    n_bytes = _n_bytes(model)
    return (
        model.name,
        "-" if model.n_speakers is None else str(model.n_speakers),
        "-" if model.frame_step is None else f"{model.frame_step * 1000:g} ms",
        _UNKNOWN if published is None else published.licence + (" NON-COMMERCIAL" if published.non_commercial else ""),
        _UNKNOWN if n_bytes is None else f"{n_bytes / 1e6:.0f} MB",
        "no" if model.installed is None else "yes",
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def _two_lines_each(rows: Sequence[Sequence[str]]) -> list[str]:
    """Put the first column above the others."""
    head, rule, *below = _table([row[1:] for row in rows])
    lines = [rows[0][0], f"  {head}", f"  {rule}"]
    for row, line in zip(rows[1:], below, strict=True):
        lines += [row[0], f"  {line}"]
    return lines


def _how_to(cache_dir: str, columns: int) -> list[str]:
    purpose = KNOWN_MODELS[DEFAULT_MODEL].only_for
    lines = [
        "Choose one with beam-curator diarize --model-name NAME, or give a file or folder as --model-path.",
        f"Default: {DEFAULT_MODEL}, which is for {purpose} only; a job that uses it warns.",
        "NON-COMMERCIAL: its licence forbids commercial use; a job that uses it warns.",
        f"A job fetches what is not installed, and keeps it in {shortened(hub_folder(cache_dir))}.",
        "beam-curator models show NAME tells all that is known of one.",
    ]
    return [piece for line in lines for piece in _wrapped(line, columns)]


def _wrapped(text: str, columns: int, indent: int = 0) -> list[str]:
    """Break a text at blanks; names and paths stay whole."""
    later = " " * indent
    return textwrap.wrap(text, columns, subsequent_indent=later, break_long_words=False, break_on_hyphens=False)


def model_text(model: ModelDescription, columns: int) -> str:
    """Render all that is known of a model, a line each where they fit into so many columns."""
    facts = {
        "about": model.published.summary if model.published is not None else "",
        "published": _published(model),
        "family": _ENGINES[model.family],
        "runs on": _runs_on(model),
        "licence": _licence(model.published),
        "WARNING": (warning_of(model.published) if model.published is not None else None) or "",
        "speakers": _speakers(model),
        "frame": "none" if model.frame_step is None else f"{model.frame_step * 1000:g} ms",
        "latency": _latency(model),
        "embedding": "" if model.embedding_size is None else f"{model.embedding_size} numbers",
        "size": _size(model),
        "sha256": _sha256(model),
    }
    lines = [
        piece for name, text in facts.items() for piece in _wrapped(_fact(name, text), columns, _LABEL + 3) if text
    ]
    places = {
        "installed": _installed(model),
        "revision": model.installed.revision if model.installed is not None else "",
    }
    return "\n".join([model.name, *lines, *(_fact(name, text) for name, text in places.items() if text)])


def _fact(name: str, text: str) -> str:
    return f"  {name:<{_LABEL}} {text}"


def _published(model: ModelDescription) -> str:
    return "" if model.published is None or model.published.name == model.name else model.published.name


def _runs_on(model: ModelDescription) -> str:
    if model.installed is None:
        return _RUNTIMES[model.family]
    missing = "" if model.installed.can_run else f", which is not installed here: {_RUNTIMES[model.family]}"
    return _RUNTIME_OF_KIND[model.installed.kind] + missing


def _licence(published: KnownModel | None) -> str:
    if published is None:
        return f"{_UNKNOWN}: see where the model comes from"
    return published.licence if published.non_commercial else f"{published.licence}: does not forbid commercial use"


def _speakers(model: ModelDescription) -> str:
    if model.n_speakers is not None:
        return f"at most {model.n_speakers}"
    return "tells none apart" if model.family == "titanet" else _UNKNOWN


def _latency(model: ModelDescription) -> str:
    if model.family == "nemotron":
        return f"{model.latencies['default']:.2f} s, by its own configuration: --latency does not matter to it"
    if model.family == "sortformer-offline":
        return "hears a recording at once"
    return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in model.latencies.items()) or "none"


def _size(model: ModelDescription) -> str:
    n_bytes = _n_bytes(model)
    return _UNKNOWN if n_bytes is None else f"{n_bytes:,} bytes"


def _n_bytes(model: ModelDescription) -> int | None:
    """Return the size of the installed model, else of the published one, bytes."""
    if model.installed is not None:
        return model.installed.n_bytes
    return model.published.n_bytes if model.published is not None else None


def _sha256(model: ModelDescription) -> str:
    here = model.installed.sha256 if model.installed is not None else None
    published = model.published.sha256 if model.published is not None else None
    if here is None:
        return published if published is not None else _UNKNOWN
    if published is None or (model.installed is not None and model.installed.kind == "onnx"):
        return here
    return f"{here}, as published" if here == published else f"{here}, NOT as published: {published}"


def _installed(model: ModelDescription) -> str:
    if model.installed is not None:
        return shortened(model.installed.path)
    if model.published is not None and model.published.packaged:
        return f"no, though it should lie in this package: {REINSTALL_CURE}"
    return "no: a job with --model-name fetches it" if model.n_speakers is not None else "no"


def shortened(path: str) -> str:
    """Return a path with `~` in place of the home directory."""
    home = os.path.expanduser("~")
    return f"~{path[len(home) :]}" if path == home or path.startswith(home + os.sep) else path


def list_json(models: Sequence[ModelDescription], others: Sequence[str], cache_dir: str) -> str:
    """Render the same as one JSON object."""
    listing = {
        "default": DEFAULT_MODEL,
        "hub_folder": hub_folder(cache_dir),
        "models_folder": models_folder(cache_dir),
        "models": [_values(model) for model in models],
        "others": list(others),
    }
    return json.dumps(listing, indent=2, ensure_ascii=False)


def model_json(model: ModelDescription) -> str:
    """Render all that is known of a model as one JSON object; null stands for unknown or missing."""
    return json.dumps(_values(model), indent=2, ensure_ascii=False)


def _values(model: ModelDescription) -> Mapping[str, Any]:
    published = model.published
    return {
        "name": model.name,
        "published": published.name if published is not None else None,
        "family": model.family,
        "licence": published.licence if published is not None else None,
        "non_commercial": published.non_commercial if published is not None else None,
        "warning": warning_of(published) if published is not None else None,
        "n_speakers": model.n_speakers,
        "frame_step": model.frame_step,
        "latencies": dict(model.latencies),
        "embedding_size": model.embedding_size,
        "n_bytes": published.n_bytes if published is not None else None,
        "sha256": published.sha256 if published is not None else None,
        "packaged": published is not None and published.packaged,
        "installed": _installed_values(model.installed),
    }


def _installed_values(installed: InstalledModel | None) -> Mapping[str, Any] | None:
    return asdict(installed) if installed is not None else None
