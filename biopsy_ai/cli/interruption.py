"""Ctrl-C that is never lost, and other ways to stop a command like it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_interrupted = threading.Event()
_stop_files: list[Path] = []


@contextmanager
def noting_interruption(stop_file: str | Path | None = None) -> Iterator[None]:
    """Remember Ctrl-C while a command runs, and raise `KeyboardInterrupt` as Python does.

    Libraries catch every exception in places, as while they look for optional modules. An
    interruption that falls there is lost; `raise_again` brings it back. The signal by which
    other programs end one (SIGTERM) does the same.

    Parameters
    ----------
    stop_file
        `raise_again` stops the command too once this file is there. Windows has no other way to
        ask a program without a window to stop.
    """
    _interrupted.clear()
    known: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        # a shell makes what it runs in the background ignore Ctrl-C; so it stays
        if callable(signal.getsignal(signal.SIGINT)):
            known[signal.SIGINT] = signal.signal(signal.SIGINT, _note)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            known[signal.SIGTERM] = signal.signal(signal.SIGTERM, _note)
    _stop_files[:] = [] if stop_file is None else [Path(stop_file)]
    try:
        yield
    finally:
        _interrupted.clear()
        _stop_files.clear()
        for number, handler in known.items():
            signal.signal(number, handler)


def raise_again() -> None:
    """Stop here if the command was asked to stop since it began.

    Raises
    ------
    KeyboardInterrupt
    """
    if _interrupted.is_set() or any(path.exists() for path in _stop_files):
        raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> None:
    _interrupted.set()
    raise KeyboardInterrupt
