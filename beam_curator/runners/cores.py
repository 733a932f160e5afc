"""How many worker processes of the direct runner an input is worth: `--jobs auto`."""

from __future__ import annotations

import os

BLOCKS_A_PROCESS = 4
"""What a worker process must get to do for its start, a second and a half, to pay."""


def worker_processes(n_blocks: int, n_cores: int | None = None) -> int:
    """Return how many worker processes an input of so many blocks is worth.

    Args:
      n_blocks: of the input.
      n_cores: those that this process may use, unless given.

    Example:
      >>> [worker_processes(n_blocks, n_cores=4) for n_blocks in (1, 8, 9, 17, 1000)]
      [1, 1, 2, 4, 4]
    """
    if n_blocks <= 2 * BLOCKS_A_PROCESS:
        return 1
    return min(usable_cores() if n_cores is None else n_cores, n_blocks // BLOCKS_A_PROCESS)


def usable_cores(quota_file: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Return how many cores this process may use: those that it is bound to, or fewer in a container with a quota.

    Args:
      quota_file: where Linux tells the quota of a control group: microseconds of CPU, and in what period (cgroup v2).
    """
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open(quota_file, encoding="ascii") as stream:
            quota, _, period = stream.read().strip().partition(" ")
        return max(1, min(n_cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or "max" for no quota
        return n_cores
