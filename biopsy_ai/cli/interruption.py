"""Ctrl-C that is never lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_interrupted = threading.Event()


@contextmanager
def noting_interruption() -> Iterator[None]:
    """Remember Ctrl-C while a command runs, and raise `KeyboardInterrupt` as Python does.

    Libraries catch every exception in places, as while they look for optional modules. An
    interruption that falls there is lost; `raise_again` brings it back.
    """
    _interrupted.clear()
    known = signal.getsignal(signal.SIGINT)
    # a shell makes what it runs in the background ignore Ctrl-C; so it stays
    ours = threading.current_thread() is threading.main_thread() and callable(known)
    if ours:
        signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        _interrupted.clear()
        if ours:
            signal.signal(signal.SIGINT, known)


def raise_again() -> None:
    """Stop here if there was a Ctrl-C since the command began.

    Raises
    ------
    KeyboardInterrupt
    """
    if _interrupted.is_set():
        raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> None:
    _interrupted.set()
    raise KeyboardInterrupt
