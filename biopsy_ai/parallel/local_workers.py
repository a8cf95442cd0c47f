"""Worker processes on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from biopsy_ai.errors import ClusterError

CLOSING_S = 10.0

_SETTINGS = {
    # A worker does one slide at a time and holds no data of Dask; its limit is a limit.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 1.0,
    "distributed.scheduler.work-stealing": False,
    # Python's own computations are short; PyTorch and OpenCV are told when a task begins.
    "distributed.nanny.pre-spawn-environ.OMP_NUM_THREADS": 1,
    "distributed.nanny.pre-spawn-environ.MKL_NUM_THREADS": 1,
    "distributed.nanny.pre-spawn-environ.OPENBLAS_NUM_THREADS": 1,
}


@contextmanager
def local_client(workers: int, memory_bytes: int | None) -> Iterator[Any]:
    """Start worker processes, and give a `distributed.Client` for them; they end with the block.

    A worker that dies, or that exceeds its memory and is ended for it, is replaced.

    Raises
    ------
    ClusterError
        If they cannot be started.
    """
    import dask
    from distributed import Client, LocalCluster

    before = {name: os.environ.get(name) for name in _spawn_environment()}
    with dask.config.set(_SETTINGS):
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=memory_bytes,
                host="127.0.0.1",
                # on this machine only, wherever there is room
                dashboard_address="127.0.0.1:0",
                worker_dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
        except (OSError, RuntimeError, TimeoutError) as error:
            raise ClusterError(
                f"The worker processes cannot be started ({error}). Try fewer, or --workers 1."
            ) from error
        client = None
        try:
            client = Client(cluster, set_as_default=False)
            client.register_plugin(_interruption_plugin(), name="biopsy-ai-interruption")
            yield client
        finally:
            if client is not None:
                client.close(timeout=CLOSING_S)
            cluster.close(timeout=CLOSING_S)
            _restore(before)


def _interruption_plugin() -> Any:
    from distributed import WorkerPlugin

    from biopsy_ai.parallel.worker import ignore_interruption

    class IgnoreInterruption(WorkerPlugin):  # type: ignore[misc,unused-ignore]
        def setup(self, worker: Any) -> None:
            ignore_interruption()

    return IgnoreInterruption()


def _spawn_environment() -> tuple[str, ...]:
    """Variables that Dask sets in its own process, to hand them down to workers."""
    import dask

    return tuple(dask.config.get("distributed.nanny.pre-spawn-environ", {}))


def _restore(environment: dict[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
