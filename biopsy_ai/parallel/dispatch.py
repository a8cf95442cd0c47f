"""Handing out calls to workers, and what to do about those whose worker dies."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from biopsy_ai.errors import Cancelled, ClusterError, ConfigError, ModelError
from biopsy_ai.parallel.call import Call, Ended, Finished

if TYPE_CHECKING:
    from biopsy_ai.parallel.workers import Workers, WorkerState

log = logging.getLogger(__name__)

TICK_S = 0.25

ATTEMPTS = 3
"""How often a call is begun whose worker dies each time; the last time it is alone. [default]"""


@dataclass
class _Running:
    number: int
    future: Any
    peak_bytes: int = 0
    limit_bytes: int = 0


class Dispatch:
    """One round of calls on workers; see `Workers.run`."""

    def __init__(
        self,
        workers: Workers,
        calls: Sequence[Call],
        started: Callable[[int, str], None],
        ended: Callable[[int, Ended], None],
        tick: Callable[[], None],
    ) -> None:
        self._workers, self._calls = workers, calls
        self._started, self._ended, self._tick = started, ended, tick
        self._waiting = deque(range(len(calls)))
        self._alone: deque[int] = deque()
        self._running: dict[str, _Running] = {}
        self._attempts = [0] * len(calls)
        self._begun = [0.0] * len(calls)
        self._peaks = [0] * len(calls)
        self._starved_at = [0] * len(calls)
        self._is_alone = False
        self._some_done = threading.Event()
        self._last_seen = time.monotonic()

    def run(self) -> None:
        try:
            while self._waiting or self._alone or self._running:
                self._tick()
                alive = self._workers.alive()
                self._collect()
                self._bury(alive)
                self._hand_out(alive)
                self._watch(alive)
                self._some_done.wait(TICK_S)
                self._some_done.clear()
        except BaseException:
            self._workers.stop([running.future for running in self._running.values()])
            raise

    def _hand_out(self, alive: dict[str, WorkerState]) -> None:
        wanted = self._workers.plan.workers or len(alive)
        for address, state in alive.items():
            if self._waiting and len(self._running) < wanted and address not in self._running:
                self._begin(self._waiting.popleft(), address, state)
        if self._alone and not self._waiting and not self._running:
            self._is_alone = True
            if self._workers.plan.scheduler is None:
                self._workers.give_whole_machine()
                alive = self._workers.alive()
            if alive:
                most = max(alive, key=lambda address: alive[address].limit_bytes)
                self._begin(self._alone.popleft(), most, alive[most])

    def _begin(self, number: int, address: str, state: WorkerState) -> None:
        self._attempts[number] += 1
        self._begun[number] = self._begun[number] or time.monotonic()
        future = self._workers.submit(self._calls[number], address, state)
        self._running[address] = _Running(number, future, limit_bytes=state.limit_bytes)
        future.add_done_callback(lambda _: self._some_done.set())
        self._started(number, address)

    def _collect(self) -> None:
        """Take what is done."""
        for address, running in list(self._running.items()):
            future = running.future
            if not future.done():
                continue
            if future.status == "cancelled" or future.status == "lost":
                self._died(address)
                continue
            if future.status == "error":
                self._failed(address, future.exception())
                continue
            try:
                finished: Finished = future.result(timeout=60)
            except Exception as error:
                # it went with its worker, on the way here
                log.debug("a result was lost: %s", error)
                self._died(address)
                continue
            if finished.out_of_memory:
                self._starved(address, finished.peak_bytes)
            else:
                self._end(address, value=finished.value, peak_bytes=finished.peak_bytes)

    def _failed(self, address: str, error: BaseException) -> None:
        from distributed import KilledWorker

        number = self._running[address].number
        if isinstance(error, ConfigError | ModelError | Cancelled):
            raise error
        if isinstance(error, KilledWorker):
            self._died(address)
            return
        log.debug("%s failed", self._calls[number].name, exc_info=error)
        reason = f"{self._calls[number].name}: unexpected error ({type(error).__name__}: {error})"
        self._end(address, reason=reason)

    def _bury(self, alive: dict[str, WorkerState]) -> None:
        """Notice workers that are gone, and how much memory the others hold."""
        for address, running in list(self._running.items()):
            if address in alive:
                running.peak_bytes = max(running.peak_bytes, alive[address].memory_bytes)
            elif not running.future.done():
                self._died(address)

    def _died(self, address: str) -> None:
        rss = self._workers.ended_for_memory(address)
        if rss:
            self._starved(address, rss)
            return
        running = self._running[address]
        number, name = running.number, self._calls[running.number].name
        self._note_peak(running)
        if self._is_alone or self._attempts[number] >= ATTEMPTS:
            self._end(
                address,
                reason=f"{name}: the worker process died {self._attempts[number]} times while it "
                "did this one, the last time with nothing beside it. The file may bring a library "
                "down, or the system took the memory away. Try it with --workers 1, or on a "
                "machine with more memory.",
            )
            return
        last_chance = self._attempts[number] == ATTEMPTS - 1
        self._again(address, self._alone if last_chance else self._waiting)

    def _starved(self, address: str, peak_bytes: int) -> None:
        """Try once more with all memory, and give up after that."""
        running = self._running[address]
        number, name = running.number, self._calls[running.number].name
        running.peak_bytes = max(running.peak_bytes, peak_bytes)
        self._note_peak(running)
        limit = running.limit_bytes
        if not self._is_alone and self._workers.has_more_memory:
            self._starved_at[number] = limit
            self._again(address, self._alone)
            return
        before = self._starved_at[number]
        first = f", nor with {before / 1e9:.1f} GB before" if before else ""
        have = f"{limit / 1e9:.1f} GB" if limit else "all there is"
        self._end(
            address,
            reason=f"{name}: needs more memory than there is: {have} did not do{first}. Analyze it "
            "on a machine with more memory, give each worker more with --memory-limit, or a part "
            "of it with --region.",
        )

    def _again(self, address: str, line: deque[int]) -> None:
        running = self._running.pop(address)
        running.future.cancel(force=True)
        log.info("%s is begun again", self._calls[running.number].name)
        line.append(running.number)

    def _end(
        self, address: str, *, value: Any = None, reason: str = "", peak_bytes: int = 0
    ) -> None:
        running = self._running.pop(address)
        number = running.number
        running.peak_bytes = max(running.peak_bytes, peak_bytes)
        if peak_bytes:
            # what the worker measured while at this call tells more than what it held before
            running.peak_bytes = peak_bytes
        self._note_peak(running)
        running.future.release()
        self._ended(
            number,
            Ended(
                value,
                reason,
                self._attempts[number],
                time.monotonic() - self._begun[number],
                self._peaks[number],
                address,
            ),
        )

    def _note_peak(self, running: _Running) -> None:
        self._peaks[running.number] = max(self._peaks[running.number], running.peak_bytes)

    def _watch(self, alive: dict[str, WorkerState]) -> None:
        """Give up when no worker has been there for long."""
        from biopsy_ai.parallel.workers import FIRST_WORKER_S

        now = time.monotonic()
        if alive:
            self._last_seen = now
        elif now - self._last_seen > FIRST_WORKER_S:
            where = self._workers.plan.scheduler or "on this machine"
            raise ClusterError(
                f"{where}: no worker has been there for {FIRST_WORKER_S / 60:.0f} minutes. Start "
                "some with 'dask worker', or see whether your cluster still has them in its queue."
            )
