"""One run at a time in a folder of results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from biopsy_ai.errors import OutputError
from biopsy_ai.named_lock import NamedLock, account_name

LOCK_FILE = "run.lock"
"""Stands beside the results while slides are analyzed."""


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder: each would write over the tables and files of the other.

    Where the system has no locks (some network folders) nothing keeps them out.

    Raises
    ------
    OutputError
        If another run is going on there.
    """

    def taken(holder: str) -> OutputError:
        return OutputError(
            f"{out}: another run, started{holder}, writes its results there. Wait for its end, or "
            "choose another folder with --out for each run."
        )

    lock = None
    try:
        lock = NamedLock(out / LOCK_FILE, account_name(), taken)
    except OSError:
        pass
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
