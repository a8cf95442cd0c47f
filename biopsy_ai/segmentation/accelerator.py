"""An accelerator that several processes of a machine use one after the other."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from biopsy_ai.file_lock import try_lock, unlock

_POLL_S = 0.05

_in_turn = False


def take_turns() -> None:
    """Let this process wait for its turn from now on, as one of several workers should."""
    global _in_turn
    _in_turn = True


@contextmanager
def turn_on(device: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Have an accelerator to oneself; a processor is there for all.

    The system frees it when the process dies.

    Parameters
    ----------
    device
        "cuda", "mps" or "cpu".
    waiting
        Called while another worker has it; may raise to stop.
    """
    if device == "cpu" or not _in_turn:
        yield
        return
    user = getattr(os, "getuid", lambda: "all")()
    with open(Path(tempfile.gettempdir()) / f"biopsy-ai-{user}-{device}.lock", "ab") as file:
        while not try_lock(file):
            waiting()
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            unlock(file)
