import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

import beam_curator
from beam_curator.files import storage
from beam_curator.models import resolving
from beam_curator.models.model_files import ModelFileError, ModelLocation, ModelNotFoundError
from beam_curator.models.resolving import find_model, models_folder, packaged_folder, resolve_model
from tests.fakes_filesystem import clear, put
from tests.models.models_in_files import NEMO, ONNX, TRANSFORMERS, nemo_bytes, sha256

NAME = "nvidia/diar_streaming_sortformer_4spk-v2.1"


def folder_of(path: Path, files: dict[str, bytes]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("files", "kind", "name"),
    [
        ({"b.nemo": NEMO, "a.nemo": NEMO, ".a.nemo": b""}, "nemo", "a.nemo"),
        ({"a.nemo": NEMO, "config.json": b"{}"}, "nemo", "a.nemo"),
        (ONNX, "onnx", ""),
        (ONNX | {"config.json": b'{"format": 2, "family": "sortformer-offline"}'}, "onnx", ""),
        (ONNX | {"a.nemo": NEMO}, "onnx", ""),
        (TRANSFORMERS, "transformers", ""),
        (TRANSFORMERS | {"a.nemo": NEMO}, "transformers", ""),
        (TRANSFORMERS | {"config.json": b'{"model_type": "sortformer"}', "a.nemo": NEMO}, "nemo", "a.nemo"),
        (TRANSFORMERS | {"config.json": b'{"model_type": "nemotron_h"}', "a.nemo": NEMO}, "nemo", "a.nemo"),
        (
            {
                "config.json": TRANSFORMERS["config.json"],
                "preprocessor_config.json": b"{}",
                "model.safetensors.index.json": b'{"weight_map": {"x": "part-1.safetensors"}}',
                "part-1.safetensors": b"w",
            },
            "transformers",
            "",
        ),
    ],
)
def test_a_folder_is_what_its_files_say(tmp_path: Path, files: dict[str, bytes], kind: str, name: str) -> None:
    folder = folder_of(tmp_path / "model", files)
    found = resolve_model("not even a name", str(folder))
    assert (found.kind, found.path, found.name, found.revision) == (
        kind,
        os.path.join(folder, name) if name else str(folder),
        str(folder),
        "",
    )


