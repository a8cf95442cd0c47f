"""Tasks for worker processes, which cannot see what a test patches."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from biopsy_ai.errors import ConfigError
from biopsy_ai.progress import Progress


def double(number: int, *, progress: Progress) -> int:
    return 2 * number


def process(*, progress: Progress) -> tuple[int, int, str]:
    """Process, cores and working folder of a worker."""
    from biopsy_ai.processors import usable_cores

    time.sleep(0.3)
    return os.getpid(), usable_cores(), os.getcwd()


def raises(kind: str, *, progress: Progress) -> None:
    raise {"value": ValueError("no number"), "config": ConfigError("bad setting")}[kind]


def dies(notes: Path, times: int, *, progress: Progress) -> str:
    """End the process the first times that it is called."""
    with open(notes, "a") as file:
        file.write("x")
    if len(notes.read_text()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return notes.read_text()


def fills(gigabytes: float, notes: Path, *, progress: Progress) -> float:
    """Hold some memory for a while."""
    with open(notes, "a") as file:
        file.write("x")
    held = np.ones(int(gigabytes * 1e9 / 8))
    time.sleep(1)
    return float(held[-1])


def lacks_memory(*, progress: Progress) -> None:
    raise MemoryError("no room")


def waits(notes: Path, *, progress: Progress) -> None:
    """Go on until asked to stop, and note that."""
    notes.with_suffix(".begun").touch()
    try:
        while True:
            progress("wait", 0, 1)
            time.sleep(0.05)
    finally:
        notes.touch()
