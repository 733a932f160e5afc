"""Arrays with a header as bytes: NumPy archives without pickles, of a kind and a version; equals give equal bytes."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack_arrays(kind: str, version: int, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays and a header as bytes.

    Args:
      kind: tells the bytes from others.
      version: of this kind.
      header: what JSON holds.
      arrays: by name; none may be called "header".
    """
    text = json.dumps({"kind": kind, "version": version, **header}).encode()
    target = io.BytesIO()
    # NumPy gives all members one fixed date
    np.savez(target, **arrays, header=np.frombuffer(text, dtype=np.uint8))  # type: ignore[arg-type]  # any names
    return target.getvalue()


def unpack_arrays(data: bytes, kind: str, version: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays of which `pack_arrays` made bytes.

    Raises:
      ValueError: they are something else, damaged, or of another version.

    Example:
      >>> header, arrays = unpack_arrays(pack_arrays("shoes", 1, {"size": 42}, {"laces": np.zeros(2)}), "shoes", 1)
      >>> header["size"], arrays["laces"].tolist()
      (42, [0.0, 0.0])
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)), np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes())
        found = header["kind"], header["version"]
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as err:
        raise ValueError(f"{len(data)} bytes that are no state of a stream, or damaged: {err}") from err
    if found != (kind, version):
        raise ValueError(
            f"a state of {found[0]!r}, version {found[1]!r}, but {kind!r}, version {version} is expected: "
            "begin with a new state"
        )
    return header, arrays
