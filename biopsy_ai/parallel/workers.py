"""The workers of a run, from their start to their end."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from biopsy_ai.errors import ClusterError
from biopsy_ai.parallel.call import Call, Ended
from biopsy_ai.parallel.dispatch import Dispatch
from biopsy_ai.parallel.local_workers import local_client
from biopsy_ai.parallel.plan import WorkerPlan, total_memory
from biopsy_ai.parallel.remote_workers import misfits, remote_client
from biopsy_ai.parallel.worker import run_call, stop_run

log = logging.getLogger(__name__)

GRACE_S = 5.0
"""How long tasks may take to stop by themselves before their workers are ended. [default]"""

FIRST_WORKER_S = 600.0
"""How long to wait for the first worker of a scheduler, and for new ones if all are gone; queues
of clusters take their time. [default]"""

_SCHEDULER_LOST = "the scheduler does not answer any more"


@dataclass(frozen=True)
class WorkerState:
    """What the scheduler knows of a worker; sizes in bytes, the limit 0 where there is none."""

    threads: int
    memory_bytes: int
    limit_bytes: int


class Workers:
    """Workers that stand ready while this is entered.

    Parameters
    ----------
    plan
        From `plan_workers`.
    out
        Folder for the results, that workers elsewhere must be able to write to.
    paths
        Slides, that workers elsewhere must see.

    Raises
    ------
    ClusterError
        If they cannot be started or reached, or one of them does not fit.
    """

    def __init__(self, plan: WorkerPlan, out: Path, paths: Sequence[Path] = ()) -> None:
        self.plan = plan
        self._out, self._paths = out, list(paths)
        self._run = secrets.token_hex(8)
        self._stack = ExitStack()
        self._client: Any = None
        self._fits: set[str] = set()
        self._unfit: set[str] = set()
        self._whole_machine = False

    def __enter__(self) -> Self:
        self._open(self.plan.workers, self.plan.memory_bytes)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def run(
        self,
        calls: Sequence[Call],
        *,
        started: Callable[[int, str], None],
        ended: Callable[[int, Ended], None],
        tick: Callable[[], None],
    ) -> None:
        """Do all calls, the first of them first, one at a time on each worker.

        Parameters
        ----------
        calls
            What to do.
        started, ended
            Called in this thread with the number of a call, and with its worker or its end.
        tick
            Called about four times a second; what it raises stops all.

        Raises
        ------
        ConfigError, ModelError
            As the calls do: these concern all of them.
        ClusterError
            If the scheduler is lost, or no worker is there for long.
        """
        Dispatch(self, calls, started, ended, tick).run()

    def submit(self, call: Call, address: str, state: WorkerState) -> Any:
        """Give a call to a worker, and get the future of its `Finished`."""
        threads = self.plan.threads or state.threads
        return self._client.submit(
            run_call,
            self._run,
            call,
            threads,
            os.getcwd(),
            workers=[address],
            allow_other_workers=False,
            pure=False,
            key=f"{call.name}-{secrets.token_hex(6)}",
        )

    def alive(self) -> dict[str, WorkerState]:
        """Workers that are there now and fit, by address."""
        found = self._ask(_states)
        states = {address: WorkerState(*numbers) for address, numbers in found.items()}
        if self.plan.scheduler is not None:
            new = [address for address in states if address not in self._fits | self._unfit]
            if new:
                self._admit(new)
            states = {address: state for address, state in states.items() if address in self._fits}
        return states

    def ended_for_memory(self, address: str) -> int:
        """Memory at which a worker was ended, in bytes; 0 if it ended for other reasons."""
        try:
            events = self._client.get_events("worker-restart-memory")
        except (OSError, RuntimeError, TypeError):
            return 0
        sizes = [event["rss"] for _, event in events if event.get("worker") == address]
        return int(max(sizes, default=0))

    @property
    def has_more_memory(self) -> bool:
        """Whether a worker alone can have more memory than beside others."""
        if self.plan.scheduler is not None:
            return True
        return total_memory() > 1.05 * (self.plan.memory_bytes or 0)

    def give_whole_machine(self) -> None:
        """Go on with one worker that may use all memory; nothing must be running."""
        if self.plan.scheduler is not None or self._whole_machine:
            return
        self._stack.close()
        self._open(1, total_memory())
        self._whole_machine = True

    def stop(self, futures: Sequence[Any]) -> None:
        """Ask running calls to stop, and wait a little."""
        asking = threading.Thread(target=self._ask_to_stop, daemon=True)
        asking.start()
        end = time.monotonic() + GRACE_S
        while time.monotonic() < end and not all(future.done() for future in futures):
            time.sleep(0.05)
        for future in futures:
            future.cancel(force=True)

    def _ask_to_stop(self) -> None:
        try:
            self._client.run(stop_run, self._run, on_error="ignore")
        except Exception:
            log.debug("workers could not be asked to stop", exc_info=True)

    def _open(self, workers: int | None, memory_bytes: int | None) -> None:
        scheduler = self.plan.scheduler
        if scheduler is None:
            self._client = self._stack.enter_context(local_client(workers or 1, memory_bytes))
        else:
            self._client = self._stack.enter_context(remote_client(scheduler))
        try:
            if scheduler is not None and self._ask(_states):
                self._admit(list(self._ask(_states)), strict=True)
        except BaseException:
            self._stack.close()
            raise

    def _admit(self, addresses: list[str], *, strict: bool = False) -> None:
        wrong = misfits(self._client, addresses, self._out, self._paths)
        self._fits |= set(addresses) - set(wrong)
        self._unfit |= set(wrong)
        for address, complaint in wrong.items():
            text = f"The worker {address} cannot take part: {complaint}."
            if strict or not self._fits:
                raise ClusterError(text)
            log.warning(text)

    def _ask(self, question: Callable[..., Any]) -> Any:
        try:
            return self._client.run_on_scheduler(question)
        except (OSError, RuntimeError) as error:
            where = self.plan.scheduler or "on this machine"
            raise ClusterError(
                f"{where}: {_SCHEDULER_LOST} ({error}). Finished slides are complete: repeat the "
                "command when it is back."
            ) from error


def _scheduler_question() -> Callable[..., Any]:
    # whole, so that the scheduler need not have biopsy-ai
    def states(dask_scheduler: Any) -> dict[str, tuple[int, int, int]]:
        return {
            address: (
                int(worker.nthreads),
                int(worker.metrics.get("memory") or 0),
                int(worker.memory_limit or 0),
            )
            for address, worker in dask_scheduler.workers.items()
            if worker.status.name in ("running", "paused")
        }

    return states


_states = _scheduler_question()
