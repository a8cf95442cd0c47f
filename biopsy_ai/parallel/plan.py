"""How many workers a run gets, and how much of the machine each of them."""

from __future__ import annotations

from dataclasses import dataclass

from biopsy_ai.errors import ConfigError
from biopsy_ai.processors import usable_cores

FEW = 4
"""Fewer slides than this are analyzed in one process, for workers take seconds to start. [default]
"""

MANY_CORES = 8
"""From so many cores on a worker gets two, for it also reads and writes. [default]"""

WORKER_BYTES = 3_000_000_000
"""Memory that a worker should have; where there is less there are fewer workers. [default]"""

LEAST_BYTES = 1_000_000_000
"""No worker can do anything with less: Python, the network and a small slide. [default]"""


@dataclass(frozen=True)
class WorkerPlan:
    """Workers of a run.

    Attributes
    ----------
    workers
        How many at most; None for all that the scheduler has.
    threads
        Threads of each; None for as many as a worker of the scheduler was given.
    memory_bytes
        Memory of each; None where the scheduler's workers have limits of their own.
    scheduler
        Address of a Dask scheduler; None for processes on this machine.
    """

    workers: int | None
    threads: int | None
    memory_bytes: int | None = None
    scheduler: str | None = None


def plan_workers(
    n_tasks: int,
    *,
    workers: int | None = None,
    threads: int | None = None,
    memory_limit: int | str | None = None,
    scheduler: str | None = None,
) -> WorkerPlan | None:
    """Plan the workers of a run; None to do everything in this process.

    Without further wishes that is so for fewer than four slides, and where there is one core.
    Else there is a worker for each core, from eight cores on for each two, but not more than half
    as many as slides, and none without 3 GB of memory. The cores are shared out among them.

    Parameters
    ----------
    n_tasks
        Slides of the run.
    workers, threads, memory_limit, scheduler
        What the user wishes; None to decide here. The memory is that of each worker, in bytes or
        as ``"4 GB"``. Any wish but ``workers=1`` is met by separate processes.

    Raises
    ------
    ConfigError
        If a wish cannot be met.
    """
    for name, number in (("workers", workers), ("threads", threads)):
        if number is not None and number < 1:
            raise ConfigError(f"--{name} {number}: give a whole number from 1 on")
    limit = None if memory_limit is None else _bytes(memory_limit)
    if scheduler is not None:
        if limit is not None:
            raise ConfigError(
                "--memory-limit goes with workers on this machine; workers of a scheduler get "
                "theirs when they are started: dask worker --memory-limit 8GB"
            )
        return WorkerPlan(workers, threads, None, scheduler)
    cores = usable_cores()
    if workers is None:
        workers = _decide(n_tasks, cores, limit)
    if workers == 1 and threads is None and limit is None:
        return None
    if limit is None:
        limit = max(total_memory() // workers, LEAST_BYTES)
    return WorkerPlan(workers, threads or max(cores // workers, 1), limit)


def total_memory() -> int:
    """Memory of this machine, or what its container may use of it, in bytes."""
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_LIMIT)


def _decide(n_tasks: int, cores: int, limit: int | None) -> int:
    if n_tasks < FEW or cores == 1:
        return 1
    fitting = total_memory() // (limit or WORKER_BYTES)
    return max(min(n_tasks // 2, cores if cores < MANY_CORES else cores // 2, fitting), 1)


def _bytes(given: int | str) -> int:
    from dask.utils import parse_bytes

    try:
        limit = int(parse_bytes(given))
    except (ValueError, TypeError):
        raise ConfigError(f"--memory-limit {given}: give a size such as 4GB or 500MB") from None
    if limit < LEAST_BYTES:
        raise ConfigError(
            f"--memory-limit {given}: a worker needs at least {LEAST_BYTES / 1e9:.0f} GB"
        )
    return limit
