"""Files of torch are read without torch; nothing in them is called, however they are made or damaged."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from beam_curator.diarization.models import NotAModelError
from beam_curator.models.torch_tensors import read_tensors
from tests.models.published_models import described, number, text, torch_file, torch_zip

SIX = np.arange(6, dtype=np.float32)
WHOLE = torch_file({"weight": SIX.reshape(2, 3), "steps": np.int64([7]), "scale": np.array(2, np.float32)})


def read(content: bytes, folder: Path) -> dict[str, np.ndarray]:
    path = folder / "weights.pt"
    path.write_bytes(content)
    return dict(read_tensors(str(path)))


def view(sizes: list[int], strides: list[int], offset: int = 0, n_items: int = 6) -> bytes:
    """Return a file with a tensor over six numbers."""
    return torch_zip(
        b"\x80\x02}" + text("w") + described("0", n_items, sizes, strides, offset) + b"s.", {"0": SIX.tobytes()}
    )


def test_arrays_have_their_names_shapes_and_types(tmp_path: Path) -> None:
    tensors = read(WHOLE, tmp_path)
    assert {name: (values.dtype.name, values.tolist()) for name, values in tensors.items()} == {
        "weight": ("float32", [[0, 1, 2], [3, 4, 5]]),
        "steps": ("int64", [7]),
        "scale": ("float32", 2),
    }


@pytest.mark.parametrize(
    ("sizes", "strides", "offset", "expected"),
    [
        ([3, 2], [1, 3], 0, [[0, 3], [1, 4], [2, 5]]),  # a transposed one
        ([2, 2], [3, 1], 1, [[1, 2], [4, 5]]),  # a part
        ([1, 2], [99, 2], 3, [[3, 5]]),  # the stride of one item means nothing
        ([], [], 4, 4),
    ],
)
def test_views_of_a_storage(
    tmp_path: Path, sizes: list[int], strides: list[int], offset: int, expected: object
) -> None:
    assert read(view(sizes, strides, offset), tmp_path)["w"].tolist() == expected


def test_nested_dictionaries_and_other_values(tmp_path: Path) -> None:
    inner = b"}" + text("w") + described("0", 6, [6], [1]) + b"s"
    pickled = b"\x80\x02}(" + text("state_dict") + inner + text("rate") + number(16000) + text("on") + b"\x88u."
    assert list(read(torch_zip(pickled, {"0": SIX.tobytes()}), tmp_path)) == ["state_dict.w"]


def test_files_that_torch_writes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(3, 2)
    torch.save(
        {"model": {"rate": 16000}, "state_dict": layer.state_dict(), "t": torch.arange(6.0).reshape(2, 3).T},
        tmp_path / "saved.pt",
    )
    tensors = read_tensors(str(tmp_path / "saved.pt"))
    assert list(tensors) == ["state_dict.weight", "state_dict.bias", "t"]
    assert np.array_equal(tensors["state_dict.weight"], layer.weight.detach().numpy())
    assert tensors["t"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_pickle_that_calls_the_shell_is_refused_and_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    pickled = b"\x80\x02cos\nsystem\n(" + text(f"touch {ran}") + b"tR."
    with pytest.raises(NotAModelError, match="its pickle names os system, which is not allowed"):
        read(torch_zip(pickled, {}), tmp_path)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (view([6], [0]), "overlapping strides"),
        (view([3, 3], [1, 1]), "overlapping strides"),
        (view([7], [1]), "ends behind its storage of 6 numbers"),
        (view([2, 3], [3, 1], 1), "ends behind its storage"),
        (view([1], [1], 6), "ends behind its storage"),
        (view([6], [-1]), "negative stride"),
        (view([6], [1], -1), "negative stride or offset"),
        (view([0], [1]), "is empty"),
        (view([6], [1, 1]), "1 sizes and 2 strides"),
        (view([7], [1], n_items=7), "storage 0 has 24 bytes"),
        (torch_zip(b"\x80\x02}" + text("w") + described("9", 6, [6], [1]) + b"s.", {}), "KeyError"),
        (torch_zip(b"\x80\x02ctorch\nHalfStorage\n.", {}), "names torch HalfStorage"),
        (torch_zip(b"\x80\x02" + text("os") + text("system") + b"\x93.", {}), "STACK_GLOBAL"),
        (torch_zip(b"\x80\x02ccollections\nOrderedDict\n" + text("no") + b"\x85R.", {}), "misuses REDUCE"),
        (torch_zip(b"\x80\x02}}s.", {}), "misuses SETITEM"),
        (torch_zip(b"\x80\x02t.", {}), "misuses TUPLE"),
        (torch_zip(b"\x80\x02h\x05.", {}), "misuses BINGET"),
        (torch_zip(b"\x80\x02}", {}), "pickle exhausted before seeing STOP"),
        (torch_zip(b"\x80\x02}", {}, zipfile.ZIP_DEFLATED), "is compressed, expected a stored one"),
        (WHOLE[:-30], "BadZipFile"),
        (b"", "BadZipFile"),
        (b"no zip at all", "BadZipFile"),
    ],
)
def test_other_files_are_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(NotAModelError, match=f"weights.pt is not read: .*{reason}.*give a torch file"):
        read(content, tmp_path)


def test_dictionaries_that_hold_themselves_or_each_other_end(tmp_path: Path) -> None:
    itself = b"\x80\x02}q\x00" + text("a") + b"h\x00s."
    # 20 names for each of the dictionaries before: 20 ** 7 in all
    twenty = b"".join(text(str(at)) + b"h\x00" for at in range(20))
    levels = b"".join(text(f"level {at}") + b"}(" + twenty + b"uq\x00" for at in range(7))
    for pickled in (itself, b"\x80\x02}(" + text("first") + b"}q\x00" + levels + b"u."):
        with pytest.raises(NotAModelError, match="dictionaries are more than 8 deep, or hold more than 100,000 values"):
            read(torch_zip(pickled, {}), tmp_path)


def test_tensors_of_one_storage_count_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = torch_zip(
        b"\x80\x02}(" + b"".join(text(f"w{at}") + described("0", 10_000, [10_000], [1]) for at in range(99)) + b"u.",
        {"0": bytes(40_000)},
    )
    assert len(read(content, tmp_path)) == 99
    monkeypatch.setattr("beam_curator.models.torch_tensors.MOST_BYTES", 99 * 40_000 - 1)
    with pytest.raises(NotAModelError, match="its tensors have more than 3,959,999 bytes"):
        read(content, tmp_path)


CHANGES = st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8)


@settings(max_examples=150, deadline=20_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, cut=st.integers(0, len(WHOLE)), insert=st.binary(max_size=40))
@example(changes=[(1037, 1)], cut=0, insert=b"")  # its directory begins before the file
def test_damaged_files_end_in_arrays_or_in_our_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: list[tuple[int, int]], cut: int, insert: bytes
) -> None:
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("code was run"))
    content = bytearray(WHOLE)
    for at, value in changes:
        content[at] = value
    for damaged in (bytes(content), bytes(content[:cut]) + insert + bytes(content[cut:])):
        try:
            tensors = read(damaged, tmp_path)
        except NotAModelError:
            continue
        assert all(values.dtype in (np.float32, np.int64) for values in tensors.values())


PIECES = [
    *(b"}", b"]", b")", b"(", b"t", b"\x85", b"\x86", b"\x87", b"a", b"e", b"s", b"u", b"R", b"Q", b"b", b"."),
    *(b"N", b"\x88", b"\x89", b"q\x00", b"q\x01", b"h\x00", b"h\x01", text("a"), text("storage"), text("0")),
    *(number(6), number(-1), b"K\x01", b"\x8a\xff" + b"\xff" * 255, b"ctorch\nFloatStorage\n"),
    *(b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"cos\nsystem\n"),
    described("0", 6, [2, 3], [3, 1]),
]


@settings(max_examples=150, deadline=20_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_order_of_opcodes_ends_in_arrays_or_in_our_error(tmp_path: Path, pieces: list[bytes]) -> None:
    try:
        tensors = read(torch_zip(b"\x80\x02" + b"".join(pieces) + b".", {"0": SIX.tobytes()}), tmp_path)
    except NotAModelError:
        return
    assert all(values.tolist() == [[0, 1, 2], [3, 4, 5]] for values in tensors.values())