def test_a_path_wins_over_a_name(tmp_path: Path) -> None:
    path = tmp_path / "x.nemo"
    path.write_bytes(NEMO)
    assert resolve_model(NAME, str(path), sha256=sha256(NEMO).upper()) == ModelLocation(
        path=str(path), kind="nemo", name=str(path)
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "folder {} holds no model (found nothing), expected a .nemo file, or config.json with"),
        ({"README.md": b"", "config.json": b"[]"}, "folder {} holds no model (found README.md, config.json), expected"),
        (
            {"config.json": ONNX["config.json"], "encode.onnx": b""},
            "model {} lacks pre_encode.onnx, mel_filters.npy, expected an exported model: fetch or export it again",
        ),
        (
            {"config.json": TRANSFORMERS["config.json"], "pytorch_model.bin": b""},
            "model {} lacks processor_config.json, model.safetensors, expected a transformers model: fetch or export",
        ),
        (
            {
                **TRANSFORMERS,
                "model.safetensors.index.json": b'{"weight_map": {"x": "part-2.safetensors"}}',
            },
            "model {} lacks part-2.safetensors, expected a transformers model",
        ),
        *(
            (
                {**TRANSFORMERS, "model.safetensors.index.json": b'{"weight_map": %b}' % weight_map},
                "model.safetensors.index.json of model {} has weight_map "
                + shown
                + ", expected the .safetensors file of "
                "each weight: fetch it again",
            )
            for weight_map, shown in (
                (b"[]", "[]"),
                (b"{}", "{{}}"),
                (b"null", "None"),
                (b'{"x": 3}', "{{'x': 3}}"),
                (b'{"x": "config.json"}', "{{'x': 'config.json'}}"),
            )
        ),
        (
            {**TRANSFORMERS, "model.safetensors.index.json": b"{"},
            "model.safetensors.index.json of model {} is no JSON (Expecting property name",
        ),
        (
            {**TRANSFORMERS, "config.json": b'{"model_type": "bert"}'},
            "{} is a model of type bert, expected nemotron3_diarization: give a folder of nvidia/Nemotron-3-Diar",
        ),
        ({"config.json": b'{"model_type": ["x"]}'}, "{} is a model of type ['x'], expected nemotron3_diarization"),
        (
            ONNX | {"config.json": b'{"format": 1, "family": "titanet"}'},
            "{} is an exported model of family titanet, expected sortformer-offline or sortformer-streaming or "
            "cascade or silero-vad or dnsmos: give",
        ),
        (
            ONNX | {"config.json": b'{"format": 1, "family": ["x"]}'},
            "{} is an exported model of family ['x'], expected ",
        ),
        ({"config.json": b"{"}, "config.json of model {} is no JSON (Expecting property name"),
        ({"a.nemo": NEMO[:300]}, "model {} is damaged (300 bytes that are no tar), expected a .nemo: fetch it again"),
    ],
)
def test_a_folder_that_is_no_model(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    folder = folder_of(tmp_path / "model", files)
    with pytest.raises(ModelFileError) as caught:
        resolve_model(NAME, str(folder))
    assert str(caught.value).startswith(message.format(folder))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    empty, other = tmp_path / "empty.nemo", tmp_path / "model.pt"
    empty.write_bytes(b"")
    other.write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"damaged \(0 bytes that are no tar\)"):
        resolve_model(NAME, str(empty))
    with pytest.raises(ModelFileError, match=r"model\.pt is a file of another kind, expected FILE\.nemo: give that"):
        resolve_model(NAME, str(other))
    with pytest.raises(ModelNotFoundError, match=r"absent\.nemo is not there: give a \.nemo file, or the folder"):
        resolve_model(NAME, str(tmp_path / "absent.nemo"))
    with pytest.raises(ModelNotFoundError, match=r"scheme ftp:// in ftp://host/m\.nemo is not allowed"):
        resolve_model(NAME, "ftp://host/m.nemo")


@pytest.mark.parametrize(
    ("files", "content", "fine"),
    [
        ({"a.nemo": NEMO}, NEMO, True),
        ({"a.nemo": NEMO}, b"", False),
        (ONNX, b"e", True),
        (ONNX, b"p", False),
        (TRANSFORMERS, b"w", True),
        (TRANSFORMERS, b"W", False),
    ],
)
def test_the_hash_is_of_the_weights(tmp_path: Path, files: dict[str, bytes], content: bytes, fine: bool) -> None:
    folder = folder_of(tmp_path / "model", files)
    if fine:
        resolve_model(NAME, str(folder), sha256=sha256(content))
    else:
        with pytest.raises(ModelFileError, match=rf"has sha256 \w{{64}}, expected {sha256(content)}: it is not loaded"):
            resolve_model(NAME, str(folder), sha256=sha256(content))


def test_a_hash_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="sha256 'abc' is no hash: give 64 hexadecimal digits"):
        resolve_model(NAME, str(tmp_path), sha256="abc")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "auto",
        "model",
        "/a/b/c",
        "a b/c",
        "org/",
        "/name",
        "a/b/c",
        "org/name@",
        "org/na me",
        "órg/name",
        "-a/b",
        "a/b@c/../d",
    ],
)
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match=r"is no model name: .* of the hub, or a path$"):
        resolve_model(name)


@pytest.mark.parametrize("revision", ["@main", "@0123", "@"])
def test_the_model_of_this_package_has_no_revisions(revision: str) -> None:
    assert resolve_model("demo").path == packaged_folder("demo")
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_model(f"demo{revision}")
    assert str(caught.value) == (
        f"model demo{revision} is not there, expected demo, which lies in this package and has no revisions: leave "
        f"{revision} out"
    )


