"""What runs inside a worker."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from biopsy_ai.errors import Cancelled
from biopsy_ai.parallel.call import Call, Finished
from biopsy_ai.parallel.peak_memory import PeakMemory
from biopsy_ai.processors import take_share
from biopsy_ai.segmentation.accelerator import take_turns

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
