"""How models run on torch: exactly, without gradients, on so many threads, and with one error for a lack of memory."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from beam_curator.diarization.models import OutOfMemoryError

_Result = TypeVar("_Result")

_MEMORY_WORDS = ("out of memory", "not enough memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch says in a plain RuntimeError where memory lacks: CUDA, its allocator on CPU (two spellings), cuBLAS."""


@contextmanager
def computing(device: str, threads: int | None, autocast: str = "none") -> Iterator[None]:
    """Let torch compute without gradients, in full precision unless a mixed one is asked for.

    torch keeps the number of threads by calling thread, and Beam calls from several. cuDNN takes TF32 for convolutions
    unless told otherwise.

    Args:
      device: as torch names it.
      threads: on CPU; None leaves them as they are.
      autocast: "bfloat16" computes in mixed precision.
    """
    import torch

    if threads is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    kind = torch.device(device).type
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if kind == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False))
        if autocast == "bfloat16":
            stack.enter_context(torch.autocast(kind, dtype=torch.bfloat16))
        yield


def with_memory_errors(compute: Callable[[], _Result]) -> _Result:
    """Compute; turn torch's ways to say that memory is lacking into one. torch is not loaded where it is not in use.

    The error is released before the cache is freed, as its traceback keeps the tensors alive.

    Raises:
      OutOfMemoryError: memory is lacking.
    """
    try:
        return compute()
    except (MemoryError, RuntimeError) as err:
        if isinstance(err, OutOfMemoryError) or not is_memory_error(err):
            raise
        message = str(err).partition("\n")[0]
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise OutOfMemoryError(f"torch: {message}")


def is_memory_error(err: BaseException) -> bool:
    """Tell whether an error says that memory is lacking."""
    torch = sys.modules.get("torch")
    if isinstance(err, MemoryError) or (torch is not None and isinstance(err, torch.OutOfMemoryError)):
        return True
    return isinstance(err, RuntimeError) and any(words in str(err) for words in _MEMORY_WORDS)