@pytest.mark.parametrize(
    ("torn", "found"), [(False, "model demo is not there"), (True, "model demo lacks encode.onnx")]
)
def test_the_model_of_this_package_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: bool, found: str
) -> None:
    if torn:
        shutil.copytree(packaged_folder("demo"), tmp_path / "models" / "demo")
        (tmp_path / "models" / "demo" / "encode.onnx").unlink()
    monkeypatch.setattr(beam_curator, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_model("demo")
    assert str(caught.value).startswith(f"model demo is incomplete in this package ({found}")
    assert str(caught.value).endswith("): pip install --force-reinstall --no-deps beam-curator")


@pytest.fixture
def store() -> Iterator[None]:
    """The object store, empty before and after."""
    clear()
    yield
    clear()


def test_a_model_in_a_store_is_copied_once(store: None, tmp_path: Path) -> None:
    put("gs://models/x.nemo", NEMO)
    cache = tmp_path / "cache"
    first = resolve_model(NAME, "gs://models/x.nemo", str(cache), sha256=sha256(NEMO))
    assert (first.kind, first.name, Path(first.path).name) == ("nemo", "gs://models/x.nemo", "x.nemo")
    assert Path(first.path).read_bytes() == NEMO
    stamp = os.stat(first.path).st_mtime_ns
    assert resolve_model(NAME, "gs://models/x.nemo", str(cache)) == first
    assert os.stat(first.path).st_mtime_ns == stamp
    changed = nemo_bytes(b"other weights")
    put("gs://models/x.nemo", changed)
    assert Path(resolve_model(NAME, "gs://models/x.nemo", str(cache)).path).read_bytes() == changed


def test_a_folder_in_a_store(store: None, tmp_path: Path) -> None:
    for name, content in ONNX.items():
        put(f"gs://models/exported/{name}", content)
    found = resolve_model(NAME, "gs://models/exported", str(tmp_path))
    assert found.kind == "onnx"
    assert {path.name: path.read_bytes() for path in Path(found.path).iterdir()} == ONNX
    with pytest.raises(ModelNotFoundError, match="model gs://models/none is not there"):
        resolve_model(NAME, "gs://models/none", str(tmp_path))


def test_a_copy_that_broke_off_is_not_taken(store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in ONNX.items():
        put(f"gs://models/exported/{name}", content)

    def fail_at_third(path: str) -> BinaryIO:
        if path.endswith("mel_filters.npy"):
            raise ConnectionError("the store went away")
        return storage.open_raw(path)

    with monkeypatch.context() as patch:
        patch.setattr(resolving, "open_raw", fail_at_third)
        with pytest.raises(ConnectionError):
            resolve_model(NAME, "gs://models/exported", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
    assert resolve_model(NAME, "gs://models/exported", str(tmp_path)).kind == "onnx"


def test_a_config_is_read_as_it_is(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model", ONNX | {"config.json": json.dumps({"format": 1, "é": 1}).encode()})
    assert resolve_model("", str(folder)).kind == "onnx"


def test_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("BEAM_CURATOR_MODELS", raising=False)
    assert models_folder("") == models_folder(None) == "/home/me/.cache/beam_curator/models"
    monkeypatch.setenv("BEAM_CURATOR_MODELS", "~/all")
    assert models_folder("") == models_folder(None) == "/home/me/all"
    assert models_folder("~/m") == "/home/me/m"
    assert packaged_folder("demo") == str(Path(beam_curator.__file__).parent / "models" / "demo")


def test_a_model_put_there_by_hand_goes_by_its_name(tmp_path: Path) -> None:
    path = folder_of(tmp_path, {f"{NAME.partition('/')[2]}.nemo": NEMO}) / f"{NAME.partition('/')[2]}.nemo"
    found = ModelLocation(path=str(path), kind="nemo", name=NAME)
    assert find_model(NAME, str(tmp_path)) == resolve_model(NAME, None, str(tmp_path)) == found
    for other in (f"{NAME}@main", f"other/{NAME.partition('/')[2]}", "nvidia/diar_sortformer_4spk-v1"):
        assert find_model(other, str(tmp_path)) is None
    folder = folder_of(tmp_path / NAME.partition("/")[2], ONNX)
    assert resolve_model(NAME, None, str(tmp_path)).path == str(folder)
    fetched = folder_of(tmp_path / f"models--{NAME.replace('/', '--')}" / "snapshots" / "main", {"a.nemo": NEMO})
    assert resolve_model(NAME, None, str(tmp_path)).path == str(fetched / "a.nemo")
