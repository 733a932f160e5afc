"""Tensors of a torch file as NumPy arrays, without torch and without unpickling: a walk over a few harmless opcodes.

A torch file is a zip with a pickle, which names tensors and where their numbers lie, and a stored member for each
storage of numbers. A pickle can name any function and have it called. Here nothing is looked up or called: five names
have a meaning, every other one is refused.
"""

import errno
import os
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import NotAModelError

MOST_BYTES = 1 << 30
"""Of a file, and of all arrays that it may give: several tensors may share a storage."""

_MOST_PICKLE_BYTES = 1 << 22
_MOST_TENSORS = 100_000
_MOST_DEPTH = 8
_STORAGES: Mapping[str, type[np.generic]] = {"torch FloatStorage": np.float32, "torch LongStorage": np.int64}
_DICTIONARY, _TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
_NAMES = (_DICTIONARY, _TENSOR, *_STORAGES)
_DAMAGED = (
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, KeyError, ValueError),
    *(OverflowError, struct.error, UnicodeError),
)
"""Errors of `zipfile`, `pickletools` and `as_strided` for damaged files."""

Tensor = NDArray[np.float32] | NDArray[np.int64]


class _Name(NamedTuple):
    text: str


class _Storage(NamedTuple):
    type: type[np.generic]
    key: str
    n_items: int


class _Rebuilt(NamedTuple):
    """A tensor as the pickle describes it: a view of a storage, in items."""

    storage: _Storage
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


class _Refusal(Exception):
    """The reason why a file is not read."""


def read_tensors(path: str) -> dict[str, Tensor]:
    """Return the tensors of a torch file that holds dictionaries of tensors; other values in it are left out.

    Args:
      path: of a file written by `torch.save` in the format of torch 1.6 and later.

    Returns:
      Arrays of their own by name; names of nested dictionaries are joined by dots.

    Raises:
      NotAModelError: it is no such file, is damaged, too large, or names anything but dictionaries and tensors.
      OSError: it cannot be read.
    """
    try:
        if os.path.getsize(path) > MOST_BYTES:
            raise _Refusal(f"it has {os.path.getsize(path):,} bytes, expected at most {MOST_BYTES:,}")
        with zipfile.ZipFile(path) as archive:
            return dict(_tensors(archive))
    except _Refusal as err:
        reason = str(err)
    except _DAMAGED as err:
        reason = f"it is damaged: {type(err).__name__}: {str(err)[:200]}"
    except OSError as err:
        if err.errno != errno.EINVAL:
            raise
        reason = f"it is damaged: it names a place that no file has: {err}"
    raise NotAModelError(
        f"{path} is not read: {reason}: give a torch file of plain float32 and int64 tensors, and fetch it again if it "
        "should be one"
    )


def _tensors(archive: zipfile.ZipFile) -> Iterator[tuple[str, Tensor]]:
    pickles = [info.filename for info in archive.infolist() if info.filename.endswith("data.pkl")]
    if len(pickles) != 1 or pickles[0].count("/") != 1:
        raise _Refusal(f"it has {len(pickles)} members named data.pkl, expected one, in a folder")
    root = pickles[0].partition("/")[0]
    if f"{root}/byteorder" in archive.namelist() and _member(archive, f"{root}/byteorder", 16) != b"little":
        raise _Refusal("its numbers are big-endian, expected little-endian")
    described = list(_flat(_walked(_member(archive, pickles[0], _MOST_PICKLE_BYTES)), "", 0))
    left = MOST_BYTES
    for name, tensor in described:
        left -= _checked_bytes(name, tensor)
        if left < 0:
            raise _Refusal(f"its tensors have more than {MOST_BYTES:,} bytes")
        yield name, _array(archive, root, tensor)


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a member, which torch never compresses."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise _Refusal(f"member {name} is compressed, expected a stored one")
    if info.file_size > most:
        raise _Refusal(f"member {name} has {info.file_size:,} bytes, expected at most {most:,}")
    return archive.read(info)


def _flat(value: object, name: str, depth: int, left: list[int] | None = None) -> Iterator[tuple[str, _Rebuilt]]:
    """Yield the tensors of nested dictionaries. Aliases are followed, so their number and depth are limited."""
    left = [_MOST_TENSORS] if left is None else left
    left[0] -= 1
    if depth > _MOST_DEPTH or left[0] < 0:
        raise _Refusal(f"its dictionaries are more than {_MOST_DEPTH} deep, or hold more than {_MOST_TENSORS:,} values")
    if isinstance(value, _Rebuilt):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else key, depth + 1, left)


def _checked_bytes(name: str, tensor: _Rebuilt) -> int:
    """Check that a tensor lies within its storage and that no two of its numbers are the same; return its bytes."""
    if min((tensor.offset, tensor.storage.n_items, *tensor.strides)) < 0 or min(tensor.sizes, default=1) < 1:
        raise _Refusal(f"tensor {name[:80]} is empty, or has a negative stride or offset")
    if len(tensor.sizes) != len(tensor.strides) or len(tensor.sizes) > _MOST_DEPTH:
        raise _Refusal(f"tensor {name[:80]} has {len(tensor.sizes)} sizes and {len(tensor.strides)} strides")
    reach, n_items = 0, 1
    for stride, size in sorted(zip(tensor.strides, tensor.sizes, strict=True)):
        if size > 1 and stride <= reach:
            raise _Refusal(f"tensor {name[:80]} has overlapping strides {tensor.strides} for sizes {tensor.sizes}")
        reach += stride * (size - 1)
        n_items *= size
    if tensor.offset + reach >= tensor.storage.n_items:
        raise _Refusal(f"tensor {name[:80]} ends behind its storage of {tensor.storage.n_items:,} numbers")
    return n_items * np.dtype(tensor.storage.type).itemsize


