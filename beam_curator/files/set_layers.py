"""Finding the files of sets in object stores, which may lie in layers; see `sets.layers`.

Files are called by their names in the set, as on a disk, wherever a job, a row or a manifest names them. `storage` asks
here for their places, so nobody else has to know of layers. A process that has looked into a set goes on with the
layers that it saw, until its manifest is read again: it sees one set or the other.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import BinaryIO

from beam_curator.files import object_stores
from beam_curator.files.store_objects import Found
from beam_curator.sets.layers import FIRST, LAYER, layers_in
from beam_curator.sets.output_set import KEPT_FOLDER, MANIFEST_NAME, SUMMARY_NAME
from beam_curator.sets.set_kinds import SET_KINDS

_POINTER_BYTES = 1 << 14
"""A `_MANIFEST.json` that names layers has fewer."""
_TRIES = 5

_seen: dict[str, tuple[str, ...]] = {}
"""The layers of directories in which this process has looked for some."""


def layers_of(directory: str) -> tuple[str, ...]:
    """Look which layers the set in a directory of a store has now; none where it lies there itself, or is not there."""
    path = f"{directory.rstrip('/')}/{MANIFEST_NAME}"
    try:
        found = object_stores.find(path)
        is_pointer = found is not None and found.n_bytes < _POINTER_BYTES
        layers = layers_in(_read(path)) if is_pointer else ()
    except OSError:  # whoever may not look here may still read a file by its name
        layers = ()
    _seen[directory.rstrip("/")] = layers
    return layers


def newest_layer(directory: str) -> str:
    """Return the folder of a store in which the manifest of the set in a directory lies."""
    layers = layers_of(directory)
    return directory if not layers else _place(directory.rstrip("/"), layers[0], "")[:-1]


def located(path: str) -> str:
    """Return the place of an object that may be a file of a set; the path itself where it has no layers."""
    if LAYER.search(path):
        return path
    for directory, name in _sets_around(path):
        looks = name == MANIFEST_NAME or directory not in _seen
        layers = layers_of(directory) if looks else _seen[directory]
        if layers:
            return _place(directory, _layer_with(directory, layers, name), name)
    return path


def open_located(path: str) -> BinaryIO:
    """Open an object that may be a file of a set.

    Raises:
      FileNotFoundError: it is not there.
    """
    is_manifest = path.endswith(f"/{MANIFEST_NAME}")
    for tries_left in reversed(range(_TRIES if is_manifest else 1)):
        try:
            stream = object_stores.open_object(located(path))
        except FileNotFoundError:
            # a set of a moment ago: another one has taken its place, and its own manifest is gone
            if not (tries_left and _seen.get(path.removesuffix(f"/{MANIFEST_NAME}"))):
                raise
            continue
        if not is_manifest or not layers_in(stream.read(_POINTER_BYTES)):
            break
    stream.seek(0)
    return stream


def list_located(prefix: str) -> Iterator[tuple[str, Found]]:
    """Yield the objects whose paths begin with a prefix, files of sets by their names there, in no order."""
    for directory, name in [*_sets_around(prefix), prefix.rsplit("/", 1)]:
        layers = layers_of(directory)
        if layers:
            files = _files_in(directory, layers).items()
            yield from ((f"{directory}/{file}", found) for file, (_, found) in files if file.startswith(name))
            return
    seen: dict[str, tuple[str, ...]] = {}
    for path, found in object_stores.list_objects(prefix):
        match = LAYER.search(path)
        if match is None:
            yield path, found
            continue
        directory, layer, name = path[: match.start()], match[1], path[match.end() :]
        layers = seen[directory] = seen[directory] if directory in seen else layers_of(directory)
        # that of the set itself is the one that names the layers
        if layers and name != MANIFEST_NAME and _files_in(directory, layers).get(name, ("",))[0] == layer:
            yield f"{directory}/{name}", found


def files_in(directory: str) -> Mapping[str, tuple[str, Found]]:
    """Return the files in the layers of a set by their names: each with its layer, the newest that has it."""
    return _files_in(directory, layers_of(directory))


@lru_cache(maxsize=4)
def _files_in(directory: str, layers: tuple[str, ...]) -> Mapping[str, tuple[str, Found]]:
    """List the layers of a set, which never get a file more once they are named."""
    rank = {layer: number for number, layer in enumerate(layers)}
    files: dict[str, tuple[str, Found]] = {}
    for path, found in object_stores.list_objects(f"{directory}/"):
        layer, name = split_layer(path[len(directory) + 1 :])
        if layer in rank and (name not in files or rank[layer] < rank[files[name][0]]):
            files[name] = layer, found
    return files


def split_layer(name: str) -> tuple[str, str]:
    """Split the name of an object below the directory of a set into its layer, and its name in the set.

    Example:
      >>> split_layer("set-00003-9a3c6b4f.beam_curator/clips/a.flac"), split_layer("clips/a.flac")
      (('set-00003-9a3c6b4f.beam_curator', 'clips/a.flac'), ('', 'clips/a.flac'))
    """
    match = LAYER.match(f"/{name}")
    return (match[1], name[match.end() - 1 :]) if match is not None else (FIRST, name)


def _sets_around(path: str) -> Iterator[tuple[str, str]]:
    """Yield the directories whose set an object may belong to by its name, and its name there."""
    scheme, _, rest = path.partition("://")
    if "/" not in rest:  # a bucket
        return
    bucket, *folders, last = rest.split("/")
    kinds = SET_KINDS.values()
    for number, folder in enumerate(folders):
        if folder == KEPT_FOLDER or any(kind.has_folder(folder) for kind in kinds):
            yield "/".join([f"{scheme}://{bucket}", *folders[:number]]), "/".join([*folders[number:], last])
    is_direct = last in (MANIFEST_NAME, SUMMARY_NAME) or any(
        kind.has_row_file(last) or kind.has_file_beside(last) for kind in kinds
    )
    if is_direct:
        yield "/".join([f"{scheme}://{bucket}", *folders]), last


def _layer_with(directory: str, layers: tuple[str, ...], name: str) -> str:
    if name in (MANIFEST_NAME, SUMMARY_NAME) or name.startswith(f"{KEPT_FOLDER}/"):
        return layers[0]
    if any(kind.has_row_file(name) for kind in SET_KINDS.values()):
        # few, and most of them new: a list of all clips would take longer
        held = (layer for layer in layers if object_stores.find(_place(directory, layer, name)) is not None)
        return next(held, layers[0])
    return _files_in(directory, layers).get(name, (layers[0],))[0]


def _place(directory: str, layer: str, name: str) -> str:
    return f"{directory}/{layer}/{name}" if layer != FIRST else f"{directory}/{name}"


def _read(path: str) -> bytes:
    with object_stores.open_object(path) as stream:
        return stream.read()
