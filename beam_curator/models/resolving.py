"""From the name or path of a model to its files on this machine, fetched where they have to be.

A path wins over a name. Paths in object stores are copied once into a cache. A name is looked up in this package, in
the cache of the hub's client, and in the folder of models, before the hub is asked: workers do not ask it for a model
that is there, and a machine without a network works. A model of another package is looked up in the folder of models
and made from the installed package; it is never fetched here.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import beam_curator
from beam_curator.files.storage import (
    UnknownSchemeError,
    check_store,
    identity_of,
    is_directory,
    is_remote,
    join,
    list_directory,
    open_raw,
    size_of,
)
from beam_curator.model_records import (
    DEMO_MODEL,
    HUMAN_SPEECH_MODEL,
    KNOWN_MODELS,
    ModelRecord,
    carrier_of,
    install_cure,
    known_model,
    name_problem,
)
from beam_curator.models.hub import cached_model, download, hub_folder
from beam_curator.models.model_files import (
    ModelFileError,
    ModelLocation,
    ModelNotFoundError,
    check_sha256,
    locate,
)
from beam_curator.models.wheels import check_made, installed_root, is_made, make_model

MODELS_VARIABLE = "BEAM_CURATOR_MODELS"
"""Names the directory of models of a machine whose workers run as another user than the one who installed them."""

REINSTALL_CURE = "pip install --force-reinstall --no-deps beam-curator"
"""The command that brings back a model that should lie in this package."""


def resolve_model(
    model_name: str, model_path: str | None = None, cache_dir: str | None = None, *, sha256: str | None = None
) -> ModelLocation:
    """Find a model, fetching it where it has to be.

    Several processes may ask at once: one fetches, the others wait for it. The lock is the kernel's, so that a holder
    that is killed leaves none.

    Args:
      model_name: `org/name` or `org/name@revision` of huggingface.co, or the name of a packaged model; used where
        `model_path` is None.
      model_path: a `.nemo` file, a folder with one, an exported or a transformers folder; local, gs:// or s3://.
      cache_dir: directory that models are kept in; None for `hub_folder` and `models_folder`.
      sha256: of the file with the weights (the `.nemo`, `encode.onnx`, or the one `.safetensors`), hexadecimal.

    Raises:
      ModelNotFoundError: it is not there, or the hub cannot be reached.
      ModelFileError: it is no model, is damaged, or has another sha256.
    """
    wanted = sha256.lower() if sha256 is not None else None
    if wanted is not None and (len(wanted) != 64 or set(wanted) - set("0123456789abcdef")):
        raise ModelFileError(f"sha256 {sha256!r} is no hash: give 64 hexadecimal digits, as sha256sum prints them")
    if model_path is not None:
        local = _copied(model_path, cache_dir) if _is_in_store(model_path) else os.path.expanduser(model_path)
        location = locate(local, name=model_path)
    else:
        location = find_model(model_name, cache_dir) or _fetched(model_name, cache_dir)
    if wanted is not None:
        check_sha256(location, wanted)
    return location


def default_models(cache_dir: str | None) -> tuple[str, str]:
    """Return the models that may listen where none is named, first the one that does on this machine.

    That is the one for people where it is installed, or the package that it is made from, else the one of this package.
    """
    names = HUMAN_SPEECH_MODEL, DEMO_MODEL
    return names if is_installed(HUMAN_SPEECH_MODEL, cache_dir) else names[::-1]


def is_installed(model_name: str, cache_dir: str | None) -> bool:
    """Tell whether a known model of a package is on this machine, or the package that it is made from."""
    wheel = KNOWN_MODELS[model_name].wheel
    return find_model(model_name, cache_dir) is not None or (wheel is not None and installed_root(wheel) != "")


def find_model(model_name: str, cache_dir: str | None) -> ModelLocation | None:
    """Return a model that is on this machine; None where it has to be fetched.

    Raises:
      ModelNotFoundError: no model can have this name, or a packaged one was left out of this installation.
    """
    problem = name_problem(model_name)
    if problem is not None:
        raise ModelNotFoundError(problem)
    known = known_model(model_name)
    if known is not None and known.packaged:
        try:
            return locate(packaged_folder(known.name), name=known.name)
        except (ModelNotFoundError, ModelFileError) as err:
            raise ModelNotFoundError(
                f"model {known.name} is incomplete in this package ({err}): {REINSTALL_CURE}"
            ) from err
    carrier = carrier_of(known) if known is not None else None
    placed = os.path.join(models_folder(cache_dir), (carrier.name if carrier else model_name).rpartition("/")[2])
    if known is not None and carrier is not None and carrier.wheel is not None:
        return locate(placed, name=known.name) if is_made(placed, carrier) else None
    found = cached_model(model_name, cache_dir)
    for path in (placed, f"{placed}.nemo") if found is None and known is not None and "@" not in model_name else ():
        with suppress(ModelNotFoundError, ModelFileError):
            return locate(path, name=model_name)
    return found


def find_packaged(record: ModelRecord, folder: str = "", cache_dir: str = "") -> str:
    """Return the folder of a model of a package, checked by its hashes.

    Args:
      record: of the model.
      folder: where it is, local or in an object store; "" for the installed one.
      cache_dir: directory of models; "" for the usual one.

    Raises:
      ModelNotFoundError: it is not there; the message has the command that installs it.
      ModelFileError: it is another model, or cannot be read.
      NotAModelError: a file of it is missing, or was changed.
    """
    location = resolve_model(record.name, folder or None, cache_dir or None)
    if not is_made(location.path, record):
        raise ModelFileError(
            f"{location.path} is not {record.name} as this version makes it: {install_cure(record)}; --to puts it "
            "elsewhere"
        )
    check_made(location.path, record.family)
    return location.path


def models_folder(cache_dir: str | None) -> str:
    """Return the directory of models that were installed, put there by hand, or copied from an object store."""
    named = cache_dir or os.environ.get(MODELS_VARIABLE)
    return os.path.expanduser(named if named else os.path.join("~", ".cache", "beam_curator", "models"))


def packaged_folder(name: str) -> str:
    """Return the folder of a model that lies in this package."""
    return os.path.join(os.path.dirname(beam_curator.__file__), "models", name)


def _fetched(model_name: str, cache_dir: str | None) -> ModelLocation:
    known = known_model(model_name)
    if known is not None and carrier_of(known).wheel is not None:
        return _made(known, cache_dir)
    with alone(hub_folder(cache_dir), model_name.partition("@")[0].replace("/", "--")):
        return cached_model(model_name, cache_dir) or download(model_name, cache_dir)


def _made(record: ModelRecord, cache_dir: str | None) -> ModelLocation:
    """Make the folder of a model from an installed package."""
    carrier = carrier_of(record)
    wheel = carrier.wheel
    root = installed_root(wheel) if wheel is not None else ""
    if wheel is None or not root:
        raise ModelNotFoundError(
            f"model {record.name} is not installed: {install_cure(carrier)}, or give its folder as {path_flag(record)}"
        )
    folder = os.path.join(models_folder(cache_dir), carrier.name)
    with alone(models_folder(cache_dir), carrier.name):
        if not is_made(folder, carrier):
            make_model(carrier, wheel, root, folder)
    return locate(folder, name=record.name)


def path_flag(record: ModelRecord) -> str:
    """Return the flag that takes the folder of a model."""
    flags = {
        "vad": "--vad-path",
        "speaker-embedding": "--embedding-model",
        "quality": f"--{record.name}-path (measure: --scorer {record.name}=FOLDER)",
    }
    return flags.get(record.task, "--model-path")


def _is_in_store(path: str) -> bool:
    try:
        check_store(path)
        return is_remote(path)
    except UnknownSchemeError as err:
        raise ModelNotFoundError(f"model {path} cannot be read: {err}") from err


def _copied(uri: str, cache_dir: str | None) -> str:
    """Copy a model from an object store, unless its copy is there; return the copy.

    A copy is made under another name and then renamed, so an existing copy is always complete.
    """
    folder = is_directory(uri)
    if not folder and size_of(uri) is None:
        raise ModelNotFoundError(f"model {uri} is not there: give a .nemo file, or the folder of a model")
    sources = [join(uri, name) for name in list_directory(uri)] if folder else [uri]
    identity = "\n".join(f"{source} {identity_of(source)}" for source in sources)
    cache = models_folder(cache_dir)
    digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    target = os.path.join(cache, f"copy-{digest}")
    with alone(cache, f"copy-{digest}"):
        if not os.path.isdir(target):
            _copy_files(sources, cache, target)
    return target if folder else os.path.join(target, os.path.basename(uri.rstrip("/")))


def _copy_files(sources: Sequence[str], cache: str, target: str) -> None:
    temporary = tempfile.mkdtemp(prefix=".copy-", dir=cache)
    try:
        for source in sources:
            with open_raw(source) as raw, open(os.path.join(temporary, os.path.basename(source)), "wb") as copy:
                shutil.copyfileobj(raw, copy, 1 << 20)
        os.rename(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def alone(cache: str, name: str) -> Iterator[None]:
    """Keep other processes of this machine out while a model is fetched."""
    try:
        os.makedirs(cache, exist_ok=True)
        lock = os.open(os.path.join(cache, f".{name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as err:
        raise ModelFileError(
            f"cache {cache} cannot be written ({err.strerror}): give another one as --cache-dir"
        ) from err
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
