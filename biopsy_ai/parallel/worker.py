"""What runs inside a worker."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from biopsy_ai.errors import Cancelled
from biopsy_ai.parallel.call import Call, Finished
from biopsy_ai.parallel.peak_memory import PeakMemory
from biopsy_ai.processors import take_share
from biopsy_ai.segmentation.accelerator import take_turns
from biopsy_ai.segmentation.tile_sharing import let_help

_stopped: set[str] = set()


def run_call(run: str, call: Call, threads: int, folder: str) -> Finished:
    """Do a task in this process.

    Parameters
    ----------
    run
        Name of the run, by which it can be stopped.
    call
        What to do.
    threads
        How many cores to use.
    folder
        Where the program that sent it works; relative paths start there.
    """
    logging.getLogger("biopsy_ai").addHandler(logging.NullHandler())
    take_share(threads)
    take_turns()
    let_help(IdleWorkers(threads))

    def stop_if_asked(stage: str, done: int, total: int) -> None:
        if run in _stopped:
            raise Cancelled("stopped")

    with PeakMemory() as memory, _working_in(folder):
        try:
            value, lacking = call.function(*call.arguments, progress=stop_if_asked), ""
        except Exception as error:
            lacking = _lack_of_memory(error)
            if not lacking:
                raise
            value = None
    return Finished(value, memory.bytes, lacking)


class IdleWorkers:
    """Workers beside this one that have nothing to do, and may help with a large slide."""

    def __init__(self, threads: int) -> None:
        from distributed import get_client, get_worker

        self._client, self._here = get_client(), get_worker().address
        self._threads = threads
        self._failed: set[str] = set()

    def offer(self, function: Callable[..., Any], *arguments: Any) -> tuple[str, Any] | None:
        """Let an idle worker call a function; None if none is idle."""
        busy = self._client.processing()
        idle = [address for address, keys in busy.items() if not keys and address != self._here]
        idle = sorted(set(idle) - self._failed)
        if not idle:
            return None
        future = self._client.submit(
            help_out,
            self._threads,
            function,
            *arguments,
            workers=idle[:1],
            allow_other_workers=False,
            pure=False,
        )
        return idle[0], future

    def is_done(self, ticket: tuple[str, Any]) -> bool:
        """Whether the call has ended, or never will since its worker is gone."""
        address, future = ticket
        return bool(future.done()) or address not in self._client.processing()

    def result(self, ticket: tuple[str, Any]) -> Any:
        """What it returned; None if it failed, and then its worker is not asked again."""
        address, future = ticket
        try:
            if future.done():
                return future.result(timeout=60)
        except Exception:
            logging.getLogger(__name__).debug("%s could not help", address, exc_info=True)
        future.cancel(force=True)
        self._failed.add(address)
        return None


def help_out(threads: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Do a part of the task of another worker."""
    take_share(threads)
    return function(*arguments)


def stop_run(run: str) -> None:
    """Let the tasks of a run end at their next step."""
    _stopped.add(run)


def ignore_interruption() -> None:
    """Leave Ctrl-C, which a terminal sends to all its processes, to the program itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _working_in(folder: str) -> Iterator[None]:
    before = os.getcwd()
    try:
        os.chdir(folder)
    except OSError:
        # another machine, where absolute paths will do
        yield
        return
    try:
        yield
    finally:
        os.chdir(before)


def _lack_of_memory(error: BaseException | None) -> str:
    """What the system or PyTorch says when there is no more memory; empty for other errors."""
    while error is not None:
        text = str(error)
        if isinstance(error, MemoryError) or "can't allocate memory" in text.lower():
            return text or "out of memory"
        error = error.__cause__
    return ""
