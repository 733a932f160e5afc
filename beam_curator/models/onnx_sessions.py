"""Sessions of onnxruntime, opened and run the same way for every graph."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from beam_curator.diarization.models import Floats, Lengths, NotAModelError, OutOfMemoryError
from beam_curator.files import storage

Device = Literal["auto", "cpu", "cuda"]

_MEMORY_WORDS = ("bad_alloc", "Failed to allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What onnxruntime says when memory is lacking: C++, its arena, CUDA, cuBLAS."""


class EndNames(NamedTuple):
    """The names of a graph's inputs and outputs."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def imported_onnxruntime() -> Any:
    """Return onnxruntime, imported with its telemetry switched off by default.

    Its official builds send events to Microsoft from 1.31 on, also on Linux, and keep an id of the machine below
    `~/.cache/Microsoft`, unless this variable says before the import that they shall not (Privacy.md in the package).
    A user who wants that sets it to 0.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def providers_for(device: Device) -> list[Any]:
    """Return the providers of onnxruntime for a device, by preference.

    Raises:
      ValueError: a GPU is asked for, and this onnxruntime is built without one.
    """
    onnxruntime = imported_onnxruntime()

    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not has_cuda:
        raise ValueError(
            f"device cuda asked for, but onnxruntime {onnxruntime.__version__} is built without it: "
            "pip install onnxruntime-gpu in its place, or give device cpu"
        )
    if device == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    # TF32 keeps 10 bits of the mantissa, too few for results that match those of a CPU
    return [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]


def open_session(path: str, names: EndNames, n_threads: int | None, providers: Sequence[Any], cure: str) -> Any:
    """Open a graph so that the same input gives the same bytes, and idle threads leave the processor alone.

    Args:
      path: of the graph.
      names: that its inputs and outputs must have.
      n_threads: for one call; None takes as many as this process may use.
      providers: of onnxruntime, by preference.
      cure: how to get a good file.

    Raises:
      NotAModelError: the file is no graph, or has other inputs or outputs.
      OutOfMemoryError: it does not fit into memory.
    """
    session = open_graph(path, n_threads, providers, cure)
    found = EndNames(*(tuple(item.name for item in ends) for ends in (session.get_inputs(), session.get_outputs())))
    for verb, some, expected in zip(("takes", "gives"), found, names, strict=True):
        if some != expected:
            raise NotAModelError(f"{path} {verb} {', '.join(some)}, expected {', '.join(expected)}: {cure}")
    return session


def open_graph(path: str, n_threads: int | None, providers: Sequence[Any], cure: str) -> Any:
    """Open a graph, whatever its inputs and outputs are called; see `open_session`.

    Raises:
      NotAModelError: the file is no graph.
      OutOfMemoryError: it does not fit into memory.
    """
    onnxruntime = imported_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads if n_threads is not None else len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        graph = path if not storage.is_remote(path) else storage.read_bytes(path) or b""
        return onnxruntime.InferenceSession(graph, options, providers=list(providers))
    except Exception as err:
        if _is_memory_error(err):
            raise OutOfMemoryError(_memory_message(err)) from err
        raise NotAModelError(f"{path} is no graph for this onnxruntime ({_first_line(err)}): {cure}") from err


def run_session(session: Any, outputs: tuple[str, ...], inputs: Mapping[str, Floats | Lengths]) -> Any:
    """Return the outputs of these names.

    Raises:
      OutOfMemoryError: memory is lacking.
    """
    contiguous = {name: np.ascontiguousarray(values) for name, values in inputs.items()}
    try:
        return session.run(outputs, contiguous)
    except Exception as err:
        if not _is_memory_error(err):
            raise
        message = _memory_message(err)
    raise OutOfMemoryError(message)


def _is_memory_error(err: BaseException) -> bool:
    return isinstance(err, MemoryError) or any(words in str(err) for words in _MEMORY_WORDS)


def _memory_message(err: Exception) -> str:
    text = str(err)
    starts = [text.find(words) for words in _MEMORY_WORDS if words in text]
    return f"onnxruntime: {text[min(starts, default=0) :].strip()[:200]}"


def _first_line(err: Exception) -> str:
    lines = str(err).strip().splitlines()
    return lines[0][:200] if lines else type(err).__name__