def _array(archive: zipfile.ZipFile, root: str, tensor: _Rebuilt) -> Tensor:
    dtype = np.dtype(tensor.storage.type).newbyteorder("<")
    stored = _member(archive, f"{root}/data/{tensor.storage.key}", MOST_BYTES)
    if len(stored) != tensor.storage.n_items * dtype.itemsize:
        raise _Refusal(f"storage {tensor.storage.key[:80]} has {len(stored):,} bytes, not as many as its tensors say")
    numbers = np.frombuffer(stored, dtype)
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.sizes, strides, writeable=False)
    return np.array(view, tensor.storage.type, order="C")


def _walked(pickled: bytes) -> object:
    """Return the value that a pickle describes; names and calls become records, and are never looked up."""
    walk = _Walk()
    for opcode, argument, _ in pickletools.genops(pickled):
        step = _STEPS.get(opcode.name)
        if step is None:
            raise _Refusal(
                f"its pickle has {opcode.name} {str(argument or '')[:80]}".rstrip() + ", which is not needed"
            )
        try:
            step(walk, argument)
        except (IndexError, TypeError, AttributeError) as err:
            raise _Refusal(f"its pickle misuses {opcode.name}") from err
    if len(walk.stack) != 1:
        raise _Refusal(f"its pickle leaves {len(walk.stack)} values, expected one")
    return walk.stack[0]


class _Walk:
    """A stack machine over opcodes of pickles."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def push(self, value: object) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self._marks.append(len(self.stack))

    def popped_to_mark(self) -> list[Any]:
        at = self._marks.pop()
        if at > len(self.stack):
            raise IndexError(at)
        values = self.stack[at:]
        del self.stack[at:]
        return values

    def popped(self, n_values: int) -> list[Any]:
        if len(self.stack) < n_values:
            raise IndexError(n_values)
        values = self.stack[len(self.stack) - n_values :]
        del self.stack[len(self.stack) - n_values :]
        return values

    def keep(self, key: int) -> None:
        self._memo[key] = self.stack[-1]

    def recall(self, key: int) -> None:
        if key not in self._memo:
            raise IndexError(key)
        self.stack.append(self._memo[key])

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(values) % 2:
            raise TypeError
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) is not str:
                raise TypeError
            target[key] = value

    def append_items(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise TypeError
        self.stack[-1].extend(values)

    def name(self, text: str) -> None:
        if text not in _NAMES:
            raise _Refusal(f"its pickle names {text[:80]}, which is not allowed")
        self.stack.append(_Name(text))

    def storage(self) -> None:
        (described,) = self.popped(1)
        kind, storage_type, key, _, n_items = described
        if kind != "storage" or type(key) is not str or type(n_items) is not int:
            raise TypeError
        if type(storage_type) is not _Name or storage_type.text not in _STORAGES:
            raise TypeError
        self.stack.append(_Storage(_STORAGES[storage_type.text], key, n_items))

    def call(self) -> None:
        called, arguments = self.popped(2)
        if type(called) is not _Name or type(arguments) is not tuple:
            raise TypeError
        if called.text == _DICTIONARY and not arguments:
            self.stack.append({})
        elif called.text == _TENSOR:
            self.stack.append(_rebuilt(*arguments))
        else:
            raise TypeError

    def leave_state(self) -> None:
        """Drop the state of an object, such as the metadata that torch keeps beside a dictionary of weights."""
        self.popped(1)
        if type(self.stack[-1]) is not dict:
            raise TypeError


def _rebuilt(
    storage: Any, offset: Any, sizes: Any, strides: Any, requires_grad: Any, hooks: Any, metadata: Any = None
) -> _Rebuilt:
    if type(storage) is not _Storage or type(sizes) is not tuple or type(strides) is not tuple:
        raise TypeError
    if any(type(number) is not int for number in (offset, *sizes, *strides)):
        raise TypeError
    return _Rebuilt(storage, offset, sizes, strides)


def _constant(value: Any) -> Callable[[_Walk, Any], None]:
    return lambda walk, argument: walk.push(value() if callable(value) else value)


def _literal(walk: _Walk, argument: Any) -> None:
    walk.push(argument)


def _tuple_of(n_values: int) -> Callable[[_Walk, Any], None]:
    return lambda walk, argument: walk.push(tuple(walk.popped(n_values)))


def _nothing(walk: _Walk, argument: Any) -> None:
    return None


_STEPS: Mapping[str, Callable[[_Walk, Any], None]] = {
    "PROTO": _nothing,
    "STOP": _nothing,
    "MARK": lambda walk, argument: walk.mark(),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda walk, argument: walk.keep(argument)),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda walk, argument: walk.recall(argument)),
    **dict.fromkeys(("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _literal),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_DICT": _constant(dict),
    "EMPTY_LIST": _constant(list),
    "EMPTY_TUPLE": _constant(()),
    **{f"TUPLE{n_values}": _tuple_of(n_values) for n_values in (1, 2, 3)},
    "TUPLE": lambda walk, argument: walk.push(tuple(walk.popped_to_mark())),
    "APPEND": lambda walk, argument: walk.append_items(walk.popped(1)),
    "APPENDS": lambda walk, argument: walk.append_items(walk.popped_to_mark()),
    "SETITEM": lambda walk, argument: walk.set_items(walk.popped(2)),
    "SETITEMS": lambda walk, argument: walk.set_items(walk.popped_to_mark()),
    "GLOBAL": lambda walk, argument: walk.name(argument),
    "BINPERSID": lambda walk, argument: walk.storage(),
    "REDUCE": lambda walk, argument: walk.call(),
    "BUILD": lambda walk, argument: walk.leave_state(),
}
"""The opcodes that torch writes for dictionaries of tensors, each with its step."""
